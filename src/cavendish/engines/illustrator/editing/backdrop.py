"""The background of a photograph: blurred, taken away, or another one in its place."""

import re

import cv2
import numpy as np

from cavendish.engines.illustrator.chance import Chance
from cavendish.engines.illustrator.editing.canvas import covering
from cavendish.engines.illustrator.editing.cutout import cleaned
from cavendish.engines.illustrator.editing.drawn import colors_in, scene
from cavendish.engines.illustrator.editing.pixels import Mask, Pixels, blurred, filled, laid, mask_sized, small, soft

_GRADIENT = re.compile(r"gradient|ombr|渐变|过渡")


def defocused(image: Pixels, mask: Mask) -> Pixels:
    """Everything but the subject out of focus; its colours do not bleed into what is behind it."""
    less, _ = small(image, 900)
    hole = mask_sized(mask, less.shape[1], less.shape[0])
    grown = np.clip(soft(hole, max(less.shape[:2]) * 0.008) * 2.5, 0, 1).astype(np.float32)
    behind = blurred(filled(less, grown), max(less.shape[:2]) * 0.016)
    wide = cv2.resize(behind, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_CUBIC)
    return laid(image, np.asarray(wide, np.uint8), mask)


def replaced(image: Pixels, mask: Mask, behind: Pixels) -> Pixels:
    """The subject on `behind` (same size), with a little of its light around the edge."""
    clean = cleaned(image, mask, max(image.shape[:2]) * 0.006)
    rim = np.clip(mask * (1 - soft(mask, max(image.shape[:2]) * 0.006)) * 0.5, 0, 0.35).astype(np.float32)
    return laid(laid(blurred(behind, max(image.shape[:2]) * 0.012), clean, rim), behind, mask)


def named(words: str, width: int, height: int, lots: Chance) -> tuple[Pixels, str]:
    """The background that `words` name: a scene, a colour or a gradient; and which of them it is."""
    colors = colors_in(words)
    if not _GRADIENT.search(words):
        drawn = scene(words, width, height, lots)
        if drawn is not None:
            wide = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_CUBIC)
            return np.asarray(blurred(np.asarray(wide, np.uint8), max(width, height) * 0.0022), np.uint8), "scene"
        if len(colors) == 1:
            return np.full((height, width, 3), _rgb(colors[0]), np.uint8), "colour"
    if len(colors) == 1:
        colors.append("#ffffff")
    return _gradient(colors or ["#dfe7ef", "#8fa3b8"], width, height), "gradient"


def other(picture: Pixels, width: int, height: int) -> Pixels:
    """Another picture as the background, cropped to fill it and a touch soft."""
    return blurred(covering(picture, width, height), max(width, height) * 0.0016)


def _gradient(colors: list[str], width: int, height: int) -> Pixels:
    """From the upper left to the lower right through all `colors`."""
    stops = np.array([_rgb(color) for color in colors], np.float32)
    rows, columns = np.mgrid[0:256, 0:256].astype(np.float32) / 255
    way = (rows * 0.8 + columns * 0.2).ravel()
    marks = np.linspace(0, 1, len(stops))
    sheet = np.stack([np.interp(way, marks, stops[:, i]) for i in range(3)], axis=-1).reshape(256, 256, 3)
    wide = cv2.resize(sheet.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(wide + 0.5, np.uint8)


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
