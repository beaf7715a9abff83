"""What schemathesis cannot guess from the schema: real images, URLs that answer at once, and fresh idempotency keys."""

import io
import itertools
from typing import Any

import schemathesis
from hypothesis import strategies as st
from PIL import Image

_numbers = itertools.count()


def encoded(image_format: str) -> bytes:
    """A small picture."""
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), (200, 120, 40)).save(stream, image_format)
    return stream.getvalue()


REFUSED = ("http://127.0.0.1/x.png", "http://localhost/y?z=1")  # closed ports: whoever goes there knows at once

schemathesis.openapi.format("uri", st.sampled_from(REFUSED))
schemathesis.openapi.format("cursor", st.just(""))
for media, image_format in (("image/png", "PNG"), ("image/jpeg", "JPEG"), ("image/webp", "WEBP")):
    schemathesis.openapi.media_type(media, st.just(encoded(image_format)))


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """The same key for two requests is refused, as it must be; that has tests of its own."""
    headers = case.headers or {}
    if case.meta is not None and case.meta.generation.mode.is_positive and "Idempotency-Key" in headers:
        headers["Idempotency-Key"] = f"{headers['Idempotency-Key'][:200]}-{next(_numbers)}"
