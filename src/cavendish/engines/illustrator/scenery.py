"""The light and the grounds of `art/scenery.toml`, and the stage on which a scene is built."""

import functools
import tomllib
from importlib.resources import files

import msgspec

from cavendish.engines.illustrator.chance import Chance
from cavendish.engines.illustrator.palette import Light, mix
from cavendish.engines.illustrator.scene import Scene


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


class GroundRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place: who paints it, its colours near and far, the ridges behind, and which subjects stand about."""

    painter: str
    near: str
    far: str
    ridges: str
    decor: tuple[str, ...] = ()


class Scenery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    skies: dict[str, SkyRow]
    weathers: dict[str, WeatherRow]
    grounds: dict[str, GroundRow]


@functools.cache
def scenery() -> Scenery:
    """The rows, loaded once per process. Raises msgspec.ValidationError when one is malformed."""
    source = (files(__package__) / "art" / "scenery.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(source), Scenery)


class Stage(msgspec.Struct):
    """A picture being built, in units of which the shorter side has 1000. Painters append SVG to its layers."""

    scene: Scene
    lots: Chance
    width: float
    height: float
    horizon: float
    sky: SkyRow
    ground: GroundRow
    light: Light
    place: str
    falls: str | None = None
    back: list[str] = msgspec.field(default_factory=list)
    """Sky and distance: soft, so it may be rendered at fewer pixels."""
    middle: list[str] = msgspec.field(default_factory=list)
    """The ground and what stands on it."""
    front: list[str] = msgspec.field(default_factory=list)
    """Rain, glass, frames: over everything."""
    orb_at: float | None = None
    """The x of the sun or moon, when one is in the sky."""
    marks: int = 0

    def mark(self) -> str:
        """A fresh id."""
        self.marks += 1
        return f"m{self.marks}"

    def gradient(self, *stops: tuple[float, str, float], radial: bool = False, along: str = "y") -> tuple[str, str]:
        """A definition and the paint that uses it; stops are (offset, colour, opacity)."""
        name = self.mark()
        inner = "".join(f'<stop offset="{o:g}" stop-color="{c}" stop-opacity="{a:g}"/>' for o, c, a in stops)
        if radial:
            return f'<radialGradient id="{name}">{inner}</radialGradient>', f"url(#{name})"
        end = 'x2="0" y2="1"' if along == "y" else 'x2="1" y2="0"'
        return f'<linearGradient id="{name}" x1="0" y1="0" {end}>{inner}</linearGradient>', f"url(#{name})"

    def lit(self, color: str, depth: float = 0.0) -> str:
        """`color` in this scene's light."""
        return self.light.on(color, depth)


HORIZONS = {"closeup": 0.5, "panorama": 0.56, "top": 0.3, "low": 0.76}


def stage_for(scene: Scene, place: str, lots: Chance, width: float, height: float) -> Stage:
    """An empty stage for `place` with the scene's time, weather and season in its colours."""
    data = scenery()
    sky = data.skies[scene.time or "day"]
    weather = data.weathers[scene.weather or "clear"]
    ground = data.grounds[place]
    if weather.share:
        gray = mix(weather.gray, sky.top, max(0.0, sky.strength - 0.2) * 1.3)  # a dark sky stays dark
        dim = mix(gray, sky.top, 0.2)
        sky = msgspec.structs.replace(
            sky,
            top=mix(sky.top, dim, weather.share),
            middle=mix(sky.middle, mix(gray, sky.middle, 0.25), weather.share),
            low=mix(sky.low, mix(gray, sky.low, 0.4), weather.share),
            haze=mix(sky.haze, gray, weather.share * 0.8),
            light=mix(sky.light, gray, weather.share * 0.7),
            strength=max(sky.strength, weather.share * 0.6),
            stars=0 if weather.share > 0.3 else sky.stars,
            orb="" if weather.share > 0.3 else sky.orb,
            clouds=sky.clouds + round(weather.share * 8),
        )
    return Stage(
        scene, lots, width, height,
        horizon=height * HORIZONS.get(scene.composition or "", 0.6),
        sky=sky, ground=_in_season(ground, scene, place), place=place, falls=weather.falls,
        light=Light(sky.light, sky.strength, sky.haze),
    )  # fmt: skip


_GREEN_PLACES = frozenset({"meadow", "forest", "mountains", "lake"})


def _in_season(ground: GroundRow, scene: Scene, place: str) -> GroundRow:
    if place not in _GREEN_PLACES and place != "street":
        return ground
    if scene.season == "winter" or scene.weather == "snow":
        white = "#eef4fa"
        return msgspec.structs.replace(
            ground, near=mix(ground.near, white, 0.88), far=mix(ground.far, white, 0.95), decor=_bare(ground.decor)
        )
    if place in {"street", "lake"}:
        return ground
    if scene.season == "autumn":
        return msgspec.structs.replace(
            ground, near=mix(ground.near, "#c98a3a", 0.6), far=mix(ground.far, "#e8b860", 0.6)
        )
    if scene.season == "spring":
        return msgspec.structs.replace(ground, near=mix(ground.near, "#8fcf5a", 0.4), decor=(*ground.decor, "flower"))
    return ground


def _bare(decor: tuple[str, ...]) -> tuple[str, ...]:
    return tuple("pine" if name == "tree" else name for name in decor if name not in {"flower", "mushroom"})


LEAF_COLORS: dict[str, tuple[str, ...]] = {
    "autumn": ("#d9822b", "#c4532d", "#e0a936"),
    "spring": ("#f0a8bd", "#8fc45a", "#f4bccb"),
    "winter": ("#dfe9f2", "#cfdde9", "#e9f1f8"),
}
"""What leaves look like when the prompt names the season."""
