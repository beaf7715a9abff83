"""Land: meadow, forest, mountains, desert, snow."""

from cavendish.engines.illustrator.art import Spot
from cavendish.engines.illustrator.palette import mix, tone
from cavendish.engines.illustrator.props import decorate, foot, prop
from cavendish.engines.illustrator.scenery import Stage
from cavendish.engines.illustrator.shapes import circle, ellipse, path, pen, stroke
from cavendish.engines.illustrator.sky import paint_sky, ridge


def paint_land(stage: Stage) -> None:
    """Rolling ground with grass, ripples of sand or drifts of snow, and what stands about on it."""
    paint_sky(stage)
    ground, height = stage.ground, stage.height
    near, far = stage.lit(ground.near), stage.lit(ground.far, 0.35)
    if stage.place == "mountains":
        for share, tall in ((0.2, 0.6), (0.82, 0.72)):
            prop(
                stage, "mountain", Spot(stage.width * share, stage.horizon + 14, stage.horizon * tall, 0.3, share < 0.5)
            )
    for index, (level, rise) in enumerate(((0.0, 0.05), (0.16, 0.09), (0.46, 0.12))):
        base = stage.horizon + (height - stage.horizon) * level
        top, bottom = mix(far, near, level), mix(far, near, min(1.0, level + 0.5))
        defs, paint = stage.gradient((0, tone(top, "light"), 1), (0.35, top, 1), (1, bottom, 1))
        crest = ridge(stage, base + height * rise, height * rise, 0.5, f"land{index}").removesuffix("Z")
        stage.middle.append(defs + path(crest + pen("V", height, "H 0 Z"), paint))
    if stage.place == "desert":
        _ripples(stage)
    elif stage.place == "snowfield" or stage.scene.weather == "snow" or stage.scene.season == "winter":
        _drifts(stage)
    else:
        _tufts(stage)
    dense = stage.place == "forest"
    decorate(stage, ground.decor, each=5 if dense else 3, grow=1.5 if dense else 1.0)


def _tufts(stage: Stage) -> None:
    lots = stage.lots.branch("tufts")
    near = stage.lit(stage.ground.near)
    shades = (tone(near, "shade"), tone(near, "deep"), tone(near, "light"))
    blades: dict[str, list[str]] = {shade: [] for shade in shades}
    dots: list[str] = []
    for _ in range(round(90 * stage.width / 1000)):
        depth = lots.between(0, 0.8)
        x, y, s = lots.between(0, stage.width), foot(stage, depth) + stage.height * 0.06, 30 * (1.1 - depth)
        tuft = pen(
            "M", x, y, "q", -s * 0.3, -s * 0.5, -s * 0.55, -s * 0.8, "q", s * 0.4, s * 0.2, s * 0.5, s * 0.5,
            "q", 0, -s * 0.6, s * 0.15, -s, "q", s * 0.15, s * 0.5, s * 0.12, s * 0.55,
            "q", s * 0.2, -s * 0.4, s * 0.5, -s * 0.55, "q", -s * 0.1, s * 0.4, -s * 0.3, s * 0.8, "Z",
        )  # fmt: skip
        blades[lots.pick(shades)].append(tuft)
        if stage.place == "meadow" and lots.likely(0.35):
            color = stage.lit(lots.pick(("#fff4d8", "#f7c8d8", "#ffd95a", "#ffffff")), depth * 0.5)
            dots.append(circle(x + s, y - s * 0.3, s * 0.14, color))
    stage.middle += [path("".join(shapes), shade, opacity=0.75) for shade, shapes in blades.items()]
    stage.middle += dots


def _ripples(stage: Stage) -> None:
    lots, lines = stage.lots.branch("ripples"), []
    for _ in range(26):
        depth = lots.between(0, 0.85)
        x, y, long = lots.between(-100, stage.width), foot(stage, depth) + stage.height * 0.05, 260 * (1.1 - depth)
        lines.append(pen("M", x, y, "q", long / 4, -9 * (1 - depth), long / 2, 0, "t", long / 2, 0))
    stage.middle.append(stroke("".join(lines), tone(stage.lit(stage.ground.near), "shade"), 3, opacity=0.6))


def _drifts(stage: Stage) -> None:
    lots = stage.lots.branch("drifts")
    color = mix(stage.lit("#c9d9ec"), stage.lit(stage.ground.near), 0.4)
    for _ in range(9):
        depth = lots.between(0, 0.7)
        x, y, long = lots.between(0, stage.width), foot(stage, depth) + stage.height * 0.05, 330 * (1.1 - depth)
        stage.middle.append(ellipse(x, y, long, long * 0.05, color, opacity=0.55))
