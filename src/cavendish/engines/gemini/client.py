"""One call: the request out, the answer in, streaming both ways. Whatever goes wrong becomes a `Fault`.

aiohttp directly and not the vendor's package, because of what a large answer costs there: see
docs/decisions/0012-gemini-over-rest.md. Imported by the first call only; it takes half a second.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from cavendish import __version__
from cavendish.engines.gemini.access import Access, ApiKey, Vertex
from cavendish.engines.gemini.answer import NotJson, Reading, Refusal, read_answer, read_refusal
from cavendish.engines.gemini.outcomes import Failed
from cavendish.engines.gemini.request import body_of
from cavendish.engines.gemini.scanner import AnswerScanner, TooLarge, WrongBase64
from cavendish.engines.gemini.vertex import NoCredentials, TokenUnreachable, VertexTokens
from cavendish.ports import ImageRequest

CONNECT_SECONDS = 10.0
MAX_PICTURE_BYTES = 128 * 1024 * 1024
"""Of all pictures in one answer, drafts included; a 4k PNG of a photograph is above 30 MB."""
MAX_REFUSAL_BYTES = 64 * 1024
SLICE_BYTES = 128 * 1024


class GeminiClient:
    """Speaks `generateContent`. Belongs to the event loop of its first call.

    Args:
        silence_seconds: how long the upstream may say nothing, before its answer or in the middle of it.
        proxy: the operator's, if any; the environment's proxies are not used.
        tls: whom to trust, by default the machine's authorities.
    """

    def __init__(
        self,
        *,
        silence_seconds: float,
        proxy: str | None = None,
        tls: ssl.SSLContext | None = None,
        tokens: VertexTokens | None = None,
    ) -> None:
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=silence_seconds)
        self._proxy = proxy
        self._tls = tls
        self._tokens = tokens or VertexTokens(proxy)
        self._session: aiohttp.ClientSession | None = None
        self._turn = asyncio.Lock()

    async def call(self, access: Access, upstream: str, request: ImageRequest) -> Reading | Refusal:
        """One request. Raises Failed."""
        with_images = bool(request.images)
        async with self._post(access, upstream, request) as response:
            if response.status == 200:
                return await self._reading(response, upstream)
            said = await _start_of(response.content)
            secret = access.secret if isinstance(access, ApiKey) else ""
            retry_after = response.headers.get("Retry-After")
            return read_refusal(response.status, said, retry_after, with_images=with_images, secret=secret)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def _post(
        self, access: Access, upstream: str, request: ImageRequest
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        body = body_of(request, upstream)
        try:
            credentials = (
                {"x-goog-api-key": access.secret} if isinstance(access, ApiKey) else await self._tokens.headers()
            )
            async with self._opened().post(
                access.url(upstream),
                data=body.pieces(),
                headers={"Content-Type": "application/json", "Content-Length": str(body.length), **credentials},
                proxy=self._proxy,
                allow_redirects=False,
                ssl=self._tls or True,
            ) as response:
                if response.status == 401 and isinstance(access, Vertex):
                    self._tokens.drop(credentials)
                yield response
        except NoCredentials as error:
            raise Failed("no_credentials", str(error)) from None
        except TokenUnreachable as error:
            raise Failed("unreachable", str(error)) from None
        # `from None`: aiohttp's errors hold the request, and so the key.
        except aiohttp.ClientSSLError as error:
            raise Failed("certificate", _kind(error)) from None
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError) as error:
            raise Failed("unreachable", _kind(error)) from None
        except (aiohttp.ServerTimeoutError, TimeoutError) as error:
            raise Failed("silent", _kind(error)) from None
        except (aiohttp.ClientError, OSError) as error:
            raise Failed("cut_off", _kind(error)) from None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),  # how many may be under way is the rotation's to say
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"Cavendish/{__version__}", "Accept-Encoding": "identity"},
                timeout=self._timeout,
                trust_env=False,
            )
        return self._session

    async def _reading(self, response: aiohttp.ClientResponse, upstream: str) -> Reading:
        scanner = AnswerScanner(MAX_PICTURE_BYTES)
        try:
            async for chunk in response.content.iter_any():
                for at in range(0, len(chunk), SLICE_BYTES):
                    # One slice in each turn of the event loop, however many answers arrive at once.
                    async with self._turn:
                        scanner.feed(chunk[at : at + SLICE_BYTES])
                        await asyncio.sleep(0)
            return read_answer(scanner.rest, scanner.images, upstream)
        except WrongBase64 as error:
            raise Failed("wrong_base64", str(error)) from None
        except TooLarge as error:
            raise Failed("too_large", str(error)) from None
        except NotJson as error:
            raise Failed("not_json", str(error)) from None


async def _start_of(content: aiohttp.StreamReader) -> bytes:
    """Up to MAX_REFUSAL_BYTES. Piece by piece, because one read gives no more than what has arrived by then."""
    said = bytearray()
    while len(said) < MAX_REFUSAL_BYTES and (piece := await content.readany()):
        said += piece
    return bytes(said[:MAX_REFUSAL_BYTES])


def _kind(error: Exception) -> str:
    """What happened, without what it happened to: the texts of network errors hold URLs."""
    inner = getattr(error, "os_error", None) or error.__cause__
    return type(error).__name__ if inner is None else f"{type(error).__name__} ({type(inner).__name__})"
