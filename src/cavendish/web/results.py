"""GET and HEAD of result images: by unguessable name, streamed, cacheable for ever, in parts if asked."""

import re
from typing import Literal

from cavendish.domain.errors import BlobMissing
from cavendish.domain.results import RESULTS_PATH, content_type, is_name, result_blob
from cavendish.ports import Blobs
from cavendish.web.answers import Answer, language_of, not_found, send_answer
from cavendish.web.asgi import Headers, Scope, Send, header

FOR_EVER: Headers = (
    (b"cache-control", b"public, max-age=31536000, immutable"),
    (b"access-control-allow-origin", b"*"),
    (b"cross-origin-resource-policy", b"cross-origin"),
)
"""A result never changes under its name, and whoever has the name may have the picture."""

_RANGE = re.compile(rb"bytes=(\d{0,15})-(\d{0,15})")


class Results:
    """/results/{name}: nothing is listable, and only names of our own form reach the storage."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def __call__(self, scope: Scope, send: Send) -> None:
        """Send the image, a part of it, 304 or 404.

        Raises:
            BlobsUnavailable: before anything was sent.
        """
        path: str = scope["path"]
        name = path.removeprefix(RESULTS_PATH)
        method = scope["method"]
        if method not in ("GET", "HEAD") or not is_name(name):
            allow = ("GET", "HEAD") if is_name(name) else ()
            return await send_answer(send, not_found(path, language_of(scope), allow), with_body=method != "HEAD")
        await send_image(scope, send, self._blobs, blob=result_blob(name), name=name, caching=FOR_EVER)
        return None


async def send_image(scope: Scope, send: Send, blobs: Blobs, *, blob: str, name: str, caching: Headers) -> None:
    """Send a stored image, a part of it, 304, or 404 when the storage does not have it. GET and HEAD only.

    Args:
        blob: where it lies.
        name: its public name: the ETag, and by its ending the media type.
        caching: headers about who may keep and embed it.

    Raises:
        BlobsUnavailable: before anything was sent.
    """
    method = scope["method"]
    try:
        size = await blobs.size(blob)
    except BlobMissing:
        return await send_answer(send, not_found(scope["path"], language_of(scope)), with_body=method != "HEAD")
    etag = f'"{name.partition(".")[0]}"'.encode()
    common: Headers = (
        (b"etag", etag),
        (b"x-content-type-options", b"nosniff"),
        *caching,
    )
    if _matches(header(scope, b"if-none-match"), etag):
        return await send_answer(send, Answer(304, common, b""))
    start, end, status = 0, size, 200
    range_header = header(scope, b"range") if method == "GET" else None
    if range_header is not None and header(scope, b"if-range") in (None, etag):
        wanted = _range(range_header, size)
        if isinstance(wanted, str):
            extra: Headers = (*common, (b"content-range", f"bytes */{size}".encode()))
            return await send_answer(send, Answer(416, extra, b""))
        if wanted is not None:
            start, end = wanted
            status = 206
    headers = [
        *common,
        (b"content-type", content_type(name).encode()),
        (b"content-length", str(end - start).encode()),
        (b"accept-ranges", b"bytes"),
    ]
    if status == 206:
        headers.append((b"content-range", f"bytes {start}-{end - 1}/{size}".encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if method == "GET" and end > start:
        async for chunk in blobs.read(blob, start, end):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
    return None


def _matches(if_none_match: bytes | None, etag: bytes) -> bool:
    if if_none_match is None:
        return False
    listed = [tag.strip().removeprefix(b"W/") for tag in if_none_match.split(b",")]
    return etag in listed or b"*" in listed


def _range(value: bytes, size: int) -> tuple[int, int] | Literal["unsatisfiable"] | None:
    """(start, end) of a single range; "unsatisfiable"; None for what is not one range: then the whole is sent.

    Source: RFC 9110, section 14.
    """
    match = _RANGE.fullmatch(value.strip())
    if match is None or (not match[1] and not match[2]):
        return None
    if not match[1]:
        length = int(match[2])
        return (max(0, size - length), size) if length and size else "unsatisfiable"
    start = int(match[1])
    if start >= size:
        return "unsatisfiable"
    end = min(int(match[2]) + 1, size) if match[2] else size
    return (start, end) if end > start else None
