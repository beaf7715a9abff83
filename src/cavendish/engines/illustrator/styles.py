"""Styles: what makes a drawn picture a watercolour, a pencil sketch, pixel art.

Most styles treat the finished picture at 0.6 to 1.7 million pixels, enlarged afterwards: brush and paper are soft by
nature. They know two things that no treatment of a photograph knows: where the subjects are (`alpha`), and
the picture before it has pixels, so that pixel art is drawn small and not made small.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import cv2
import msgspec
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from cavendish.engines.illustrator.picture import Picture

Pixels = npt.NDArray[np.floating[Any]]
Flatten = Callable[[Picture, tuple[int, int]], tuple[Image.Image, Image.Image | None]]
Style = Callable[[Pixels, Pixels], Pixels]
"""RGB 0-1 and the subjects' mask 0-1, to RGB 0-1 of the same size."""

_PIXELS = (640_000, 1_700_000)
"""How many pixels a treatment has at least, where the picture has them, and at most."""
_SEED = 20260101


def styled(picture: Picture, pixels: tuple[int, int], flatten: Flatten) -> Image.Image:
    """`picture` at `pixels` in its style."""
    style = _STYLES.get(picture.style or "")
    if picture.style == "pixel":
        return _pixel_art(picture, pixels, flatten)
    if style is None:
        return flatten(picture, pixels)[0]
    cv2.setNumThreads(1)  # each drawing process has one core
    area = pixels[0] * pixels[1]
    share = min(1.0, (min(_PIXELS[1], max(_PIXELS[0], area * 0.38)) / area) ** 0.5)
    small = (round(pixels[0] * share), round(pixels[1] * share))
    plain = msgspec.structs.replace(picture, vignette=0.0)
    image, mask = flatten(plain, small)
    alpha = np.zeros(small[::-1], np.float32) if mask is None else np.asarray(mask, np.float32) / 255
    done = style(np.asarray(image, np.float32) / 255, alpha)
    result = Image.fromarray((np.clip(done, 0, 1) * 255).astype(np.uint8))
    if result.size == pixels:
        return result
    return result.resize(pixels, Image.Resampling.LANCZOS)


def _pixel_art(picture: Picture, pixels: tuple[int, int], flatten: Flatten) -> Image.Image:
    cell = max(1, round(min(pixels) / 112))
    small = (-(-pixels[0] // cell), -(-pixels[1] // cell))
    sharp = msgspec.structs.replace(
        picture, vignette=0.0, layers=tuple(msgspec.structs.replace(layer, share=1.0) for layer in picture.layers)
    )
    image, mask = flatten(sharp, (small[0] * 3, small[1] * 3))
    few = image.resize(small, Image.Resampling.BOX).quantize(64, kmeans=1, dither=Image.Dither.NONE).convert("RGB")
    if mask is not None:  # one dark pixel around whoever stands in front
        body = mask.resize(small, Image.Resampling.BOX).point(lambda level: 255 if level > 110 else 0)
        rim = np.asarray(body.filter(ImageFilter.MaxFilter(3)), np.int16) - np.asarray(body, np.int16)
        few.paste("#241c2e", (0, 0), Image.fromarray((rim > 0).astype(np.uint8) * 170))
    return few.resize((small[0] * cell, small[1] * cell), Image.Resampling.NEAREST).crop((0, 0, *pixels))


def _gray(image: Pixels) -> Pixels:
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)


def _soft(image: Pixels, radius: float) -> Pixels:
    if radius > 8:  # a wide blur needs few pixels
        small = (max(2, round(image.shape[1] * 5 / radius)), max(2, round(image.shape[0] * 5 / radius)))
        few = cv2.GaussianBlur(cv2.resize(image, small, interpolation=cv2.INTER_AREA), (0, 0), 5)
        return cv2.resize(few, image.shape[1::-1], interpolation=cv2.INTER_CUBIC).astype(np.float32)
    return cv2.GaussianBlur(image, (0, 0), radius).astype(np.float32)


def _noise(shape: tuple[int, ...], grain: float, *, stretch: float = 1.0) -> Pixels:
    """Smooth noise, -1 to 1, whose spots are about `grain` pixels tall and `stretch` times as wide."""
    tall, wide = max(2, round(shape[0] / grain)), max(2, round(shape[1] / grain / stretch))
    lots = np.random.default_rng(_SEED).standard_normal((tall, wide), np.float32)
    return np.clip(cv2.resize(lots, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC) / 2, -1, 1)


def _lines(image: Pixels, width: float) -> Pixels:
    """Where contours are, 0-1: a difference of two blurs of each colour, whichever shows it best."""
    fine, wide = _soft(image, width), _soft(image, width * 1.8)
    done: Pixels = np.clip((np.abs(wide - fine).max(axis=2) - 0.012) * 14, 0, 1)
    return done


def _waved(image: Pixels, reach: float, grain: float) -> Pixels:
    """Edges that tremble by up to `reach` pixels, as a hand's do."""
    ys, xs = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float32)
    dx, dy = _noise(image.shape, grain) * reach, _noise(image.shape, grain * 1.37) * reach
    return cv2.remap(image, xs + dx, ys + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT).astype(np.float32)


