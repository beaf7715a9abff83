"""Light and colour of a whole photograph: each word one gentle, well-known correction."""

from collections.abc import Mapping
from types import MappingProxyType

import cv2
import numpy as np

from cavendish.engines.illustrator.editing.pixels import Pixels, blurred, bytes_of

_CURVES: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {"brighter": (0.74, 0.74, 0.74), "darker": (1.38, 1.38, 1.38), "warmer": (0.84, 0.98, 1.24),
     "cooler": (1.2, 1.0, 0.82)}
)  # fmt: skip
"""Gamma for red, green and blue: black and white stay where they are."""

_COLOR: Mapping[str, float] = MappingProxyType({"vivid": 1.45, "muted": 0.5})


def toned(image: Pixels, name: str) -> Pixels:
    """`image` brighter, darker, warmer, cooler, with more or less contrast or colour, sharper, or enhanced."""
    levels = np.arange(256, dtype=np.float32) / 255
    if name in _CURVES:
        table = np.stack([bytes_of(255 * levels**gamma + 0.5) for gamma in _CURVES[name]], axis=-1)
        return np.asarray(cv2.LUT(image, table[:, None, :].reshape(1, 256, 3)), np.uint8)
    if name in {"contrast", "less contrast"}:
        bent = levels - 0.11 * np.sin(2 * np.pi * levels) if name == "contrast" else 0.5 + (levels - 0.5) * 0.72
        return np.asarray(cv2.LUT(image, bytes_of(255 * bent + 0.5)), np.uint8)
    if name in _COLOR:
        return _colored(image, _COLOR[name])
    if name == "sharper":
        soft = cv2.GaussianBlur(image, (0, 0), max(0.8, max(image.shape) / 1200))
        return np.asarray(cv2.addWeighted(image, 1.9, soft, -0.9, 0), np.uint8)
    return _enhanced(image)


def _colored(image: Pixels, factor: float) -> Pixels:
    gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(image, factor, gray, 1 - factor, 0), np.uint8)


def _enhanced(image: Pixels) -> Pixels:
    """Shadows opened, contrast to the full range, a little more colour and sharpness."""
    sample = image[::8, ::8].reshape(-1, 3).mean(axis=1)
    low, high = (float(v) for v in np.percentile(sample, (0.5, 99.5)))
    levels = np.clip((np.arange(256) - low * 0.8) / max(40.0, high + (255 - high) * 0.2 - low * 0.8), 0, 1)
    image = np.asarray(cv2.LUT(image, bytes_of(255 * levels**0.92)), np.uint8)
    wide = blurred(image, max(image.shape) / 40)
    image = np.asarray(cv2.addWeighted(image, 1.18, wide, -0.18, 0), np.uint8)
    return toned(_colored(image, 1.15), "sharper") if max(image.shape) < 1600 else _colored(image, 1.15)
