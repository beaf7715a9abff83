"""Public doubles for tests, of Cavendish and of engines written for it: a clock that stands still, a scripted engine.

Nothing here needs pytest, and nothing waits in real time.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable

from cavendish.domain.engine_reports import EngineReport
from cavendish.ports import EngineImage, ImageRequest

_LOOP_TURNS = 20


class ManualClock:
    """Implements `ports.Clock`: time moves only when `advance` is called.

    Args:
        now_ms: Unix milliseconds at the start.
    """

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._start_ms = now_ms
        self._elapsed = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._came = asyncio.Condition()

    @property
    def sleeping(self) -> int:
        """How many sleep now."""
        return sum(not future.done() for _, _, future in self._sleepers)

    def now_ms(self) -> int:
        """Unix milliseconds."""
        return self._start_ms + round(self._elapsed * 1000)

    def monotonic(self) -> float:
        """Seconds since the start."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` has moved time by `seconds`; with 0 or less, only let others run."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), future))
        async with self._came:
            self._came.notify_all()
        await future

    async def until_sleeping(self, count: int = 1) -> None:
        """Wait, in real time, until at least `count` sleep: what they did before is done."""
        async with self._came:
            await self._came.wait_for(lambda: self.sleeping >= count)

    async def advance(self, seconds: float) -> None:
        """Move time by `seconds`, waking sleepers in the order of their hours.

        Each runs until it waits for something else before the next is woken, and may sleep again within `seconds`.
        Whoever does real I/O between two sleeps needs `until_sleeping` before the next `advance`.
        """
        target = self._elapsed + seconds
        while self._sleepers and self._sleepers[0][0] <= target:
            hour, _, future = heapq.heappop(self._sleepers)
            if future.done():  # canceled in its sleep
                continue
            self._elapsed = max(self._elapsed, hour)
            future.set_result(None)
            await _let_others_run()
        self._elapsed = target
        await _let_others_run()


class Blocked:
    """A step of a script: the call blocks until `release`, then answers or raises `then`."""

    def __init__(self, then: EngineImage | Exception) -> None:
        self.then = then
        self._released = asyncio.Event()

    def release(self) -> None:
        """Let the call go on."""
        self._released.set()

    async def wait(self) -> None:
        """Block until `release`."""
        await self._released.wait()


Step = EngineImage | Exception | Blocked


class ScriptedEngine:
    """Implements `ports.Engine`: every call plays the next step of a script.

    Args:
        script: per call, the picture it gives, the error it raises, or `Blocked`.
        afterwards: what every call gives once the script is played; None: such a call is the test's mistake.
    """

    name = "scripted"

    def __init__(self, *script: Step, afterwards: Step | None = None) -> None:
        self._script = iter(script)
        self._afterwards = afterwards
        self._came = asyncio.Condition()
        self.requests: list[ImageRequest] = []
        """What was asked for, in order."""
        self.running = 0
        """Calls under way."""
        self.canceled = 0
        """Calls that were canceled while they were blocked."""
        self.closed = False
        """Whether `aclose` was called."""

    async def generate(self, request: ImageRequest, started: Callable[[], None]) -> EngineImage:
        """Play the next step; `started` is called at its beginning.

        Raises:
            AssertionError: the script is over.
        """
        step = next(self._script, self._afterwards)
        assert step is not None, f"call {len(self.requests) + 1} of an engine with a shorter script"
        self.requests.append(request)
        self.running += 1
        try:
            started()
            async with self._came:
                self._came.notify_all()
            if isinstance(step, Blocked):
                await step.wait()
                step = step.then
        except asyncio.CancelledError:
            self.canceled += 1
            raise
        finally:
            self.running -= 1
        if isinstance(step, Exception):
            raise step
        return step

    async def until_called(self, times: int = 1) -> ImageRequest:
        """Wait until the call number `times` (the first is 1) has started; its request."""
        async with self._came:
            await self._came.wait_for(lambda: len(self.requests) >= times)
        return self.requests[times - 1]

    def report(self) -> EngineReport:
        """Calls under way."""
        return EngineReport(self.name, running=self.running)

    async def aclose(self) -> None:
        """Remember it."""
        self.closed = True


async def _let_others_run() -> None:
    for _ in range(_LOOP_TURNS):
        await asyncio.sleep(0)
