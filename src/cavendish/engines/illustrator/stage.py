"""The stage of one picture: its size, its light, its sky, its ground and the facts that plates ask about."""

import functools

import msgspec

from cavendish.engines.illustrator.art import table
from cavendish.engines.illustrator.chance import Chance
from cavendish.engines.illustrator.palette import Light, mix
from cavendish.engines.illustrator.scene import Actor, Scene
from cavendish.engines.illustrator.styles import Look, looks
from cavendish.engines.illustrator.vocabulary import vocabulary


class SkyRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A time of day: colours from zenith to horizon, the light it throws, and what stands in it."""

    top: str
    middle: str
    low: str
    light: str
    strength: float
    haze: str
    orb: str
    orb_at: tuple[float, float]
    clouds: int = 0
    stars: int = 0


class WeatherRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a weather changes the sky: towards which grey, how far, and what falls from it."""

    gray: str
    share: float
    falls: str | None = None


class MoodRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a mood colours everything: which light is mixed in and how far, how lively colours are, how dark the edge."""

    light: str
    share: float
    lively: float = 1.0
    vignette: float = 0.35


class GroundRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place: its plate, its colours near and far, the ridges behind, and which subjects stand about."""

    plate: str
    near: str
    far: str
    ridges: str
    decor: tuple[str, ...] = ()
    each: int = 3
    grow: float = 1.0
    seasons: bool = False
    """Whether its ground changes with the season; all but rooms and deserts are white in winter."""
    white: bool = False


class Scenery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of `art/scenery.toml`."""

    skies: dict[str, SkyRow]
    weathers: dict[str, WeatherRow]
    moods: dict[str, MoodRow]
    grounds: dict[str, GroundRow]
    soils: dict[str, tuple[str, str, float]]
    """What a season mixes into near and far ground, and how far."""
    leaves: dict[str, tuple[str, ...]]
    """What leaves look like in a season."""
    horizons: dict[str, float]
    """By composition: the horizon's share of the height."""


@functools.cache
def scenery() -> Scenery:
    """The rows, loaded once per process. Raises msgspec.ValidationError when one is malformed."""
    return table("scenery", Scenery)


def look_of(scene: Scene) -> Look:
    """What the scene's style asks of the whole picture."""
    return looks().get(scene.style or "", Look())


LAYERS = ("back", "middle", "near", "front", "over")
"""Sky and distance, soft; the ground and what stands on it; ground before water, over what is mirrored in it; rain,
glass, frames; and what lies on the painted picture: a seal, the border of a print."""


class Prop(msgspec.Struct, frozen=True):
    """One thing that stands about in a place."""

    name: str
    x: float
    depth: float
    tall: float
    mirrored: bool


