"""The one guarded HTTP client: it goes only where the address rule lets it, within the caps it was given.

Guarded twice: what the URL says (`check_url`, on every hop, because literal addresses never reach a resolver), and
what its name resolves to (`GuardedResolver`, whose answer is what is connected to).

Behind a proxy of the environment (`trust_env`) the proxy looks names up: then only what the URL says is judged here,
and where names may lead is the proxy's to decide.
"""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urljoin

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver
from yarl import URL

from cavendish.domain.addresses import is_public, literal_address
from cavendish.domain.errors import AddressRefused, BadImage
from cavendish.domain.text import Text, shortened
from cavendish.domain.urls import check_url
from cavendish.outbound.failures import NETWORK_ERRORS, DeliveryFailed, classify, explain
from cavendish.outbound.resolver import AddressRule, address_refused
from cavendish.outbound.sessions import Exchange, Sessions

MAX_URL_CHARS = 8192
"""Of a redirect's target; what callers give is bounded when it is stored."""

ANSWER_BODY_SECONDS = 1.0
"""How long the body of an answer to a POST may take after its headers. It is only kept for people to read."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_COMPRESSIONS = frozenset({"gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd"})


class Answer(msgspec.Struct, frozen=True):
    """What a server answered to a POST: header names in lower case, the first bytes of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed_seconds: float


