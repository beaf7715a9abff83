"""A street: two rows of house fronts, a pavement with lamps, a road."""

from cavendish.engines.illustrator.art import Spot
from cavendish.engines.illustrator.chance import Chance
from cavendish.engines.illustrator.palette import tone
from cavendish.engines.illustrator.props import prop
from cavendish.engines.illustrator.scenery import Stage
from cavendish.engines.illustrator.shapes import path, pen, rect
from cavendish.engines.illustrator.sky import paint_sky

_WALLS = ("#d9a58a", "#cfc0ad", "#a9b8c4", "#e0c493", "#b98f86", "#9fb0a2", "#d6d0c6")


def paint_street(stage: Stage) -> None:
    """A row of fronts behind a pavement and a road."""
    paint_sky(stage)
    lots, height, width = stage.lots.branch("street"), stage.height, stage.width
    base = stage.horizon + (height - stage.horizon) * 0.22
    for row, (depth, low, high) in enumerate(((0.7, 0.3, 0.62), (0.25, 0.2, 0.42))):
        x = lots.between(-90, 0)
        while x < width:
            wide, tall = lots.between(90, 170), stage.horizon * lots.between(low, high) + (base - stage.horizon)
            _front(stage, (x, base - tall, wide, tall), depth, lots.branch(f"{row}{x:.0f}"))
            x += wide + lots.between(0, 10)
    walk, road = stage.lit("#c9c4bc"), stage.lit(stage.ground.near)
    curb = base + (height - base) * 0.22
    defs, paint = stage.gradient((0, tone(road, "light"), 1), (1, tone(road, "shade"), 1))
    y = curb + (height - curb) * 0.62
    stripes = "".join(pen("M", x, y, "h 110 l 14 18 h -116 Z") for x in range(-40, round(width), 240))
    stage.middle += [
        rect(0, base, width, curb - base, walk),
        rect(0, curb, width, 14, tone(walk, "deep")),
        defs + rect(0, curb + 14, width, height - curb, paint),
        path(stripes, stage.lit("#f6edd2"), opacity=0.85),
    ]
    for share in (0.08, 0.92):
        prop(stage, "streetlamp", Spot(width * share, curb - 4, curb - stage.horizon * 0.42))


def _front(stage: Stage, box: tuple[float, float, float, float], depth: float, lots: Chance) -> None:
    """One house: wall, shaded side, cornice, windows of which more are lit when it is dark."""
    x, y, wide, tall = box
    color, dark = stage.lit(lots.pick(_WALLS), depth), stage.sky.strength > 0.55
    stage.middle += [
        rect(x, y, wide, tall, color),
        rect(x + wide * 0.78, y, wide * 0.22, tall, tone(color, "shade")),
        rect(x - 4, y - 8, wide + 8, 12, tone(color, "deep")),
    ]
    lit: list[str] = []
    dull: list[str] = []
    columns = max(2, round(wide / 42))
    for line in range(max(1, int(tall // 58) - 1)):
        for column in range(columns):
            pane = wide * 0.44 / columns
            left, top = x + wide * (column + 0.28) / columns, y + 24 + line * 58
            shown = pen("M", left, top, "h", pane, "v 34 h", -pane, "Z")
            (lit if lots.likely(0.55 if dark else 0.12) else dull).append(shown)
    stage.middle.append(path("".join(dull), stage.lit("#46587a" if dark else "#8fb4c8", depth)))
    stage.middle.append(path("".join(lit), "#ffd98a" if dark else stage.lit("#fff0c4", depth)))
