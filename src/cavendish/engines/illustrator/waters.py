"""Water: the open sea, a lake between its banks, a beach with surf."""

from cavendish.engines.illustrator.art import Spot
from cavendish.engines.illustrator.palette import mix, tone
from cavendish.engines.illustrator.props import decorate, prop
from cavendish.engines.illustrator.scenery import Stage
from cavendish.engines.illustrator.shapes import circle, path, pen, rect, stroke
from cavendish.engines.illustrator.sky import paint_sky, ridge


def _water(stage: Stage, bottom: float, deep: str, pale: str) -> None:
    """A sheet of water from the horizon down, with wavelets and the light's path on it."""
    top = stage.horizon
    near, far = mix(stage.lit(deep), stage.sky.top, 0.25), mix(stage.lit(pale), stage.sky.low, 0.6)
    defs, paint = stage.gradient((0, far, 1), (0.3, mix(far, near, 0.55), 1), (1, near, 1))
    stage.middle.append(defs + rect(0, top, stage.width, bottom - top + 2, paint))
    lots = stage.lots.branch("waves")
    light: list[str] = []
    dark: list[str] = []
    for _ in range(round(95 * stage.width / 1000)):
        depth = lots.between(0.02, 1)
        x, y = lots.between(-60, stage.width), top + (bottom - top) * float(depth**1.5)
        long = (30 + 130 * depth) * lots.between(0.6, 1.2)
        wave = pen("M", x, y, "q", long / 4, -2 - 9 * depth, long / 2, 0, "t", long / 2, 0)
        (light if lots.likely(0.55) else dark).append(wave)
    crest = mix(near, "#ffffff", 0.5) if stage.sky.strength < 0.7 else mix(near, stage.sky.low, 0.6)
    stage.middle.append(stroke("".join(dark), tone(near, "deep"), 3.2, opacity=0.5))
    stage.middle.append(stroke("".join(light), crest, 3.2, opacity=0.5))
    if stage.orb_at is not None:
        _glitter(stage, stage.orb_at, top, bottom)


def _glitter(stage: Stage, middle: float, top: float, bottom: float) -> None:
    """The light's path on the water under the sun or moon."""
    lots, dashes = stage.lots.branch("glitter"), []
    for _ in range(70):
        depth = lots.between(0, 1)
        spread = 26 + 130 * depth
        x, long = middle + lots.between(-spread, spread), (14 + 70 * depth) * lots.between(0.5, 1.2)
        dashes.append(pen("M", x - long / 2, top + 4 + (bottom - top) * 0.95 * float(depth**1.3), "h", long))
    stage.middle.append(stroke("".join(dashes), mix(stage.sky.low, "#fffbe6", 0.55), 4, opacity=0.62))


def paint_water(stage: Stage) -> None:
    """Open water to the horizon; a lake has a far bank with trees and a near one with reeds."""
    lake = stage.place == "lake"
    paint_sky(stage, ridges=lake)
    _water(stage, stage.height, stage.ground.near, stage.ground.far)
    if not lake:
        return
    stage.middle.append(path(ridge(stage, stage.horizon + 12, 34, 0.6, "bank"), stage.lit("#6f9c5a", 0.45)))
    lots = stage.lots.branch("bank")
    for number in range(round(stage.width / 60)):
        x = (number + lots.between(0, 1)) * 60
        if not 0.36 < x / stage.width < 0.64 or lots.likely(0.3):
            spot = Spot(x, stage.horizon + 12, lots.between(46, 100), 0.55, lots.likely(0.5))
            prop(stage, lots.pick(("pine", "pine", "tree")), spot)
    _near_bank(stage)


def _near_bank(stage: Stage) -> None:
    """A grassy edge in front, for whatever does not swim."""
    white = stage.scene.season == "winter" or stage.scene.weather == "snow"
    top, grass, lots = stage.height * 0.84, stage.lit("#e6eff7" if white else "#6aa04c"), stage.lots.branch("reeds")
    crest = ridge(stage, top + 60, 60, 0.5, "nearbank").removesuffix("Z") + pen("V", stage.height, "H 0 Z")
    defs, paint = stage.gradient((0, tone(grass, "light"), 1), (1, tone(grass, "shade"), 1))
    reeds = "".join(
        pen("M", lots.between(0, stage.width), top + 50, "q", lots.between(-14, 14), -40, lots.between(-20, 20), -tall)
        for tall in (lots.between(50, 90) for _ in range(round(stage.width / 30)))
    )
    stage.middle += [
        path(crest, tone(grass, "deep"), opacity=0.5, move=(0, -9)),
        defs + path(crest, paint),
        stroke(reeds, tone(grass, "shade"), 5, opacity=0.8),
    ]


def paint_shore(stage: Stage) -> None:
    """Sand in front, surf, sea behind."""
    paint_sky(stage, ridges=False)
    height, width, land = stage.height, stage.width, stage.ground
    edge = stage.horizon + (height - stage.horizon) * 0.4
    _water(stage, edge + 30, "#2f9cba", "#8fd4dc")
    near, far = stage.lit(land.near), stage.lit(land.far)
    surf = pen(
        "M", 0, edge, "C", width * 0.2, edge - 26, width * 0.35, edge + 30, width * 0.55, edge + 6,
        "S", width * 0.85, edge - 20, width, edge + 14, "V", height, "H 0 Z",
    )  # fmt: skip
    defs, paint = stage.gradient((0, mix(far, near, 0.5), 1), (0.12, far, 1), (1, near, 1))
    stage.middle += [
        path(surf, stage.lit("#ffffff"), opacity=0.9, move=(0, -16)),
        path(surf, tone(near, "shade"), move=(0, -3)),
        defs + path(surf, paint, move=(0, 12)),
    ]
    lots = stage.lots.branch("sand")
    for _ in range(40):
        x, y = lots.between(0, width), edge + 50 + (height - edge) * lots.between(0, 1)
        stage.middle.append(circle(x, y, lots.between(1.5, 4), tone(near, "shade"), opacity=0.6))
    decorate(stage, land.decor, each=2, grow=1.9)
