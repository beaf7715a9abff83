"""An ImageRequest as the upstream's JSON, sent in pieces: input images are encoded while they go out, never as a whole.

The fields are those of `generateContent` (camelCase). Unknown fields are answered with 400, so none is sent on trial.
"""

from base64 import b64encode
from collections.abc import AsyncIterator
from types import MappingProxyType

import msgspec

from cavendish.ports import ImageRequest, InputImage

MIME_TYPES = MappingProxyType({"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"})
_SIZES = MappingProxyType({"1k": "1K", "2k": "2K", "4k": "4K"})
_MAX_SEED = 2**31
_PIECE = 3 * 64 * 1024
"""Bytes of an image that are encoded at once: a multiple of three, so that the pieces join without padding."""
_MARK = "\x01"
"""Stands where an image's base64 goes; JSON writes it as an escape that no prompt can produce by itself."""
_ESCAPED_MARK = rb'"\u0001"'


def generation_body(request: ImageRequest, upstream: str) -> dict[str, object]:
    """The request for `upstream`, `_MARK` standing for each image."""
    parts: list[dict[str, object]] = [
        {"inlineData": {"mimeType": MIME_TYPES[image.format], "data": _MARK}} for image in request.images
    ]
    parts.append({"text": request.prompt})
    config: dict[str, object] = {"responseModalities": ["TEXT", "IMAGE"]}
    picture: dict[str, str] = {}
    if request.aspect_ratio != "auto":
        picture["aspectRatio"] = request.aspect_ratio
    if knows_sizes(upstream) and request.resolution in _SIZES:
        picture["imageSize"] = _SIZES[request.resolution]
    if picture:
        config["imageConfig"] = picture
    if request.seed is not None:
        config["seed"] = request.seed % _MAX_SEED  # the upstream's field has 32 bits
    return {"contents": [{"role": "user", "parts": parts}], "generationConfig": config}


def knows_sizes(upstream: str) -> bool:
    """Whether the upstream model takes `imageSize`: the Gemini 3 family and what comes after it."""
    return generation(upstream) >= 3


def most_images(upstream: str) -> int:
    """How many input images the upstream model takes: 3 before the Gemini 3 family, 14 since (Google's model cards)."""
    return 14 if generation(upstream) >= 3 else 3


def generation(upstream: str) -> int:
    """The family's number, 2 for `gemini-2.5-flash-image`; 0 for a name that does not say."""
    digits = upstream.removeprefix("gemini-").partition("-")[0].partition(".")[0]
    return int(digits) if digits.isdecimal() else 0


class Body:
    """The bytes of one request, as often as they are needed.

    Args:
        images: in the order of the request.
        around: what stands before, between and after the images' base64.
    """

    def __init__(self, around: tuple[bytes, ...], images: tuple[InputImage, ...]) -> None:
        assert len(around) == len(images) + 1
        self._around = around
        self._images = images

    @property
    def length(self) -> int:
        """Bytes in all."""
        return sum(map(len, self._around)) + sum(encoded_length(len(image.data)) for image in self._images)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The bytes, a little at a time, so that nobody waits for the encoding of megabytes."""
        yield self._around[0]
        for image, after in zip(self._images, self._around[1:], strict=True):
            view = memoryview(image.data)
            for start in range(0, len(view), _PIECE):
                yield b64encode(view[start : start + _PIECE])
            yield after


def body_of(request: ImageRequest, upstream: str) -> Body:
    """The bytes to send to `upstream`."""
    text = msgspec.json.encode(generation_body(request, upstream))
    # The images' parts stand before the prompt's, so the first marks are theirs whatever the prompt says.
    first, *rest = text.split(_ESCAPED_MARK, len(request.images))
    quoted = [first, *(b'"' + piece for piece in rest)]
    return Body((*(piece + b'"' for piece in quoted[:-1]), quoted[-1]), request.images)


def encoded_length(count: int) -> int:
    """Characters of base64 for `count` bytes."""
    return (count + 2) // 3 * 4
