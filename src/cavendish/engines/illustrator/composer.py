"""Scene to picture: which place, which light, who stands where, all as a few layers of SVG."""

import msgspec

from cavendish.engines.illustrator.arrange import SKY_PAINTED, Placed, arrange
from cavendish.engines.illustrator.art import placed
from cavendish.engines.illustrator.chance import Chance
from cavendish.engines.illustrator.palette import mix
from cavendish.engines.illustrator.plates import manner, paint, shown
from cavendish.engines.illustrator.render import Layer, Picture
from cavendish.engines.illustrator.scene import Scene
from cavendish.engines.illustrator.stage import Stage, look_of, scenery, stage_for
from cavendish.engines.illustrator.vocabulary import vocabulary


def compose(scene: Scene, lots: Chance, width: float, height: float) -> Picture:
    """The picture of a scene that names something, in units of which the shorter side has 1000."""
    scene = _timed(scene)
    stage = stage_for(scene, choose_place(scene), lots, width, height)
    paint(stage, stage.ground.plate)
    own, subjects = manner(stage.ground.plate), arrange(stage)
    # What stands on the horizon is behind the ground and all that stands on it.
    ground = stage.layers["middle"]
    ground[:0] = [_drawn(stage, one) for one in subjects if one.row.kind == "far"]
    near = [one for one in subjects if one.row.kind != "far"]
    ground += [_mirrored(stage, one, own.wet) for one in near] + stage.layers["near"]
    ground += [_shadows(stage, one, crowd=len(near) > 12) for one in near if one.grounded]
    close = scene.shallow or scene.composition == "closeup"
    soft = max(own.soft, look_of(scene).soft if near else 0.0, 0.012 if close else 0.0)
    return pictured(
        stage, max(soft, 0.0016), soft * 0.5 if soft > 0.005 else 0.0,
        "".join(_drawn(stage, one) + _ripples(stage, one) for one in near),
    )  # fmt: skip


def pictured(stage: Stage, back_blur: float, middle_blur: float = 0.0, subjects: str = "") -> Picture:
    """What has been painted on `stage`, with `subjects` before it; blurs are shares of the shorter side."""
    look, mood = look_of(stage.scene), stage.mood
    if look.over:
        paint(stage, look.over)
    back, middle, front, over = ("".join(stage.layers[name]) for name in ("back", "middle", "front", "over"))
    layers = (
        Layer("back", back, 0.5 if back_blur else 1.0, back_blur),
        Layer("middle", middle, 0.5 if middle_blur else 1.0, middle_blur),
        Layer("subjects", subjects),
        Layer("front", front),
    )
    return Picture(layers, stage.width, stage.height, stage.scene.style, mood.lively, mood.vignette, over)


def choose_place(scene: Scene) -> str:
    """The named place, or the one where the named subjects are at home."""
    rows = vocabulary().subjects
    named = [rows[actor.id] for actor in scene.actors if actor.id not in SKY_PAINTED]
    kinds = [row.kind for row in named]
    if named and (own := look_of(scene).place):
        return own
    leaps = any(actor.pose == "fly" for actor in scene.actors)
    if kinds and kinds[0] == "under" and scene.place in {None, "sea", "lake"} and not leaps:
        return "underwater"
    if scene.place == "sea" and kinds and "water" not in kinds and kinds[0] in {"ground", "small", "furniture"}:
        return "beach"
    if any(found.kind == "on" and scene.actors[found.second].id == "moon" for found in scene.relations):
        return "space"
    if scene.place in {"room", "kitchen", "cafe", "library"} and kinds and set(kinds) == {"small"}:
        return "table"
    if scene.place:
        return scene.place
    ids = {actor.id for actor in scene.actors}
    grounds = scenery().grounds.items()
    shown = next(
        (name for name, row in grounds if ids.intersection(manner(row.plate).shows.split()[:1]) - {"table"}), None
    )
    if shown:
        return shown
    if named and named[0].kind == "ground" and named[0].size > 2.5 and not named[0].place:
        return "meadow"  # a house with a Christmas tree stands in no room
    held = {scene.actors[found.second].id for found in scene.relations if found.kind == "holding"}
    first = sorted(scene.actors, key=lambda one: one.id in held)  # who plays a guitar by a fire is out of doors
    homes = [home for actor in first if (home := rows[actor.id].place)]
    low = all(row.kind == "small" or (row.kind == "furniture" and row.size < 0.8) for row in named)
    if not homes and "small" in kinds and low:
        return "table"
    if homes:
        return homes[0]
    return "sea" if "water" in kinds else "room" if "furniture" in kinds else "meadow"


def _timed(scene: Scene) -> Scene:
    """The scene with the time and weather that its subjects or style imply: the moon and neon bring the night."""
    implied = [vocabulary().subjects[actor.id].time for actor in scene.actors]
    implied.append(look_of(scene).time)
    weathers = (vocabulary().subjects[actor.id].weather for actor in scene.actors)
    return msgspec.structs.replace(
        scene,
        time=scene.time or next((time for time in implied if time), None),
        weather=scene.weather or next((weather for weather in weathers if weather), None),
    )


def colors_of(stage: Stage, one: Placed) -> dict[str, str]:
    """The subject's own colours with the prompt's colour and the season's over them."""
    if one.actor.color:
        return one.row.colored(vocabulary().colored(one.actor.color))
    return one.row.colors | stage.worn(one.actor.id)


def _drawn(stage: Stage, one: Placed, ink: str = "") -> str:
    light = msgspec.structs.replace(stage.light, strength=min(0.5, stage.light.strength))  # a face is seen at night
    return placed(one.svg, one.pose, colors_of(stage, one), one.spot, light, stage.mark(), ink)


def _mirrored(stage: Stage, one: Placed, wet: float) -> str:
    """The mirror image of what stands on water."""
    floats = one.row.kind == "water"
    if not floats and (not wet or one.grounded or one.row.kind in {"air", "sky"}):
        return ""
    mirror = f'<g transform="translate(0 {one.spot.y * 1.8:.1f}) scale(1 -.8)" opacity="{max(wet, 0.3)}">'
    return mirror + _drawn(stage, one) + "</g>"


def _shadows(stage: Stage, one: Placed, *, crowd: bool) -> str:
    """Where a subject takes the light from the ground: under itself and, unless in a crowd, away from the sun."""
    spot = one.spot
    contact = shown(stage, "shadow", x=spot.x, y=spot.y - 2, wide=one.wide * 0.8, depth=spot.depth)
    name, x, y, _ = stage.orb
    if crowd or not name or manner(stage.ground.plate).inside or stage.sky.strength > 0.7:
        return contact
    lean = max(-1.3, min(1.3, (spot.x - x) / max(200.0, spot.y - y) * 1.6))
    ink = mix(stage.light.on(stage.ground.near), "#1a1a33", 0.6)
    return (
        f'<g transform="translate({spot.x:.1f} {spot.y:.1f}) matrix(1 0 {-lean:.2f} -.24 0 0) '
        f'translate({-spot.x:.1f} {-spot.y:.1f})" opacity=".26">{_drawn(stage, one, ink)}</g>{contact}'
    )


def _ripples(stage: Stage, one: Placed) -> str:
    """Foam where something floats."""
    return shown(stage, "ripples", x=one.spot.x, y=one.spot.y, wide=one.wide) if one.row.kind == "water" else ""
