"""Input images: recomposed to the asked ratio without distortion, with a treatment that can be seen."""

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from cavendish.domain.text import Text
from cavendish.engines.illustrator.scene import Scene
from cavendish.engines.illustrator.treatments import STYLES, Treatment, cartoon
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


def _treatment(scene: Scene) -> tuple[str, Treatment]:
    """What the words ask for; a soft illustration when they ask for nothing that is known."""
    lower = scene.text.lower()
    if any(word in lower for word in ("摇头娃娃", "bobblehead", "bobble head", "大头")):
        return "bobblehead", _bobblehead
    return STYLES.get(scene.style or "", ("illustration", cartoon))


def _bobblehead(image: Image.Image) -> Image.Image:
    """The upper middle, where a head usually is, grows over a cartoon body; its edge is softly cut out."""
    body = cartoon(image)
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
