"""The worker over the real queue: every claimed task comes to an end, whatever happens to engine or database."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from cavendish.blobs.objects import ObjectBlobs
from cavendish.clock import SystemClock
from cavendish.domain.errors import BlobsUnavailable, EngineError, FailCode
from cavendish.domain.orders import Success, Work
from cavendish.domain.text import Text
from cavendish.flows.given_up import REMEMBERED, GivenUp
from cavendish.flows.work import INTERNAL, TIMED_OUT, Worker
from cavendish.store.database import Database
from cavendish.store.views import PgTaskViews
from cavendish.testing import ManualClock
from tests.properties.bench import TTL, Bench, Studio, raising, until, working
from tests.properties.world import (
    PICTURE,
    assert_books_balance,
    balance,
    entries_of,
    expire,
    new_caller,
    state,
    states,
    submit,
)


@pytest.fixture
async def bench(database: Database, tmp_path: Path) -> AsyncIterator[Bench]:
    blobs = ObjectBlobs(f"file://{tmp_path}/blobs")
    yield Bench(database, await new_caller(database, granted=1000), blobs)
    blobs.close()


async def test_a_task_becomes_a_success_and_is_charged(bench: Bench) -> None:
    studio = Studio()
    (task_id,) = await submit(bench.orders, bench.caller, [8])
    async with working(bench.worker(studio)):
        await bench.until("success", 1)
    assert [work.id for work in studio.called] == [task_id]
    assert await entries_of(bench.database, task_id) == [("hold", 8), ("settle", 8)]
    await assert_books_balance(bench.database)


CODES: list[FailCode] = [
    "content_rejected",
    "no_image",
    "bad_input_image",
    "engine_busy",
    "engine_error",
    "timeout",
    "canceled",
    "internal",
]


async def test_what_the_engine_says_is_what_the_owner_reads(bench: Bench) -> None:
    ids = await submit(bench.orders, bench.caller, [3] * len(CODES))
    codes = dict(zip(ids, CODES, strict=True))

    def refuse(work: Work) -> Success:
        code = codes[work.id]
        raise EngineError(code, Text(en=f"because {code}", zh=f"因为 {code}"))

    async with working(bench.worker(Studio(refuse))):
        await bench.until("fail", len(CODES))
    views = PgTaskViews(bench.database)
    for view in await asyncio.gather(*map(views.find, ids)):
        assert view is not None
        code = codes[view.id]
        assert (view.fail_code, view.fail_text) == (code, Text(en=f"because {code}", zh=f"因为 {code}"))
    totals = await balance(bench.database, bench.caller)
    assert (totals.available, totals.held, totals.charged) == (1000, 0, 0)
    await assert_books_balance(bench.database)


async def wait_after_faults(clock: ManualClock, studio: Studio, faults: int) -> None:
    """Let the time pass that the worker leaves between attempts; the lease's renewal sleeps, too.

    Not a fixed number of steps: when the database is quick, one step of the clock is enough for two attempts.
    """

    async def tried_again() -> bool:
        if clock.sleeping >= 2:
            await clock.advance(5)
        return len(studio.called) > faults

    await until(tried_again)


async def failure(
    bench: Bench, studio: Studio, *, deadline: float = 60, faults: int = 0
) -> tuple[str | None, Text | None]:
    """How the only task failed."""
    (task_id,) = await submit(bench.orders, bench.caller, [3])
    clock = ManualClock()
    async with working(bench.worker(studio, clock=clock, deadline=deadline)):
        if faults:
            await wait_after_faults(clock, studio, faults)
        await bench.until("fail", 1)
    view = await PgTaskViews(bench.database).find(task_id)
    assert view is not None
    assert await entries_of(bench.database, task_id) == [("hold", 3), ("release", 3)]
    await assert_books_balance(bench.database)
    return view.fail_code, view.fail_text


async def test_an_attempt_that_takes_too_long_is_a_timeout(bench: Bench) -> None:
    studio = Studio()
    studio.gate.clear()
    assert await failure(bench, studio, deadline=0.05) == ("timeout", TIMED_OUT)
    assert studio.canceled == 1


async def test_an_unforeseen_error_is_tried_three_times_and_then_internal(bench: Bench) -> None:
    studio = Studio(raising(ZeroDivisionError("nobody thought of this")))
    assert await failure(bench, studio, faults=2) == ("internal", INTERNAL)
    assert [(work.attempt, work.faults) for work in studio.called] == [(1, 0), (2, 1), (3, 2)]


@pytest.mark.parametrize(
    "error",
    [BlobsUnavailable(Text(en="full", zh="满")), ZeroDivisionError("unforeseen")],
    ids=["storage away", "unforeseen"],
)
async def test_an_attempt_after_a_fault_may_succeed(bench: Bench, error: Exception) -> None:
    studio = Studio(raising(error, times=2))
    (task_id,) = await submit(bench.orders, bench.caller, [3])
    clock = ManualClock()
    async with working(bench.worker(studio, clock=clock)):
        await wait_after_faults(clock, studio, 2)
        await bench.until("success", 1)
    assert [(work.attempt, work.faults) for work in studio.called] == [(1, 0), (2, 1), (3, 2)]
    assert await entries_of(bench.database, task_id) == [("hold", 3), ("settle", 3)]


@pytest.mark.parametrize("text", ["a zero byte: \x00", "half a character: \ud83d"], ids=["zero byte", "surrogate"])
async def test_an_engine_s_strange_words_end_their_task_and_harm_no_other(bench: Bench, text: str) -> None:
    strange, _ = await submit(bench.orders, bench.caller, [3, 3])

    def behave(work: Work) -> Success:
        if work.id == strange:
            raise EngineError("engine_error", Text(en=text, zh=text))
        return PICTURE

    studio = Studio(behave)
    studio.gate.clear()
    async with working(bench.worker(studio)):

        async def ended() -> bool:
            return await states(bench.database) == {"success": 1, "fail": 1}

        await bench.until("generating", 2)
        studio.gate.set()
        await until(ended, seconds=1)


async def test_no_more_tasks_are_held_than_there_are_slots(bench: Bench) -> None:
    await submit(bench.orders, bench.caller, [3] * 10)
    studio = Studio()
    studio.gate.clear()
    worker = bench.worker(studio, slots=3)
    async with working(worker):
        await bench.until("generating", 3)
        assert (worker.held, studio.running, await bench.count("waiting")) == (3, 3, 7)
        studio.gate.set()
        await bench.until("success", 10)
    assert studio.most_running == 3


async def test_a_task_shows_that_the_engine_works_on_it(bench: Bench) -> None:
    await submit(bench.orders, bench.caller, [3])
    studio = Studio()
    studio.gate.clear()
    async with working(bench.worker(studio)):
        await bench.until("generating", 1)
        studio.gate.set()
        await bench.until("success", 1)


async def test_a_claim_that_a_crashed_database_forgot_is_not_drawn_a_second_time(bench: Bench) -> None:
    (task_id,) = await submit(bench.orders, bench.caller, [3])
    studio = Studio()
    studio.gate.clear()
    worker = bench.worker(studio)
    async with working(worker):
        await bench.until("generating", 1)
        # What a crash leaves: claims do not wait for the disk (decision 0011).
        forgotten = "UPDATE tasks SET state = 'waiting', lease_token = NULL, attempt = 0 WHERE id = $1"
        await bench.database.fetch(forgotten, task_id)
        worker.wake()
        await bench.until("queuing", 1)
        studio.gate.set()
        await bench.until("success", 1)
    assert [work.attempt for work in studio.called] == [1]
    assert await entries_of(bench.database, task_id) == [("hold", 3), ("settle", 3)]


async def test_the_lease_is_renewed_while_the_worker_works(bench: Bench) -> None:
    clock = ManualClock()
    async with working(bench.worker(Studio(), clock=clock)):
        await clock.until_sleeping()
        token = await bench.token()
        for _ in range(3):
            await bench.database.fetch("UPDATE leases SET expires_at = clock_timestamp() + interval '5 seconds'")
            await clock.advance(TTL / 3)
            await clock.until_sleeping()
            row = await bench.database.fetchrow(
                "SELECT expires_at - clock_timestamp() > interval '50 seconds' AS renewed FROM leases WHERE token = $1",
                token,
            )
            assert row is not None
            assert row["renewed"]


@asynccontextmanager
async def drawing_by_the_clock(bench: Bench) -> AsyncIterator[tuple[Worker, Studio, ManualClock]]:
    """A worker in the middle of a picture, which goes on when the studio's gate opens; its renewal sleeps."""
    clock, studio = ManualClock(), Studio()
    studio.gate.clear()
    worker = bench.worker(studio, clock=clock)
    async with working(worker):
        await bench.until("generating", 1)
        await clock.until_sleeping()
        yield worker, studio, clock