class Outbound:
    """Requests to addresses that callers chose. Opens nothing before its first request; then belongs to that loop.

    `allow_private`: hosts and ports of one's own network are fine. `resolver`: who looks names up, by default the
    machine; closed together with this. `max_connections`, `per_host`: open at once; further requests wait, and their
    time runs. `trust_env`: use the environment's proxies. `accepts`: the rule for addresses that names resolve to,
    `is_public` unless tests put theirs. `tls`: whom to trust, by default the machine's authorities.
    """

    def __init__(
        self,
        *,
        allow_private: bool,
        resolver: AbstractResolver | None = None,
        max_connections: int = 100,
        per_host: int = 10,
        trust_env: bool = False,
        accepts: AddressRule = is_public,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allow_private = allow_private
        self._accepts: AddressRule = (lambda _: True) if allow_private else accepts
        self._sessions = Sessions(
            accepts=self._accepts,
            resolver=resolver,
            max_connections=max_connections,
            per_host=per_host,
            trust_env=trust_env,
            tls=tls,
        )

    async def fetch(
        self,
        url: str,
        *,
        max_bytes: int,
        timeout_seconds: float,
        max_redirects: int = 3,
        accept: str = "image/*",
    ) -> bytes:
        """The body behind `url`, at most `max_bytes` long, all hops and the body within `timeout_seconds`.

        Raises:
            AddressRefused: `url`, a redirect, or what a name resolves to leads where we do not go.
            BadImage: no body could be had; the sentence says what to mend.
        """
        target = self._checked(url)
        exchange = Exchange()
        try:
            async with asyncio.timeout(timeout_seconds):
                for _ in range(max_redirects + 1):
                    exchange = Exchange()
                    async with self._sessions.request("GET", target, exchange, headers={"Accept": accept}) as response:
                        if response.status not in _REDIRECTS:
                            return await _whole_body(response, target, max_bytes)
                        target = self._checked(_location(response, target))
        except NETWORK_ERRORS as error:
            clause = explain(classify(error, connected=exchange.connected))
            raise _no_image(target, clause.en, clause.zh) from error
        raise _no_image(
            target,
            f"redirects more than {max_redirects} times; give the final URL",
            f"重定向超过 {max_redirects} 次，请使用最终地址",
        )

    async def post(
        self,
        url: str,
        *,
        body: bytes,
        headers: Mapping[str, str],
        timeout_seconds: float,
        max_answer_bytes: int = 4096,
    ) -> Answer:
        """POST `body` and give back the answer, whatever its status; redirects are not followed.

        `timeout_seconds` runs from before the name is looked up to the answer's last header byte. The body gets
        ANSWER_BODY_SECONDS more and is cut at `max_answer_bytes`; it may be missing or incomplete.

        Raises:
            DeliveryFailed: there was no answer; its `word` says why.
        """
        exchange = Exchange()
        loop = asyncio.get_running_loop()
        start = loop.time()
        try:
            target = self._checked(url)
            async with (
                asyncio.timeout(timeout_seconds) as deadline,
                self._sessions.request("POST", target, exchange, headers=headers, body=body) as response,
            ):
                elapsed = loop.time() - start
                deadline.reschedule(None)  # the answer is here; its body has a clock of its own
                start_of_body = await _first_bytes(response, max_answer_bytes)
                return Answer(response.status, _lower_case(response), start_of_body, elapsed)
        except AddressRefused as error:
            raise DeliveryFailed("address_refused", error.text) from error
        except NETWORK_ERRORS as error:
            word = classify(error, connected=exchange.connected)
            clause = explain(word)
            raise DeliveryFailed(word, Text(en=f"The receiver {clause.en}", zh=f"接收方{clause.zh}")) from error

    async def aclose(self) -> None:
        """Close all connections."""
        await self._sessions.aclose()

    def _checked(self, url: str) -> URL:
        """`url` as it will be requested. Raises AddressRefused."""
        broken = check_url(url, allow_private=self._allow_private, max_chars=MAX_URL_CHARS)
        if broken is not None:
            raise AddressRefused(Text(en=f"The URL {broken.en}", zh=f"地址{broken.zh}"))
        try:
            # Plain ASCII goes out byte for byte: quoting it anew could break a signature in the query.
            target = URL(url, encoded=url.isascii())
        except ValueError as error:
            raise AddressRefused(
                Text(
                    en=f"The URL has no valid host name; got {shortened(url)}",
                    zh=f"主机名无效；实际为 {shortened(url)}",
                )
            ) from error
        # Judged again as the HTTP client reads it, in case that differs from how we do.
        address = literal_address(target.raw_host or "")
        if address is not None and not (self._allow_private or is_public(address)):
            raise address_refused()
        return target


def _location(response: aiohttp.ClientResponse, source: URL) -> str:
    location = response.headers.get("Location", "").strip()
    with suppress(ValueError):  # urljoin's word for brackets that are not an address
        if location:
            return urljoin(str(source), location).replace(" ", "%20")
    raise _no_image(source, "redirects without saying where to", "发出了重定向，但没有给出可用的目标地址")


async def _whole_body(response: aiohttp.ClientResponse, source: URL, max_bytes: int) -> bytes:
    if response.status not in {200, 203}:
        raise _no_image(
            source,
            f"answered with status {response.status}; the URL must give the image to anyone, without logging in",
            f"返回了状态码 {response.status}，该地址必须无需登录即可直接获取图片",
        )
    encodings = {word.strip().lower() for word in response.headers.get("Content-Encoding", "").split(",")}
    if encodings & _COMPRESSIONS:
        raise _no_image(
            source,
            "sends the image compressed although it was asked not to (Content-Encoding)",
            "在未被要求的情况下压缩了图片（Content-Encoding）",
        )
    body = bytearray()
    if (response.content_length or 0) <= max_bytes:
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > max_bytes:
                break
        else:
            if body:
                return bytes(body)
            raise _no_image(source, "answered with an empty body", "返回了空内容")
    most = f"{max_bytes / (1024 * 1024):.3g} MB"
    raise _no_image(source, f"sends more than the {most} that are taken", f"返回的内容超过了允许的 {most}")


async def _first_bytes(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """As much of the body as comes in time, at most `max_bytes`. The answer counts whatever becomes of its body."""
    body = bytearray()
    with suppress(*NETWORK_ERRORS):
        async with asyncio.timeout(ANSWER_BODY_SECONDS):
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) >= max_bytes:
                    break
    return bytes(body[:max_bytes])


def _lower_case(response: aiohttp.ClientResponse) -> dict[str, str]:
    names = {name.lower() for name in response.headers}
    return {name: ", ".join(response.headers.getall(name)) for name in names}


def _no_image(source: URL, en: str, zh: str) -> BadImage:
    # Without its query, which often is the key to the image.
    shown = shortened(str(source.with_query(None).with_fragment(None)))
    return BadImage(Text(en=f"The server of {shown} {en}", zh=f"{shown} 的服务器{zh}"))
