"""Scene to picture: which place, which light, who stands where, all as a few SVG plates."""

import msgspec

from cavendish.engines.illustrator.arrange import SKY_PAINTED, Placed, arrange
from cavendish.engines.illustrator.art import placed
from cavendish.engines.illustrator.chance import Chance
from cavendish.engines.illustrator.elsewhere import paint_space, paint_studio, paint_underwater
from cavendish.engines.illustrator.grounds import paint_land
from cavendish.engines.illustrator.interiors import paint_room, paint_table
from cavendish.engines.illustrator.palette import mix
from cavendish.engines.illustrator.picture import Picture, Plate
from cavendish.engines.illustrator.props import shadow
from cavendish.engines.illustrator.scene import Scene
from cavendish.engines.illustrator.scenery import LEAF_COLORS, Stage, stage_for
from cavendish.engines.illustrator.shapes import ellipse, pen, stroke
from cavendish.engines.illustrator.sky import paint_falling, paint_lightning
from cavendish.engines.illustrator.streets import paint_street
from cavendish.engines.illustrator.vocabulary import vocabulary
from cavendish.engines.illustrator.waters import paint_shore, paint_water
from cavendish.engines.illustrator.windows import paint_window

_PAINTERS = {
    "land": paint_land, "shore": paint_shore, "water": paint_water, "street": paint_street, "room": paint_room,
    "table": paint_table, "window": paint_window, "underwater": paint_underwater, "space": paint_space,
    "stage": paint_studio,
}  # fmt: skip


def compose(scene: Scene, lots: Chance, pixels: tuple[int, int]) -> Picture:
    """The picture of a scene that names something, for the shape of `pixels` (width, height)."""
    unit = min(pixels) / 1000
    width, height = pixels[0] / unit, pixels[1] / unit
    place = choose_place(scene)
    scene = _timed(scene)
    stage = stage_for(scene, place, lots, width, height)
    _PAINTERS[stage.ground.painter](stage)
    if scene.weather == "storm" and place not in {"window", "room", "table", "underwater", "space", "stage"}:
        paint_lightning(stage)
    subjects = arrange(stage)
    # What stands on the horizon is behind the ground and all that stands on it.
    stage.middle[:0] = [_drawn(stage, one) for one in subjects if one.row.kind == "far"]
    drawn = "".join(_drawn(stage, one) for one in subjects if one.row.kind != "far")
    if stage.falls and place not in {"window", "room", "table", "underwater", "space", "stage"}:
        stage.front.append(paint_falling(stage))
    soft = 0.012 if scene.shallow or scene.composition == "closeup" else 0.0
    if place == "window":
        soft = max(soft, 0.0045)
    return Picture(
        plates=(
            Plate("".join(stage.back), 0.5, max(soft, 0.0016)),
            *(
                (
                    Plate("".join(stage.middle), 0.5, soft * (0.18 if place == "window" else 0.6)),
                    Plate(drawn + "".join(stage.front)),
                )
                if soft > 0.01
                else (Plate("".join(stage.middle) + drawn + "".join(stage.front)),)
            ),
        ),
        width=width,
        height=height,
        style=scene.style,
    )


def choose_place(scene: Scene) -> str:
    """The named place, or the one where the named subjects are at home."""
    rows = vocabulary().subjects
    named = [actor for actor in scene.actors if actor.id not in SKY_PAINTED]
    kinds = [rows[actor.id].kind for actor in named]
    if kinds and kinds[0] == "under" and scene.place in {None, "sea", "lake"}:
        return "underwater"
    if scene.place == "sea" and kinds and "water" not in kinds and kinds[0] in {"ground", "small", "furniture"}:
        return "beach"
    if any(found.kind == "on" and scene.actors[found.second].id == "moon" for found in scene.relations):
        return "space"
    if scene.place:
        return scene.place
    if any(actor.id == "window" for actor in named):
        return "window"
    if kinds and all(kind == "small" or actor.id == "table" for kind, actor in zip(kinds, named, strict=True)):
        homes = [rows[actor.id].place for actor in named if rows[actor.id].place]
        if not homes and "small" in kinds:
            return "table"
    for actor in named:
        home = rows[actor.id].place
        if home:
            return home
    if "water" in kinds:
        return "sea"
    if "furniture" in kinds:
        return "room"
    return "meadow"


def _timed(scene: Scene) -> Scene:
    """The scene with the time that its subjects imply when none is said: the moon brings the night."""
    if scene.time:
        return scene
    for actor in scene.actors:
        time = vocabulary().subjects[actor.id].time
        if time:
            return msgspec.structs.replace(scene, time=time)
    return scene


def colors_of(one: Placed, scene: Scene) -> dict[str, str]:
    """The subject's own colours with the prompt's colour and season over them."""
    colors = dict(one.row.colors)
    if one.actor.color:
        value = str(vocabulary().value("colors", one.actor.color))
        for number, role in enumerate(one.row.paint or tuple(colors)[:1]):
            colors[role] = value if number == 0 else mix(value, colors[role], 0.25)
    elif one.actor.id == "tree" and scene.season in LEAF_COLORS:
        colors["leaf"] = LEAF_COLORS[scene.season][0]
    return colors


def _drawn(stage: Stage, one: Placed) -> str:
    spot = one.spot
    body = placed(one.svg, one.pose, colors_of(one, stage.scene), spot, stage.light, stage.mark())
    if one.grounded:
        return shadow(stage, spot.x, spot.y - 2, spot.width(one.pose) * 0.8, spot.depth) + body
    if one.row.kind == "water":
        return body + _waterline(stage, one)
    return body


def _waterline(stage: Stage, one: Placed) -> str:
    """Ripples and the dark of its own reflection where something floats."""
    spot, wide = one.spot, one.spot.width(one.pose)
    foam, dark = mix(stage.lit(stage.ground.near, 0.2), "#ffffff", 0.45), stage.lit(stage.ground.near)
    defs, paint = stage.gradient((0, dark, 0.75), (1, dark, 0), radial=True)
    waves = "".join(
        pen("M", spot.x - wide * reach, spot.y + drop, "q", wide * reach / 2, -7, wide * reach, 0, "t", wide * reach, 0)
        for reach, drop in ((0.52, -6), (0.6, 8), (0.42, 24), (0.3, 42))
    )
    return defs + ellipse(spot.x, spot.y + 8, wide * 0.6, wide * 0.1, paint) + stroke(waves, foam, 4, opacity=0.7)
