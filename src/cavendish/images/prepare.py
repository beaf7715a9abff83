"""Input images as an engine needs them: upright, of a format and a size that its upstream takes.

What already fits is passed on byte for byte. Only what does not is decoded and written anew.
"""

from io import BytesIO

from PIL import Image

from cavendish.domain.errors import BadImage
from cavendish.domain.text import Text
from cavendish.images.decode import opened, orientation
from cavendish.images.probe import probe
from cavendish.images.transcode import PNG_COMPRESS_LEVEL, TURNS, colour_profile, plain
from cavendish.ports import ImageFormat, ImageInfo, InputImage

JPEG_QUALITY = 95
SHRUNK_QUALITY = 90
_MOST_SHRINKS = 8
_SHRINK_MARGIN = 0.92
"""Of the side that the sizes ask for: bytes do not go down as fast as pixels do."""
_SMALLEST_SIDE = 64


def upright(data: bytes) -> tuple[bytes, ImageInfo]:
    """`data` itself when it is a whole image that stands upright, else the picture turned as its EXIF says.

    A picture that is turned keeps its format and colour profile and loses other metadata, where it was taken included.

    Raises:
        BadImage: see `probe`.
    """
    info = probe(data)
    with opened(data) as (image, _):
        turn = TURNS.get(orientation(image))
        if turn is None:
            return data, info
        image.load()
        profile = colour_profile(image)
        turned = plain(image).transpose(turn)
        written = _encoded(turned, info.format, profile, JPEG_QUALITY)
    return written, ImageInfo(info.format, turned.width, turned.height)


def fitted(image: InputImage, formats: frozenset[ImageFormat], max_bytes: int) -> InputImage:
    """`image` itself when it is of `formats` and at most `max_bytes`; else converted, and shrunk if it must be.

    An image that is too long becomes a JPEG of the same pixels first, unless it has transparency; only if that is not
    enough it loses pixels.

    Raises:
        BadImage: it cannot be decoded, or made small enough.
    """
    # No limit here: the one of MAX_BYTES is for what the caller sent, and turning that upright may have made it longer.
    if image.format in formats and len(image.data) <= max_bytes:
        return image
    with opened(image.data) as (source, _):
        turn = TURNS.get(orientation(source))
        source.load()
        profile = colour_profile(source)
        picture = plain(source)
        if turn is not None:
            picture = picture.transpose(turn)
        see_through = picture.mode in {"LA", "RGBA"}
        kind: ImageFormat = "png" if see_through or "jpeg" not in formats else "jpeg"
        for _ in range(_MOST_SHRINKS):
            written = _encoded(picture, kind, profile, SHRUNK_QUALITY)
            if len(written) <= max_bytes:
                return InputImage(written, kind, picture.width, picture.height)
            scale = (max_bytes / len(written)) ** 0.5 * _SHRINK_MARGIN
            width, height = round(picture.width * scale), round(picture.height * scale)
            if min(width, height) < _SMALLEST_SIDE:
                break
            picture = picture.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)
    raise BadImage(
        Text(
            en="The image cannot be made small enough for the picture service; send a smaller one",
            zh="无法将图片缩小到图片服务允许的大小；请发送更小的图片",
        )
    )


def _encoded(picture: Image.Image, kind: ImageFormat, profile: bytes | None, quality: int) -> bytes:
    out = BytesIO()
    match kind:
        case "jpeg":
            picture.save(out, "JPEG", quality=quality, subsampling=0, icc_profile=profile)
        case "png":
            picture.save(out, "PNG", compress_level=PNG_COMPRESS_LEVEL, icc_profile=profile)
        case "webp":
            picture.save(out, "WEBP", quality=quality, method=2, icc_profile=profile or b"")
    return out.getvalue()