async def test_when_the_lease_is_lost_running_work_is_dropped_and_a_new_lease_begins(bench: Bench) -> None:
    (task_id,) = await submit(bench.orders, bench.caller, [3])
    async with drawing_by_the_clock(bench) as (worker, studio, clock):
        lost = await bench.token()
        await expire(bench.database, lost)
        await clock.advance(TTL / 3)
        await clock.until_sleeping()
        assert (studio.canceled, worker.held) == (1, 0)
        assert await bench.token() != lost
        assert await bench.queue.requeue_lost() == 1
        studio.gate.set()
        worker.wake()
        await bench.until("success", 1)
    assert [work.attempt for work in studio.called] == [1, 2]
    assert await entries_of(bench.database, task_id) == [("hold", 3), ("settle", 3)]


async def test_a_worker_that_slept_finishes_nothing_that_another_now_holds(bench: Bench) -> None:
    (task_id,) = await submit(bench.orders, bench.caller, [3])
    sleepy, other = Studio(), Studio(raising(EngineError("content_rejected", Text(en="no", zh="不"))))
    sleepy.gate.clear()
    other.gate.clear()
    first, second = bench.worker(sleepy, clock=ManualClock()), bench.worker(other)
    async with working(first):
        await bench.until("generating", 1)
        await expire(bench.database, await bench.token())
        await bench.queue.requeue_lost()
        async with working(second):
            await bench.until("generating", 1)
            sleepy.gate.set()

            async def let_go() -> bool:
                return first.held == 0

            await until(let_go)
            assert await state(bench.database, task_id) == "generating"
            other.gate.set()
            await bench.until("fail", 1)
    assert await entries_of(bench.database, task_id) == [("hold", 3), ("release", 3)]


