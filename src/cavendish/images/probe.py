"""Whether the bytes are a whole image that we take, at the least cost that tells."""

from cavendish.images.decode import opened
from cavendish.images.limits import MAX_BYTES, check_bytes
from cavendish.ports import ImageInfo


def probe(data: bytes) -> ImageInfo:
    """Format and size after orientation, having read the file to its end.

    PNG: the chunks' checksums, nothing is inflated (4096 x 4096: 18 ms instead of 740). JPEG: all of the entropy-coded
    data, but an eighth of the resolution (54 ms instead of 118). WebP has neither short way: decoded in full (700 ms).

    Raises:
        BadImage: see `opened`, or longer than MAX_BYTES.
    """
    check_bytes(data, MAX_BYTES)
    with opened(data) as (image, info):
        if info.format == "png":
            image.verify()
        else:
            image.draft("L", (1, 1))
            image.load()
    return info
