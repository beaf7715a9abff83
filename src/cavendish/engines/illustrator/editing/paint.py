"""Whole pictures painted over: cartoon, pencil, watercolour, oil, ink, pixels, and the plain old films.

Each takes a picture and gives one of the same size. The work is done on at most `_SIDE` pixels a side and enlarged:
brush strokes are soft by nature, and so a 4k picture takes hardly longer than a 1k one.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from cavendish.engines.illustrator.editing.pixels import Pixels, bytes_of, sized, small

_SIDE = 1280

Brush = Callable[[Pixels], Pixels]
Floats = NDArray[np.float32]


def cartoon(image: Pixels) -> Pixels:
    """Even areas of lively colour in a few steps of light, with dark contours."""
    return _upon(image, _cartoon)


def _cartoon(image: Pixels) -> Pixels:
    flat = _smoothed(image, 3)
    lab = cv2.cvtColor(flat, cv2.COLOR_RGB2LAB).astype(np.float32)
    light, steps = lab[..., 0], 28.0
    part = light / steps
    near = np.round(part)
    lab[..., 0] = (near + np.tanh((part - near) * 5) * 0.16) * steps  # steps with narrow soft edges
    lab[..., 0] = np.clip(lab[..., 0] * 1.06 + 4, 0, 255)
    lab[..., 1:] = 128 + (lab[..., 1:] - 128) * 1.32
    color = cv2.cvtColor(bytes_of(lab), cv2.COLOR_LAB2RGB)
    return bytes_of(color * _lines(flat, 1.3)[..., None])


def _smoothed(image: Pixels, rounds: int) -> Pixels:
    """Small differences evened out, edges kept."""
    half, _ = small(image, max(64, max(image.shape[:2]) * 5 // 8))
    for _ in range(rounds):
        half = np.asarray(cv2.bilateralFilter(half, 7, 26, 6), np.uint8)
    return np.asarray(cv2.resize(half, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_CUBIC), np.uint8)


def _lines(image: Pixels, width: float, strength: float = 0.82) -> Floats:
    """1 on paper, darker on contours: a difference of Gaussians, cut off softly (Winnemöller: XDoG, 2011)."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    scale = max(0.7, max(image.shape[:2]) / 1000 * width)
    near, far = cv2.GaussianBlur(gray, (0, 0), scale), cv2.GaussianBlur(gray, (0, 0), scale * 1.7)
    ink = np.tanh(np.maximum(0, far * 0.985 - near - 1.2) * 0.32)
    return np.asarray(1 - strength * ink, np.float32)


def sketch(image: Pixels) -> Pixels:
    """Pencil on pale paper, hatched where it is dark."""
    return _upon(image, _sketch)


def _sketch(image: Pixels) -> Pixels:
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    gray = cv2.createCLAHE(1.6, (4, 4)).apply(gray).astype(np.float32)
    side = max(image.shape[:2])
    wide = cv2.GaussianBlur(gray, (0, 0), max(2.0, side / 110))
    dodge = np.minimum(255, gray * 255 / np.maximum(wide, 1))
    strokes = _hatching(gray.shape, side)
    shade = np.clip((150 - wide) / 150, 0, 1)
    tone = dodge / 255 * (1 - 0.55 * shade * strokes) * (1 - 0.16 * shade)
    tone = np.clip((tone - 0.12) / 0.86, 0, 1) ** 1.35
    paper, lead = np.array([252, 248, 239], np.float32), np.array([48, 48, 56], np.float32)
    grain = _grain(gray.shape, 1.0, 0.045)[..., None]
    return bytes_of((lead + (paper - lead) * tone[..., None]) * grain)