def _tinted(gray: Pixels, dark: str, light: str) -> Pixels:
    one, two = (np.array([int(c[k : k + 2], 16) / 255 for k in (1, 3, 5)], np.float32) for c in (dark, light))
    return one + (two - one) * gray[..., None]


def _lively(image: Pixels, factor: float) -> Pixels:
    gray = _gray(image)[..., None]
    return gray + (image - gray) * np.float32(factor)


def _paper(shape: tuple[int, ...], strength: float) -> Pixels:
    """The tooth of paper as a factor around 1."""
    return (1 + strength * (_noise(shape, 2.2) * 0.7 + _noise(shape, 5.5) * 0.5))[..., None]


def _volume(alpha: Pixels, image: Pixels, depth: float) -> tuple[Pixels, Pixels]:
    """Light and shine of the subjects as if they were solid: their mask and their colours read as heights."""
    size = max(image.shape) / 1000
    height: Pixels = sum((_soft(alpha, r * size) for r in (4, 10, 24, 48)), np.zeros_like(alpha)) * alpha
    height = _soft(height + 0.35 * _soft(_gray(image), 5 * size) * alpha, 3.2 * size)
    dy, dx = np.gradient(height * 60 * size * depth)
    length = np.sqrt(dx * dx + dy * dy + 1)
    light = (dx * 0.5 + dy * 0.62 + 0.6) / length / 0.6
    shine = np.clip((dx * 0.32 + dy * 0.46 + 0.83) / length, 0, 1) ** 40
    return 1 + (np.clip(light, 0.35, 1.5) - 1) * alpha, shine * alpha


def _photo(image: Pixels, alpha: Pixels) -> Pixels:
    """A photograph's light: volume, bloom, a gentle curve, grain and a darker edge."""
    light, shine = _volume(alpha, image, 0.55)
    lit = image * light[..., None] + shine[..., None] * 0.16
    size = max(image.shape) / 1000
    bloom = _soft(np.clip(lit - 0.72, 0, 1), 22 * size)
    lit = lit + bloom * 0.6
    over = np.maximum(lit - 0.78, 0)  # highlights roll off: a white shoe keeps its folds
    lit = np.minimum(lit, 0.78) + over / (1 + 4 * over)
    lit = np.clip(lit, 0, 1)
    curve = lit * lit * (3 - 2 * lit)
    toned = lit * 0.5 + curve * 0.5
    toned = toned * np.array([1.02, 1.0, 0.96], np.float32) + np.array([0.0, 0.008, 0.022], np.float32)
    grain = np.random.default_rng(_SEED).standard_normal(image.shape[:2], np.float32) * 0.018
    return (_lively(toned, 0.92) + grain[..., None]) * _edge(image.shape, 0.55)


def _edge(shape: tuple[int, ...], strength: float) -> Pixels:
    ys, xs = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j].astype(np.float32)
    done: Pixels = (1 - strength * 0.5 * np.clip((xs * xs + ys * ys) - 0.55, 0, 2))[..., None]
    return done


