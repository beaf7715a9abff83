"""Waiting for an engine's capacity harms no task, and one model's tasks do not hold up another's."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from cavendish.blobs.objects import ObjectBlobs
from cavendish.domain.errors import NoCapacity
from cavendish.domain.orders import Success, Work
from cavendish.flows.draw import Progress
from cavendish.store.database import Database
from cavendish.testing import ManualClock
from tests.properties.bench import TTL, Bench, Studio, until, working
from tests.properties.world import PICTURE, assert_books_balance, new_caller, order, state

ILL, WELL = "google/nano-banana-pro", "google/nano-banana"


@pytest.fixture
async def bench(database: Database, tmp_path: Path) -> AsyncIterator[Bench]:
    blobs = ObjectBlobs(f"file://{tmp_path}/blobs")
    yield Bench(database, await new_caller(database, granted=1000), blobs)
    blobs.close()


async def ordered(bench: Bench, *models: str) -> list[str]:
    """Tasks of these models, the oldest first."""
    orders = [msgspec.structs.replace(order(bench.caller, 3), model=model) for model in models]
    return [(await bench.orders.create(one)).task_id for one in orders]


async def test_tasks_of_a_model_that_is_away_leave_the_slots_to_others_and_are_drawn_unharmed_later(
    bench: Bench,
) -> None:
    clock = ManualClock()
    away_until = clock.monotonic() + 30

    def behave(work: Work) -> Success:
        left = away_until - clock.monotonic()
        if work.model == ILL and left > 0:
            raise NoCapacity(left)
        return PICTURE

    studio = Studio(behave)
    tasks = await ordered(bench, ILL, ILL, ILL, WELL, WELL)
    worker = bench.worker(studio, slots=2, clock=clock)
    async with working(worker):
        await bench.until("success", 2)
        await bench.until("waiting", 3)
        assert [await state(bench.database, task) for task in tasks] == ["waiting"] * 3 + ["success"] * 2
        assert len(studio.called) <= 5, "each was claimed once, and not again while its model rests"
        await clock.advance(31)
        worker.wake()
        await bench.until("success", 5)

    assert [work.faults for work in studio.called] == [0] * len(studio.called)
    await assert_books_balance(bench.database)


async def test_the_time_of_an_attempt_begins_when_the_engine_does(bench: Bench) -> None:
    capacity = asyncio.Event()

    class Patient(Studio):
        async def __call__(self, work: Work, started: Progress) -> Success:  # type: ignore[override] # a Studio that waits
            self.called.append(work)
            await capacity.wait()
            return await super().__call__(work, started)

    studio = Patient()
    (task,) = await ordered(bench, WELL)
    async with working(bench.worker(studio, deadline=0.05)):

        async def called() -> bool:
            return len(studio.called) == 1

        await until(called)
        asyncio.get_running_loop().call_later(0.2, capacity.set)  # four times what the attempt itself may take
        await capacity.wait()
        await bench.until("success", 1)

    assert await state(bench.database, task) == "success"


async def test_a_claim_leaves_out_the_models_that_it_is_told_to(bench: Bench) -> None:
    ill, well, other = await ordered(bench, ILL, WELL, "google/nano-banana-edit")
    token = await bench.queue.begin_lease("worker", TTL)
    first = await bench.queue.claim(token, 10, (ILL, "google/nano-banana-edit"))
    then = await bench.queue.claim(token, 10, ("no such model",))

    assert [work.id for work in first] == [well]
    assert [work.id for work in then] == [ill, other]


async def test_what_is_given_back_for_want_of_capacity_counts_no_fault(bench: Bench) -> None:
    await ordered(bench, ILL)
    token = await bench.queue.begin_lease("worker", TTL)
    (work,) = await bench.queue.claim(token, 1)
    await bench.queue.give_back(token, [work], "no_capacity")
    (again,) = await bench.queue.claim(token, 1)

    assert (again.attempt, again.faults) == (2, 0)