def _hatching(shape: tuple[int, ...], side: int) -> Floats:
    """Slanting pencil strokes, 0 to 1."""
    noise = np.random.default_rng(5).random((shape[0], shape[1]), np.float32)
    length = max(7, side // 45)
    kernel = np.zeros((length, length), np.float32)
    cv2.line(kernel, (0, length - 1), (length - 1, 0), 1.0, 1)
    strokes = cv2.filter2D(noise, -1, kernel / kernel.sum())
    return np.asarray(np.clip((strokes - strokes.mean()) / (strokes.std() * 3) + 0.5, 0, 1), np.float32)


def _grain(shape: tuple[int, ...], size: float, depth: float) -> Floats:
    """Paper: a factor around 1 for every pixel."""
    noise = np.random.default_rng(11).standard_normal((shape[0], shape[1]), np.float32)
    paper = np.asarray(cv2.GaussianBlur(noise, (0, 0), size), np.float32)
    return np.asarray(1 + depth * np.clip(paper / (paper.std() + 1e-6), -2, 2) / 2, np.float32)


def watercolor(image: Pixels) -> Pixels:
    """Pale washes that pool at their edges, on rough paper."""
    return _upon(image, _watercolor)


def _watercolor(image: Pixels) -> Pixels:
    side = max(image.shape[:2])
    wet = _smoothed(image, 2)
    wet = np.asarray(cv2.medianBlur(wet, 5 if side < 700 else 7), np.uint8)
    wobble = np.random.default_rng(3).standard_normal((2, *image.shape[:2]), np.float32)
    shift = [cv2.GaussianBlur(one, (0, 0), side / 160) for one in wobble]
    shift = [one / (one.std() + 1e-6) * side / 420 for one in shift]
    rows, columns = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float32)
    xs, ys = columns + shift[0], rows + shift[1]
    wet = np.asarray(cv2.remap(wet, xs, ys, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.uint8)
    lab = cv2.cvtColor(wet, cv2.COLOR_RGB2LAB).astype(np.float32)
    lab[..., 1:] = 128 + (lab[..., 1:] - 128) * 1.35
    color = cv2.cvtColor(bytes_of(lab), cv2.COLOR_LAB2RGB).astype(np.float32) / 255
    pooled = cv2.GaussianBlur(color, (0, 0), side / 260) - color  # darker where a wash ends
    blooms = _grain(image.shape, side / 28, 0.12)[..., None]
    color = np.clip(color - 0.9 * np.maximum(0, pooled), 0, 1) ** (0.9 * blooms)
    paper = np.array([1.0, 0.985, 0.95], np.float32)
    color = paper * (0.12 + 0.88 * color)
    return bytes_of(color * _grain(image.shape, 0.9, 0.05)[..., None] * _lines(wet, 1.0, 0.35)[..., None] * 255)


def oil(image: Pixels) -> Pixels:
    """Thick dabs of strong colour along the forms, with a relief of light."""
    return _upon(image, _oil)


def _oil(image: Pixels) -> Pixels:
    side = max(image.shape[:2])
    flat = _smoothed(image, 2)
    gray = cv2.GaussianBlur(cv2.cvtColor(flat, cv2.COLOR_RGB2GRAY), (0, 0), side / 300).astype(np.float32)
    across = np.asarray(cv2.Sobel(gray, cv2.CV_32F, 1, 0), np.float32)
    down = np.asarray(cv2.Sobel(gray, cv2.CV_32F, 0, 1), np.float32)
    # Strokes run along the edges: the smoothed structure tensor's weaker direction.
    soft = [cv2.GaussianBlur(v, (0, 0), side / 90) for v in (across * across, down * down, across * down)]
    turn = 0.5 * np.arctan2(2 * soft[2], soft[0] - soft[1]) + np.pi / 2
    step_x, step_y = np.cos(turn).astype(np.float32), np.sin(turn).astype(np.float32)
    noise = np.random.default_rng(9).random(image.shape[:2], np.float32)
    noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), max(0.8, side / 900)), np.float32)
    rows, columns = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float32)
    bristles, color = np.zeros_like(noise), np.zeros(image.shape, np.float32)
    reach, taps = side / 110, 7
    for at in np.linspace(-reach, reach, taps):
        xs, ys = columns + step_x * np.float32(at), rows + step_y * np.float32(at)
        bristles += cv2.remap(noise, xs, ys, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        color += cv2.remap(flat, xs, ys, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    bristles = (bristles - bristles.mean()) / (bristles.std() + 1e-6)
    relief = cv2.Sobel(bristles, cv2.CV_32F, 1, 1, ksize=3)
    lab = cv2.cvtColor(bytes_of(color / taps), cv2.COLOR_RGB2LAB).astype(np.float32)
    lab[..., 0] = np.clip((lab[..., 0] - 128) * 1.12 + 128 + bristles * 5 + relief * 3, 0, 255)
    lab[..., 1:] = 128 + (lab[..., 1:] - 128) * 1.45
    return np.asarray(cv2.cvtColor(bytes_of(lab), cv2.COLOR_LAB2RGB), np.uint8)


def ink(image: Pixels) -> Pixels:
    """Washes of ink in few tones, with dark contours, on warm paper."""
    return _upon(image, _ink)


def _ink(image: Pixels) -> Pixels:
    side = max(image.shape[:2])
    flat = _smoothed(image, 3)
    gray = cv2.cvtColor(flat, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    low, high = np.percentile(gray, (2, 97))
    gray = np.clip((gray - low) / (high - low + 1e-3), 0, 1) ** 0.6  # ink leaves most of the paper bare
    wash = cv2.GaussianBlur(np.round(gray * 4) / 4, (0, 0), max(0.8, side / 500)).astype(np.float32)
    wash = (wash * 0.75 + gray * 0.25) * _grain(gray.shape, side / 50, 0.08) * _lines(flat, 1.7, 0.85)
    tone = np.clip(wash, 0, 1)[..., None] * _grain(gray.shape, 1.0, 0.03)[..., None]
    paper, black = np.array([246, 240, 224], np.float32), np.array([22, 24, 30], np.float32)
    return bytes_of(black + (paper - black) * np.clip(tone, 0, 1))


def pixels(image: Pixels) -> Pixels:
    """Large square pixels of few colours, at the full size so that their edges are sharp."""
    height, width = image.shape[:2]
    cell = max(4, round(max(height, width) / 96))
    less = sized(image, max(1, round(width / cell)), max(1, round(height / cell)))
    lab = cv2.cvtColor(less, cv2.COLOR_RGB2LAB).astype(np.float32)
    lab[..., 1:] = 128 + (lab[..., 1:] - 128) * 1.3
    lab[..., 0] = np.clip((lab[..., 0] - 128) * 1.12 + 130, 0, 255)
    flat = np.ascontiguousarray(lab.reshape(-1, 3))
    cv2.setRNGSeed(3)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 10, 1.0)
    count = min(28, len(flat))
    _, labels, colors = cv2.kmeans(flat, count, np.empty(0, np.int32), stop, 1, cv2.KMEANS_PP_CENTERS)
    few = cv2.cvtColor(bytes_of(colors[labels.ravel()].reshape(less.shape)), cv2.COLOR_LAB2RGB)
    return np.asarray(cv2.resize(few, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def mono(image: Pixels) -> Pixels:
    """Black and white film."""
    gray = _stretched(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
    return np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), np.uint8)


def sepia(image: Pixels) -> Pixels:
    """An old brown print with paler corners."""
    gray = _stretched(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
    levels = np.arange(256, dtype=np.float32)
    marks = np.array([0, 118, 255], np.float32)
    tones = ([38, 158, 250], [24, 122, 236], [14, 80, 206])
    table = np.stack([np.interp(levels, marks, tone) for tone in tones], axis=-1).astype(np.uint8)
    return np.asarray(table[gray], np.uint8)


def _stretched(gray: NDArray[np.generic]) -> Pixels:
    low, high = np.percentile(np.asarray(gray)[::4, ::4], (0.5, 99.5))
    levels = np.clip((np.arange(256) - low) / max(1.0, float(high - low)), 0, 1)
    table = bytes_of(255 * (levels - 0.06 * np.sin(2 * np.pi * levels)))
    return np.asarray(cv2.LUT(np.asarray(gray, np.uint8), table), np.uint8)


def illustration(image: Pixels) -> Pixels:
    """What is done when nothing is asked for that is known: calm areas, clearer colours, a hint of contour."""
    return _upon(image, _illustration)


def _illustration(image: Pixels) -> Pixels:
    flat = _smoothed(image, 2)
    lab = cv2.cvtColor(cv2.addWeighted(flat, 0.8, image, 0.2, 0), cv2.COLOR_RGB2LAB).astype(np.float32)
    lab[..., 0] = np.clip((lab[..., 0] - 128) * 1.08 + 132, 0, 255)
    lab[..., 1:] = 128 + (lab[..., 1:] - 128) * 1.25
    color = cv2.cvtColor(bytes_of(lab), cv2.COLOR_LAB2RGB)
    return bytes_of(color * _lines(flat, 1.0, 0.6)[..., None])


def _upon(image: Pixels, brush: Brush) -> Pixels:
    less, scale = small(image, _SIDE)
    done = brush(np.ascontiguousarray(less))
    if scale == 1.0:
        return done
    return np.asarray(cv2.resize(done, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_CUBIC), np.uint8)


BRUSHES: Mapping[str, Brush] = MappingProxyType(
    {
        "cartoon": cartoon, "sketch": sketch, "watercolor": watercolor, "oil": oil, "ink": ink, "pixel": pixels,
        "mono": mono, "sepia": sepia, "illustration": illustration,
    }
)  # fmt: skip
"""By the word that `asked` uses for it."""