def _solid(image: Pixels, alpha: Pixels) -> Pixels:
    """A 3D rendering: smooth plastic bodies with shine and soft occlusion around them."""
    size = max(image.shape) / 1000
    smooth = cv2.bilateralFilter(image, 7, 0.09, 4).astype(np.float32)
    light, shine = _volume(alpha, smooth, 1.0)
    shade = 1 - 0.34 * np.clip(_soft(np.roll(alpha, round(10 * size), axis=0), 22 * size) - alpha, 0, 1)
    whole, gleam = _volume(np.ones_like(alpha), smooth, 0.8)
    ground = smooth * (0.45 + 0.55 * whole[..., None]) * shade[..., None] + gleam[..., None] * 0.03
    body = _lively(smooth, 1.12) * light[..., None] + shine[..., None] * 0.5
    mask = alpha[..., None]
    return np.clip(ground * (1 - mask) + body * mask, 0, 1) * _edge(image.shape, 0.4)


def _illustration(image: Pixels, alpha: Pixels) -> Pixels:
    """A storybook's page: ink around the subjects, dry brush on paper."""
    size = max(image.shape) / 1000
    trembling = _waved(image, 1.6 * size, 26 * size)
    line = _lines(trembling, 1.1 * size) * (0.3 + 0.7 * _soft(alpha, 2))
    brush = (
        1
        + 0.07 * _noise(image.shape, 3 * size, stretch=9)[..., None]
        + 0.05 * _noise(image.shape, 40 * size)[..., None]
    )
    inked = _lively(trembling, 1.1) * brush * _paper(image.shape, 0.05)
    return inked * (1 - 0.85 * line[..., None]) + np.array([0.16, 0.1, 0.12], np.float32) * 0.85 * line[..., None]


def _watercolor(image: Pixels, alpha: Pixels) -> Pixels:
    """Washes that pool at their edges, on white paper that shows through and stays bare around them."""
    size = max(image.shape) / 1000
    wash = _waved(image, 7 * size, 38 * size)
    wash = cv2.bilateralFilter(cv2.medianBlur((wash * 255).astype(np.uint8), 5), 5, 30, 4).astype(np.float32) / 255
    rim = np.clip(np.abs(_soft(wash, 3.5 * size) - wash).mean(axis=2) * 3.2, 0, 0.4)
    pigment = (1 - wash) * (
        0.78 + 0.32 * _noise(image.shape, 70 * size)[..., None] + 0.1 * _noise(image.shape, 9 * size)[..., None]
    )
    pigment = _lively(pigment, 1.25) * (1 + rim[..., None] * 1.6)
    height, width = image.shape[:2]
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    border = np.minimum(np.minimum(xs, width - xs), np.minimum(ys, height - ys)) / (55 * size)
    inside = np.clip(
        (border + _noise(image.shape, 60 * size) * 0.9 + _noise(image.shape, 17 * size) * 0.35 - 0.5) * 3, 0, 1
    )
    pool = np.clip(inside * (1 - inside) * 1.2, 0, 0.3)[..., None]
    paper = np.array([0.992, 0.978, 0.945], np.float32)
    shown = inside[..., None] * 0.92 + pool
    done: Pixels = (paper - np.clip(pigment, 0, 0.95) * shown * paper) * _paper(image.shape, 0.035)
    return done


