"""Run a process of Cavendish: API, worker, or both; start, announce, and stop in good order."""

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
import uvicorn
import uvloop

from cavendish.domain.errors import Misconfigured, StoreUnavailable
from cavendish.domain.text import Text
from cavendish.flows.work import Worker
from cavendish.settings import Settings
from cavendish.wiring import Parts, open_parts

log = structlog.get_logger("cavendish")

DELIVERIES_GRACE_SECONDS = 6.5
"""How long a stopping process lets callbacks that are under way end: as long as the slowest answer may take."""

OPEN_FILES = 65_536
"""Connections are files; the 1,024 that many systems begin with are soon taken by callers who wait."""

STANDBY_SECONDS = 1.0
"""How often a worker on standby looks whether it is needed."""

Announce = Callable[[Parts, str], Coroutine[Any, Any, None]]
"""Called once the API listens, with its URL."""


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run `main` on the fast event loop, with as many connections as the system lets us have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # a system with a bound of its own: as good as before
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    # What was imported stays for ever and need not be searched for garbage again and again; and our own objects die by
    # reference count, so the search for cycles may come less often than after every 700 allocations.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


async def serve(settings: Settings, host: str, port: int, *, with_worker: bool, announce: Announce) -> None:
    """The API, and a worker beside it unless told otherwise, until a signal asks to stop.

    Raises:
        Misconfigured: the address is taken or not ours.
    """
    with _listening(host, port) as listening:
        stop = _stop_on_signals()
        async with open_parts(settings) as parts:
            worker: Worker | None = None
            checks = {
                "api": _always(lambda: not stop.is_set()),
                "worker": _always(lambda: worker is None or worker.claiming.is_set()),
            }
            server = _Server(parts, checks, listening)
            async with contextlib.AsyncExitStack() as stack:
                if with_worker:
                    worker = await stack.enter_async_context(_working(parts))
                else:
                    await stack.enter_async_context(parts.listener.running())
                serving = asyncio.create_task(server.serve(sockets=[listening]))
                url = _url(listening, host)
                log.info(
                    "serving",
                    url=url,
                    engine=settings.engine if with_worker else None,
                    models=parts.served() if with_worker else None,
                    worker=with_worker,
                )
                await announce(parts, url)
                stopped = asyncio.create_task(stop.wait())
                await asyncio.wait((serving, stopped), return_when=asyncio.FIRST_COMPLETED)
                stopped.cancel()
                if worker is not None:
                    await worker.stop(settings.shutdown_grace_seconds)
                parts.waiting.close()  # after the worker's last pictures, for which callers may be waiting
                server.should_exit = True
                await serving
        log.info("stopped")


@asynccontextmanager
async def serving_locally(settings: Settings) -> AsyncIterator[tuple[Parts, str]]:
    """The API on a free port of the loopback, for the length of the block: for a command that needs a server.

    Signals are the command's. Tasks are left to the workers of other processes on the same database; only while there
    is none does this one work, and what it has not ended at the end of the block waits again.

    Yields:
        The parts, and the URL.
    """
    failure: BaseException | None = None
    with _listening("127.0.0.1", 0) as listening:
        async with open_parts(settings) as parts, _working(parts, standby=True):
            server = _Server(parts, {}, listening)
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            try:
                yield parts, _url(listening, "127.0.0.1")
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001
                failure = error  # raised below: what is held here must be given back all the same
            finally:
                parts.waiting.close()
                server.should_exit = True
                await serving
    if failure is not None:
        raise failure


async def work(settings: Settings) -> None:
    """A worker alone, until a signal asks to stop."""
    stop = _stop_on_signals()
    async with open_parts(settings) as parts, _working(parts) as worker:
        log.info("working", engine=settings.engine, models=parts.served(), slots=settings.worker_slots)
        await stop.wait()
        await worker.stop(settings.shutdown_grace_seconds)
    log.info("stopped")


@asynccontextmanager
async def _working(parts: Parts, *, standby: bool = False) -> AsyncIterator[Worker]:
    """A worker and all that goes with it. `standby`: it begins only once no other process works."""
    engine = parts.engine()
    fetcher = parts.fetcher()
    worker = parts.worker(engine, fetcher)
    reporter = parts.reporter(worker, engine)
    sweeper = parts.sweeper()
    retention = parts.retention()
    try:
        async with parts.deliverer() as deliverer, parts.listener.running():
            began = asyncio.Event()
            working = asyncio.create_task(_work(parts, worker, began, standby=standby))
            delivering = asyncio.create_task(deliverer.run())
            chores = [asyncio.create_task(chore.run()) for chore in (sweeper, retention, reporter)]
            try:
                yield worker
                await worker.stop(0)
                if began.is_set():
                    await working
                # Last, so that what the worker finished in its grace has a chance to be told.
                await deliverer.stop(DELIVERIES_GRACE_SECONDS)
                await delivering
            finally:
                for task in (working, delivering, *chores):
                    task.cancel()
                await asyncio.gather(working, delivering, *chores, return_exceptions=True)
                await reporter.stop()
    finally:
        await engine.aclose()
        await fetcher.aclose()


async def _work(parts: Parts, worker: Worker, began: asyncio.Event, *, standby: bool) -> None:
    while standby and await _others_work(parts):
        await parts.clock.sleep(STANDBY_SECONDS)
    began.set()
    await worker.run()


async def _others_work(parts: Parts) -> bool:
    try:
        return await parts.queue.any_worker()
    except StoreUnavailable:
        return True  # ask again: the worker could do nothing either


class _Server(uvicorn.Server):
    """uvicorn without its signal handling: ours lets running tasks end first."""

    def __init__(self, parts: Parts, checks: dict[str, Any], listening: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                parts.app(checks),
                http="httptools",
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=5,
                fd=listening.fileno(),
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family)
    except OSError as error:
        raise _cannot_listen(host, port, error) from error
    with listening:
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(2048)
        except OSError as error:
            raise _cannot_listen(host, port, error) from error
        yield listening


def _cannot_listen(host: str, port: int, error: OSError) -> Misconfigured:
    return Misconfigured(
        Text(
            en=f"cannot listen on {host}:{port}: {error.strerror or error}; choose another --host or --port",
            zh=f"无法监听 {host}:{port}：{error.strerror or error}；请更换 --host 或 --port",
        )
    )


def _url(listening: socket.socket, host: str) -> str:
    port = listening.getsockname()[1]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}"


def _stop_on_signals() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT; the second ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        if stop.is_set():
            log.warning("second signal: ending now; what was running runs again when its lease ends")
            os._exit(128 + number)
        log.info("stopping", signal=signal.Signals(number).name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return stop


def _always(question: Callable[[], bool]) -> Callable[[], Coroutine[Any, Any, bool]]:
    async def ask() -> bool:
        return question()

    return ask
