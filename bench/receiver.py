"""A receiver of callbacks that does next to nothing: answers 204 and notes when each came.

Arguments: port, file for the notes (a line each: the body's completeTime, milliseconds now), `hang` to never answer.
"""

import asyncio
import re
import sys
import time
from typing import Any

import uvloop

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
COMPLETE = re.compile(rb'"completeTime":(\d+)')


class Receiver(asyncio.Protocol):
    """One connection."""

    def __init__(self, notes: list[tuple[int, int]], hang: bool) -> None:
        self.notes = notes
        self.hang = hang
        self.buffer = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while not self.hang:
            head, separator, rest = self.buffer.partition(b"\r\n\r\n")
            match = LENGTH.search(head) if separator else None
            if match is None or len(rest) < int(match[1]):
                return
            body, self.buffer = rest[: int(match[1])], rest[int(match[1]) :]
            self.notes.append((int(COMPLETE.search(body)[1]), time.time_ns() // 1_000_000))
            self.transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


async def main() -> None:
    """Serve until killed; the notes are written every tenth of a second."""
    port, path, *more = sys.argv[1:]
    notes: list[tuple[int, int]] = []
    await asyncio.get_running_loop().create_server(lambda: Receiver(notes, bool(more)), "127.0.0.1", int(port))
    with open(path, "a", buffering=1) as file:
        while True:
            await asyncio.sleep(0.1)
            if notes:
                file.write("".join(f"{done} {came}\n" for done, came in notes))
                notes.clear()


uvloop.run(main())