def _oil(image: Pixels, alpha: Pixels) -> Pixels:
    """Strokes that follow the forms, thick enough to catch the light."""
    size = max(image.shape) / 1000
    base = _lively(_waved(image, 5 * size, 18 * size), 1.28)
    gray = _soft(_gray(base), 6 * size)
    angle = np.arctan2(cv2.Sobel(gray, cv2.CV_32F, 0, 1), cv2.Sobel(gray, cv2.CV_32F, 1, 0)) + np.pi / 2
    angle = (angle + _noise(image.shape, 90 * size) * 1.5).astype(np.float32)
    bytes_ = (np.clip(base, 0, 1) * 255).astype(np.uint8)
    coarse = cv2.medianBlur(bytes_, 5)  # the largest that is fast
    # What is drawn out along a direction becomes a stroke: a mean over the pixels that lie that way.
    both = np.dstack([coarse, (_noise(image.shape, 2.6 * size) * 127 + 128).astype(np.uint8)])
    ys, xs = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float32)
    along, across, drawn = np.cos(angle), np.sin(angle), both.astype(np.float32)
    steps = (-10, -6, -3, 3, 6, 10)
    for step in (np.float32(step * size) for step in steps):
        there = (xs + along * step, ys + across * step)
        cv2.accumulate(cv2.remap(both, *there, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), drawn)
    drawn *= np.float32(1 / 255 / (len(steps) + 1))
    painted, relief = drawn[..., :3], drawn[..., 3] * 2 - 1
    slope = relief - np.roll(relief, (1, 1), axis=(0, 1))
    done: Pixels = painted * (1 + relief[..., None] * 0.2) + slope[..., None] * 0.5
    return done


def _sketch(image: Pixels, alpha: Pixels) -> Pixels:
    """Pencil: contours, and hatching that crosses where it is darker."""
    size = max(image.shape) / 1000
    gray = np.clip(_gray(_waved(image, 1.5 * size, 30 * size)), 0, 1)
    tone = np.clip((gray - gray.min()) / max(float(np.ptp(gray)), 0.2), 0, 1) ** 0.8
    tone = np.where(alpha > 0.5, tone, 0.35 + 0.65 * tone)
    paper = np.ones_like(gray)
    ys, xs = np.mgrid[0 : gray.shape[0], 0 : gray.shape[1]].astype(np.float32)
    tremble = _noise(gray.shape, 40 * size) * 5 * size
    for turn, level in ((0.8, 0.88), (2.3, 0.62), (0.15, 0.36), (1.5, 0.2)):
        wave = np.sin((xs * np.cos(turn) + ys * np.sin(turn) + tremble) * (1.05 / size)) * 0.5 + 0.5
        paper -= np.clip((level - tone) * 2.2, 0, 0.5) * wave * (0.75 + 0.5 * _noise(gray.shape, 3 * size))
    line = np.clip(_lines(image, 1.0 * size) * 1.3 + _lines(image, 2.2 * size) * 0.8, 0, 1)
    shown = np.clip(paper, 0.12, 1) * (1 - 0.85 * line * (0.72 + 0.28 * _noise(gray.shape, 6 * size)))
    return _tinted(np.clip(shown, 0, 1), "#2b2b31", "#faf6ec") * _paper(image.shape, 0.05)


def _ink(image: Pixels, alpha: Pixels) -> Pixels:
    """Ink on rice paper: few wet tones, much bare paper, a dark brush for what matters, and a red seal."""
    size = max(image.shape) / 1000
    gray = _waved(_gray(image), 8 * size, 34 * size)
    dark, light = np.percentile(gray[::4, ::4], (4, 96))
    level: Pixels = np.clip((gray - dark) / max(float(light - dark), 0.2), 0, 1)
    level = _soft(level.astype(np.float32), 2.2 * size)
    bare = np.clip(0.62 + 0.46 * level + 0.1 * _noise(image.shape, 90 * size), 0, 1) ** 0.6
    body = np.round(level**0.75 * 4) / 4
    wash = np.where(_soft(alpha, 2 * size) > 0.5, _soft(body.astype(np.float32), 1.6 * size), bare)
    mist = np.clip((np.mgrid[0 : gray.shape[0], 0 : gray.shape[1]][0] / gray.shape[0] - 0.86) * 5, 0, 0.7)
    wash = wash + (1 - wash) * mist * (1 - alpha)
    brush = _lines(_waved(image, 3 * size, 20 * size), 2.0 * size) * np.clip(
        0.7 + 0.6 * _noise(image.shape, 8 * size, stretch=3), 0, 1
    )
    wash = wash * (1 - brush * (0.35 + 0.55 * alpha))
    done = _tinted(np.clip(wash, 0.03, 1), "#15171d", "#f3ecdb") * _paper(image.shape, 0.035)
    side, x, y = round(62 * size), gray.shape[1] - round(118 * size), gray.shape[0] - round(128 * size)
    seal = np.zeros((side, side), np.float32)
    for box in (
        (0, 0, side - 1, side - 1),
        (0.2, 0.2, 0.8, 0.3),
        (0.45, 0.2, 0.55, 0.8),
        (0.2, 0.46, 0.8, 0.54),
        (0.2, 0.72, 0.8, 0.82),
    ):
        one, two = [
            (round(a * side), round(b * side)) if b <= 1 and a <= 1 else (int(a), int(b)) for a, b in (box[:2], box[2:])
        ]
        cv2.rectangle(seal, one, two, 0.0 if box[2] <= 1 else 1.0, -1)
    worn = seal * np.clip(0.95 + 0.4 * _noise((side, side), 4 * size), 0, 1)
    part = done[y : y + side, x : x + side]
    part += (np.array([0.72, 0.13, 0.1], np.float32) - part) * worn[..., None]
    return done


