"""Input images decoded: upright, in RGB, and no larger than the picture that is made of them needs."""

import io

import numpy as np
from PIL import Image, ImageOps

from cavendish.domain.text import Text
from cavendish.engines.illustrator.editing.pixels import Mask, Pixels
from cavendish.ports import InputImage


class UnreadableImage(Exception):
    """An input image whose bytes cannot be decoded; `text` says so in both languages."""

    def __init__(self, number: int) -> None:
        self.text = Text(
            en=f"Input image {number} could not be decoded: the file is damaged or not a PNG, JPEG or WebP.",
            zh=f"第 {number} 张输入图片无法解码：文件已损坏，或不是 PNG、JPEG、WebP 格式。",
        )
        super().__init__(self.text.en)


def opened(source: InputImage, number: int, side: int) -> tuple[Pixels, Mask | None]:
    """The image with its longer side at most `side` pixels, and what of it is opaque when some is not.

    `number` counts from 1, for the message. Raises UnreadableImage.
    """
    try:
        image: Image.Image = Image.open(io.BytesIO(source.data))
        image.draft("RGB", (side, side))  # JPEG only: decodes an eighth, a quarter or a half where that is enough
        image.load()
        if image.mode.startswith("I"):  # 16 bits a channel, which Pillow cuts off rather than scales
            image = image.convert("I").point(lambda level: level * (1 / 257)).convert("L")
        factor = max(image.size) // (2 * side)
        if factor > 1:
            image = image.convert("RGBA" if _clear(image) else "RGB").reduce(factor)
        if max(image.size) > side:
            image = image.convert("RGBA" if _clear(image) else "RGB")
            image.thumbnail((side, side), Image.Resampling.LANCZOS)
        image = ImageOps.exif_transpose(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as broken:
        raise UnreadableImage(number) from broken
    if not _clear(image):
        return np.asarray(image.convert("RGB")), None
    whole = image.convert("RGBA")
    alpha = (np.asarray(whole.getchannel("A"), np.float32) / 255).astype(np.float32)
    paper = Image.alpha_composite(Image.new("RGBA", whole.size, "#f6f1e6"), whole)
    return np.asarray(paper.convert("RGB")), alpha if alpha.min() < 0.98 else None


def _clear(image: Image.Image) -> bool:
    return image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info