async def test_a_task_that_its_owner_gave_up_is_stopped_and_released(bench: Bench) -> None:
    drawn, waiting = await submit(bench.orders, bench.caller, [3, 3])
    studio = Studio()
    studio.gate.clear()
    worker = bench.worker(studio, slots=1)
    async with working(worker):
        await bench.until("generating", 1)
        for task_id in (drawn, waiting):
            await bench.queue.cancel(bench.caller.account_id, task_id)
            worker.cancel(task_id)
        await bench.until("fail", 2)
        assert studio.canceled == 1
        assert len(studio.called) == 1
    for task_id in (drawn, waiting):
        assert await entries_of(bench.database, task_id) == [("hold", 3), ("release", 3)]
    await assert_books_balance(bench.database)


async def test_the_database_may_go_away_and_come_back_and_nothing_is_lost(bench: Bench, dsn: str) -> None:
    async def slow(work: Work, started: Callable[[], None]) -> Success:
        started()
        await asyncio.sleep(0.03)
        return await studio(work, started)

    studio = Studio()
    worker = Worker(
        queue=bench.queue,
        draw=slow,
        blobs=bench.blobs,
        clock=SystemClock(),
        name="worker",
        slots=8,
        lease_ttl_seconds=TTL,
        task_deadline_seconds=60,
    )
    await submit(bench.orders, bench.caller, [3] * 60)
    admin = await asyncpg.connect(dsn)
    async with working(worker):
        for done in (5, 20, 40):

            async def reached(done: int = done) -> bool:
                return int(await admin.fetchval("SELECT count(*) FROM tasks WHERE state = 'success'")) >= done

            await until(reached)
            await admin.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

        async def all_ended() -> bool:
            worker.wake()
            return int(await admin.fetchval("SELECT count(*) FROM tasks WHERE state = 'success'")) == 60

        await until(all_ended)
    await admin.close()
    await until(bench.database.answers)
    totals = await balance(bench.database, bench.caller)
    assert (totals.available, totals.held, totals.charged) == (820, 0, 180)
    await assert_books_balance(bench.database)


async def test_a_task_given_up_before_the_worker_knows_that_it_has_it_is_not_drawn(bench: Bench) -> None:
    (task_id,) = await submit(bench.orders, bench.caller, [3])
    studio = Studio()
    studio.gate.clear()
    worker = bench.worker(studio)
    claimed = asyncio.Event()
    told = asyncio.Event()
    claim = bench.queue.claim

    async def slow_claim(token: str, limit: int, without: Sequence[str] = ()) -> list[Work]:
        works = await claim(token, limit, without)
        if works:
            claimed.set()
            await told.wait()
        return works

    bench.queue.claim = slow_claim  # type: ignore[method-assign]
    async with working(worker):
        async with asyncio.timeout(10):
            await claimed.wait()
        await bench.queue.cancel(bench.caller.account_id, task_id)
        worker.cancel(task_id)
        told.set()
        await bench.until("fail", 1)
    assert studio.called == []
    assert await entries_of(bench.database, task_id) == [("hold", 3), ("release", 3)]


async def test_a_task_given_up_while_nobody_could_say_so_is_stopped_at_the_next_renewal(bench: Bench) -> None:
    (task_id,) = await submit(bench.orders, bench.caller, [3])
    async with drawing_by_the_clock(bench) as (_, studio, clock):
        await bench.queue.cancel(bench.caller.account_id, task_id)  # and the notification is lost
        await clock.advance(TTL / 3)
        await bench.until("fail", 1)
        assert studio.canceled == 1
    assert await entries_of(bench.database, task_id) == [("hold", 3), ("release", 3)]


def test_of_tasks_given_up_elsewhere_only_the_latest_are_remembered() -> None:
    given_up = GivenUp()
    for number in range(REMEMBERED + 10):
        given_up.add(f"task_{number}")
        given_up.add(f"task_{number}")
    remembered = [number for number in range(REMEMBERED + 10) if f"task_{number}" in given_up]
    assert remembered == list(range(10, REMEMBERED + 10))
