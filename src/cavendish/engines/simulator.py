"""The simulator: a plain picture of the right size at once, for people who test an integration or a load.

Outcomes on demand, by a marker anywhere in the prompt: `[simulate:content_rejected]`, `no_image`, `engine_busy`,
`engine_error`, `timeout`, `crash` (an unforeseen error in the engine: tried again, then `internal`), and
`[simulate:seconds=2.5]` for one slow picture.
"""

import asyncio
import re
import struct
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import MappingProxyType

from cavendish.domain.engine_reports import EngineReport
from cavendish.domain.errors import EngineError, FailCode
from cavendish.domain.text import Text
from cavendish.ports import EngineImage, ImageRequest

_MARKER = re.compile(r"\[simulate:([a-z_]+)(?:=(\d{1,4}(?:\.\d{1,6})?))?\]")
_CACHED_PICTURES = 64

_FAILURES: Mapping[str, tuple[FailCode, Text]] = MappingProxyType(
    {
        "content_rejected": (
            "content_rejected",
            Text(en="Simulated: the prompt was rejected by the safety check", zh="模拟：提示词未通过安全审核"),
        ),
        "no_image": (
            "no_image",
            Text(en="Simulated: the engine answered without an image", zh="模拟：引擎没有返回图片"),
        ),
        "engine_busy": ("engine_busy", Text(en="Simulated: the engine is at its limit", zh="模拟：引擎繁忙")),
        "engine_error": ("engine_error", Text(en="Simulated: the engine failed", zh="模拟：引擎出错")),
        "timeout": ("timeout", Text(en="Simulated: the engine did not answer in time", zh="模拟：引擎响应超时")),
    }
)


class SimulatedCrash(RuntimeError):
    """What `[simulate:crash]` raises: an error that nobody foresaw."""


class Simulator:
    """Implements `ports.Engine`.

    Args:
        latency_seconds: how long every picture takes.
    """

    name = "simulator"

    def __init__(self, latency_seconds: float = 0.0) -> None:
        self._latency_seconds = latency_seconds
        self._pictures: OrderedDict[tuple[int, int, int], bytes] = OrderedDict()
        self._running = 0

    async def generate(self, request: ImageRequest, started: Callable[[], None]) -> EngineImage:
        """A picture in one colour, chosen by the prompt.

        Raises:
            EngineError: when a marker in the prompt asks for it.
            SimulatedCrash: likewise.
        """
        started()
        seconds = self._latency_seconds
        outcome = ""
        if "[simulate:" in request.prompt:
            for word, value in _MARKER.findall(request.prompt):
                if word == "seconds" and value:
                    seconds = float(value)
                else:
                    outcome = word
        if seconds > 0:
            self._running += 1
            try:
                await asyncio.sleep(seconds)
            finally:
                self._running -= 1
        if outcome == "crash":
            raise SimulatedCrash("the prompt asked for a crash")
        if outcome in _FAILURES:
            raise EngineError(*_FAILURES[outcome])
        return EngineImage(self._picture(request.width, request.height, _shade(request.prompt)), note=None)

    def report(self) -> EngineReport:
        """How many pictures are slow on purpose now; there is no limit."""
        return EngineReport(self.name, running=self._running)

    async def aclose(self) -> None:
        """Nothing to let go of."""

    def _picture(self, width: int, height: int, shade: int) -> bytes:
        key = (width, height, shade)
        picture = self._pictures.get(key)
        if picture is None:
            picture = self._pictures[key] = plain_png(width, height, shade)
            if len(self._pictures) > _CACHED_PICTURES:
                self._pictures.popitem(last=False)
        return picture


def _shade(prompt: str) -> int:
    return zlib.crc32(prompt.encode("utf-8", "surrogatepass")) % 16


def plain_png(width: int, height: int, shade: int) -> bytes:
    """A PNG of one colour out of a palette of 16 (RFC 2083: colour type 3, 1 bit a pixel)."""
    colours = [(60 + 12 * i % 180, 90 + 37 * i % 150, 120 + 23 * i % 130) for i in range(16)]
    rows = (b"\0" + b"\0" * ((width + 7) // 8)) * height
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 3, 0, 0, 0)),
            _chunk(b"PLTE", bytes(colours[shade % 16])),
            _chunk(b"IDAT", zlib.compress(rows, 1)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
