"""The two ways to carry out a request over httpx, and what its exceptions mean."""

import time
from urllib.parse import urlsplit

import httpx

from cavendish.client.effects import Answer, Broken, Send
from cavendish.client.errors import BadArgument

CONNECT_SECONDS = 10.0
LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=30.0)


def trusts_environment(base_url: str) -> bool:
    """Whether proxies of the environment are used: not for a server on this very machine."""
    return urlsplit(base_url).hostname not in ("127.0.0.1", "localhost", "::1")


def exchange(client: httpx.Client, request: Send) -> Answer | Broken:
    """Send, and take the whole answer."""
    ends_at = time.monotonic() + request.seconds
    try:
        with client.stream(
            request.method,
            request.url,
            headers=dict(request.headers),
            content=request.body,
            timeout=_timeout(request),
            follow_redirects=request.follow_redirects,
        ) as response:
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if (broken := _too_much(request, len(body), ends_at)) is not None:
                    return broken
            return _answer(response, bytes(body))
    except (httpx.TransportError, httpx.DecodingError, httpx.TooManyRedirects, httpx.InvalidURL) as error:
        return broken_by(error)


async def exchange_async(client: httpx.AsyncClient, request: Send) -> Answer | Broken:
    """Send, and take the whole answer."""
    ends_at = time.monotonic() + request.seconds
    try:
        async with client.stream(
            request.method,
            request.url,
            headers=dict(request.headers),
            content=request.body,
            timeout=_timeout(request),
            follow_redirects=request.follow_redirects,
        ) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if (broken := _too_much(request, len(body), ends_at)) is not None:
                    return broken
            return _answer(response, bytes(body))
    except (httpx.TransportError, httpx.DecodingError, httpx.TooManyRedirects, httpx.InvalidURL) as error:
        return broken_by(error)


def broken_by(error: Exception) -> Broken:
    """What an exception of httpx means for the request.

    Raises:
        BadArgument: the URL cannot be used at all.
    """
    if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
        raise BadArgument(f"the URL cannot be used: {error}") from error
    reason = str(error) or type(error).__name__
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        return Broken(f"no connection: {reason}", sent=False)
    if isinstance(error, httpx.TimeoutException):
        return Broken("no answer in time", sent=True, slow=True)
    return Broken(f"the connection broke: {reason}", sent=True)


def _timeout(request: Send) -> httpx.Timeout:
    return httpx.Timeout(request.seconds, connect=min(CONNECT_SECONDS, request.seconds))


def _too_much(request: Send, length: int, ends_at: float) -> Broken | None:
    if length > request.most_bytes:
        return Broken(f"the answer is larger than {request.most_bytes:,} bytes", sent=True)
    if time.monotonic() > ends_at:
        return Broken("the answer took too long", sent=True, slow=True)
    return None


def _answer(response: httpx.Response, body: bytes) -> Answer:
    return Answer(response.status_code, {name.lower(): value for name, value in response.headers.items()}, body)
