"""Drawn subjects put into a photograph: on the ground of its lower third, with a shadow, in its light."""

from collections.abc import Sequence

import cv2
import numpy as np

from cavendish.engines.illustrator.chance import Chance
from cavendish.engines.illustrator.editing.drawn import Guest, cut_out
from cavendish.engines.illustrator.editing.faces import Face
from cavendish.engines.illustrator.editing.pixels import Mask, Pixels, bytes_of, laid, soft

_FACE_METRES = 0.17
"""From the forehead to the mouth, which is what a Face is tall."""


def joined(
    image: Pixels, there: Mask | None, guests: Sequence[Guest], known: Sequence[Face], lots: Chance
) -> tuple[Pixels, Mask | None]:
    """`image` with all `guests` in it; and `there`, the mask of what is not background, with them."""
    total = sum(guest.count for guest in guests)
    places = _places(image.shape[1], total, known)
    tint = _tint(image)
    for guest in guests:
        for _ in range(guest.count):
            x = places.pop(0)
            image, there = _one(image, there, guest, x, known, tint, lots)
    return image, there


def _places(width: int, count: int, known: Sequence[Face]) -> list[float]:
    """The middles of `count` guests, first where nobody is."""
    spots = [width * (number + 0.5) / max(count, 4) for number in range(max(count, 4))]

    def free(x: float) -> float:
        return (
            min((abs(x - face.middle) for face in known), default=abs(x - width * 0.3))
            if known
            else -abs(x - width * 0.68)
        )

    return sorted(spots, key=free, reverse=True)


def _tint(image: Pixels) -> str:
    """The colour of the photograph's light: its average, as bright as its bright parts."""
    sample = cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA).reshape(-1, 3).astype(np.float32)
    mean = sample.mean(axis=0)
    bright = float(np.percentile(sample.mean(axis=1), 80))
    color = mean / max(1.0, float(mean.max())) * (150 + 105 * min(1.0, bright / 200))
    red, green, blue = (int(np.clip(v, 0, 255)) for v in color)
    return f"#{red:02x}{green:02x}{blue:02x}"


def _one(
    image: Pixels, there: Mask | None, guest: Guest, x: float, known: Sequence[Face], tint: str, lots: Chance
) -> tuple[Pixels, Mask | None]:
    height, width = image.shape[:2]
    flying = guest.row.kind in {"air", "sky"}
    tall = _tall(guest, height, known)
    foot = height * (0.14 + 0.1 * lots.between(0, 1)) + tall if flying else height * (0.93 + 0.03 * lots.between(0, 1))
    drawn, mask = cut_out(guest, round(tall), tint, mirrored=x < width / 2)
    left, top = round(x - drawn.shape[1] / 2), round(foot - tall)
    left = int(np.clip(left, 0, max(0, width - drawn.shape[1])))
    top = int(np.clip(top, 0, max(0, height - drawn.shape[0])))
    layer, alpha = np.zeros_like(image), np.zeros(image.shape[:2], np.float32)
    rows, columns = min(drawn.shape[0], height - top), min(drawn.shape[1], width - left)
    layer[top : top + rows, left : left + columns] = drawn[:rows, :columns]
    alpha[top : top + rows, left : left + columns] = mask[:rows, :columns]
    if not flying:
        image = _shaded(image, alpha, left + drawn.shape[1] / 2, top + rows, drawn.shape[1], rows)
    return laid(layer, image, alpha), None if there is None else np.maximum(there, alpha)


def _tall(guest: Guest, height: int, known: Sequence[Face]) -> float:
    """How many pixels tall: to the scale of a face when there is one, else so that it is well seen."""
    size = guest.row.size * guest.scale
    wanted = size / _FACE_METRES * known[0].height if known else height * (0.2 + 0.13 * min(2.5, size))
    return float(np.clip(wanted, 0.2 * height, 0.46 * height))


def _shaded(image: Pixels, alpha: Mask, x: float, foot: float, wide: float, tall: float) -> Pixels:
    """A dark soft spot where it stands, and its own shape laid flat to the right."""
    shade = np.zeros(alpha.shape, np.float32)
    middle, axes = (round(x), round(foot - tall * 0.012)), (max(2, round(wide * 0.42)), max(1, round(tall * 0.035)))
    cv2.ellipse(shade, middle, axes, 0, 0, 360, 1.0, -1, cv2.LINE_AA)
    contact = soft(shade, max(1.0, tall * 0.018))
    lay = np.array([[1, -0.55, 0.55 * foot], [0, 0.16, 0.84 * foot]], np.float64)
    cast = cv2.warpAffine(alpha, lay, (alpha.shape[1], alpha.shape[0]))
    dark = np.clip(contact * 0.5 + soft(np.asarray(cast, np.float32), max(1.0, tall * 0.014)) * 0.28, 0, 0.6)
    out = image.copy()
    top = max(0, int(foot - tall * 0.3))
    out[top:] = bytes_of(image[top:] * (1 - dark[top:, :, None]))
    return out
