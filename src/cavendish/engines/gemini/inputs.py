"""Input images within the upstream's limits. What fits goes out byte for byte; only what does not is made smaller.

The limits, as Google documents them: one request to AI Studio may have 100 MB, base64 included (since January 2026,
https://blog.google/innovation-and-ai/technology/developers-tools/gemini-api-new-file-limits; 20 MB before that); at
Vertex one inline image may have 7 MB (model cards of Gemini 2.5 Flash Image and Gemini 3 Pro Image).
"""

from collections.abc import Sequence

import msgspec

from cavendish.domain.errors import BadImage, EngineError
from cavendish.domain.text import Text
from cavendish.engines.gemini.request import encoded_length
from cavendish.ports import ImageFormat, ImageRequest, Images, InputImage

FORMATS: frozenset[ImageFormat] = frozenset({"png", "jpeg", "webp"})
"""What every upstream model takes."""
VERTEX_IMAGE_BYTES = 7_000_000
_ROOM_FOR_WORDS = 128 * 1024
"""Of a request: the longest prompt, each character escaped, and the fields around it."""


class InputLimits(msgspec.Struct, frozen=True):
    """`request_bytes`: of a whole request, as it is sent. `vertex`: whether it may go to Vertex."""

    request_bytes: int
    vertex: bool = False

    def allowed(self, sizes: Sequence[int]) -> list[int]:
        """How many bytes each image of these sizes may have. Small ones give what they do not need to the others."""
        most = VERTEX_IMAGE_BYTES if self.vertex else self.request_bytes
        wanted = [min(size, most) for size in sizes]
        left = max(0, self.request_bytes - _ROOM_FOR_WORDS)
        allowed = [0] * len(sizes)
        for place, index in enumerate(sorted(range(len(sizes)), key=wanted.__getitem__)):
            share = left // (len(sizes) - place) // 4 * 3
            allowed[index] = min(wanted[index], share)
            left -= encoded_length(allowed[index])
        return allowed


async def fitted(request: ImageRequest, limits: InputLimits, images: Images) -> ImageRequest:
    """`request` with input images that the upstream takes.

    Raises:
        EngineError: `bad_input_image`, naming the image.
    """
    if not request.images:
        return request
    allowed = limits.allowed([len(image.data) for image in request.images])
    fitting: list[InputImage] = []
    for number, (image, most) in enumerate(zip(request.images, allowed, strict=True), 1):
        if image.format in FORMATS and len(image.data) <= most:
            fitting.append(image)
            continue
        try:
            fitting.append(await images.fitted(image, FORMATS, most))
        except BadImage as error:
            raise EngineError(
                "bad_input_image",
                Text(
                    en=f"Input image {number} cannot be used: {error.text.en}",
                    zh=f"第 {number} 张输入图片无法使用：{error.text.zh}",
                ),
            ) from error
    return msgspec.structs.replace(request, images=tuple(fitting))
