"""Real servers on loopback that say exactly what a test wants, a resolver that answers by script, a client over both.

127.0.0.1 stands for the public internet and 127.0.0.2 for the private network behind us.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address

from aiohttp.abc import AbstractResolver, ResolveResult

from cavendish.domain.addresses import Address
from cavendish.outbound import Answer, Outbound

OUTSIDE, INSIDE = "127.0.0.1", "127.0.0.2"
MB = 1024 * 1024

Script = Callable[["Visit"], Awaitable[None]]


class Visit:
    """One request as it came, and the way to answer it."""

    def __init__(self, head: bytes, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, _, rest = head.decode("latin-1").partition("\r\n")
        self.method, self.target, _ = first.split(" ", 2)
        pairs = [line.partition(": ") for line in rest.split("\r\n") if line]
        self.headers = {name.lower(): value for name, _, value in pairs}
        self.body = body
        self._reader = reader
        self._writer = writer

    async def say(self, raw: bytes) -> None:
        """Send `raw` as it is."""
        self._writer.write(raw)
        await self._writer.drain()

    async def answer(self, status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """Send a whole answer with its length."""
        lines = [f"{name}: {value}\r\n" for name, value in (headers or {}).items()]
        head = f"HTTP/1.1 {status} Word\r\nContent-Length: {len(body)}\r\n{''.join(lines)}\r\n"
        await self.say(head.encode() + body)

    async def wait_for_hang_up(self) -> None:
        """Return when the other side has closed the connection."""
        await self._reader.read()


class LoopbackServer:
    """What was asked of a server: `visits`, and how many connections were opened at all: `connections`."""

    def __init__(self, script: Script, address: str) -> None:
        self._script = script
        self.address = address
        self.port = 0
        self.connections = 0
        self.visits: list[Visit] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests until either side hangs up."""
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next((int(v) for n, v in _lines(head) if n == "content-length"), 0)
                visit = Visit(head[:-4], await reader.readexactly(length), reader, writer)
                self.visits.append(visit)
                await self._script(visit)
                if writer.is_closing():
                    return
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def loopback_server(
    script: Script, *, address: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[LoopbackServer]:
    """A server on `address` for the length of the block."""
    server = LoopbackServer(script, address)
    async with await asyncio.start_server(server.serve, address, port, ssl=tls) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server


class ScriptedResolver(AbstractResolver):
    """Answers each look-up of a name with the next of its answers, the last one for ever after."""

    def __init__(self, answers: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self._answers = {name: list(rounds) for name, rounds in answers.items()}
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        rounds = self._answers.get(host)
        if rounds is None:
            raise OSError(None, "no such name")
        addresses = rounds.pop(0) if len(rounds) > 1 else rounds[0]
        return [ResolveResult(hostname=host, host=a, port=port, family=family, proto=0, flags=0) for a in addresses]

    async def close(self) -> None:
        return


def outside_only(address: Address) -> bool:
    """The tests' address rule."""
    return address == IPv4Address(OUTSIDE)


@asynccontextmanager
async def outbound(
    resolver: ScriptedResolver | None = None,
    *,
    allow_private: bool = False,
    trust_env: bool = False,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Outbound]:
    """A client for which shop.example and other.example are outside, and intranet.example is not."""
    names = {"shop.example": [[OUTSIDE]], "other.example": [[OUTSIDE]], "intranet.example": [[INSIDE]]}
    subject = Outbound(
        allow_private=allow_private,
        resolver=resolver or ScriptedResolver(names),
        trust_env=trust_env,
        accepts=outside_only,
        tls=tls,
    )
    try:
        yield subject
    finally:
        await subject.aclose()


async def fetch(subject: Outbound, url: str, *, max_bytes: int = MB, timeout_seconds: float = 5.0) -> bytes:
    """Fetch with the tests' caps."""
    return await subject.fetch(url, max_bytes=max_bytes, timeout_seconds=timeout_seconds)


async def post(subject: Outbound, url: str, *, timeout_seconds: float = 5.0, max_answer_bytes: int = 4096) -> Answer:
    """Post a small callback with the tests' caps."""
    return await subject.post(
        url,
        body=b'{"state":"success"}',
        headers={"Content-Type": "application/json", "webhook-id": "msg_1"},
        timeout_seconds=timeout_seconds,
        max_answer_bytes=max_answer_bytes,
    )


async def say_image(visit: Visit) -> None:
    """The script of a server that gives everyone the same five bytes."""
    await visit.answer(200, b"image")


def _lines(head: bytes) -> list[tuple[str, str]]:
    pairs = [line.partition(":") for line in head.decode("latin-1").split("\r\n")]
    return [(name.strip().lower(), value.strip()) for name, _, value in pairs]
