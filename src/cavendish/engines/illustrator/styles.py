"""Styles: what makes a drawn picture a watercolour, a pencil sketch, pixel art.

`art/styles.toml` says what is done to every picture of a style; the brushes here do what is each style's own. They
know one thing that no treatment of a photograph knows: where the subjects are (`alpha`).

Everything is computed in float32 by OpenCV wherever three colours change at once: numpy is slow where one value stands
for three (`image * gray[..., None]`), so that values are laid out for each colour first (`_rgb`).
"""

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType

import cv2
import cv2.typing
import msgspec
import numpy as np
from PIL import Image, ImageFilter

from cavendish.engines.illustrator.art import table

Pixels = cv2.typing.MatLike
_SEED = 20260101
_GRAY = np.array([[0.299, 0.587, 0.114]] * 3, np.float32)
"""The matrix that makes a colour gray."""


class Look(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of `art/styles.toml`, where each field is explained."""

    wave: tuple[float, float] | None = None
    lively: float = 1.0
    tint: tuple[str, str] | None = None
    paper: float = 0.0
    grain: float = 0.0
    edge: float = 0.0
    over: str | None = None
    megapixels: float = 0.64
    cells: int = 0
    time: str | None = None
    place: str | None = None
    soft: float = 0.0
    flat: bool = False


@functools.cache
def looks() -> dict[str, Look]:
    """The styles by their id in the vocabulary. Raises msgspec.ValidationError when a row is malformed."""
    return table("styles", dict[str, Look])


class Sheet:
    """A picture to paint over. Measures are thousandths of its longer side, so that it looks the same at every size."""

    def __init__(self, image: Pixels, mask: Callable[[], Pixels]) -> None:
        """`image`: RGB 0-1; `mask` gives the subjects' mask 0-1, and is only asked by brushes that need it."""
        self.image, self._mask = image, mask
        self.tall, self.wide = image.shape[:2]
        self.unit = max(self.tall, self.wide) / 1000

    @functools.cached_property
    def alpha(self) -> Pixels:
        """Where the subjects are, 0-1."""
        return self._mask()

    @functools.cached_property
    def half(self) -> "Sheet":
        """The same with half as many pixels along each side: for what is soft."""
        few = cv2.resize(self.image, (max(2, self.wide // 2), max(2, self.tall // 2)), interpolation=cv2.INTER_AREA)
        return Sheet(few, lambda: cv2.resize(self.alpha, few.shape[1::-1], interpolation=cv2.INTER_AREA))

    @property
    def bytes_(self) -> Pixels:
        """The image as 0-255."""
        return cv2.convertScaleAbs(self.image, alpha=255)

    @property
    def gray(self) -> Pixels:
        """How light the image is, 0-1."""
        return cv2.cvtColor(self.image, cv2.COLOR_RGB2GRAY)

    @property
    def grid(self) -> tuple[Pixels, Pixels]:
        """The y of every row and the x of every column, in pixels."""
        return np.arange(self.tall, dtype=np.float32)[:, None], np.arange(self.wide, dtype=np.float32)[None]

    def fit(self, image: Pixels) -> Pixels:
        """`image` at the size of this sheet."""
        return cv2.resize(image, (self.wide, self.tall), interpolation=cv2.INTER_CUBIC)

    def soft(self, image: Pixels, radius: float) -> Pixels:
        """`image` out of focus by `radius`."""
        pixels = radius * self.unit
        if pixels < 8:
            return cv2.GaussianBlur(image, (0, 0), max(0.3, pixels))
        small = (max(2, round(image.shape[1] * 5 / pixels)), max(2, round(image.shape[0] * 5 / pixels)))
        few = cv2.GaussianBlur(cv2.resize(image, small, interpolation=cv2.INTER_AREA), (0, 0), 5)
        return cv2.resize(few, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)

    def noise(self, grain: float, *, stretch: float = 1.0) -> Pixels:
        """Smooth noise, -1 to 1, whose spots are about `grain` tall and `stretch` times as wide."""
        pixels = max(1.0, grain * self.unit)
        few = max(2, round(self.tall / pixels)), max(2, round(self.wide / pixels / stretch))
        lots = np.random.default_rng(_SEED).standard_normal(few, np.float32)
        return np.clip(self.fit(lots) / 2, -1, 1)

    def moved(self, image: Pixels, x: Pixels, y: Pixels) -> Pixels:
        """`image` with each pixel taken from so many pixels away."""
        ys, xs = self.grid
        return cv2.remap(image, xs + x, ys + y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)

    def waved(self, image: Pixels, reach: float, grain: float) -> Pixels:
        """`image` with edges that tremble by up to `reach`, as a hand's do."""
        reach *= self.unit
        return self.moved(image, self.noise(grain) * reach, self.noise(grain * 1.37) * reach)

    def lines(self, image: Pixels, width: float) -> Pixels:
        """Where contours are, 0-1: a difference of two blurs of each colour, whichever shows it best."""
        edges = cv2.split(cv2.absdiff(self.soft(image, width * 1.8), self.soft(image, width)))
        return np.asarray(np.clip((functools.reduce(cv2.max, edges) - 0.012) * 14, 0, 1))

    def volume(self, solid: Pixels, depth: float) -> tuple[Pixels, Pixels]:
        """Light and shine, as if `solid` (0-1) were a body: its mask and its colours read as heights."""
        few = self.half
        body = few.fit(solid)
        round_ = sum((few.soft(body, radius) for radius in (4, 10, 24, 48)), np.zeros_like(body))
        height = few.soft(round_ * body + 0.35 * few.soft(few.gray, 5) * body, 3.2)
        dy, dx = np.gradient(height * np.float32(60 * few.unit * depth))
        length = np.sqrt(dx * dx + dy * dy + 1)
        light = np.clip((dx * 0.5 + dy * 0.62 + 0.6) / length / 0.6, 0.35, 1.5)
        shine = np.clip((dx * 0.32 + dy * 0.46 + 0.83) / length, 0, 1) ** 40
        return 1 + (self.fit(light) - 1) * solid, self.fit(shine) * solid

    def paper(self, strength: float) -> Pixels:
        """The tooth of paper as a factor around 1."""
        return 1 + strength * (self.noise(2.75) * 0.7 + self.noise(6.9) * 0.5)

    def edge(self, strength: float) -> Pixels:
        """A darker edge as a factor."""
        ys, xs = self.grid
        away = (ys / self.tall * 2 - 1) ** 2 + (xs / self.wide * 2 - 1) ** 2
        return np.asarray(1 - strength * 0.5 * np.clip(away - 0.55, 0, 2))


def painted_over(style: str, image: Pixels, mask: Callable[[], Pixels]) -> Pixels:
    """`image` (RGB, 0-255) in `style`; `mask` gives the subjects' mask (0-255) at any size when it is asked for."""
    look = looks()[style]
    sheet = Sheet(image.astype(np.float32) / 255, lambda: sheet.fit(mask().astype(np.float32) / 255))
    if look.wave:
        sheet.image = sheet.waved(sheet.image, *look.wave)
    if look.lively != 1.0:
        sheet.image = _lively(sheet.image, look.lively)
    done = _BRUSHES[style](sheet)
    if look.tint:
        done = _tinted(np.clip(done, 0, 1), *look.tint)
    if look.grain:
        lots = np.random.default_rng(_SEED).standard_normal(done.shape[:2], np.float32)
        done = done + _rgb(lots * np.float32(look.grain))
    if look.paper or look.edge:
        done = done * _rgb(sheet.paper(look.paper) * sheet.edge(look.edge))
    return (np.clip(done, 0, 1) * 255).astype(np.uint8)


def _rgb(gray: Pixels) -> Pixels:
    return cv2.cvtColor(gray.astype(np.float32), cv2.COLOR_GRAY2RGB)


def _color(code: str) -> Pixels:
    return np.array([int(code[at : at + 2], 16) / 255 for at in (1, 3, 5)], np.float32)


def _tinted(gray: Pixels, dark: str, light: str) -> Pixels:
    return cv2.transform(gray, np.stack([_color(light) - _color(dark), _color(dark)], axis=1))


def _lively(image: Pixels, factor: float) -> Pixels:
    return cv2.transform(image, _GRAY * (1 - factor) + np.eye(3, dtype=np.float32) * factor)


def _photo(sheet: Sheet) -> Pixels:
    """A photograph's light: volume, bloom and a gentle curve, warm where it is light and cool where it is dark."""
    light, shine = sheet.volume(sheet.alpha, 0.55)
    lit = sheet.image * _rgb(light) + _rgb(shine * 0.16)
    lit += sheet.soft(np.clip(lit - 0.72, 0, 1), 22) * 0.6
    over = np.maximum(lit - 0.78, 0)  # highlights roll off: a white shoe keeps its folds
    lit = np.clip(np.minimum(lit, 0.78) + over / (1 + 4 * over), 0, 1)
    toned = lit * 0.5 + lit * lit * (1.5 - lit)
    return cv2.transform(toned, np.array([[1.02, 0, 0, 0], [0, 1, 0, 0.008], [0, 0, 0.96, 0.022]], np.float32))


def _solid(sheet: Sheet) -> Pixels:
    """A 3D rendering: smooth plastic bodies with shine and soft occlusion around them."""
    smooth = cv2.bilateralFilter(sheet.bytes_, 5, 23, 4).astype(np.float32) / 255
    light, shine = sheet.volume(sheet.alpha, 1.0)
    near = sheet.soft(np.roll(sheet.alpha, round(10 * sheet.unit), axis=0), 22)
    shade = 1 - 0.34 * np.clip(near - sheet.alpha, 0, 1)
    whole, gleam = sheet.volume(np.ones_like(sheet.alpha), 0.8)
    ground = smooth * _rgb((0.45 + 0.55 * whole) * shade) + _rgb(gleam * 0.03)
    body = _lively(smooth, 1.12) * _rgb(light) + _rgb(shine * 0.5)
    return np.clip(ground + (body - ground) * _rgb(sheet.alpha), 0, 1)


def _illustration(sheet: Sheet) -> Pixels:
    """A storybook's page: ink around the subjects, dry brush on paper."""
    line = 0.85 * sheet.lines(sheet.image, 1.1) * (0.3 + 0.7 * sheet.soft(sheet.alpha, 2.5))
    brush = 1 + 0.07 * sheet.noise(3, stretch=9) + 0.05 * sheet.noise(40)
    return sheet.image * _rgb(brush * (1 - line)) + cv2.transform(line, _color("#291a1f")[:, None])


def _watercolor(sheet: Sheet) -> Pixels:
    """Washes that pool at their edges, on white paper that shows through and stays bare around them."""
    wash = cv2.bilateralFilter(cv2.medianBlur(sheet.bytes_, 5), 5, 30, 4).astype(np.float32) / 255
    rim = np.clip(cv2.cvtColor(cv2.absdiff(sheet.soft(wash, 3.5), wash), cv2.COLOR_RGB2GRAY) * 3.2, 0, 0.4)
    wet = (0.78 + 0.32 * sheet.noise(70) + 0.1 * sheet.noise(9)) * (1 + rim * 1.6)
    ys, xs = sheet.grid
    border = np.minimum(np.minimum(ys, sheet.tall - ys), np.minimum(xs, sheet.wide - xs)) / np.float32(55 * sheet.unit)
    inside = np.clip((border + sheet.noise(60) * 0.9 + sheet.noise(17) * 0.35 - 0.5) * 3, 0, 1)
    shown = inside * 0.92 + np.clip(inside * (1 - inside) * 1.2, 0, 0.3)
    pigment = np.clip((1 - wash) * _rgb(wet), 0, 0.95) * _rgb(shown)
    return cv2.transform(1 - pigment, np.diag([0.992, 0.978, 0.945]).astype(np.float32))


def _oil(sheet: Sheet) -> Pixels:
    """Strokes that follow the forms, thick enough to catch the light."""
    few = sheet.half
    gray = few.soft(few.gray, 6)
    angle = np.arctan2(cv2.Sobel(gray, cv2.CV_32F, 0, 1), cv2.Sobel(gray, cv2.CV_32F, 1, 0)) + np.pi / 2
    angle = (angle + few.noise(90) * 1.5).astype(np.float32)
    along, across = (cv2.resize(way(angle), (sheet.wide, sheet.tall)) for way in (np.cos, np.sin))
    # What is drawn out along a direction becomes a stroke: a mean over the pixels that lie that way.
    bristles = (sheet.noise(2.6) * 127 + 128).astype(np.uint8)
    both = np.dstack([cv2.medianBlur(sheet.bytes_, 5), bristles])  # 5: the largest that is fast
    drawn = both.astype(np.float32)
    steps = [np.float32(step * sheet.unit) for step in (-10, -6, -3, 3, 6, 10)]
    for step in steps:
        cv2.accumulate(sheet.moved(both, along * step, across * step), drawn)
    drawn /= np.float32(255 * (len(steps) + 1))
    relief = drawn[..., 3] * 2 - 1
    slope = relief - np.roll(relief, (1, 1), axis=(0, 1))
    return cv2.cvtColor(drawn, cv2.COLOR_RGBA2RGB) * _rgb(1 + relief * 0.2) + _rgb(slope * 0.5)


def _sketch(sheet: Sheet) -> Pixels:
    """Pencil: contours, and hatching that crosses where it is darker."""
    gray = np.clip(sheet.waved(sheet.gray, 1.5, 30), 0, 1)
    tone = np.clip((gray - gray.min()) / max(float(np.ptp(gray)), 0.2), 0, 1) ** np.float32(0.8)
    tone = np.where(sheet.alpha > 0.5, tone, 0.35 + 0.65 * tone)
    ys, xs = (side / np.float32(sheet.unit) for side in sheet.grid)
    tremble, tooth = sheet.noise(40) * 5, 0.75 + 0.5 * sheet.noise(3)
    hatched = np.zeros_like(tone)
    for turn, level in ((0.8, 0.88), (2.3, 0.62), (0.15, 0.36), (1.5, 0.2)):
        wave = np.sin((xs * np.float32(np.cos(turn)) + ys * np.float32(np.sin(turn)) + tremble) * np.float32(1.05))
        hatched += np.clip((level - tone) * 2.2, 0, 0.5) * (wave * 0.5 + 0.5)
    line = np.clip(sheet.lines(sheet.image, 1.0) * 1.3 + sheet.lines(sheet.image, 2.2) * 0.8, 0, 1)
    return np.asarray(np.clip(1 - hatched * tooth, 0.12, 1) * (1 - 0.85 * line * (0.72 + 0.28 * sheet.noise(6))))


def _ink(sheet: Sheet) -> Pixels:
    """Ink on rice paper: few wet tones, much bare paper, and a dark brush for what matters."""
    gray = sheet.waved(sheet.gray, 8, 34)
    dark, light = np.percentile(gray[::4, ::4], (4, 96))
    level = sheet.soft(np.clip((gray - dark) / max(float(light - dark), 0.2), 0, 1).astype(np.float32), 2.2)
    bare = np.clip(0.62 + 0.46 * level + 0.1 * sheet.noise(90), 0, 1) ** np.float32(0.6)
    body = sheet.soft(np.round(level ** np.float32(0.75) * 4) / 4, 1.6)
    wash = np.where(sheet.soft(sheet.alpha, 2) > 0.5, body, bare)
    mist = np.clip((sheet.grid[0] / sheet.tall - 0.86) * 5, 0, 0.7)
    wash = wash + (1 - wash) * mist * (1 - sheet.alpha)
    brush = sheet.lines(sheet.waved(sheet.image, 3, 20), 2) * np.clip(0.7 + 0.6 * sheet.noise(8, stretch=3), 0, 1)
    return np.asarray(np.clip(wash * (1 - brush * (0.35 + 0.55 * sheet.alpha)), 0.03, 1))


def _flat(sheet: Sheet) -> Pixels:
    """Even areas of few clear colours."""
    fine = np.diag([1 / 12, 9, 8]).astype(np.float32)
    steps = np.round(cv2.transform(cv2.cvtColor(np.clip(sheet.image, 0, 1), cv2.COLOR_RGB2HSV), fine))
    even = cv2.cvtColor(cv2.transform(steps, np.linalg.inv(fine)), cv2.COLOR_HSV2RGB)
    return cv2.medianBlur(cv2.convertScaleAbs(even, alpha=255), 3).astype(np.float32) / 255


def _neon(sheet: Sheet) -> Pixels:
    """Cyberpunk: everything dark in violet and cyan, contours that glow, scan lines."""
    graded = _tinted(np.clip(sheet.gray * 1.1, 0, 1), "#0b0620", "#b7a6ff") * 0.34 + _lively(sheet.image, 1.7) * 0.425
    line = np.clip(sheet.lines(sheet.image, 1.5) * (0.3 + 0.9 * sheet.alpha), 0, 1)
    down = _rgb(sheet.grid[0] / sheet.tall + np.zeros_like(sheet.alpha))
    hues = [cv2.transform(down, np.hstack([np.diag(_color(low) - _color(top)), _color(top)[:, None]]))
            for top, low in (("#ff26ff", "#40e6ff"), ("#ff40d9", "#1af2ff"))]  # fmt: skip
    glow = _rgb(line) * (hues[0] + (hues[1] - hues[0]) * _rgb(sheet.alpha))
    halo = sheet.soft(glow, 7) * 1.7 + sheet.soft(glow, 26) * 1.6
    bright = sheet.soft(np.clip(sheet.image - 0.75, 0, 1) * 0.64, 14)
    scan = 1 - 0.07 * (sheet.grid[0] // max(1, round(2 * sheet.unit)) % 2)
    return np.asarray(np.clip(graded + halo + glow * 1.1 + bright, 0, 1) * scan[..., None])


def _lowpoly(sheet: Sheet) -> Pixels:
    """Triangles between points that gather where something changes, each of one colour."""
    tall, wide, alpha = sheet.tall, sheet.wide, sheet.alpha
    lots = np.random.default_rng(_SEED)
    # On a grid of every third pixel, more likely where contours are.
    interest = sheet.lines(sheet.image, 2) * (0.35 + 0.65 * sheet.soft(alpha, 6)) + 0.008 + 0.02 * alpha
    interest = interest[1::3, 1::3].ravel()
    chosen = np.argsort(-interest / lots.exponential(size=interest.size))[:2600]
    ys, xs = (np.stack(np.divmod(chosen, len(range(1, wide, 3)))) * 3 + 1).clip(0, [[tall - 1], [wide - 1]])
    rim = [(x, y) for x in np.linspace(0, wide - 1, 14) for y in (0, tall - 1)]
    rim += [(x, y) for y in np.linspace(0, tall - 1, 14) for x in (0, wide - 1)]
    division = cv2.Subdiv2D((0, 0, wide, tall))
    division.insert([(float(x), float(y)) for x, y in [*zip(xs, ys, strict=True), *rim]])
    triangles = np.asarray(division.getTriangleList()).reshape(-1, 3, 2)
    corners = triangles[((triangles >= 0) & (triangles < (wide, tall))).all(axis=(1, 2))]
    done, calm = sheet.image.copy(), sheet.soft(sheet.image, 1.9)
    middles = corners.mean(axis=1, keepdims=True)
    inner = np.concatenate([(corners + middles) / 2, middles], axis=1).astype(int)
    colors = calm[inner[..., 1], inner[..., 0]].mean(axis=1)
    colors *= 1 + 0.05 * np.clip((corners[:, 0] - corners[:, 1])[:, :1] / 60, -1, 1)  # each leans its own way
    for triangle, color in zip(corners.round().astype(np.int32), colors.tolist(), strict=True):
        cv2.fillConvexPoly(done, triangle, color, cv2.LINE_AA)
    return done


def _sticker(sheet: Sheet) -> Pixels:
    """The subjects cut out with a white edge, on a plain ground with a soft shadow."""
    image, alpha, unit = sheet.image, sheet.alpha, sheet.unit
    away = cv2.distanceTransform((alpha < 0.4).astype(np.uint8), cv2.DIST_L2, 5)
    edge = np.clip((20 * unit - away) / max(1.0, 2 * unit), 0, 1)
    shade = sheet.soft(np.roll(edge, (round(12 * unit), round(5 * unit)), axis=(0, 1)), 11)
    hue = np.array(cv2.mean(image, (alpha > 0.5).astype(np.uint8))[:3], np.float32)
    pale = 0.93 - 0.42 * (hue - hue.min()) if np.ptp(hue) > 0.12 else _color("#fcd48c")  # its complement
    ground = cv2.transform(1 - 0.34 * shade, pale.astype(np.float32)[:, None])
    mask = np.clip((alpha - 0.3) * 2.2, 0, 1)
    line = sheet.lines(image, 1.2) * mask * 0.35
    paper = ground + (0.995 - ground) * _rgb(edge)
    return np.asarray(paper + (_lively(image, 1.15) * _rgb(1 - line) - paper) * _rgb(mask))


def _pixel(sheet: Sheet) -> Pixels:
    """A square of 3 x 3 pixels to one of few colours, with a dark one around whoever stands in front."""
    small = (sheet.wide // 3, sheet.tall // 3)
    image = Image.fromarray(sheet.bytes_).resize(small, Image.Resampling.BOX)
    few = image.quantize(64, kmeans=1, dither=Image.Dither.NONE).convert("RGB")
    mask = Image.fromarray((sheet.alpha * 255).astype(np.uint8)).resize(small, Image.Resampling.BOX)
    body = mask.point(lambda level: 255 if level > 110 else 0)
    rim = np.asarray(body.filter(ImageFilter.MaxFilter(3)), np.int16) - np.asarray(body, np.int16)
    few.paste("#241c2e", (0, 0), Image.fromarray((rim > 0).astype(np.uint8) * 170))
    return np.asarray(few, np.float32) / 255


def _mono(sheet: Sheet) -> Pixels:
    """Black and white with a strong curve."""
    gray = np.clip(sheet.gray, 0, 1)
    return gray * gray * (3 - 2 * gray) * 0.7 + gray * 0.3


def _vintage(sheet: Sheet) -> Pixels:
    """An old brown print: pale, grainy, blotched."""
    return np.asarray((sheet.gray * 0.86 + 0.07 + 0.03 * sheet.noise(3.5)) * (1 + 0.05 * sheet.noise(190)))


_BRUSHES: Mapping[str, Callable[[Sheet], Pixels]] = MappingProxyType(
    {
        "photo": _photo, "render3d": _solid, "illustration": _illustration, "watercolor": _watercolor, "oil": _oil,
        "sketch": _sketch, "ink": _ink, "flat": _flat, "neon": _neon, "lowpoly": _lowpoly, "sticker": _sticker,
        "mono": _mono, "vintage": _vintage, "pixel": _pixel,
    }
)  # fmt: skip
"""RGB 0-1, or gray 0-1 where the look has a tint, by the style's id in the vocabulary."""
