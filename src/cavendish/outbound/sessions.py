"""The aiohttp sessions behind the guarded client: made when first needed, inside the loop that uses them."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from urllib.request import getproxies_environment, proxy_bypass

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from cavendish import __version__
from cavendish.outbound.resolver import AddressRule, GuardedResolver, SystemResolver

KEEP_ALIVE_SECONDS = 4.0
"""Shorter than the five seconds after which widespread servers hang up, so that we rarely send into a closing door."""

MAX_HEADER_BYTES = 8 * 1024
MAX_HEADERS = 100


class Exchange:
    """One request: whether its connection stands."""

    def __init__(self) -> None:
        self.connected = False


class Sessions:
    """Opens requests without redirects, cookies, decompression, environment, and without a time limit of its own."""

    def __init__(
        self,
        *,
        accepts: AddressRule,
        resolver: AbstractResolver | None,
        max_connections: int,
        per_host: int,
        trust_env: bool,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._accepts = accepts
        self._resolver = resolver
        self._max_connections = max_connections
        self._per_host = per_host
        self._trust_env = trust_env
        self._tls = tls
        self._direct: aiohttp.ClientSession | None = None
        self._proxied: aiohttp.ClientSession | None = None
        self._closed = False

    @asynccontextmanager
    async def request(
        self, method: str, url: URL, exchange: Exchange, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to one request, headers read, body not yet. Raises AddressRefused, NETWORK_ERRORS."""
        proxy = self._proxy_for(url)
        async with self._session(proxied=proxy is not None).request(
            method,
            url,
            data=body,
            headers=headers,
            proxy=proxy,
            allow_redirects=False,
            ssl=self._tls or True,
            trace_request_ctx=exchange,
        ) as response:
            yield response

    async def aclose(self) -> None:
        """Close all connections; no request can be made any more."""
        self._closed = True
        for session in (self._direct, self._proxied):
            if session is not None:
                await session.close()
        if self._resolver is not None:
            await self._resolver.close()

    def _session(self, *, proxied: bool) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("the outbound client is closed")
        if self._resolver is None:
            self._resolver = SystemResolver()
        if proxied:
            # The only names this session looks up are the operator's own proxies, which may well be private.
            self._proxied = self._proxied or self._open(self._resolver)
            return self._proxied
        self._direct = self._direct or self._open(GuardedResolver(self._resolver, self._accepts))
        return self._direct

    def _open(self, resolver: AbstractResolver) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            resolver=resolver,
            use_dns_cache=False,  # the check lives in the look-up: each new connection gets its own
            limit=self._max_connections,
            limit_per_host=self._per_host,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
        )
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(_mark_connected)
        trace.on_connection_reuseconn.append(_mark_connected)
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            # Identity, and nothing is inflated if it comes all the same: the bytes that are counted are the bytes kept.
            headers={"User-Agent": f"Cavendish/{__version__}", "Accept-Encoding": "identity"},
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),  # the caller's deadline is the only one
            trust_env=False,  # aiohttp would read the operator's .netrc along with the proxies
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            max_headers=MAX_HEADERS,
            trace_configs=[trace],
        )

    def _proxy_for(self, url: URL) -> str | None:
        if not self._trust_env or url.host is None:
            return None
        if proxy_bypass(f"{url.host}:{url.port}"):
            return None
        proxies = getproxies_environment()
        return proxies.get(url.scheme) or proxies.get("all")


async def _mark_connected(
    _session: aiohttp.ClientSession,
    context: SimpleNamespace,
    _params: aiohttp.TraceConnectionCreateEndParams | aiohttp.TraceConnectionReuseconnParams,
) -> None:
    exchange = context.trace_request_ctx
    if isinstance(exchange, Exchange):
        exchange.connected = True
