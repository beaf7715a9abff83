"""NOTIFY from the database to whoever waits in this process. A hint, never a truth: everybody also polls, slowly."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
import structlog

from cavendish.domain.errors import StoreUnavailable
from cavendish.store.database import CONNECT_TIMEOUT_SECONDS, PASSING_FAULTS, translated

RECONNECT_SECONDS = 0.5
PING_SECONDS = 15.0

log = structlog.get_logger("cavendish.listener")


class Listener:
    """One connection that listens; `subscribe` before `run`.

    After every (re)connection each subscriber is called once, since notifications may have been missed meanwhile.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._subscribers: dict[str, list[Callable[[str], None]]] = {}

    def subscribe(self, channel: str, callback: Callable[[str], None]) -> None:
        """Have `callback(payload)` called, on the event loop, for every notification on `channel`."""
        self._subscribers.setdefault(channel, []).append(callback)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen until the end of the block."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except StoreUnavailable as error:
                log.warning("the listening connection broke; connecting again", error=str(error))
            except Exception:
                # Be it that the database is away for a restore, or its password was changed: keys and cancels wait.
                log.exception("listening met an unforeseen error; connecting again")
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self) -> None:
        with translated():
            connection = await asyncpg.connect(
                self._dsn, timeout=CONNECT_TIMEOUT_SECONDS, server_settings={"application_name": "cavendish-listener"}
            )
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _connection: lost.set())
        try:
            with translated():
                for channel in self._subscribers:
                    await connection.add_listener(channel, self._on_notification)
                self._wake_everybody()
                while not lost.is_set():
                    try:
                        async with asyncio.timeout(PING_SECONDS):
                            await lost.wait()
                    except TimeoutError:
                        await connection.execute("SELECT 1", timeout=CONNECT_TIMEOUT_SECONDS)
        finally:
            with contextlib.suppress(*PASSING_FAULTS):
                await connection.close(timeout=1)

    def _on_notification(self, _connection: object, _pid: int, channel: str, payload: object) -> None:
        for callback in self._subscribers.get(channel, ()):
            callback(str(payload))

    def _wake_everybody(self) -> None:
        for callbacks in self._subscribers.values():
            for callback in callbacks:
                callback("")
