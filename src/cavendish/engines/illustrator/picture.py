"""A composed picture before it has pixels: layers of SVG from back to front, and how the whole is finished."""

from typing import Literal

import msgspec


class Layer(msgspec.Struct, frozen=True):
    """One layer as the inside of an SVG; rendered at `share` of the final pixels when it is soft enough."""

    kind: Literal["back", "middle", "subjects", "front"]
    svg: str
    share: float = 1.0
    blur: float = 0.0
    """Softness as a share of the picture's shorter side."""


class Picture(msgspec.Struct, frozen=True):
    """Layers in units of `width` x `height`, of which the shorter is 1000."""

    layers: tuple[Layer, ...]
    width: float
    height: float
    style: str | None = None
    lively: float = 1.0
    """How strong colours are; 1 as drawn."""
    vignette: float = 0.35
    """How much darker the corners are, 0-1."""
