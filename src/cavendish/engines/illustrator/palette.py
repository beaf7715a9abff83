"""Colour arithmetic: tones of one colour, mixing, and the light of a scene, in a perceptual space (OKLab)."""

import functools
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

Lab = tuple[float, float, float]

_TONES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"glow": (0.15, 0.80), "light": (0.07, 0.95), "shade": (-0.08, 1.0), "deep": (-0.16, 0.9), "line": (-0.32, 0.72)}
)
"""By name: how much lighter, and how strong beside the colour itself."""


@functools.lru_cache(maxsize=4096)
def to_lab(color: str) -> Lab:
    """`#rrggbb` as OKLab (lightness 0-1, a, b)."""
    coded = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    r, g, b = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in coded)
    long = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3)
    middle = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3)
    short = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3)
    return (
        0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * middle + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * middle - 0.8086757660 * short,
    )


def to_hex(lab: Lab) -> str:
    """OKLab as `#rrggbb`, each channel clipped to what a screen can show."""
    lightness, a, b = lab
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
    )
    bounded = (min(1.0, max(0.0, one)) for one in linear)
    coded = (one * 12.92 if one <= 0.0031308 else 1.055 * one ** (1 / 2.4) - 0.055 for one in bounded)
    return "#" + "".join(f"{round(one * 255):02x}" for one in coded)


@functools.lru_cache(maxsize=4096)
def mix(first: str, second: str, share: float) -> str:
    """`first` with `share` (0-1) of `second` in it."""
    lightness, a, b = (one + (two - one) * share for one, two in zip(to_lab(first), to_lab(second), strict=True))
    return to_hex((lightness, a, b))


@functools.lru_cache(maxsize=4096)
def tone(color: str, name: str) -> str:
    """A named tone of `color`: glow, light, shade, deep or line. Dark colours are stepped less far down."""
    step, chroma = _TONES[name]
    lightness, a, b = to_lab(color)
    step *= 0.45 + 0.75 * lightness if step < 0 else 1.25 - 0.6 * lightness
    cool = 0.012 if step < 0 else -0.006  # shade leans to blue, light to the sun
    return to_hex((min(0.995, max(0.04, lightness + step)), a * chroma, b * chroma - cool))


def bright(color: str) -> float:
    """How light `color` looks: 0 black, 1 white."""
    return to_lab(color)[0]


class Light(msgspec.Struct, frozen=True):
    """The light of a scene: every colour is multiplied towards `color` by `strength`, and fades into `haze`."""

    color: str = "#ffffff"
    strength: float = 0.0
    haze: str = "#dfeaf2"
    flat: bool = False
    """Whether shade is left out, as in flat design."""

    def toned(self, color: str, name: str) -> str:
        """`color` in a named tone; a faint step of it when the light is flat."""
        return mix(color, tone(color, name), 0.3) if self.flat and name != "line" else tone(color, name)

    def on(self, color: str, depth: float = 0.0) -> str:
        """`color` as it looks in this light at `depth` (0 near, 1 horizon)."""
        lit = mix(color, _multiplied(color, self.color), self.strength) if self.strength else color
        return mix(lit, self.haze, round(0.72 * depth, 2)) if depth > 0.01 else lit


@functools.lru_cache(maxsize=4096)
def _multiplied(color: str, light: str) -> str:
    parts = (int(color[i : i + 2], 16) * int(light[i : i + 2], 16) // 255 for i in (1, 3, 5))
    return "#" + "".join(f"{part:02x}" for part in parts)
