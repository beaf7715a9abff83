"""A composed picture before it has pixels: plates of SVG from back to front, and how the whole is finished."""

import msgspec


class Plate(msgspec.Struct, frozen=True):
    """One layer as the inside of an SVG; rendered at `share` of the final pixels when it is soft enough."""

    svg: str
    share: float = 1.0
    blur: float = 0.0
    """Softness as a share of the picture's shorter side."""


class Picture(msgspec.Struct, frozen=True):
    """Plates in units of `width` x `height`, of which the shorter is 1000."""

    plates: tuple[Plate, ...]
    width: float
    height: float
    style: str | None = None
    vignette: float = 0.35
    """How much darker the corners are, 0-1."""