def _flat(image: Pixels, alpha: Pixels) -> Pixels:
    """Even areas of few clear colours."""
    clear = np.clip(_lively(image, 1.18), 0, 1)
    steps = np.round(cv2.cvtColor(clear, cv2.COLOR_RGB2HSV) * np.array([1 / 12, 9, 8], np.float32))
    even = cv2.cvtColor((steps * np.array([12, 1 / 9, 1 / 8], np.float32)).astype(np.float32), cv2.COLOR_HSV2RGB)
    return cv2.medianBlur((even * 255).astype(np.uint8), 3).astype(np.float32) / 255


def _neon(image: Pixels, alpha: Pixels) -> Pixels:
    """Cyberpunk: everything dark in violet and cyan, contours that glow, scan lines."""
    size = max(image.shape) / 1000
    gray = _gray(image)
    ys = np.mgrid[0 : gray.shape[0], 0 : gray.shape[1]][0].astype(np.float32) / gray.shape[0]
    graded = _tinted(np.clip(gray * 1.1, 0, 1), "#0b0620", "#b7a6ff") * 0.4 + _lively(image, 1.7) * 0.5
    line = np.clip(_lines(image, 1.5 * size) * (0.3 + 0.9 * alpha), 0, 1)
    hue = np.stack([1 - 0.75 * ys, 0.15 + 0.75 * ys, np.ones_like(ys)], axis=2)
    hue = np.where(
        alpha[..., None] > 0.5,
        np.array([1.0, 0.25, 0.85], np.float32) * (1 - ys[..., None])
        + np.array([0.1, 0.95, 1.0], np.float32) * ys[..., None],
        hue,
    )
    glow = line[..., None] * hue
    halo = _soft(glow.astype(np.float32), 7 * size) * 1.7 + _soft(glow.astype(np.float32), 26 * size) * 1.6
    bright = _soft(np.clip(image - 0.75, 0, 1) * 0.64, 14 * size)
    scan = 1 - 0.07 * (np.arange(gray.shape[0]) // max(1, round(2 * size)) % 2)[:, None, None]
    done: Pixels = np.clip(graded * 0.85 + halo + glow * 1.1 + bright, 0, 1) * scan
    return done


def _lowpoly(image: Pixels, alpha: Pixels) -> Pixels:
    """Triangles between points that gather where something changes, each of one colour."""
    height, width = image.shape[:2]
    lots = np.random.default_rng(_SEED)
    # On a grid of every third pixel, more likely where contours are.
    interest = (_lines(image, 1.6) * (0.35 + 0.65 * _soft(alpha, 5)) + 0.008 + 0.02 * alpha)[1::3, 1::3].ravel()
    chosen = np.argsort(-interest / lots.exponential(size=interest.size))[:2600]
    ys, xs = (np.stack(np.divmod(chosen, len(range(1, width, 3)))) * 3 + 1).clip(0, [[height - 1], [width - 1]])
    rim = [(x, y) for x in np.linspace(0, width - 1, 14) for y in (0, height - 1)] + [
        (x, y) for y in np.linspace(0, height - 1, 14) for x in (0, width - 1)
    ]
    division = cv2.Subdiv2D((0, 0, width, height))
    division.insert([(float(x), float(y)) for x, y in [*zip(xs, ys, strict=True), *rim]])
    triangles = np.asarray(division.getTriangleList()).reshape(-1, 3, 2)
    inside = ((triangles >= 0) & (triangles < (width, height))).all(axis=(1, 2))
    done, calm = image.copy(), _soft(image, 1.5)
    corners = triangles[inside]
    middles = corners.mean(axis=1, keepdims=True)
    inner = np.concatenate([(corners + middles) / 2, middles], axis=1).astype(int)
    colors = calm[inner[..., 1], inner[..., 0]].mean(axis=1)
    colors *= 1 + 0.05 * np.clip((corners[:, 0] - corners[:, 1])[:, :1] / 60, -1, 1)  # each leans its own way
    for triangle, color in zip(corners.round().astype(np.int32), colors.tolist(), strict=True):
        cv2.fillConvexPoly(done, triangle, color, cv2.LINE_AA)
    return _lively(done, 1.12)


def _sticker(image: Pixels, alpha: Pixels) -> Pixels:
    """The subjects cut out with a white edge, on a plain ground with a soft shadow."""
    size = max(image.shape) / 1000
    body = (alpha > 0.4).astype(np.uint8)
    edge = cv2.dilate(body, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (round(38 * size) | 1,) * 2)).astype(
        np.float32
    )
    edge = np.clip((_soft(edge, 3 * size) - 0.35) * 4, 0, 1)
    shade = _soft(np.roll(edge, (round(12 * size), round(5 * size)), axis=(0, 1)), 11 * size)
    hue = (image * alpha[..., None]).sum(axis=(0, 1)) / max(float(alpha.sum()), 1.0)
    pale = 0.93 - 0.42 * (hue - hue.min()) if np.ptp(hue) > 0.12 else np.array([0.99, 0.83, 0.55])  # its complement
    ground = np.broadcast_to(pale.astype(np.float32), image.shape)
    ground = ground * (1 - 0.34 * shade[..., None])
    paper = ground * (1 - edge[..., None]) + np.float32(0.995) * edge[..., None]
    mask = np.clip((alpha - 0.3) * 2.2, 0, 1)[..., None]
    line = _lines(image, 1.2 * size)[..., None] * mask * 0.35
    done: Pixels = paper * (1 - mask) + _lively(image, 1.15) * mask * (1 - line)
    return done


