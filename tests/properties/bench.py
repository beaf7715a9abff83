"""A worker's surroundings: the real queue around it, a studio in the engine's place, and ways to wait for outcomes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from cavendish.blobs.objects import ObjectBlobs
from cavendish.clock import SystemClock
from cavendish.domain.orders import Caller, Success, Work
from cavendish.flows.work import Worker
from cavendish.ports import Clock
from cavendish.store.database import Database
from cavendish.store.orders import PgTaskOrders
from cavendish.store.queue import PgWorkQueue
from tests.properties.world import PICTURE, states

TTL = 60.0


class Studio:
    """Draws in the worker's place: what `behave` says, once the gate is open; remembers what was asked."""

    def __init__(self, behave: Callable[[Work], Success] = lambda _: PICTURE) -> None:
        self.behave = behave
        self.gate = asyncio.Event()
        self.gate.set()
        self.called: list[Work] = []
        self.running = 0
        self.most_running = 0
        self.canceled = 0

    async def __call__(self, work: Work, started: Callable[[], None]) -> Success:
        self.called.append(work)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            started()
            await self.gate.wait()
            return self.behave(work)
        except asyncio.CancelledError:
            self.canceled += 1
            raise
        finally:
            self.running -= 1


def raising(error: Exception, times: int = 1000) -> Callable[[Work], Success]:
    """Raise for the first `times` calls."""
    calls = iter(range(times))

    def behave(_work: Work) -> Success:
        if next(calls, None) is not None:
            raise error
        return PICTURE

    return behave


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    """Wait for a state that other tasks bring about."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - it is a row of the database that changes
            await asyncio.sleep(0.005)


class Bench:
    """One database with an account, and workers over it."""

    def __init__(self, database: Database, caller: Caller, blobs: ObjectBlobs) -> None:
        self.database = database
        self.caller = caller
        self.blobs = blobs
        self.queue = PgWorkQueue(database)
        self.orders = PgTaskOrders(database, SystemClock())

    def worker(
        self, studio: Studio, *, slots: int = 64, clock: Clock | None = None, deadline: float = 60, name: str = "worker"
    ) -> Worker:
        """A worker that has not begun."""
        return Worker(
            queue=self.queue,
            draw=studio,
            blobs=self.blobs,
            clock=clock or SystemClock(),
            name=name,
            slots=slots,
            lease_ttl_seconds=TTL,
            task_deadline_seconds=deadline,
        )

    async def count(self, word: str) -> int:
        """How many tasks are in that state."""
        return (await states(self.database)).get(word, 0)

    async def until(self, word: str, tasks: int) -> None:
        """Wait until that many tasks are in that state."""

        async def reached() -> bool:
            return await self.count(word) == tasks

        await until(reached)

    async def token(self) -> str:
        """The token of the lease that lives."""
        row = await self.database.fetchrow("SELECT token FROM leases WHERE expires_at > clock_timestamp()")
        assert row is not None
        return str(row["token"])


@asynccontextmanager
async def working(worker: Worker) -> AsyncIterator[None]:
    """Run it; stop it without grace at the end."""
    run = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        await worker.stop(0)
        async with asyncio.timeout(10):
            await run
