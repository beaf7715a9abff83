"""The little of ASGI that the hot endpoints use directly."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any, TypeAlias

from cavendish.domain.errors import InvalidRequest, Problem
from cavendish.domain.text import Text

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

BODY_SILENCE_SECONDS = 30.0
"""How long a body may pause between two parts before its sender is taken for gone."""
BODY_SECONDS = 600.0
"""How long a body that is read in pieces may take as a whole."""

_HOST = re.compile(rb"[A-Za-z0-9._\-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")


class Disconnected(Exception):
    """The caller hung up before the request was whole."""


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header of that lower-case name."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return None


def headers_by_name(scope: Scope) -> dict[bytes, bytes]:
    """The first header of each lower-case name: one pass for the endpoints that look at several."""
    return dict(reversed(scope["headers"]))


def origin(scope: Scope, host: bytes | None) -> str:
    """Scheme and host that the request was sent to, as the caller named it in the header `host`."""
    named = _origin(scope.get("scheme", "http"), host) if host is not None else None
    if named is not None:
        return named
    name, port = scope.get("server") or ("localhost", None)
    return f"{scope.get('scheme', 'http')}://{name}:{port}" if port else f"{scope.get('scheme', 'http')}://{name}"


@lru_cache(maxsize=1024)
def _origin(scheme: str, host: bytes) -> str | None:
    return f"{scheme}://{host.decode('ascii')}" if _HOST.fullmatch(host) is not None else None


async def read_body(receive: Receive, *, limit: int, inline_limit: int) -> bytes:
    """The whole body.

    Args:
        limit: bytes of a body without inline images.
        inline_limit: bytes of a body that has some; only such a body may pass `limit`.

    Raises:
        InvalidRequest: it is too large; the rest of it is not read.
        Disconnected: the caller hung up.
    """
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body", False) and len(body) <= limit:
        return body
    parts: list[bytes] = [body]
    size = len(body)
    may_be_large = False
    while message.get("more_body", False):
        if size > limit and not may_be_large:
            may_be_large = b"data:image/" in b"".join(parts).lower()
        if size > (inline_limit if may_be_large else limit):
            raise too_large(limit)
        try:
            async with asyncio.timeout(BODY_SILENCE_SECONDS):
                message = await receive()
        except TimeoutError:
            raise _too_slow() from None
        if message["type"] == "http.disconnect":
            raise Disconnected
        part: bytes = message.get("body", b"")
        parts.append(part)
        size += len(part)
    if message["type"] == "http.disconnect":
        raise Disconnected
    whole = b"".join(parts)
    if size > limit and not (b"data:image/" in whole.lower() and size <= inline_limit):
        raise too_large(limit)
    return whole


async def body_parts(receive: Receive) -> AsyncIterator[bytes]:
    """The body in pieces, each as soon as it is there. Whoever stops asking leaves the rest unread.

    Raises:
        InvalidRequest: it pauses for too long, or takes too long as a whole.
        Disconnected: the caller hung up.
    """
    more = True
    loop = asyncio.get_running_loop()
    until = loop.time() + BODY_SECONDS
    while more:
        if loop.time() >= until:
            raise _too_slow()
        try:
            async with asyncio.timeout_at(min(loop.time() + BODY_SILENCE_SECONDS, until)):
                message = await receive()
        except TimeoutError:
            raise _too_slow() from None
        if message["type"] == "http.disconnect":
            raise Disconnected
        more = message.get("more_body", False)
        if part := message.get("body", b""):
            yield part


def _too_slow() -> InvalidRequest:
    seconds = f"{BODY_SILENCE_SECONDS:g}"
    text = Text(en=f"The body stopped arriving for {seconds} s", zh=f"请求体传输中断超过 {seconds} 秒")
    return InvalidRequest([Problem("", text)])


def too_large(limit: int) -> InvalidRequest:
    """The error for a body over `limit` bytes."""
    return InvalidRequest(
        [
            Problem(
                "",
                Text(
                    en=f"The body must be at most {limit} bytes without its inline images; send large images by URL",
                    zh=f"请求体（不含内联图片）最多 {limit} 字节；大图片请使用 URL",
                ),
            )
        ]
    )


def note_sending(send: Send) -> tuple[Send, Callable[[], bool]]:
    """`send`, and a question: has an answer begun?"""
    begun = False

    async def noting(message: Message) -> None:
        nonlocal begun
        begun = True
        await send(message)

    return noting, lambda: begun
