"""Rooms and table tops."""

from cavendish.engines.illustrator.art import Spot
from cavendish.engines.illustrator.palette import tone
from cavendish.engines.illustrator.props import prop
from cavendish.engines.illustrator.scenery import Stage
from cavendish.engines.illustrator.shapes import circle, ellipse, path, pen, rect, stroke
from cavendish.engines.illustrator.windows import indoors, wall, window


def _boards(stage: Stage, top: float, color: str, planks: int) -> None:
    """A wooden surface from `top` to the lower edge, seen in perspective."""
    width, height = stage.width, stage.height
    defs, paint = stage.gradient((0, tone(color, "light"), 1), (0.4, color, 1), (1, tone(color, "deep"), 1))
    seams = "".join(
        pen("M", width * (0.5 + side * 0.13), top, "L", width * (0.5 + side * 0.3), height)
        for side in (k - planks / 2 for k in range(planks + 1))
    )
    stage.middle += [
        defs,
        rect(0, top, width, height - top, paint),
        stroke(seams, tone(color, "deep"), 3, opacity=0.55),
    ]


def paint_room(stage: Stage) -> None:
    """A living room: wall, window, lamp, picture, floor and rug."""
    stage.light = indoors(stage)
    width, height = stage.width, stage.height
    floor = height * 0.66
    stage.horizon = height * 0.6
    wall(stage, floor)
    x, y, wide, tall = box = (width * 0.1, height * 0.1, width * 0.32, height * 0.36)
    window(stage, box, (2, 2), 16)
    dark = tone(stage.lit(stage.ground.far), "deep")
    stage.middle.append(rect(x - 34, y + tall, wide + 68, 20, stage.lit("#efe4d0")))
    stage.middle.append(rect(x - 26, y + tall + 20, wide + 52, 8, dark, opacity=0.5))
    _boards(stage, floor, stage.lit(stage.ground.near), 7)
    stage.middle.append(rect(0, floor - 22, width, 22, stage.lit("#fbf6ec")))
    _print(stage, width * 0.56, height * 0.16, min(170.0, width * 0.17), min(210.0, height * 0.22))
    stage.middle.append(ellipse(width / 2, height * 0.87, width * 0.4, height * 0.085, stage.lit("#c96f5a")))
    stage.middle.append(ellipse(width / 2, height * 0.87, width * 0.355, height * 0.071, stage.lit("#f6e3c4")))
    stage.middle.append(ellipse(width / 2, height * 0.87, width * 0.345, height * 0.064, stage.lit("#c96f5a")))
    prop(stage, "lamp", Spot(width * 0.88, floor + 30, height * 0.42))
    prop(stage, "pottedplant", Spot(width * 0.06 + 30, floor + 26, height * 0.26))


def _print(stage: Stage, x: float, y: float, wide: float, tall: float) -> None:
    """A framed picture of hills and a sun."""
    hills = pen(
        "M", x + 16, y + tall * 0.8, "L", x + wide * 0.4, y + tall * 0.46, "L", x + wide * 0.62, y + tall * 0.7,
        "L", x + wide * 0.76, y + tall * 0.58, "L", x + wide - 16, y + tall * 0.8, "Z",
    )  # fmt: skip
    stage.middle += [
        rect(x, y, wide, tall, stage.lit("#8a5a36")),
        rect(x + 12, y + 12, wide - 24, tall - 24, stage.lit("#f7f0e2")),
        circle(x + wide * 0.62, y + tall * 0.38, wide * 0.13, stage.lit("#e8794f")),
        path(hills, stage.lit("#4b7f8f")),
    ]


def paint_table(stage: Stage) -> None:
    """A still life's table before a wall with soft window light."""
    stage.light = indoors(stage)
    width, height = stage.width, stage.height
    edge = height * (0.6 if stage.scene.composition != "top" else 0.2)
    stage.horizon = edge
    wall(stage, edge)
    glow, halo = stage.gradient((0, "#fff6dc", 0.85), (1, "#fff6dc", 0), radial=True)
    stage.back.append(glow + ellipse(width * 0.22, height * 0.2, width * 0.5, height * 0.45, halo))
    for column in (0, 1):
        for line in (0, 1):
            pane = pen(
                "M", width * 0.5 + 172 * column, height * 0.06 + 34 * column + 176 * line, "l 150 30 v 150 l -150 -30 Z"
            )
            stage.back.append(path(pane, "#fffbe8", opacity=0.4))
    stage.back.append(rect(0, edge - 60, width, 64, tone(stage.lit(stage.ground.far), "deep"), opacity=0.18))
    wood = stage.lit(stage.ground.near)
    _boards(stage, edge, wood, 5)
    stage.middle.append(rect(0, edge, width, 7, tone(wood, "glow")))
