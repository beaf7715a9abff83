"""The engine that needs no key and no network: it reads the prompt and draws it, in processes of its own."""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection

from cavendish.domain.engine_reports import EngineReport
from cavendish.domain.errors import EngineError, EngineUnavailable
from cavendish.domain.text import Text
from cavendish.ports import EngineImage, ImageRequest

_TASKS_PER_PROCESS = 64
"""A process ends after so many pictures, so that the memory of a 4k burst goes back to the machine."""

_SHUT = Text(en="The illustrator has been shut down.", zh="插画引擎已经关闭。")


class Illustrator:
    """Procedural vector drawings of what the prompt says. Not a neural model."""

    def __init__(self, *, processes: int) -> None:
        """`processes` (>= 1): how many pictures may be drawn at the same time, each on one core."""
        self._processes = max(1, processes)
        self._slots = asyncio.Semaphore(self._processes)
        self._running = 0
        self._waiting = 0
        self._pool: ProcessPoolExecutor | None = None
        self._closed = False

    @property
    def name(self) -> str:
        """The word of CAVENDISH_ENGINE."""
        return "illustrator"

    async def generate(self, request: ImageRequest, started: Callable[[], None]) -> EngineImage:
        """Draw `request`; `started` is called when a process is free for it.

        Raises EngineError: `bad_input_image` for bytes that cannot be decoded, `engine_error` after `aclose`.
        Raises EngineUnavailable: a drawing process was killed; another attempt gets new processes.
        """
        await self._take_slot()
        try:
            pool = self._running_pool()
            started()
            with _deaf_to_ctrl_c():
                job = pool.submit(_draw, request)
        except BrokenProcessPool as broken:
            self._free_slot()
            raise self._broken() from broken
        except BaseException:
            self._free_slot()
            raise
        # The slot is given back when the process is free again, also when the caller has gone away before.
        loop = asyncio.get_running_loop()
        drawn = asyncio.wrap_future(job)
        drawn.add_done_callback(_looked_at)
        job.add_done_callback(lambda _: _call(loop, self._free_slot))
        try:
            outcome = await asyncio.shield(drawn)
        except BrokenProcessPool as broken:
            raise self._broken(pool) from broken
        except asyncio.CancelledError:
            if drawn.cancelled():  # by aclose, not by the caller
                raise EngineError("engine_error", _SHUT) from None
            raise
        if isinstance(outcome, Text):
            raise EngineError("bad_input_image", outcome)
        return outcome

    def report(self) -> EngineReport:
        """How many pictures are drawn now, out of how many processes, and how many wait for one."""
        return EngineReport(self.name, running=self._running, parallel=self._processes, waiting=self._waiting)

    async def aclose(self) -> None:
        """End the processes; pictures that nobody waits for any more are dropped."""
        self._closed = True
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)

    async def _take_slot(self) -> None:
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        self._running += 1

    def _free_slot(self) -> None:
        self._running -= 1
        self._slots.release()

    def _running_pool(self) -> ProcessPoolExecutor:
        if self._closed:
            raise EngineError("engine_error", _SHUT)
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._processes,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_end_with_parent,
                max_tasks_per_child=_TASKS_PER_PROCESS,
            )
        return self._pool

    def _broken(self, pool: ProcessPoolExecutor | None = None) -> EngineUnavailable:
        """Let go of a pool whose process died, so that the next picture gets a new one."""
        if pool is None or pool is self._pool:
            broken, self._pool = self._pool, None
            if broken is not None:
                broken.shutdown(wait=False, cancel_futures=True)
        return EngineUnavailable(
            Text(en="A drawing process ended before its picture was done.", zh="绘图进程在完成图片之前意外退出。"),
        )


def _draw(request: ImageRequest) -> EngineImage | Text:
    """In a drawing process. Imported there only: the server itself starts without the artist's tools."""
    from cavendish.engines.illustrator.draw import draw

    return draw(request)


@contextlib.contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Have processes and threads that start in this block never see a SIGINT.

    A terminal's Ctrl-C goes to all of them at once. It is the server's to decide what becomes of its work; a drawing
    process that dies of it would fail pictures that are to be given back. A signal mask is inherited, even by what is
    started later from a thread of this block, and holds from the first instruction on.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """In a drawing process: end when the server is gone, be it by kill -9; nobody else would tell."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def _looked_at(drawn: asyncio.Future[EngineImage | Text]) -> None:
    """Take the outcome of a picture whose caller has gone away, so that asyncio does not report it as forgotten."""
    if not drawn.cancelled():
        drawn.exception()


def _call(loop: asyncio.AbstractEventLoop, action: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(action)
