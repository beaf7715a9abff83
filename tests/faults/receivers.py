"""Receivers of callbacks that behave as badly as they can, each at a port of its own."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.loopback import LoopbackServer, Script, Visit, loopback_server


async def healthy(visit: Visit) -> None:
    await visit.answer(200, b"ok")


async def hangs(visit: Visit) -> None:
    await visit.wait_for_hang_up()


async def byte_by_byte(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        await visit.say(b".")
        await asyncio.sleep(0.2)


async def body_byte_by_byte(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 202 Accepted\r\nContent-Length: 10000000\r\n\r\n")
    while True:
        await visit.say(b".")
        await asyncio.sleep(0.2)


async def ten_megabytes(visit: Visit) -> None:
    await visit.answer(500, b"x" * 10_000_000)


async def closes_in_the_middle(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 200 OK\r\nContent-Le")
    raise ConnectionError


async def closes_in_the_body(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 500 Oh\r\nContent-Length: 100\r\n\r\nhalf")
    raise ConnectionError


async def moved(visit: Visit) -> None:
    await visit.answer(301, b"", {"Location": "/elsewhere"})


async def gone(visit: Visit) -> None:
    await visit.answer(410)


async def too_many(visit: Visit) -> None:
    await visit.answer(429, b"", {"Retry-After": "3600"})


SCRIPTS: tuple[Script, ...] = (
    healthy,
    hangs,
    byte_by_byte,
    body_byte_by_byte,
    ten_megabytes,
    closes_in_the_middle,
    closes_in_the_body,
    moved,
    gone,
    too_many,
)


@asynccontextmanager
async def receivers() -> AsyncIterator[dict[str, LoopbackServer | int]]:
    """One of each, by name; and `refuses`: a port that is taken by nobody."""
    async with contextlib.AsyncExitStack() as stack:
        servers: dict[str, LoopbackServer | int] = {}
        for script in SCRIPTS:
            servers[getattr(script, "__name__", "")] = await stack.enter_async_context(loopback_server(script))
        # Bound and never listening: whoever connects is refused, and nobody else can take it meanwhile.
        refusing = stack.enter_context(socket.socket())
        refusing.bind(("127.0.0.1", 0))
        servers["refuses"] = refusing.getsockname()[1]
        yield servers
