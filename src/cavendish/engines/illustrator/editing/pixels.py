"""Pictures as arrays: what the editing modules hand to each other, and the few sums that several of them need.

Arrays are RGB, 8 bits, as Pillow has them; masks are one channel of float32 from 0 (out) to 1 (in). Imported in
drawing processes only: opencv and numpy are large.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Mask = NDArray[np.float32]


def bytes_of(values: NDArray[np.generic]) -> Pixels:
    """Any numbers as 8 bits, cut off at 0 and 255."""
    return np.asarray(np.clip(values, 0, 255).astype(np.uint8), np.uint8)


def sized(image: Pixels, width: int, height: int) -> Pixels:
    """Resampled to `width` x `height`: averaged when smaller, Lanczos when larger."""
    if (image.shape[1], image.shape[0]) == (width, height):
        return image
    kind = cv2.INTER_AREA if width < image.shape[1] else cv2.INTER_LANCZOS4
    return np.asarray(cv2.resize(image, (max(1, width), max(1, height)), interpolation=kind), np.uint8)


def mask_sized(mask: Mask, width: int, height: int) -> Mask:
    """A mask resampled to `width` x `height`."""
    kind = cv2.INTER_AREA if width < mask.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(mask, (max(1, width), max(1, height)), interpolation=kind), np.float32)


def small(image: Pixels, side: int) -> tuple[Pixels, float]:
    """The image with its longer side at most `side` pixels, and by how much it was scaled."""
    scale = min(1.0, side / max(image.shape[:2]))
    return sized(image, round(image.shape[1] * scale), round(image.shape[0] * scale)), scale


def blurred(image: Pixels, sigma: float) -> Pixels:
    """Gaussian blur of `sigma` pixels; wide ones are done on fewer pixels, which looks the same."""
    if sigma < 0.3:
        return image
    share = max(1.0, sigma / 4)
    height, width = image.shape[:2]
    less = sized(image, round(width / share), round(height / share)) if share > 1.5 else image
    soft = cv2.GaussianBlur(less, (0, 0), sigma * less.shape[1] / width)
    return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def soft(mask: Mask, sigma: float) -> Mask:
    """A mask with softer edges."""
    share = max(1.0, sigma / 4)
    height, width = mask.shape[:2]
    less = mask_sized(mask, round(width / share), round(height / share)) if share > 1.5 else mask
    out = cv2.GaussianBlur(less, (0, 0), max(0.3, sigma * less.shape[1] / width))
    return np.asarray(cv2.resize(out, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def laid(over: Pixels, under: Pixels, mask: Mask) -> Pixels:
    """`over` where the mask is 1, `under` where it is 0; in stripes, so that a 4k picture needs little memory."""
    out = np.empty_like(under)
    for top in range(0, under.shape[0], 256):
        rows = slice(top, top + 256)
        share = mask[rows, :, None]
        out[rows] = (over[rows] * share + under[rows] * (1 - share) + 0.5).astype(np.uint8)
    return out


def filled(image: Pixels, hole: Mask) -> Pixels:
    """`image` with `hole` filled from around it: each scale of a pyramid fills what finer ones left open.

    Push-pull interpolation (Gortler et al., The Lumigraph, 1996): smooth, and fast whatever the hole's size.
    """
    color: NDArray[np.float32] = (image * (1 - hole[..., None])).astype(np.float32)
    weight: NDArray[np.float32] = np.asarray(1 - hole, np.float32)
    levels = [(color, weight)]
    while min(weight.shape) > 2 and len(levels) < 12:
        color, weight = np.asarray(cv2.pyrDown(color), np.float32), np.asarray(cv2.pyrDown(weight), np.float32)
        levels.append((color, weight))
    result = levels[-1][0] / np.maximum(levels[-1][1], 1e-4)[..., None]
    for color, weight in reversed(levels[:-1]):
        up = cv2.resize(result, (weight.shape[1], weight.shape[0]), interpolation=cv2.INTER_LINEAR)
        known = np.clip(weight, 0, 1)[..., None]
        result = color / np.maximum(weight, 1e-4)[..., None] * known + up * (1 - known)
    return bytes_of(result)
