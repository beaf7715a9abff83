"""HTTP by hand, for requests that no client library would send."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.contract.world import Answer

TIMEOUT_SECONDS = 20


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to the server of `url`, closed at the end."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def read_answer(reader: asyncio.StreamReader) -> Answer | None:
    """The next answer on the connection; None when the server hung up without one."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Answer(int(first.split(" ")[1]), headers, body)


async def exchange(url: str, raw: bytes) -> Answer | None:
    """Send `raw`, as it is; the first answer, or None when the server hung up without one."""
    async with connected(url) as (reader, writer):
        writer.write(raw)
        return await read_answer(reader)


def head(method: str, target: str, *lines: str) -> bytes:
    """A request's head. Characters up to U+00FF stand for their bytes."""
    return "\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""]).encode("latin-1")
