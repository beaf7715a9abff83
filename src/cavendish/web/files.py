"""Uploads: POST of an image, as a multipart field or as the whole body, and GET of it for its account."""

from collections.abc import AsyncIterator

from cavendish.domain.errors import InvalidRequest, Problem
from cavendish.domain.files import FILES_PATH, MAX_IMAGE_BYTES, is_file_name, no_such_file
from cavendish.domain.text import Text, shortened
from cavendish.flows.files import Uploads, image_too_large
from cavendish.ports import Blobs
from cavendish.web.answers import Answer, language_of, not_found, send_answer, success
from cavendish.web.asgi import Headers, Receive, Scope, Send, body_parts, header, origin
from cavendish.web.auth import KeyRing
from cavendish.web.limits import QueryLimit
from cavendish.web.multipart import OVERHEAD_BYTES, field_pieces, media_type
from cavendish.web.results import send_image

UPLOAD_PATH = "/api/v1/files"
FIELD = "file"
PRIVATE: Headers = ((b"cache-control", b"private, no-cache"), (b"vary", b"authorization"))
"""Only its account may have it, and only until it expires: so ask again every time."""


class FileEndpoints:
    """POST /api/v1/files, and GET and HEAD of /files/{name}"""

    def __init__(self, *, keys: KeyRing, uploads: Uploads, blobs: Blobs, limit: QueryLimit) -> None:
        self._keys = keys
        self._uploads = uploads
        self._blobs = blobs
        self._limit = limit

    async def upload(self, scope: Scope, receive: Receive) -> Answer:
        """Answer with the new file's URL and what it is.

        Raises:
            InvalidRequest: no image that we take; the rest of the body is not read.
            RateLimited: the account has no room, or too many uploads under way.
        """
        caller = await self._keys.caller(scope)
        pieces = _image_pieces(scope, receive)
        return success(await self._uploads(caller, pieces, origin(scope, header(scope, b"host"))))

    async def show(self, scope: Scope, send: Send) -> None:
        """Send the caller's file.

        Raises:
            NotFound: unknown, expired, or another account's: they cannot be told apart.
        """
        path: str = scope["path"]
        if scope["method"] not in ("GET", "HEAD"):
            return await send_answer(send, not_found(path, language_of(scope), ("GET", "HEAD")))
        caller = await self._keys.caller(scope)
        self._limit.count(caller.key_id)
        name = path.removeprefix(FILES_PATH)
        if not is_file_name(name):
            raise no_such_file(name)
        blob = await self._uploads.blob_of(caller, name)
        return await send_image(scope, send, self._blobs, blob=blob, name=name, caching=PRIVATE)


def _image_pieces(scope: Scope, receive: Receive) -> AsyncIterator[bytes]:
    kind, boundary = media_type(header(scope, b"content-type"))
    is_form = kind == "multipart/form-data"
    if not is_form and not kind.startswith("image/") and kind != "application/octet-stream":
        shown = shortened(kind)
        raise InvalidRequest(
            [
                Problem(
                    "Content-Type",
                    Text(
                        en=f"must be multipart/form-data with the image as its field `{FIELD}`, or image/png, "
                        f"image/jpeg or image/webp with the image as the body; got {shown}",
                        zh=f"必须是 multipart/form-data（图片放在字段 `{FIELD}` 中），或 image/png、image/jpeg、"
                        f"image/webp（请求体即图片）；收到 {shown}",
                    ),
                )
            ]
        )
    length = header(scope, b"content-length")
    if length is not None and int(length) > MAX_IMAGE_BYTES + (OVERHEAD_BYTES if is_form else 0):
        raise image_too_large()
    return field_pieces(body_parts(receive), boundary, FIELD) if is_form else body_parts(receive)
