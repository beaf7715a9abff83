"""Scene to picture: which place, which light, who stands where, all as a few layers of SVG."""

import msgspec

from cavendish.engines.illustrator.arrange import SKY_PAINTED, Placed, arrange
from cavendish.engines.illustrator.art import placed
from cavendish.engines.illustrator.chance import Chance
from cavendish.engines.illustrator.palette import mix
from cavendish.engines.illustrator.picture import Layer, Picture
from cavendish.engines.illustrator.plates import manner, paint, shadow
from cavendish.engines.illustrator.scene import Scene
from cavendish.engines.illustrator.stage import Stage, scenery, stage_for
from cavendish.engines.illustrator.vocabulary import vocabulary


def compose(scene: Scene, lots: Chance, width: float, height: float) -> Picture:
    """The picture of a scene that names something, in units of which the shorter side has 1000."""
    scene = _timed(scene)
    stage = stage_for(scene, choose_place(scene), lots, width, height)
    paint(stage, stage.ground.plate)
    own, subjects = manner(stage.ground.plate), arrange(stage)
    # What stands on the horizon is behind the ground and all that stands on it.
    stage.middle[:0] = [_drawn(stage, one) for one in subjects if one.row.kind == "far"]
    near = [one for one in subjects if one.row.kind != "far"]
    stage.middle += [_mirrored(stage, one, own.wet) for one in near] + stage.near
    stage.middle += [_shadows(stage, one, crowd=len(near) > 12) for one in near if one.grounded]
    soft = max(own.soft, 0.012 if scene.shallow or scene.composition == "closeup" else 0.0)
    if scene.style == "photo" and near:
        soft = max(soft, 0.006)
    mood = scenery().moods.get(scene.mood or "")
    return Picture(
        layers=(
            Layer("back", "".join(stage.back), 0.5, max(soft, 0.0016)),
            Layer("middle", "".join(stage.middle), 0.5 if soft > 0.005 else 1.0, soft * 0.5 if soft > 0.005 else 0.0),
            Layer("subjects", "".join(_drawn(stage, one) + _waterline(stage, one) for one in near)),
            Layer("front", "".join(stage.front)),
        ),
        width=width,
        height=height,
        style=scene.style,
        lively=mood.lively if mood else 1.0,
        vignette=mood.vignette if mood else 0.35,
    )


def choose_place(scene: Scene) -> str:
    """The named place, or the one where the named subjects are at home."""
    rows = vocabulary().subjects
    named = [rows[actor.id] for actor in scene.actors if actor.id not in SKY_PAINTED]
    kinds = [row.kind for row in named]
    if scene.style == "sticker" and named:
        return "stage"
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
    implied.append("night" if scene.style == "neon" else None)
    weathers = (vocabulary().subjects[actor.id].weather for actor in scene.actors)
    return msgspec.structs.replace(
        scene,
        time=scene.time or next((time for time in implied if time), None),
        weather=scene.weather or next((weather for weather in weathers if weather), None),
    )


def colors_of(stage: Stage, one: Placed) -> dict[str, str]:
    """The subject's own colours with the prompt's colour and the season's over them."""
    colors = dict(one.row.colors)
    if one.actor.color:
        named = vocabulary().colored(one.actor.color)
        for number, role in enumerate(one.row.paint or tuple(colors)[:1]):
            colors[role] = named if number == 0 else mix(named, colors[role], 0.25)
        return colors
    return colors | stage.worn(one.actor.id)


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
    contact = shadow(stage, spot.x, spot.y - 2, one.wide * 0.8, spot.depth)
    name, x, y, _ = stage.orb
    if crowd or not name or manner(stage.ground.plate).inside or stage.sky.strength > 0.7:
        return contact
    lean = max(-1.3, min(1.3, (spot.x - x) / max(200.0, spot.y - y) * 1.6))
    ink = mix(stage.light.on(stage.ground.near), "#1a1a33", 0.6)
    return (
        f'<g transform="translate({spot.x:.1f} {spot.y:.1f}) matrix(1 0 {-lean:.2f} -.24 0 0) '
        f'translate({-spot.x:.1f} {-spot.y:.1f})" opacity=".26">{_drawn(stage, one, ink)}</g>{contact}'
    )


def _waterline(stage: Stage, one: Placed) -> str:
    """Ripples where something floats."""
    if one.row.kind != "water":
        return ""
    spot, wide = one.spot, one.wide
    foam = mix(stage.light.on(stage.ground.near, 0.2), "#ffffff", 0.45)
    waves = "".join(
        f"M{spot.x - wide * reach:.1f} {spot.y + drop:.1f}q{wide * reach / 2:.1f} -7 {wide * reach:.1f} 0"
        f"t{wide * reach:.1f} 0"
        for reach, drop in ((0.52, -6), (0.6, 8), (0.42, 24), (0.3, 42))
    )
    return (
        f'<path d="{waves}" fill="none" stroke="{foam}" stroke-width="4" stroke-opacity=".7" stroke-linecap="round"/>'
    )
