"""Input images: a URL stays what it is; a path, bytes or a PIL image becomes checked bytes."""

import base64
import io
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from cavendish.client.errors import BadArgument
from cavendish.client.headers import ImageHeader, read_header
from cavendish.client.values import Upload

MAX_IMAGE_BYTES = 30 * 1024 * 1024
_URL = re.compile(r"(?:https?://|data:image/)", re.IGNORECASE)


class Picture(Protocol):
    """A PIL image, or an `Image` of this client."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""


ImageSource: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | Upload | Picture
"""A URL (`http`, `https` or `data:`), a local path, encoded bytes, an upload, a PIL image, or an `Image`."""


@dataclass(frozen=True)
class LocalImage:
    """Encoded bytes that must travel with, or before, the create."""

    data: bytes
    header: ImageHeader

    def data_uri(self) -> str:
        """The bytes as text, for servers without a Files endpoint."""
        return f"data:{self.header.media_type};base64,{base64.b64encode(self.data).decode('ascii')}"


def is_url(source: ImageSource) -> bool:
    """Whether the source already is a reference that a server takes."""
    return isinstance(source, str) and _URL.match(source) is not None


def load(source: ImageSource) -> LocalImage:
    """The bytes of a local image, checked. Blocks: it may read a file or encode a picture.

    Raises:
        BadArgument: no such file, no image, or too large.
    """
    name, data = _bytes_of(source)
    if len(data) > MAX_IMAGE_BYTES:
        raise BadArgument(f"{name}: is {len(data):,} bytes; input images have at most {MAX_IMAGE_BYTES:,}")
    header = read_header(data)
    if header is None:
        raise BadArgument(f"{name}: is not a PNG, JPEG or WebP image; it begins with {data[:12]!r}")
    return LocalImage(data, header)


def _bytes_of(source: ImageSource) -> tuple[str, bytes]:
    if isinstance(source, bytes | bytearray | memoryview):
        return "input image", bytes(source)
    if isinstance(source, str | os.PathLike):
        return _file(Path(source).expanduser())
    held = getattr(source, "data", None)
    if isinstance(held, bytes):  # an Image of this client
        return "input image", held
    pillow = sys.modules.get("PIL.Image")  # a PIL image cannot exist unless PIL was imported
    if pillow is not None and isinstance(source, pillow.Image):
        return "PIL image", _encoded(source)
    raise BadArgument(
        f"an input image must be a URL, a path, bytes or a PIL image; got {type(source).__module__}."
        f"{type(source).__qualname__}"
    )


def _file(path: Path) -> tuple[str, bytes]:
    try:
        size = path.stat().st_size
        # One byte more than what is allowed tells enough about a file that is too large.
        with path.open("rb") as file:
            data = file.read(MAX_IMAGE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BadArgument(f"{path}: {reason or error}") from error
    if size > MAX_IMAGE_BYTES:
        raise BadArgument(f"{path}: is {size:,} bytes; input images have at most {MAX_IMAGE_BYTES:,}")
    return str(path), data


def _encoded(picture: Any) -> bytes:
    """A PIL image as PNG, which loses nothing."""
    buffer = io.BytesIO()
    kept = picture if picture.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16") else picture.convert("RGBA")
    kept.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
