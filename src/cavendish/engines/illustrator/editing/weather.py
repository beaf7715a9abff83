"""Weather put into a photograph: something in the air, and the light that goes with it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from cavendish.engines.illustrator.chance import Chance
from cavendish.engines.illustrator.editing.pixels import Mask, Pixels, blurred, bytes_of, laid, soft

Floats = NDArray[np.float32]


def weathered(image: Pixels, name: str, lots: Chance) -> Pixels:
    """`image` in rain, snow, fog, at sunset or by night."""
    random = np.random.default_rng(lots.whole(0, 2**31))
    if name == "rain":
        return _rain(image, random)
    if name == "snow":
        return _snow(image, random)
    if name == "fog":
        return _fog(image, random)
    return _sunset(image) if name == "sunset" else _night(image)


def _graded(image: Pixels, color: float, gain: tuple[float, float, float], lift: tuple[float, float, float]) -> Pixels:
    """Less or more colour, then each channel times `gain` plus `lift`."""
    gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    mixed = cv2.addWeighted(image, color, gray, 1 - color, 0)
    table = np.stack([bytes_of(np.arange(256) * g + b) for g, b in zip(gain, lift, strict=True)], axis=-1)
    return np.asarray(cv2.LUT(mixed, table.reshape(1, 256, 3)), np.uint8)


def _rain(image: Pixels, random: np.random.Generator) -> Pixels:
    wet = _graded(image, 0.72, (0.78, 0.83, 0.9), (4, 6, 10))
    height, width = image.shape[:2]
    unit = max(height, width) / 1000
    near = _streaks((height, width), random, 420, unit, 46, 1.5)
    far = _streaks((height, width), random, 1300, unit, 22, 0.9)
    veil = np.clip(near * 0.62 + far * 0.36, 0, 0.75).astype(np.float32)
    return laid(np.full_like(wet, (226, 234, 244)), _misted(wet, 0.12, (176, 188, 202)), veil)


def _streaks(
    shape: tuple[int, int], random: np.random.Generator, count: int, unit: float, length: float, wide: float
) -> Mask:
    """Falling drops as slanting lines, 0 to 1."""
    sheet = np.zeros(shape, np.uint8)
    for x, y, long, light in random.random((count, 4)):
        tall = length * unit * (0.6 + 0.8 * long)
        start = np.array([x * 1.2 - 0.1, y * 1.1 - 0.1]) * (shape[1], shape[0])
        end = start + np.array([-0.2, 1.0]) * tall
        cv2.line(sheet, np.round(start * 8).astype(int).tolist(), np.round(end * 8).astype(int).tolist(),
                 int(110 + 145 * light), max(1, round(wide * unit)), cv2.LINE_AA, 3)  # fmt: skip
    return soft((sheet / np.float32(255)).astype(np.float32), 0.5 * unit)


def _snow(image: Pixels, random: np.random.Generator) -> Pixels:
    cold = _misted(_graded(image, 0.82, (0.97, 1.0, 1.06), (8, 12, 18)), 0.14, (232, 238, 246))
    height, width = image.shape[:2]
    unit = max(height, width) / 1000
    air = np.zeros((height, width), np.float32)
    for count, size, blur, light in ((900, 1.7, 0.5, 0.85), (320, 3.4, 0.9, 0.92), (60, 8.0, 3.4, 0.85)):
        sheet = np.zeros((height, width), np.uint8)
        for x, y, part in random.random((count, 3)):
            radius = size * unit * (0.6 + 0.8 * part)
            centre = (round(x * width * 8), round(y * height * 8))
            cv2.circle(sheet, centre, max(4, round(radius * 8)), 255, -1, cv2.LINE_AA, 3)
        air = np.maximum(air, light * soft((sheet / np.float32(255)).astype(np.float32), blur * unit))
    return laid(np.full_like(cold, (252, 253, 255)), cold, np.clip(air, 0, 1).astype(np.float32))


def _clouds(shape: tuple[int, int], random: np.random.Generator) -> Floats:
    """Slow noise of several sizes, 0 to 1."""
    out = np.zeros(shape, np.float32)
    for cells, weight in ((3, 0.5), (6, 0.3), (13, 0.2)):
        noise = random.random((cells, cells * 2)).astype(np.float32)
        out += weight * cv2.resize(noise, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.clip(out, 0, 1)


def _misted(image: Pixels, share: float, color: tuple[int, int, int]) -> Pixels:
    return np.asarray(cv2.addWeighted(image, 1 - share, np.full_like(image, color), share, 0), np.uint8)


def _fog(image: Pixels, random: np.random.Generator) -> Pixels:
    height, width = image.shape[:2]
    less = (max(8, width // 8), max(8, height // 8))
    down = np.linspace(1, 0, less[1], dtype=np.float32)[:, None]
    # Thicker above, where things are far, and in slow drifts.
    veil = 0.34 + 0.36 * down**0.8 + 0.34 * (_clouds((less[1], less[0]), random) - 0.5)
    mask = np.asarray(cv2.resize(np.clip(veil, 0.1, 0.9), (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    pale = laid(blurred(image, max(image.shape) / 500), image, np.clip(mask * 1.1, 0, 1).astype(np.float32))
    return laid(np.full_like(image, (222, 226, 230)), _graded(pale, 0.7, (0.96, 0.98, 1.0), (6, 6, 8)), mask)


def _sunset(image: Pixels) -> Pixels:
    """Low warm light from the upper left, long blue shade."""
    height, width = image.shape[:2]
    warm = _graded(image, 1.12, (1.12, 0.92, 0.68), (12, 2, 4))
    rows, columns = np.mgrid[0:64, 0:64].astype(np.float32) / 64
    glow = np.exp(-(((columns - 0.18) / 0.55) ** 2 + ((rows - 0.16) / 0.5) ** 2))
    mask = np.asarray(cv2.resize(glow, (width, height), interpolation=cv2.INTER_CUBIC), np.float32).clip(0, 1)
    out = np.empty_like(warm)
    sun = np.array([255, 176, 92], np.float32)
    for top in range(0, height, 256):
        part, share = warm[top : top + 256].astype(np.float32), mask[top : top + 256, :, None] * 0.62
        out[top : top + 256] = bytes_of(255 - (255 - part) * (1 - share * sun / 255))  # screen
    return out


def _night(image: Pixels) -> Pixels:
    dark = _graded(image, 0.55, (0.34, 0.42, 0.62), (2, 5, 16))
    lights = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    shining = np.clip((lights.astype(np.float32) - 225) / 30, 0, 1) * 0.35
    return laid(image, dark, soft(shining.astype(np.float32), max(image.shape) / 600))
