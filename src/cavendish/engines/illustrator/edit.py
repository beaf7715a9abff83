"""Input images: recomposed to the asked ratio without distortion, with a treatment that can be seen."""

import io
from collections.abc import Callable, Sequence

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from cavendish.domain.text import Text
from cavendish.engines.illustrator.scene import Scene
from cavendish.ports import InputImage

_MAX_SIDE = 2048
"""Pixels at which an input image is treated; a larger picture gets it enlarged."""


class UnreadableImage(Exception):
    """An input image whose bytes cannot be decoded; `text` says so in both languages."""

    def __init__(self, number: int) -> None:
        self.text = Text(
            en=f"Input image {number} could not be decoded: the file is damaged or not a PNG, JPEG or WebP.",
            zh=f"第 {number} 张输入图片无法解码：文件已损坏，或不是 PNG、JPEG、WebP 格式。",
        )
        super().__init__(self.text.en)


def recompose(images: Sequence[InputImage], scene: Scene, pixels: tuple[int, int]) -> tuple[Image.Image, str]:
    """The first image fitted to `pixels` with a treatment, the others as prints beside it; and the treatment's name.

    Raises UnreadableImage.
    """
    # Prints beside the first are small, so they are made small before they are treated.
    opened = [
        _opened(image.data, number, max(pixels) if number == 1 else max(pixels) // 3)
        for number, image in enumerate(images, 1)
    ]
    name, treat = _treatment(scene)
    if len(opened) > 1:
        return _collage([treat(image) for image in opened], pixels), f"{name}, collage"
    return _framed(treat(opened[0]), pixels), name


def _opened(data: bytes, number: int, side: int) -> Image.Image:
    try:
        image: Image.Image = Image.open(io.BytesIO(data))
        image.draft("RGB", (side, side))
        image.load()
        image = ImageOps.exif_transpose(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as broken:
        raise UnreadableImage(number) from broken
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        clear = image.convert("RGBA")
        paper = Image.new("RGBA", clear.size, "#f6f1e6")
        image = Image.alpha_composite(paper, clear)
    image = image.convert("RGB")
    image.thumbnail((max(64, min(_MAX_SIDE, side)),) * 2, Image.Resampling.LANCZOS)
    return image


def _treatment(scene: Scene) -> tuple[str, Callable[[Image.Image], Image.Image]]:
    """What the words ask for; a soft illustration when they ask for nothing that is known."""
    lower = scene.text.lower()
    if any(word in lower for word in ("摇头娃娃", "bobblehead", "bobble head", "大头")):
        return "bobblehead", _bobblehead
    named: dict[str, tuple[str, Callable[[Image.Image], Image.Image]]] = {
        "pixel": ("pixel art", _pixels),
        "sketch": ("pencil sketch", _sketch),
        "ink": ("ink wash", _ink),
        "mono": ("black and white", _mono),
        "vintage": ("sepia", _sepia),
        "oil": ("oil painting", _oil),
        "watercolor": ("watercolour", _watercolor),
    }
    return named.get(scene.style or "", ("illustration", _cartoon))


def _cartoon(image: Image.Image) -> Image.Image:
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


def _sketch(image: Image.Image) -> Image.Image:
    gray = ImageOps.autocontrast(image.convert("L"), 1)
    blurred = ImageOps.invert(gray).filter(ImageFilter.GaussianBlur(max(4.0, max(image.size) / 120)))
    dodge = ImageChops.add(gray, blurred, scale=1.0)
    lines = dodge.point(lambda level: max(0, int((level - 60) * 255 / 195)))
    pencil = ImageChops.multiply(lines, gray.point(lambda level: 150 + level * 105 // 255))
    return ImageOps.colorize(pencil, "#2a2a30", "#fbf7ee")


def _mono(image: Image.Image) -> Image.Image:
    return ImageOps.autocontrast(image.convert("L"), 1).convert("RGB")


def _ink(image: Image.Image) -> Image.Image:
    gray = ImageOps.autocontrast(image.convert("L"), 2).filter(ImageFilter.MedianFilter(7))
    wash = ImageOps.posterize(gray, 3).filter(ImageFilter.GaussianBlur(1.6))
    return ImageOps.colorize(ImageChops.multiply(wash, _contours(image, 3.0)), "#14161c", "#f4eede", mid="#7d8084")


def _sepia(image: Image.Image) -> Image.Image:
    return ImageOps.colorize(ImageOps.autocontrast(image.convert("L"), 1), "#2b1a10", "#fbeccb", mid="#a9835a")


def _pixels(image: Image.Image) -> Image.Image:
    cell = max(4, max(image.size) // 88)
    small = image.resize((max(1, image.width // cell), max(1, image.height // cell)), Image.Resampling.BOX)
    few = ImageEnhance.Color(small).enhance(1.35).quantize(28, dither=Image.Dither.NONE).convert("RGB")
    return few.resize(image.size, Image.Resampling.NEAREST)


def _oil(image: Image.Image) -> Image.Image:
    dabs = image.reduce(2).filter(ImageFilter.ModeFilter(5)).resize(image.size, Image.Resampling.BICUBIC)
    relief = dabs.convert("L").filter(ImageFilter.EMBOSS).point(lambda level: 128 + (level - 128) // 2)
    return ImageChops.overlay(ImageEnhance.Color(dabs).enhance(1.4), relief.convert("RGB"))


def _watercolor(image: Image.Image) -> Image.Image:
    soft = image.reduce(2).filter(ImageFilter.MedianFilter(5)).resize(image.size, Image.Resampling.BICUBIC)
    pale = Image.blend(ImageEnhance.Color(soft).enhance(1.35), Image.new("RGB", image.size, "#fffaf0"), 0.22)
    return ImageChops.multiply(pale, _contours(soft, 1.2).convert("RGB"))


def _bobblehead(image: Image.Image) -> Image.Image:
    """The upper middle, where a head usually is, grows over a cartoon body; its edge is softly cut out."""
    body = _cartoon(image)
    width, height = image.size
    box = (round(width * 0.24), round(height * 0.04), round(width * 0.76), round(height * 0.56))
    head = image.crop(box)
    grown = head.resize((round(head.width * 1.3), round(head.height * 1.3)), Image.Resampling.LANCZOS)
    mask = Image.new("L", grown.size, 0)
    wide, tall = grown.size
    ImageDraw.Draw(mask).ellipse((wide * 0.07, tall * 0.05, wide * 0.93, tall * 0.95), fill=255)
    mask = mask.filter(ImageFilter.GaussianBlur(max(2.0, grown.width / 40)))
    at = ((box[0] + box[2] - grown.width) // 2, max(0, (box[1] + box[3] - grown.height) // 2 - round(height * 0.02)))
    body.paste(grown, at, mask)
    return body


def _framed(image: Image.Image, pixels: tuple[int, int]) -> Image.Image:
    """The image whole over a blurred cover of itself, as a print with a paper edge; nearly fitting ones fill."""
    width, height = pixels
    ratio = (image.width / image.height) / (width / height)
    if 0.9 < ratio < 1.11:
        return ImageOps.fit(image, pixels, Image.Resampling.LANCZOS)
    canvas = _cover(image, pixels)
    margin = round(min(pixels) * 0.045)
    print_ = ImageOps.contain(image, (width - 2 * margin, height - 2 * margin), Image.Resampling.LANCZOS)
    _lay(canvas, print_, (width // 2, height // 2), 0.0, round(min(pixels) * 0.014))
    return canvas


def _cover(image: Image.Image, pixels: tuple[int, int]) -> Image.Image:
    small = (max(2, pixels[0] // 16), max(2, pixels[1] // 16))
    cover = ImageOps.fit(image, small, Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(max(small) / 26))
    return ImageEnhance.Brightness(cover.resize(pixels, Image.Resampling.BICUBIC)).enhance(0.8)


def _lay(canvas: Image.Image, image: Image.Image, at: tuple[int, int], turn: float, edge: int) -> None:
    """A print with a white edge and a soft shadow, centred on `at`, turned by `turn` degrees."""
    print_ = ImageOps.expand(image, edge, "#fbf8f0") if edge else image
    mask = Image.new("L", print_.size, 255)
    if turn:
        print_ = print_.rotate(turn, Image.Resampling.BICUBIC, expand=True)
        mask = mask.rotate(turn, Image.Resampling.BICUBIC, expand=True)
    left, top = at[0] - print_.width // 2, at[1] - print_.height // 2
    blur = max(4, min(canvas.size) // 70)
    pad = blur * 3
    small = Image.new("L", ((mask.width + 2 * pad) // 4 + 1, (mask.height + 2 * pad) // 4 + 1), 0)
    quarter = mask.resize((max(1, mask.width // 4), max(1, mask.height // 4)))
    small.paste(quarter.point(lambda alpha: alpha * 120 // 255), (pad // 4, pad // 4))
    shadow = small.filter(ImageFilter.GaussianBlur(blur / 4)).resize((mask.width + 2 * pad, mask.height + 2 * pad))
    canvas.paste("#0c0a14", (left - pad + blur // 3, top - pad + blur), shadow)
    canvas.paste(print_, (left, top), mask)


def _collage(images: list[Image.Image], pixels: tuple[int, int]) -> Image.Image:
    """Prints laid out on a blurred cover of the first, the first one largest."""
    canvas = _cover(images[0], pixels)
    width, height = pixels
    across = width >= height
    main = (round(width * 0.6), round(height * 0.86)) if across else (round(width * 0.86), round(height * 0.58))
    edge = round(min(pixels) * 0.012)
    rest = images[1:]
    columns = 1 if len(rest) <= 3 else 2
    lines = -(-len(rest) // columns)
    for number, image in enumerate(rest):
        line, column = divmod(number, columns)
        if across:
            room = (width * 0.34 / columns, height * 0.9 / lines)
            at = (width * 0.64 + room[0] * (column + 0.5), height * 0.05 + room[1] * (line + 0.5))
        else:
            room = (width * 0.92 / lines, height * 0.34 / columns)
            at = (width * 0.04 + room[0] * (line + 0.5), height * 0.64 + room[1] * (column + 0.5))
        most = (max(8, round(room[0] * 0.9)), max(8, round(room[1] * 0.88)))
        small = ImageOps.contain(image, most, Image.Resampling.LANCZOS)
        _lay(canvas, small, (round(at[0]), round(at[1])), (-3, 2.4, -1.6, 3)[number % 4], edge)
    first = ImageOps.contain(images[0], main, Image.Resampling.LANCZOS)
    centre = (round(width * 0.33), height // 2) if across else (width // 2, round(height * 0.34))
    _lay(canvas, first, centre, -1.2, edge)
    return canvas
