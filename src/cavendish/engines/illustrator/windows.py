"""The view through a window: weather outside, wet glass, frame, curtains; and the window seat as a place."""

from cavendish.engines.illustrator.art import Spot, drawing, placed
from cavendish.engines.illustrator.palette import Light, tone
from cavendish.engines.illustrator.props import prop
from cavendish.engines.illustrator.scenery import Stage
from cavendish.engines.illustrator.shapes import circle, ellipse, path, pen, rect, stroke
from cavendish.engines.illustrator.sky import paint_falling, ridge
from cavendish.engines.illustrator.vocabulary import vocabulary

Box = tuple[float, float, float, float]
"""x, y, width, height."""

_WARM = Light("#fff0d8", 0.35, "#f0dcc4")
_LAMPLIGHT = Light("#ffc98a", 0.5, "#b98a6a")


def indoors(stage: Stage) -> Light:
    """The light inside: daylight through glass, or lamps when it is dark outside."""
    return _LAMPLIGHT if stage.scene.time in {"night", "dusk"} else _WARM


def wall(stage: Stage, bottom: float) -> None:
    """A wall in the place's colour, lighter at the left."""
    color = stage.lit(stage.ground.far)
    defs, paint = stage.gradient((0, color, 1), (1, tone(color, "shade"), 1), along="x")
    stage.back.append(defs + rect(0, 0, stage.width, bottom + 2, paint))


def _outside(stage: Stage, box: Box) -> str:
    """What is seen outside: soft layers of the weather's sky, hills and trees, fitted to `box`, as SVG."""
    x, y, width, height = box
    sky, lots = stage.sky, stage.lots.branch("outside")
    air = Light(sky.light, sky.strength, sky.haze)
    defs, paint = stage.gradient((0, sky.top, 1), (0.5, sky.middle, 1), (1, sky.low, 1))
    parts = [defs + rect(x, y, width, height, paint)]
    if sky.orb and not stage.falls:
        glow, halo = stage.gradient((0, "#fff4d0", 0.9), (0.3, "#fff0c0", 0.5), (1, "#fff0c0", 0), radial=True)
        parts.append(glow + circle(x + width * 0.74, y + height * 0.22, width * 0.22, halo))
        if sky.orb == "moon":
            parts.append(circle(x + width * 0.74, y + height * 0.22, width * 0.055, "#f8efd0"))
    for depth, level, color in ((0.75, 0.62, "#7f9ca8"), (0.45, 0.74, "#6d9470"), (0.15, 0.88, "#557f4c")):
        crest = ridge(stage, y + height * level + height * 0.12, height * 0.16, 0.6, f"outside{level}")
        parts.append(path(crest.removesuffix("Z") + pen("V", y + height, "H 0 Z"), air.on(color, depth)))
    for _ in range(9):
        depth = lots.between(0.1, 0.6)
        at, tall = x + width * lots.between(0, 1), height * (0.47 - 0.39 * depth) * lots.between(0.8, 1.3)
        name = lots.pick(("tree", "pine"))
        spot = Spot(at, y + height * (0.97 - 0.28 * depth), tall, depth, lots.likely(0.5))
        colors = vocabulary().subjects[name].colors
        parts.append(placed(name, drawing(name).pose(None), colors, spot, air, stage.mark()))
    if stage.scene.time in {"night", "dusk"} or stage.falls == "rain":
        for _ in range(16):  # lamps out of focus
            at, level = x + width * lots.between(0.03, 0.97), y + height * lots.between(0.5, 0.82)
            color = lots.pick(("#ffd98a", "#ffb870", "#fff0c4", "#ff9c7a"))
            parts.append(circle(at, level, width * lots.between(0.008, 0.022), color, opacity=lots.between(0.25, 0.6)))
    return "".join(parts)


def _drops(stage: Stage, box: Box) -> str:
    """Rain on the pane: beads and the tracks they leave."""
    x, y, width, height = box
    lots, parts, tracks = stage.lots.branch("drops"), [], []
    for _ in range(round(width * height / 4200)):
        cx, cy, r = x + width * lots.between(0, 1), y + height * lots.between(0, 1), lots.between(1.6, 5.2)
        parts.append(ellipse(cx, cy, r, r * 1.25, "#dfeaf2", opacity=0.42))
        parts.append(circle(cx - r * 0.3, cy - r * 0.4, r * 0.35, "#ffffff", opacity=0.85))
    for _ in range(round(width / 42)):
        cx, cy, long = lots.between(x, x + width), lots.between(y, y + height * 0.6), height * lots.between(0.1, 0.32)
        tracks.append(pen("M", cx, cy, "q", lots.between(-7, 7), long * 0.5, 0, long))
        parts.append(ellipse(cx, cy + long, 5, 8, "#eef5fa", opacity=0.7))
    return stroke("".join(tracks), "#eef5fa", 3.4, opacity=0.36) + "".join(parts)


