"""How large an image may be, and the sentences for the one that is not taken."""

from math import ceil

from cavendish.domain.errors import BadImage
from cavendish.domain.files import MAX_IMAGE_BYTES
from cavendish.domain.text import Text

MAX_BYTES = MAX_IMAGE_BYTES
"""The longest encoded input image, in bytes."""

MAX_ENGINE_BYTES = 128 * 1024 * 1024
"""The longest encoded picture that an engine may give, in bytes: a 4096 x 4096 PNG of a photograph is above 30 MB."""

MAX_PIXELS = 50_000_000
"""The most pixels of any image, in or out: the largest picture that an engine is asked for has 17.2 million
(4800 x 3584), and four bytes for each of 50 million are 200 MB while it is decoded."""

MAX_PROFILE_BYTES = 1024 * 1024
"""The longest colour profile that is carried over to another format; camera and display profiles have a few KB."""


def check_bytes(data: bytes, max_bytes: int = MAX_BYTES) -> None:
    """Raises BadImage when `data` is empty or longer than `max_bytes`."""
    if not data:
        raise BadImage(Text(en="The image is empty (0 bytes)", zh="图片为空（0 字节）"))
    if len(data) > max_bytes:
        size, most = _megabytes(len(data)), _megabytes(max_bytes)
        raise BadImage(
            Text(
                en=f"The image has {size} MB; at most {most} MB are taken. Send a smaller or more compressed one",
                zh=f"图片大小为 {size} MB，最大允许 {most} MB。请缩小或压缩后重新发送",
            )
        )


def check_pixels(width: int, height: int) -> None:
    """Raises BadImage when a picture of `width` x `height` has no pixels, or more than MAX_PIXELS."""
    if width < 1 or height < 1:
        raise damaged()
    if width * height > MAX_PIXELS:
        most = MAX_PIXELS // 1_000_000
        raise BadImage(
            Text(
                en=f"The image has {width} x {height} pixels; at most {most} megapixels are taken. Scale it down",
                zh=f"图片为 {width} x {height} 像素，最大允许 {most} 百万像素。请缩小尺寸后重新发送",
            )
        )


def unknown_format() -> BadImage:
    """The bytes are of no format that we take."""
    return BadImage(
        Text(
            en="The data is not a PNG, JPEG or WebP image; convert it to one of these",
            zh="数据不是 PNG、JPEG 或 WebP 图片，请转换为其中一种格式",
        )
    )


def animated() -> BadImage:
    """The bytes hold more than one picture."""
    return BadImage(
        Text(
            en="The image is animated; send a still image, for example one of its frames",
            zh="图片是动图，请发送静态图片，例如其中的一帧",
        )
    )


def damaged() -> BadImage:
    """The format is one that we take, but the picture cannot be read to its end."""
    return BadImage(
        Text(
            en="The image is damaged or incomplete and cannot be decoded; send the whole, intact file",
            zh="图片已损坏或不完整，无法解码，请发送完整无损的文件",
        )
    )


def _megabytes(count: int) -> str:
    # Rounded up: one byte too many must not read "30 MB; at most 30 MB".
    return f"{ceil(count * 10 / (1024 * 1024)) / 10:.1f}".removesuffix(".0")