class Stage(msgspec.Struct):
    """A picture being built, in units of which the shorter side has 1000. Plates append SVG to its layers."""

    scene: Scene
    lots: Chance
    width: float
    height: float
    horizon: float
    sky: SkyRow
    ground: GroundRow
    light: Light
    sky_light: Light
    mood: MoodRow
    place: str
    falls: str | None = None
    layers: dict[str, list[str]] = msgspec.field(default_factory=lambda: {layer: [] for layer in LAYERS})
    """What is painted, as SVG."""
    marks: int = 0

    def mark(self) -> str:
        """A fresh id."""
        self.marks += 1
        return f"m{self.marks}"

    def foot(self, depth: float) -> float:
        """The y at which something at `depth` (0 near, 1 horizon) stands."""
        return self.horizon + (self.height * 0.92 - self.horizon) * float((1 - depth) ** 1.4)

    def named(self, subject: str) -> Actor | None:
        """The actor of that subject, when the prompt names one."""
        return next((actor for actor in self.scene.actors if actor.id == subject), None)

    def worn(self, subject: str) -> dict[str, str]:
        """The colours that the prompt or the season gives to a thing of the place."""
        actor, row = self.named(subject), vocabulary().subjects[subject]
        if actor and actor.color:
            return dict.fromkeys(row.paint or tuple(row.colors)[:1], vocabulary().colored(actor.color))
        leaves = scenery().leaves.get("winter" if self.cold else self.scene.season or "")
        if leaves and "leaf" in row.colors and (subject == "tree" or self.cold) and row.size > 1.5:
            return {"leaf": self.lots.branch(f"leaf{self.marks}").pick(leaves)}
        return {}

    @property
    def cold(self) -> bool:
        """Whether snow lies."""
        return self.scene.season == "winter" or self.scene.weather == "snow"

    @property
    def roles(self) -> dict[str, str]:
        """The colours of the place, for plates."""
        ground, sky = self.ground, self.sky
        return {
            "near": ground.near, "far": ground.far, "ridges": ground.ridges,
            "littop": sky.top, "litmid": sky.middle, "litlow": sky.low, "lithaze": sky.haze,
        }  # fmt: skip

    @property
    def orb(self) -> tuple[str, float, float, float]:
        """The sun or the moon: which (or ""), its x and y, and its size; larger when the prompt names it."""
        name = next((actor.id for actor in self.scene.actors if actor.id in {"sun", "moon"}), self.sky.orb)
        actor, (share_x, share_y) = self.named(name), self.sky.orb_at
        size = 200.0 * actor.scale if actor else (120.0 if name == "moon" else 104.0)
        x = self.width * (share_x if self.lots.branch("orb").likely(0.6) else 1 - share_x)
        y = min(self.horizon * share_y, self.horizon - (0 if share_y > 0.8 else size * 0.7))
        return ("" if name in self.scene.absent else name), x, y, size

    @property
    def facts(self) -> dict[str, object]:
        """What plates ask about."""
        cloud, sky, (orb, x, y, size) = self.named("cloud"), self.sky, self.orb
        color = vocabulary().colored
        puff = mix(mix("#ffffff", sky.middle, 0.25), sky.low, 0.3)
        if sky.strength > 0.7:
            puff = mix(puff, sky.middle, 0.72)
        elif self.falls == "rain":
            puff = mix(puff, sky.top, 0.55)
        halo = next(iter((vocabulary().subjects[orb].colors | self.worn(orb)).values())) if orb else ""
        return {
            "time": self.scene.time or "day", "weather": self.scene.weather, "season": self.scene.season,
            "composition": self.scene.composition, "falls": self.falls, "cold": self.cold, "scale": 1.0,
            "dark": self.sky.strength > 0.55, "orb": orb, "orb_x": x, "orb_y": y, "orb_size": size,
            "halo": halo, "puff": color(cloud.color) if cloud and cloud.color else puff,
            "asked": cloud.count if cloud else 0, "asked_color": bool(cloud and cloud.color), "bare": 0,
            "backdrop": mix(color(self.scene.colors[0]), "#ffffff", 0.35) if self.scene.colors else self.ground.far,
            "clouds": 0 if "cloud" in self.scene.absent else max(self.sky.clouds, 4 + cloud.count if cloud else 0),
        }  # fmt: skip

    def props(self) -> list[Prop]:
        """What stands about in the place, far ones first; never what the prompt names, or does not want."""
        lots, rows, found = self.lots.branch("decor"), vocabulary().subjects, list[Prop]()
        for name in self.ground.decor:
            if name in self.scene.named or (self.cold and rows[name].kind == "ground" and rows[name].size < 1):
                continue
            shown = "pine" if self.cold and name == "tree" and "pine" not in self.scene.named else name
            small = rows[name].size < 1.2
            count = self.ground.each + 2 if small else self.ground.each
            for number in range(count):
                depth = lots.between(0.12, 0.62) if small else lots.between(0.42, 0.9)
                side = (number + lots.between(0.1, 0.9)) / count
                if small and 0.3 < side < 0.7:  # never right behind a subject's foot
                    depth = 0.42 + 0.3 * depth
                if depth < 0.6 and not small:  # near things keep to the edges
                    side = lots.pick((lots.between(-0.02, 0.14), lots.between(0.86, 1.02)))
                near = (self.foot(depth) - self.horizon) / (self.height - self.horizon)
                tall = min(self.height, 900) * (0.05 + 0.22 * near) * float(rows[name].size ** 0.42)
                tall *= lots.between(0.8, 1.2) * self.ground.grow
                found.append(Prop(shown, side * self.width, depth, tall, lots.likely(0.5)))
        return sorted(found, key=lambda prop: -prop.depth)


def stage_for(scene: Scene, place: str, lots: Chance, width: float, height: float) -> Stage:
    """An empty stage for `place` with the scene's time, weather, season and mood in its colours."""
    data = scenery()
    sky, weather = data.skies[scene.time or "day"], data.weathers[scene.weather or "clear"]
    if weather.share:
        gray = mix(weather.gray, sky.top, max(0.0, sky.strength - 0.2) * 1.3)  # a dark sky stays dark
        own = {"top": 0.2, "middle": 0.25, "low": 0.4}
        sky = msgspec.structs.replace(
            sky,
            **{part: mix(getattr(sky, part), mix(gray, getattr(sky, part), own[part]), weather.share) for part in own},
            haze=mix(sky.haze, gray, weather.share * 0.8),
            light=mix(sky.light, gray, weather.share * 0.7),
            strength=max(sky.strength, weather.share * 0.6),
            clouds=sky.clouds + round(weather.share * 8),
        )
    if weather.share > 0.3:
        sky = msgspec.structs.replace(sky, stars=0, orb="")
    mood = data.moods.get(scene.mood or "", MoodRow("#ffffff", 0.0))
    if mood.share:
        tinted = {part: mix(getattr(sky, part), mood.light, mood.share)
                  for part in ("top", "middle", "low", "haze", "light")}  # fmt: skip
        sky = msgspec.structs.replace(sky, **tinted, strength=max(sky.strength, mood.share))
    light = Light(sky.light, sky.strength, sky.haze, flat=look_of(scene).flat)
    return Stage(
        scene, lots, width, height,
        horizon=height * data.horizons.get(scene.composition or "", 0.6),
        sky=sky, ground=_in_season(data, data.grounds[place], scene), place=place, falls=weather.falls,
        light=light, sky_light=light, mood=mood,
    )  # fmt: skip


def _in_season(data: Scenery, ground: GroundRow, scene: Scene) -> GroundRow:
    season = "winter" if scene.weather == "snow" else scene.season or ""
    soil = data.soils.get(season)
    if soil is None or not (ground.seasons or (season == "winter" and ground.white)):
        return ground
    near, far, share = soil
    decor = (*ground.decor, "flower") if season == "spring" and "flower" in vocabulary().subjects else ground.decor
    return msgspec.structs.replace(
        ground, near=mix(ground.near, near, share), far=mix(ground.far, far, share), decor=decor
    )
