"""Stands between processes and PostgreSQL, reads the wire protocol, and breaks the connection where it is told to.

Source: "Message Formats" in the PostgreSQL documentation. Every message is a kind (one byte), a length that counts
itself (four), and a body; only the client's first message has no kind.
"""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, quote, urlsplit

from cavendish.store.cluster import PORT

How = Literal[
    "before it arrives", "after it is done", "it arrives late", "hold it", "hold the answer", "swallow the answer"
]
"""What happens to a statement: the connection is cut (before PostgreSQL sees it; after it answered, the answer being
dropped; at once, while PostgreSQL sees it only after `release`), the statement or its answer waits for `release`, or
the answer is lost and the connection seems to live."""


class Fault:
    """One statement that will meet a fault, once."""

    def __init__(self, sql: str, how: How) -> None:
        self.sql = sql
        self.how = how
        self.struck = asyncio.Event()
        """Set when it happened: the connection is cut, or the statement or answer is being held."""
        self.done = asyncio.Event()
        """Set when PostgreSQL has carried out a statement that arrived late."""
        self._released = asyncio.Event()

    def release(self) -> None:
        """Let what is held pass."""
        self._released.set()

    async def passes(self) -> None:
        """Wait for `release`."""
        self.struck.set()
        await self._released.wait()


class Proxy:
    """A Unix socket that leads to the server of `dsn`."""

    def __init__(self, dsn: str, folder: Path) -> None:
        parts = urlsplit(dsn)
        self._server_socket = f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.{PORT}"
        self.dsn = parts._replace(query=f"host={quote(str(folder))}&port={PORT}").geturl()
        self.seen: set[str] = set()
        """Every statement that clients have sent."""
        self._faults: list[Fault] = []
        self._handlers: set[asyncio.Task[None]] = set()

    def plan(self, sql: str, how: How) -> Fault:
        """Have the next execution of exactly this statement, on any connection, meet a fault."""
        fault = Fault(sql, how)
        self._faults.append(fault)
        return fault

    def take(self, sql: str) -> Fault | None:
        """The fault that is planned for a statement that is being executed now."""
        self.seen.add(sql)
        fault = next((fault for fault in self._faults if fault.sql == sql), None)
        if fault is not None:
            self._faults.remove(fault)
        return fault

    async def serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """One client's connection, until either side ends it or a fault does."""
        handler = asyncio.current_task()
        assert handler is not None
        self._handlers.add(handler)
        handler.add_done_callback(self._handlers.discard)  # however it ends: `close` waits for all that are left
        writers = [to_client]
        try:
            server, to_server = await asyncio.open_unix_connection(self._server_socket)
            writers.append(to_server)
            await _Link(self, client, to_client, server, to_server).run()
        except (OSError, asyncio.CancelledError):
            pass  # the server is down, or the test is over
        finally:
            for writer in writers:
                writer.transport.abort()
            for writer in writers:
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    async def close(self) -> None:
        """Cut every connection."""
        while handlers := list(self._handlers):
            for handler in handlers:
                handler.cancel()
            await asyncio.gather(*handlers, return_exceptions=True)


class _Link:
    """One connection: two pumps, one of which knows what is being executed."""

    def __init__(
        self,
        proxy: Proxy,
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
    ) -> None:
        self._proxy = proxy
        self._client, self._to_client = client, to_client
        self._server, self._to_server = server, to_server
        self._statements: dict[bytes, str] = {}
        self._answering: Fault | None = None

    async def run(self) -> None:
        """Until either side hangs up or a fault cuts it."""
        pumps = [asyncio.ensure_future(self._up()), asyncio.ensure_future(self._down())]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _up(self) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            length = await self._client.readexactly(4)
            self._to_server.write(length + await self._client.readexactly(struct.unpack("!I", length)[0] - 4))
            while True:
                kind, message = await _message(self._client)
                sql = self._executed(kind, message[5:])
                fault = self._proxy.take(sql) if sql is not None else None
                match fault.how if fault else None:
                    case "before it arrives":
                        assert fault is not None
                        fault.struck.set()
                        return
                    case "hold it":
                        assert fault is not None
                        await fault.passes()
                    case "it arrives late":
                        assert fault is not None
                        while kind != b"S":  # Sync: the end of what was sent with it
                            kind, more = await _message(self._client)
                            message += more
                        self._to_client.transport.abort()
                        await fault.passes()
                        self._answering = fault
                    case _:
                        self._answering = fault or self._answering
                self._to_server.write(message)
                await self._to_server.drain()
        if self._answering is not None and self._answering.how in ("swallow the answer", "it arrives late"):
            await asyncio.Event().wait()  # the client left, but the network is down: the server does not learn of it

    async def _down(self) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                kind, message = await _message(self._server)
                fault = self._answering
                if fault is not None and fault.how == "hold the answer":
                    await fault.passes()
                    self._answering = fault = None
                if fault is None:
                    self._to_client.write(message)
                    await self._to_client.drain()
                elif kind == b"Z":  # ready for the next: this one is done, and committed
                    fault.struck.set()
                    fault.done.set()
                    if fault.how != "swallow the answer":
                        return

    def _executed(self, kind: bytes, body: bytes) -> str | None:
        """The SQL that this message executes, if it does."""
        if kind == b"P":  # Parse: statement name, SQL, …
            name, sql, _ = body.split(b"\0", 2)
            self._statements[name] = sql.decode()
        elif kind == b"B":  # Bind: portal, statement name, …
            return self._statements[body.split(b"\0", 2)[1]]
        elif kind == b"Q":  # a simple query
            return body.rstrip(b"\0").decode()
        return None


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """(kind, the whole message)."""
    head = await reader.readexactly(5)
    return head[:1], head + await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)


@asynccontextmanager
async def proxy_to(dsn: str, folder: Path) -> AsyncIterator[Proxy]:
    """A proxy whose socket lies in `folder`, which must have a short path."""
    proxy = Proxy(dsn, folder)
    server = await asyncio.start_unix_server(proxy.serve, f"{folder}/.s.PGSQL.{PORT}")
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
        await server.wait_closed()
