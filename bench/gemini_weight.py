"""What large answers of Gemini weigh: resident memory and stalls of the event loop, with many 4k pictures in flight.

    python bench/gemini_weight.py                    # ours, 100 answers of 15 MB (20 MB of base64)
    python bench/gemini_weight.py --client vendor    # the vendor's package, for comparison
    python bench/gemini_weight.py --answers 10 --rounds 3

Prints one JSON object: `growth` is peak resident memory above what there was before the first answer, divided by the
bytes of the pictures, all of which are held until the end. `stall_ms` is the longest time that a probe, which wants to
run every 5 ms, was late; `busy_ms` the part of a stall in which the loop's own thread was computing: on a machine that
others use, too, the rest is theirs. The upstream is a process of its own. Exit code 1 when a limit is exceeded.
"""

import argparse
import asyncio
import base64
import gc
import json
import os
import subprocess
import sys
import threading
import time
from typing import Any

import psutil
import uvloop

MEGABYTE = 1_000_000
MOST_GROWTH = 2.5
MOST_STALL_MS = 50.0
PROBE_SECONDS = 0.005
KEY = "AIzaSy-bench-key-0000"
MODEL = "gemini-3-pro-image"


def body(picture_bytes: int) -> bytes:
    """An answer with a picture of that many bytes that no compression makes smaller."""
    data = b"\x89PNG\r\n\x1a\n" + os.urandom(picture_bytes - 8)
    part = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(data).decode()}}
    used = {"promptTokenCount": 10, "candidatesTokenCount": 2000, "totalTokenCount": 2010}
    candidate = {"content": {"parts": [part], "role": "model"}, "finishReason": "STOP", "index": 0}
    return json.dumps({"candidates": [candidate], "usageMetadata": used}).encode()


async def upstream(picture_bytes: int) -> None:
    """Answer every POST with the same picture; print the port."""
    small, large = body(1000), body(picture_bytes)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
                asked = await reader.readexactly(length)
                answer = memoryview(small if b"warm up" in asked else large)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
                writer.write(b"content-length: %d\r\n\r\n" % len(answer))
                for at in range(0, len(answer), 65536):
                    writer.write(answer[at : at + 65536])
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class Ours:
    """The engine as the worker runs it."""

    def __init__(self, url: str, parallel: int) -> None:
        from cavendish.clock import SystemClock
        from cavendish.engines.gemini.access import read_keys
        from cavendish.engines.gemini.engine import Gemini
        from cavendish.images.service import PillowImages

        self._engine = Gemini(
            read_keys(f"a:{KEY}", url),
            clock=SystemClock(),
            images=PillowImages(),
            requests_per_minute=1_000_000,
            parallel=parallel,
            silence_seconds=60,
            request_bytes=100 * MEGABYTE,
        )

    async def picture(self, prompt: str) -> bytes:
        """One picture."""
        from cavendish.ports import ImageRequest

        request = ImageRequest("t", "m", (MODEL,), prompt, "1:1", "4k", 4096, 4096, "png")
        return (await self._engine.generate(request, lambda: None)).data

    async def aclose(self) -> None:
        """Let go of connections."""
        await self._engine.aclose()


class Vendor:
    """The vendor's package, as its documents show it."""

    def __init__(self, url: str, _parallel: int) -> None:
        from google.genai import types

        from google import genai

        self._client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=url))

    async def picture(self, prompt: str) -> bytes:
        """One picture."""
        from google.genai import types

        config = types.GenerateContentConfig(response_modalities=["TEXT", "IMAGE"])
        answer: Any = await self._client.aio.models.generate_content(model=MODEL, contents=prompt, config=config)
        data: bytes = answer.candidates[0].content.parts[0].inline_data.data
        return data

    async def aclose(self) -> None:
        """Let go of connections."""
        await self._client.aio.aclose()


class Peak:
    """The most resident memory, looked at every few milliseconds from a thread."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._over = threading.Event()
        self.before = self.most = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.005):
            self.most = max(self.most, self._process.memory_info().rss)

    def end(self) -> int:
        """Bytes above the beginning."""
        self._over.set()
        self._thread.join()
        return max(self.most, self._process.memory_info().rss) - self.before


async def probe(late: list[float], busy: list[float]) -> None:
    """How late each wake-up is, in seconds, and how much of that this thread itself was computing."""
    while True:
        due, computed = time.perf_counter() + PROBE_SECONDS, time.thread_time()
        await asyncio.sleep(PROBE_SECONDS)
        late.append(max(0.0, time.perf_counter() - due))
        busy.append(min(late[-1], time.thread_time() - computed))


async def measure(kind: str, url: str, answers: int, picture_bytes: int, rounds: int) -> dict[str, Any]:
    """All answers at once, `rounds` times; the worst round."""
    client = Ours(url, answers) if kind == "ours" else Vendor(url, answers)
    await client.picture("warm up")
    gc.collect()
    gc.freeze()
    growth, stall, computing, seconds = 0.0, 0.0, 0.0, 0.0
    for _ in range(rounds):
        late: list[float] = []
        busy: list[float] = []
        probing = asyncio.create_task(probe(late, busy))
        peak = Peak()
        begun = time.perf_counter()
        pictures = await asyncio.gather(*(client.picture("a cat") for _ in range(answers)))
        seconds = max(seconds, time.perf_counter() - begun)
        probing.cancel()
        held = sum(map(len, pictures))
        assert held == answers * picture_bytes
        growth = max(growth, peak.end() / held)
        stall, computing = max(stall, *late), max(computing, *busy)
        del pictures
        gc.collect()
    await client.aclose()
    return {
        "client": kind,
        "answers": answers,
        "picture_mb": picture_bytes / MEGABYTE,
        "growth": round(growth, 2),
        "stall_ms": round(stall * 1000, 1),
        "busy_ms": round(computing * 1000, 1),
        "seconds": round(seconds, 2),
        "within_limits": growth <= MOST_GROWTH and stall * 1000 <= MOST_STALL_MS,
    }


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--client", choices=("ours", "vendor"), default="ours")
    parser.add_argument("--answers", type=int, default=100)
    parser.add_argument("--picture-mb", type=float, default=15.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--upstream", action="store_true", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    picture_bytes = int(wanted.picture_mb * MEGABYTE)
    if wanted.upstream:
        asyncio.run(upstream(picture_bytes))
        return 0
    command = [sys.executable, __file__, "--upstream", "--picture-mb", str(wanted.picture_mb)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as serving:
        try:
            assert serving.stdout is not None
            url = f"http://127.0.0.1:{int(serving.stdout.readline())}"
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                result = runner.run(measure(wanted.client, url, wanted.answers, picture_bytes, wanted.rounds))
        finally:
            serving.kill()
    print(json.dumps(result))
    return 0 if result["within_limits"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
