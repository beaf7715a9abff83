"""Treatments of a whole image that can be seen at first sight: for input images, and for styles that a prompt names."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

Treatment = Callable[[Image.Image], Image.Image]


def cartoon(image: Image.Image) -> Image.Image:
    """Even areas of lively colour with soft dark contours."""
    small = image.reduce(2).filter(ImageFilter.MedianFilter(5))
    smooth = small.resize(image.size, Image.Resampling.BICUBIC)
    flat = Image.blend(smooth, ImageOps.posterize(smooth, 4), 0.6)
    lively = ImageEnhance.Contrast(ImageEnhance.Color(flat).enhance(1.4)).enhance(1.06)
    return ImageChops.multiply(lively, _contours(smooth, 2.4).convert("RGB"))


def _contours(image: Image.Image, gain: float) -> Image.Image:
    """Dark lines on white where the brightness changes, as one channel."""
    gray = image.convert("L").filter(ImageFilter.GaussianBlur(max(1.0, max(image.size) / 900)))
    near = gray.filter(ImageFilter.GaussianBlur(max(1.5, max(image.size) / 420)))
    lines = ImageChops.subtract(near, gray, scale=1.0)
    return lines.point(lambda level: 255 - min(190, int(max(0, level - 4) * gain * 6))).filter(ImageFilter.SMOOTH)


def sketch(image: Image.Image) -> Image.Image:
    """Pencil on pale paper."""
    gray = ImageOps.autocontrast(image.convert("L"), 1)
    blurred = ImageOps.invert(gray).filter(ImageFilter.GaussianBlur(max(4.0, max(image.size) / 120)))
    dodge = ImageChops.add(gray, blurred, scale=1.0)
    lines = dodge.point(lambda level: max(0, int((level - 60) * 255 / 195)))
    pencil = ImageChops.multiply(lines, gray.point(lambda level: 150 + level * 105 // 255))
    return ImageOps.colorize(pencil, "#2a2a30", "#fbf7ee")


def mono(image: Image.Image) -> Image.Image:
    """Shades of grey."""
    return ImageOps.autocontrast(image.convert("L"), 1).convert("RGB")


def ink(image: Image.Image) -> Image.Image:
    """Washes of ink in few tones, with dark contours."""
    even = ImageOps.autocontrast(image.convert("L"), 2).filter(ImageFilter.MedianFilter(7))
    gray = even.point(lambda level: round(255 * (level / 255) ** 0.55))  # ink leaves most of the paper bare
    wash = ImageOps.posterize(gray, 4).filter(ImageFilter.GaussianBlur(1.6))
    return ImageOps.colorize(ImageChops.multiply(wash, _contours(image, 3.0)), "#14161c", "#f4eede", mid="#7d8084")


def sepia(image: Image.Image) -> Image.Image:
    """An old brown print."""
    return ImageOps.colorize(ImageOps.autocontrast(image.convert("L"), 1), "#2b1a10", "#fbeccb", mid="#a9835a")


def pixels(image: Image.Image) -> Image.Image:
    """Large square pixels of few colours."""
    cell = max(4, max(image.size) // 88)
    small = image.resize((max(1, image.width // cell), max(1, image.height // cell)), Image.Resampling.BOX)
    few = ImageEnhance.Color(small).enhance(1.35).quantize(28, dither=Image.Dither.NONE).convert("RGB")
    return few.resize(image.size, Image.Resampling.NEAREST)


def oil(image: Image.Image) -> Image.Image:
    """Thick dabs of strong colour with a relief of light."""
    dabs = image.reduce(2).filter(ImageFilter.ModeFilter(5)).resize(image.size, Image.Resampling.BICUBIC)
    relief = dabs.convert("L").filter(ImageFilter.EMBOSS).point(lambda level: 128 + (level - 128) // 2)
    return ImageChops.overlay(ImageEnhance.Color(dabs).enhance(1.4), relief.convert("RGB"))


def watercolor(image: Image.Image) -> Image.Image:
    """Pale washes with soft contours."""
    soft = image.reduce(2).filter(ImageFilter.MedianFilter(5)).resize(image.size, Image.Resampling.BICUBIC)
    pale = Image.blend(ImageEnhance.Color(soft).enhance(1.35), Image.new("RGB", image.size, "#fffaf0"), 0.22)
    return ImageChops.multiply(pale, _contours(soft, 1.2).convert("RGB"))


STYLES: Mapping[str, tuple[str, Treatment]] = MappingProxyType(
    {
        "pixel": ("pixel art", pixels),
        "sketch": ("pencil sketch", sketch),
        "ink": ("ink wash", ink),
        "mono": ("black and white", mono),
        "vintage": ("sepia", sepia),
        "oil": ("oil painting", oil),
        "watercolor": ("watercolour", watercolor),
    }
)
"""By the style's id in the vocabulary: its name and how it is done."""

_SIDE = 1536


def styled(image: Image.Image, style: str | None) -> Image.Image:
    """A drawn picture in the style that the prompt names, at the same pixels; unchanged when it names none of these."""
    if style is None or style not in STYLES:
        return image
    small = image.copy()
    small.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)  # the treatments are slow, and soft by nature
    resample = Image.Resampling.NEAREST if style == "pixel" else Image.Resampling.BICUBIC
    return STYLES[style][1](small).resize(image.size, resample)
