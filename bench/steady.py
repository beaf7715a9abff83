"""A steady stream of creates from a separate process; prints how long some of them took until `success` could be seen.

Small on purpose: a client that costs more than the server would measure itself. One task in `WATCHED` is polled.
"""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections import deque

POLL_SECONDS = 0.002
WATCHED = 20
WARM_UP_SECONDS = 1.0
"""Connections and prepared statements are made in it; its tasks are not counted."""

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def steady(url: str, headers: dict[str, str], body: str, *, per_second: int, seconds: float) -> list[float]:
    """Seconds from sending a create to seeing `success`, for the tasks that were watched."""
    arguments = json.dumps([url, headers, body, per_second, seconds])
    done = subprocess.run(
        [sys.executable, __file__], input=arguments, stdout=subprocess.PIPE, text=True, check=True, timeout=seconds + 90
    )
    times: list[float] = json.loads(done.stdout)
    return times


class Client:
    """Requests over as many keep-alive connections as are needed at once."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self._host, _, port = url.removeprefix("http://").partition(":")
        self._port = int(port)
        self._head = f"Host: {self._host}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        self._idle: deque[Connection] = deque()

    async def call(self, method: str, path: str, body: bytes = b"") -> bytes:
        """The body of an answer of 200. Raises RuntimeError for any other."""
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(self._host, self._port)
        head = f"{method} {path} HTTP/1.1\r\n{self._head}Content-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", answer.lower())
        said = await reader.readexactly(int(length[1]) if length else 0)
        self._idle.append((reader, writer))
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{method} {path}: {answer!r} {said!r}")
        return said


async def _run(url: str, headers: dict[str, str], body: str, per_second: int, seconds: float) -> list[float]:
    client = Client(url, headers)
    times: list[float] = []

    async def one(*, watched: bool) -> None:
        began = time.perf_counter()
        said = await client.call("POST", "/api/v1/tasks/create", body.encode())
        if not watched:
            return
        path = "/api/v1/tasks/query/" + json.loads(said)["data"]["taskId"]
        while b'"state":"success"' not in await client.call("GET", path):
            await asyncio.sleep(POLL_SECONDS)
        times.append(time.perf_counter() - began)

    start = time.perf_counter()
    running = []
    for i in range(int(per_second * (WARM_UP_SECONDS + seconds))):
        await asyncio.sleep(max(0, start + i / per_second - time.perf_counter()))
        counted = i >= per_second * WARM_UP_SECONDS
        running.append(asyncio.create_task(one(watched=counted and i % WATCHED == 0)))
    await asyncio.gather(*running)
    return times


def main() -> None:
    """The separate process: arguments on standard input, seconds on standard output."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(_run(*json.load(sys.stdin)))))


if __name__ == "__main__":
    main()
