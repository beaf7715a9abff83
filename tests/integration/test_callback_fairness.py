"""What many callbacks to bad receivers cost the others: counted in looks, rows and slots, never in time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from urllib.parse import urlsplit

import pytest

from cavendish.clock import SystemClock
from cavendish.domain.breaker import FIRST_ROOM
from cavendish.domain.callbacks import Delivery, Posted
from cavendish.domain.tasks import TaskId
from cavendish.flows import deliver
from cavendish.flows.deliver import WINDOW, Deliverer
from cavendish.store.callbacks import PgCallbacks
from cavendish.store.database import Database
from tests.properties.world import new_caller

BACKLOG = 5000
SLOTS, PER_HOST = 64, 8


class CountedQueue(PgCallbacks):
    """The real rows, and how much of them was asked for."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.looks: list[int] = []
        self.postponed: list[int] = []
        self.claimed: list[int] = []

    async def due(
        self, *, slow: bool, limit: int, after: datetime | None
    ) -> tuple[list[tuple[TaskId, str]], datetime | None]:
        found, ended = await super().due(slow=slow, limit=limit, after=after)
        if not slow:
            self.looks.append(len(found))
        return found, ended

    async def postpone(self, waits: Sequence[tuple[TaskId, float]]) -> None:
        self.postponed.append(len(waits))
        await super().postpone(waits)

    async def claim(self, task_ids: Sequence[TaskId], lease_seconds: float) -> list[Delivery]:
        found = await super().claim(task_ids, lease_seconds)
        self.claimed.append(len(found))
        return found


class Receivers:
    """Hosts that answer, refuse or hang, by their names; a `ports.Poster`."""

    def __init__(self, queue: CountedQueue) -> None:
        self.queue = queue
        self.reached: Counter[str] = Counter()
        self.hanging = 0
        self.looks_before: int | None = None
        """Looks at first attempts until the first of a healthy host came."""

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Posted:
        assert body
        assert headers["webhook-id"]
        host = urlsplit(url).hostname or ""
        self.reached[host] += 1
        if host.startswith("hanging"):
            self.hanging += 1
            await asyncio.Event().wait()
        if host.startswith("breaking"):
            raise ValueError("a bug")
        if host.startswith("refusing"):
            return Posted(seconds=0.001, error="refused")
        if self.looks_before is None:
            self.looks_before = len(self.queue.looks)
        return Posted(seconds=0.001, status=200)


async def queue_up(
    database: Database, host: str, count: int, *, hosts: int = 1, slow: bool = False, chars: int = 2
) -> None:
    """Callbacks that are due, after all that were queued before; to `host`, or to `host`0, `host`1, …"""
    caller = await new_caller(database)
    await database.fetch(
        """
        WITH named AS (
          SELECT concat($3::text, '-', $5::boolean, '-', n) AS id,
                 $3 || CASE WHEN $4 > 1 THEN (n % $4)::text ELSE '' END AS host
          FROM generate_series(1, $6::int) AS n
        ), made AS (
          INSERT INTO tasks (id, account_id, key_id, model, param, public_url, price, turn, state, callback_url,
                             result_blobs, credits_charged, finished_at)
          SELECT id, $1, $2, 'google/nano-banana', repeat('x', $7::int), 'http://pictures.test', 3, 1, 'success',
                 'http://' || host || '/hook', '{a.png}', 3, now() FROM named
        )
        INSERT INTO callbacks (task_id, account_id, host, slow, next_attempt_at)
        SELECT id, $1, host, $5, clock_timestamp() FROM named
        """,
        caller.account_id,
        caller.key_id,
        host,
        hosts,
        slow,
        count,
        chars,
    )


@asynccontextmanager
async def delivering(database: Database) -> AsyncIterator[tuple[Deliverer, CountedQueue, Receivers]]:
    queue = CountedQueue(database)
    receivers = Receivers(queue)
    deliverer = Deliverer(queue=queue, poster=receivers, clock=SystemClock(), slots=SLOTS, per_host=PER_HOST)
    running = asyncio.create_task(deliverer.run())
    try:
        yield deliverer, queue, receivers
    finally:
        await deliverer.stop(0)
        await running


