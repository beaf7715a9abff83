"""The engine that needs no key and no network: it reads the prompt and draws it, in processes of its own."""

import asyncio
import contextlib
import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection

from cavendish.domain.engine_reports import EngineReport
from cavendish.domain.errors import EngineError, EngineUnavailable
from cavendish.domain.text import Text
from cavendish.ports import EngineImage, ImageRequest

_PICTURES_PER_PROCESS = 64
"""A process ends after so many pictures, so that the memory of a 4k burst goes back to the machine."""

_SHUT = Text(en="The illustrator has been shut down.", zh="插画引擎已经关闭。")
_KILLED = Text(en="A drawing process ended before its picture was done.", zh="绘图进程在完成图片之前意外退出。")


class Illustrator:
    """Procedural vector drawings of what the prompt says. Not a neural model."""

    def __init__(self, *, processes: int) -> None:
        """`processes` (>= 1): how many pictures may be drawn at the same time, each on one core."""
        self._desks = [_Desk() for _ in range(max(1, processes))]
        self._free = self._desks.copy()
        self._slots = asyncio.Semaphore(len(self._free))
        self._waiting = 0
        self._closed = False

    @property
    def name(self) -> str:
        """The word of CAVENDISH_ENGINE."""
        return "illustrator"

    async def generate(self, request: ImageRequest, started: Callable[[], None]) -> EngineImage:
        """Draw `request`; `started` is called when a process is free for it.

        Raises EngineError: `bad_input_image` for bytes that cannot be decoded, `engine_error` after `aclose`.
        Raises EngineUnavailable: a drawing process was killed; another attempt gets a new one.
        """
        desk = await self._free_desk()
        try:
            if self._closed:
                raise EngineError("engine_error", _SHUT)
            started()
            job = desk.begin(request)
        except BrokenProcessPool as broken:
            self._leave(desk)
            raise EngineUnavailable(_KILLED) from broken
        except BaseException:
            self._leave(desk)
            raise
        # The desk is left when its process is free again, also when the caller has gone away before.
        loop = asyncio.get_running_loop()
        drawn = asyncio.wrap_future(job)
        drawn.add_done_callback(_looked_at)
        job.add_done_callback(lambda _: _call(loop, self._leave, desk))
        try:
            outcome = await asyncio.shield(drawn)
        except BrokenProcessPool as broken:
            raise EngineUnavailable(_KILLED) from broken
        except asyncio.CancelledError:
            if drawn.cancelled():  # by aclose, not by the caller
                raise EngineError("engine_error", _SHUT) from None
            raise
        if isinstance(outcome, Text):
            raise EngineError("bad_input_image", outcome)
        return outcome

    def report(self) -> EngineReport:
        """How many pictures are drawn now, out of how many processes, and how many wait for one."""
        parallel = len(self._desks)
        return EngineReport(self.name, running=parallel - len(self._free), parallel=parallel, waiting=self._waiting)

    async def aclose(self) -> None:
        """End the processes; pictures that nobody waits for any more are dropped."""
        self._closed = True
        await asyncio.gather(*(desk.aclose() for desk in self._desks))

    async def _free_desk(self) -> "_Desk":
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        return self._free.pop()  # the one that was left last: its process is there and warm

    def _leave(self, desk: "_Desk") -> None:
        self._free.append(desk)
        self._slots.release()


class _Desk:
    """Where one picture at a time is drawn, by a process that is replaced when it is worn out or was killed.

    A pool of one for each desk, and never `max_tasks_per_child`: with that, a pool of several counts a process idle
    that has just ended, and can be left with work and without processes for ever (CPython issue 115634).
    """

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._pictures_left = 0
        self._ending: set[asyncio.Future[None]] = set()

    def begin(self, request: ImageRequest) -> "Future[EngineImage | Text]":
        """Have `request` drawn. The desk must be free. Raises BrokenProcessPool: the process was killed meanwhile."""
        if self._pool is None or self._pictures_left <= 0:
            self._end_process()
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=_end_with_parent)
            self._pictures_left = _PICTURES_PER_PROCESS
        self._pictures_left -= 1
        try:
            with _deaf_to_ctrl_c():
                job = self._pool.submit(_draw, request)
        except BrokenProcessPool:
            self._pictures_left = 0
            raise
        job.add_done_callback(self._note_end)
        return job

    async def aclose(self) -> None:
        """End the process, once the picture that it draws is done."""
        self._end_process()
        if self._ending:
            await asyncio.wait(self._ending)

    def _note_end(self, job: "Future[EngineImage | Text]") -> None:
        if not job.cancelled() and isinstance(job.exception(), BrokenProcessPool):
            self._pictures_left = 0  # the next one gets a new process

    def _end_process(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            shut = functools.partial(pool.shutdown, wait=True, cancel_futures=True)
            ending = asyncio.get_running_loop().run_in_executor(None, shut)
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)


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


def _call(loop: asyncio.AbstractEventLoop, action: Callable[[_Desk], None], desk: _Desk) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(action, desk)
