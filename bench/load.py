"""Load from a separate process: wrk where it is installed, else a small keep-alive client of our own."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

WRK_SCRIPT = """
local bodies = {}
wrk.method = "%(method)s"
%(headers)s
%(body)s
local paths = {}
for line in io.lines("%(paths)s") do paths[#paths + 1] = line end
local n = 0
request = function()
  n = n %% #paths + 1
  return wrk.format(nil, paths[n])
end
"""


@dataclass(frozen=True)
class Request:
    """What to send again and again; the paths in turn."""

    method: str
    paths: tuple[str, ...]
    headers: dict[str, str]
    body: str | None = None


@dataclass(frozen=True)
class Result:
    """What came of it. `errors`: answers other than 2xx, and broken connections."""

    per_second: float
    requests: int
    errors: int
    tool: str


def run_load(url: str, request: Request, *, connections: int, seconds: float) -> Result:
    """Send `request` over `connections` connections for `seconds`."""
    if shutil.which("wrk"):
        return _wrk(url, request, connections, seconds)
    arguments = json.dumps([url, request.__dict__, connections, seconds])
    done = subprocess.run(
        [sys.executable, __file__], input=arguments, capture_output=True, text=True, check=True, timeout=seconds + 60
    )
    per_second, requests, errors = json.loads(done.stdout)
    return Result(per_second, requests, errors, "bench/load.py")


def _wrk(url: str, request: Request, connections: int, seconds: float) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder) / "paths"
        paths.write_text("\n".join(request.paths) + "\n")
        script = Path(folder) / "script.lua"
        headers = "\n".join(f"wrk.headers[{json.dumps(k)}] = {json.dumps(v)}" for k, v in request.headers.items())
        body = f"wrk.body = [==[{request.body}]==]" if request.body is not None else ""
        script.write_text(WRK_SCRIPT % {"method": request.method, "headers": headers, "body": body, "paths": paths})
        out = subprocess.run(
            ["wrk", "-t1", "--timeout", "10s", f"-c{connections}", f"-d{seconds:.0f}s", "-s", str(script), url],
            capture_output=True, text=True, check=True, timeout=seconds + 60,
        ).stdout  # fmt: skip
    requests = int(_found(r"(\d+) requests in", out))
    errors = int(_found(r"Non-2xx or 3xx responses: (\d+)", out, "0"))
    errors += sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", out)))
    return Result(float(_found(r"Requests/sec:\s+([\d.]+)", out)), requests, errors, "wrk")


def _found(pattern: str, text: str, default: str | None = None) -> str:
    match = re.search(pattern, text)
    if match is None and default is None:
        raise RuntimeError(f"no {pattern!r} in:\n{text}")
    return match[1] if match is not None else str(default)


async def _own(url: str, request: Request, connections: int, seconds: float) -> tuple[float, int, int]:
    host, port = url.removeprefix("http://").split(":")
    body = (request.body or "").encode()
    head = "".join(f"{k}: {v}\r\n" for k, v in request.headers.items())
    raw = [
        f"{request.method} {path} HTTP/1.1\r\nHost: {host}\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        for path in request.paths
    ]
    done = errors = turn = 0
    end = time.perf_counter() + seconds

    async def one() -> None:
        nonlocal done, errors, turn
        reader, writer = await asyncio.open_connection(host, int(port))
        while time.perf_counter() < end:
            turn += 1
            writer.write(raw[turn % len(raw)])
            answer = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", answer.lower())
            await reader.readexactly(int(length[1]) if length else 0)
            done += 1
            errors += answer[9:10] != b"2"
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    return done / (time.perf_counter() - began), done, errors


def main() -> None:
    """The separate process: arguments on standard input, figures on standard output."""
    import uvloop

    url, fields, connections, seconds = json.load(sys.stdin)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(_own(url, Request(**fields), connections, seconds))))


if __name__ == "__main__":
    main()
