"""Opens image bytes with Pillow such that nothing but BadImage comes out of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

from PIL import Image

from cavendish.domain.errors import BadImage
from cavendish.images.header import Header, read_header
from cavendish.images.limits import animated, damaged
from cavendish.ports import ImageInfo

_ORIENTATION = 0x0112
_UPRIGHT = 1
_MAX_EXIF_BYTES = 1024 * 1024


@contextmanager
def opened(data: bytes) -> Iterator[tuple[Image.Image, ImageInfo]]:
    """The still image in `data`, its pixels not yet decoded, and what it is.

    Everything that a decoder raises within the block, about these bytes, becomes BadImage: over the years Pillow has
    raised nearly every class there is on hostile bytes. Only MemoryError passes, which is not the image's fault.

    Raises:
        BadImage: not of a format or size that we take, animated, damaged.
    """
    header = read_header(data)
    try:
        with Image.open(BytesIO(data), formats=(header.format,)) as image:
            if image.size != (header.width, header.height):
                raise damaged()
            # A JPEG may carry further pictures (depth map, other eye) behind the first. That is no animation.
            if header.format != "jpeg" and getattr(image, "n_frames", 1) != 1:
                raise animated()
            yield image, _info(header, orientation(image))
    except (BadImage, MemoryError):
        raise
    except Exception as error:
        raise damaged() from error


def orientation(image: Image.Image) -> int:
    """The EXIF orientation (1 to 8) that stands before the pixels; 1 when there is none that can be read.

    Not `Image.getexif`: for some PNG files that decodes all pixels.
    """
    raw = image.info.get("exif")
    if not isinstance(raw, bytes) or len(raw) > _MAX_EXIF_BYTES:
        return _UPRIGHT
    try:
        exif = Image.Exif()
        exif.load(raw)
        value = exif.get(_ORIENTATION)
    except Exception:  # noqa: BLE001 - unreadable EXIF is as good as none, whatever it raised
        return _UPRIGHT
    return value if isinstance(value, int) and 1 <= value <= 8 else _UPRIGHT


def _info(header: Header, turned: int) -> ImageInfo:
    lying = turned >= 5
    width, height = (header.height, header.width) if lying else (header.width, header.height)
    return ImageInfo(header.format, width, height)