def window(stage: Stage, box: Box, bars: tuple[int, int], thick: float) -> None:
    """A window: the view into `stage.back`, wet glass and frame into `stage.middle`."""
    x, y, width, height = box
    name, frame = stage.mark(), stage.lit("#fbf6ec")
    clip = f'<clipPath id="{name}">{rect(x, y, width, height, "#000000")}</clipPath>'
    stage.back.append(f'{clip}<g clip-path="url(#{name})">{_outside(stage, box)}</g>')
    stage.middle.append(paint_falling(stage, box))
    if stage.falls == "rain":
        stage.middle.append(_drops(stage, box))
    gleam = pen("M", x + width * 0.1, y, "h", width * 0.12, "l", -width * 0.2, height * 0.5, "v", -height * 0.3, "Z")
    stage.middle.append(path(gleam, "#ffffff", opacity=0.14))
    columns, lines = bars
    slats = [(x + width * k / columns - thick / 3, y, thick / 1.5, height) for k in range(1, columns)]
    slats += [(x, y + height * k / lines * 0.84 - thick / 3, width, thick / 1.5) for k in range(1, lines)]
    slats += [(x - thick, y - thick, width + 2 * thick, thick)]
    slats += [(left, y, thick, height) for left in (x - thick, x + width)]
    for left, top, wide, tall in slats:
        stage.middle.append(rect(left, top, wide, tall, frame))
        if tall > wide:
            stage.middle.append(rect(left + wide * 0.72, top, wide * 0.28, tall, tone(frame, "shade")))
        else:
            stage.middle.append(rect(left, top, wide, tall * 0.3, tone(frame, "light")))


def _curtain(stage: Stage, x: float, wide: float, color: str, *, left: bool) -> None:
    """A gathered curtain hanging at one side of a window."""
    height = stage.height
    folds = ((k / 8, tone(color, "light" if k % 2 else "shade"), 1.0) for k in range(9))
    defs, paint = stage.gradient(*folds, along="x")
    inner, outer = (x + wide, x) if left else (x, x + wide)
    bow = (inner - outer) * 0.42
    shape = pen(
        "M", outer, -10, "H", inner, "C", inner, height * 0.3, outer + bow, height * 0.46, outer + bow * 0.9,
        height * 0.58, "C", outer + bow * 1.5, height * 0.72, outer + bow * 1.4, height * 0.9, outer + bow * 1.5,
        height + 10, "H", outer, "Z",
    )  # fmt: skip
    tie = pen(
        "M", outer, height * 0.565, "Q", outer + bow * 0.5, height * 0.59, outer + bow, height * 0.57, "v 18 Q",
        outer + bow * 0.5, height * 0.615, outer, height * 0.59, "Z",
    )  # fmt: skip
    stage.front.append(defs + path(shape, paint) + path(tie, tone(color, "line"), opacity=0.8))


def paint_window(stage: Stage) -> None:
    """A window seat: the weather outside, a warm sill inside, curtains, a plant, a cup."""
    stage.light = indoors(stage)
    width, height = stage.width, stage.height
    sill, deep = height * 0.8, height * 0.115
    stage.horizon = sill
    wall(stage, height)
    margin = min(width * 0.1, 130.0)
    box = (margin, height * 0.05, width - 2 * margin, sill - height * 0.05)
    window(stage, box, (3 if width > 1500 else 2, 2), 26)
    wood = stage.lit(stage.ground.near)
    defs, paint = stage.gradient((0, tone(wood, "glow"), 1), (0.25, tone(wood, "light"), 1), (1, wood, 1))
    glow, shine = stage.gradient((0, stage.sky.low, 0.55), (1, stage.sky.low, 0))
    grain = "".join(
        pen("M", 0, y, "C", width * 0.3, y + 6, width * 0.6, y - 7, width, y + 3)
        for y in (sill + deep * k for k in (0.3, 0.52, 0.8))
    )
    stage.middle += [
        defs, rect(0, sill, width, deep, paint), stroke(grain, tone(wood, "shade"), 2.5, opacity=0.5),
        glow, rect(0, sill, width, deep * 0.6, shine), rect(0, sill + deep, width, 26, tone(wood, "shade")),
        rect(0, sill + deep + 26, width, height, tone(stage.lit(stage.ground.far), "shade")),
        rect(0, sill + deep + 26, width, 16, tone(wood, "line"), opacity=0.25),
    ]  # fmt: skip
    base = sill + deep * 0.5
    prop(stage, "pottedplant", Spot(width * (0.2 if width < 1300 else 0.16), base, height * 0.24))
    prop(stage, "cup", Spot(width * 0.82, base + 14, height * 0.105), {"glaze": "#5f8fa6"})
    cloth = stage.lit("#b98a7a" if stage.scene.time == "night" else "#e3a983")
    _curtain(stage, -20, width * 0.2, cloth, left=True)
    _curtain(stage, width * 0.8 + 20, width * 0.2, cloth, left=False)
