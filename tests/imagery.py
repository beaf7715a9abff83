"""Small pictures for tests, made with Pillow."""

import struct
import zlib
from io import BytesIO
from typing import Any

from PIL import Image, ImageCms

SRGB_PROFILE: bytes = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def picture(width: int = 64, height: int = 48, mode: str = "RGB") -> Image.Image:
    """A picture with a gradient in each direction, so that every row and column differs."""
    across = Image.linear_gradient("L").rotate(90).resize((width, height))
    down = Image.linear_gradient("L").resize((width, height))
    color = Image.merge("RGB", (across, down, Image.new("L", (width, height), 128)))
    if mode == "RGBA":
        color.putalpha(across)
        return color
    if mode == "LA":
        return Image.merge("LA", (down, across))
    if mode == "I;16":  # Pillow would put 0 to 255 into the 16 bits
        return color.convert("L").convert("I").point(lambda value: value * 257).convert("I;16")
    return color.convert(mode)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """`image` as bytes of `kind` (`png`, `jpeg`, `webp`, `gif`, ...)."""
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png(width: int = 64, height: int = 48, mode: str = "RGB", **options: Any) -> bytes:
    """A PNG."""
    return encoded(picture(width, height, mode), "png", **options)


def jpeg(width: int = 64, height: int = 48, mode: str = "RGB", **options: Any) -> bytes:
    """A JPEG."""
    return encoded(picture(width, height, mode), "jpeg", **options)


def webp(width: int = 64, height: int = 48, mode: str = "RGB", **options: Any) -> bytes:
    """A WebP."""
    return encoded(picture(width, height, mode), "webp", **options)


def animation(kind: str) -> bytes:
    """Two different frames as `webp` or `png`."""
    first, second = picture(), picture().transpose(Image.Transpose.ROTATE_180)
    return encoded(first, kind, save_all=True, append_images=[second], duration=100)


def exif_orientation(value: int) -> bytes:
    """An EXIF block that says how the picture is turned (1 to 8)."""
    exif = Image.Exif()
    exif[0x0112] = value
    return exif.tobytes()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """One PNG chunk with its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def hollow_png(width: int, height: int, *chunks: bytes) -> bytes:
    """A PNG that claims `width` x `height` pixels and has a few zeros for them."""
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + pixels + png_chunk(b"IEND", b"")


def decoded(data: bytes) -> Image.Image:
    """The picture in `data`, pixels loaded."""
    image = Image.open(BytesIO(data))
    image.load()
    return image