async def delivered(database: Database, deliverer: Deliverer, host: str, count: int) -> None:
    """Wait until so many callbacks of `host` are delivered."""
    async with asyncio.timeout(30):
        while True:
            [row] = await database.fetch(
                "SELECT count(*) AS n FROM callbacks WHERE state = 'delivered' AND host = $1", host
            )
            if row["n"] >= count:
                return
            deliverer.wake()
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("host", ["hanging", "refusing"])
async def test_a_dead_hosts_backlog_is_walked_past_once_and_claimed_in_small_pieces(
    database: Database, host: str
) -> None:
    await queue_up(database, host, BACKLOG)
    await queue_up(database, "healthy", 20)
    async with delivering(database) as (deliverer, queue, receivers):
        await delivered(database, deliverer, "healthy", 20)

    assert receivers.looks_before is not None
    assert receivers.looks_before <= BACKLOG // WINDOW + 2
    assert sum(queue.looks[: receivers.looks_before]) <= BACKLOG + WINDOW
    assert max(queue.looks) <= WINDOW
    assert max(queue.claimed) <= SLOTS
    assert len(queue.postponed) > 0
    assert max(queue.postponed) <= WINDOW
    if host == "hanging":
        assert receivers.reached[host] <= FIRST_ROOM


async def test_hundreds_of_hosts_that_hang_leave_room_for_those_that_answer(database: Database) -> None:
    async with delivering(database) as (deliverer, _, receivers):
        await queue_up(database, "healthy", 1)
        await delivered(database, deliverer, "healthy", 1)
        await queue_up(database, "hanging-again", 300, hosts=300, slow=True)
        await queue_up(database, "hanging", 600, hosts=300)
        async with asyncio.timeout(30):
            while receivers.hanging < SLOTS // 2:  # as many as they ever get
                deliverer.wake()
                await asyncio.sleep(0.01)
        await queue_up(database, "healthy", 20, slow=True)
        await delivered(database, deliverer, "healthy", 21)

    assert receivers.hanging <= SLOTS // 2 + SLOTS // 8


async def test_long_bodies_on_their_way_to_hosts_that_hang_are_bounded(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "MOST_DOUBTFUL_BYTES", 100_000)
    monkeypatch.setattr(deliver, "CLAIM_AT_ONCE", 4)
    async with delivering(database) as (deliverer, queue, receivers):
        await queue_up(database, "healthy", 1)
        await delivered(database, deliverer, "healthy", 1)
        await queue_up(database, "hanging", 30, hosts=30, chars=20_000)
        await queue_up(database, "healthy", 20, slow=True)
        await delivered(database, deliverer, "healthy", 21)
        async with asyncio.timeout(30):
            while receivers.hanging < 5:
                deliverer.wake()
                await asyncio.sleep(0.01)

    assert receivers.hanging <= 5 + 4
    assert max(queue.claimed) <= 4


async def test_a_bug_of_ours_is_an_attempt_that_failed_and_follows_the_schedule(database: Database) -> None:
    async with delivering(database) as (deliverer, _, receivers):
        await queue_up(database, "breaking", 1)
        async with asyncio.timeout(30):
            while not (rows := await database.fetch("SELECT error FROM callback_attempts")):
                deliverer.wake()
                await asyncio.sleep(0.01)
        [row] = await database.fetch("SELECT state, failures, slow FROM callbacks")

    assert [attempt["error"] for attempt in rows] == ["internal"]
    assert (row["state"], row["failures"], row["slow"]) == ("pending", 1, True)
    assert receivers.reached == {"breaking": 1}


@pytest.mark.parametrize("step", ["due", "claim"])
async def test_a_deliverer_that_is_stopped_while_it_looks_begins_nothing_more(
    database: Database, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()
    real = getattr(CountedQueue, step)

    async def held(self: CountedQueue, *arguments: object, **named: object) -> object:
        found = await real(self, *arguments, **named)
        entered.set()
        await go_on.wait()
        return found

    monkeypatch.setattr(CountedQueue, step, held)
    await queue_up(database, "healthy", 3)
    async with delivering(database) as (deliverer, _, receivers):
        await entered.wait()
        await deliverer.stop(0)
        go_on.set()

    assert receivers.reached == {}
    assert deliverer.under_way == 0
    [row] = await database.fetch("SELECT count(*) AS n FROM callbacks WHERE state = 'pending'")
    assert row["n"] == 3


async def test_a_long_backlog_of_a_host_that_answers_is_never_postponed_and_hides_nobody(database: Database) -> None:
    async with delivering(database) as (deliverer, queue, receivers):
        await queue_up(database, "healthy", 1, slow=True)
        await delivered(database, deliverer, "healthy", 1)
        await queue_up(database, "healthy", 2 * WINDOW)
        await queue_up(database, "another", 1)
        await delivered(database, deliverer, "another", 1)
        others_before = receivers.reached["healthy"]
        await delivered(database, deliverer, "healthy", 1 + 2 * WINDOW)

    assert others_before < WINDOW
    assert queue.postponed == []