def _mono(image: Pixels, alpha: Pixels) -> Pixels:
    """Black and white with a strong curve and grain."""
    gray = np.clip(_gray(image), 0, 1)
    grain = np.random.default_rng(_SEED).standard_normal(gray.shape, np.float32) * 0.025
    return _tinted(
        np.clip(gray * gray * (3 - 2 * gray) * 0.7 + gray * 0.3 + grain, 0, 1), "#0c0c0e", "#f7f7f5"
    ) * _edge(image.shape, 0.5)


def _vintage(image: Pixels, alpha: Pixels) -> Pixels:
    """An old brown print with faded edges and a border."""
    toned = _tinted(np.clip(_gray(image) * 0.86 + 0.07 + 0.03 * _noise(image.shape, 3), 0, 1), "#2b1a10", "#f8e6c4")
    size = round(max(image.shape) * 0.026)
    done = toned * _edge(image.shape, 0.45) * (1 + 0.05 * _noise(image.shape, 160)[..., None])
    inner = done[size:-size, size:-size].copy()
    done[:] = np.array([0.965, 0.93, 0.85], np.float32) * _paper(image.shape, 0.03)
    done[size:-size, size:-size] = inner
    return done


_STYLES: Mapping[str, Style] = MappingProxyType(
    {
        "photo": _photo, "render3d": _solid, "illustration": _illustration, "watercolor": _watercolor, "oil": _oil,
        "sketch": _sketch, "ink": _ink, "flat": _flat, "neon": _neon, "lowpoly": _lowpoly, "sticker": _sticker,
        "mono": _mono, "vintage": _vintage,
    }
)  # fmt: skip
"""By the style's id in the vocabulary. Pixel art is drawn in its own way."""
