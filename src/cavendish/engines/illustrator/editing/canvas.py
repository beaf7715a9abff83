"""Another ratio without distortion: the picture stays whole, and what is missing beside it is grown from its edges."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from cavendish.engines.illustrator.editing.pixels import Mask, Pixels, blurred, laid, sized, soft


class Fitted(msgspec.Struct, frozen=True):
    """A picture at the new size, and where in it the photograph itself is: left, top, right, bottom in pixels."""

    image: Pixels
    box: tuple[int, int, int, int]

    @property
    def grown(self) -> bool:
        """Whether some of it is not of the photograph."""
        return self.box != (0, 0, self.image.shape[1], self.image.shape[0])


_NEAR = 1.04
"""Ratios that differ by less are cropped: what goes is less than a fiftieth at each side."""


def fitted(image: Pixels, width: int, height: int, *, low: bool = False) -> Fitted:
    """`image` whole in `width` x `height`; every pixel keeps its shape, the rest is extended from the edges.

    With `low` it stands on the lower edge, for a subject that the picture's lower edge cuts off.
    """
    high, wide = image.shape[:2]
    ratio = (wide / high) / (width / height)
    if 1 / _NEAR < ratio < _NEAR:
        scale = max(width / wide, height / high)
        whole = sized(image, max(width, round(wide * scale)), max(height, round(high * scale)))
        top, left = (whole.shape[0] - height) // 2, (whole.shape[1] - width) // 2
        return Fitted(np.ascontiguousarray(whole[top : top + height, left : left + width]), (0, 0, width, height))
    scale = min(width / wide, height / high)
    inner = sized(image, min(width, round(wide * scale)), min(height, round(high * scale)))
    tall, broad = inner.shape[:2]
    left, top = (width - broad) // 2, height - tall if low else (height - tall) // 2
    return Fitted(_grown(inner, left, top, width, height), (left, top, left + broad, top + tall))


def _grown(inner: Pixels, left: int, top: int, width: int, height: int) -> Pixels:
    """Its margins mirrored and drawn out, the softer the farther from it, so that nothing is seen twice."""
    tall, broad = inner.shape[:2]
    right, bottom = width - left - broad, height - top - tall
    wide = np.ascontiguousarray(inner[_drawn_out(top, tall, bottom)[:, None], _drawn_out(left, broad, right)[None]])
    side = max(left, right, top, bottom)
    rows, columns = np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32)
    off_rows = np.maximum(np.maximum(top - rows, rows - (top + tall - 1)), 0)
    off_columns = np.maximum(np.maximum(left - columns, columns - (left + broad - 1)), 0)
    distance = np.maximum(off_rows[:, None], off_columns[None]) / max(1, side)
    out = wide
    for sigma, begins in ((0.006, 0.0), (0.02, 0.07), (0.055, 0.22)):
        mask: Mask = np.clip((distance - begins) / 0.16, 0, 1).astype(np.float32)
        out = laid(blurred(out, max(width, height) * sigma), out, mask)
    seam = soft((distance <= 0).astype(np.float32), 1.0)
    return laid(wide, out, np.maximum(seam, distance <= 0).astype(np.float32))


def _drawn_out(before: int, size: int, after: int) -> NDArray[np.intp]:
    """For each new row or column, which of `size` is shown: beyond the edges ever slower away from them."""
    reach = max(1.0, 0.13 * size)

    def inward(count: int) -> NDArray[np.float64]:
        return np.asarray(reach * (1 - np.exp(-np.arange(1, count + 1) / reach)))

    there = np.concatenate([inward(before)[::-1], np.arange(size), size - 1 - inward(after)])
    return np.asarray(np.clip(np.round(there), 0, size - 1), np.intp)


def covering(image: Pixels, width: int, height: int) -> Pixels:
    """`image` cropped to fill `width` x `height`, its middle kept."""
    scale = max(width / image.shape[1], height / image.shape[0])
    whole = sized(image, max(width, round(image.shape[1] * scale)), max(height, round(image.shape[0] * scale)))
    top, left = (whole.shape[0] - height) // 2, (whole.shape[1] - width) // 2
    return np.ascontiguousarray(whole[top : top + height, left : left + width])
