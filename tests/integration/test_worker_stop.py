"""A worker that stops, in good order or by kill -9: its tasks are finished by it or by another, and charged once."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from cavendish.blobs.objects import ObjectBlobs
from cavendish.domain.errors import StoreUnavailable
from cavendish.domain.orders import Outcome, Success, Work
from cavendish.domain.results import input_blob
from cavendish.domain.tasks import TaskId
from cavendish.domain.text import Text
from cavendish.flows import work
from cavendish.store.database import Database
from cavendish.testing import ManualClock
from tests.harness import process
from tests.properties.bench import TTL, Bench, Studio, until, working
from tests.properties.world import (
    PICTURE,
    assert_books_balance,
    entries_of,
    new_caller,
    order,
    states,
    submit,
)


@pytest.fixture
async def bench(database: Database, tmp_path: Path) -> AsyncIterator[Bench]:
    blobs = ObjectBlobs(f"file://{tmp_path}/blobs")
    yield Bench(database, await new_caller(database), blobs)
    blobs.close()


async def faults(database: Database) -> list[int]:
    return [row["faults"] for row in await database.fetch("SELECT faults FROM tasks")]


async def leases(database: Database) -> int:
    return len(await database.fetch("SELECT FROM leases WHERE expires_at > clock_timestamp()"))


async def test_work_that_ends_within_the_grace_counts(bench: Bench) -> None:
    await submit(bench.orders, bench.caller, [3] * 4)
    studio = Studio()
    studio.gate.clear()
    worker = bench.worker(studio, slots=2)
    run = asyncio.create_task(worker.run())
    await bench.until("generating", 2)
    stopping = asyncio.create_task(worker.stop(grace_seconds=30))
    await asyncio.sleep(0)
    studio.gate.set()
    await stopping
    await run
    assert await states(bench.database) == {"success": 2, "waiting": 2}
    assert (len(studio.called), studio.canceled) == (2, 0)
    assert await leases(bench.database) == 0


async def test_what_does_not_end_within_the_grace_is_another_worker_s_at_once_and_unharmed(bench: Bench) -> None:
    fast, slow = await submit(bench.orders, bench.caller, [3] * 2)
    second = asyncio.Event()

    class TwoSpeeds(Studio):
        async def __call__(self, task: Work, started: object) -> Success:
            self.called.append(task)
            try:
                await (self.gate if task.id == fast else second).wait()
            except asyncio.CancelledError:
                self.canceled += 1
                raise
            return PICTURE

    studio = TwoSpeeds()
    studio.gate.clear()
    worker = bench.worker(studio)
    run = asyncio.create_task(worker.run())
    await bench.until("queuing", 2)
    studio.gate.set()
    await worker.stop(grace_seconds=0.1)
    await run
    assert studio.canceled == 1
    assert await states(bench.database) == {"success": 1, "waiting": 1}
    assert await leases(bench.database) == 0
    other = Studio()
    async with working(bench.worker(other)):
        await bench.until("success", 2)
    assert [(task.id, task.attempt, task.faults) for task in other.called] == [(slow, 2, 0)]
    assert await entries_of(bench.database, slow) == [("hold", 3), ("settle", 3)]
    await assert_books_balance(bench.database)


async def test_a_stop_is_not_taken_for_the_owner_s_cancel_when_both_come(bench: Bench) -> None:
    (task_id,) = await submit(bench.orders, bench.caller, [3])
    cleaning = asyncio.Event()

    class CleansUp(Studio):
        async def __call__(self, work: Work, started: object) -> Success:
            try:
                return await super().__call__(work, lambda: None)
            finally:
                cleaning.set()
                await asyncio.Event().wait()  # closing a connection, say

    async def away(outcome: Outcome) -> None:
        raise StoreUnavailable(Text(en="away", zh="不在"))

    studio = CleansUp()
    studio.gate.clear()
    worker = bench.worker(studio)
    run = asyncio.create_task(worker.run())
    await bench.until("queuing", 1)
    await bench.queue.cancel(bench.caller.account_id, task_id)
    worker.cancel(task_id)
    bench.queue.finish = away  # type: ignore[method-assign]
    async with asyncio.timeout(20):
        await cleaning.wait()
        await worker.stop(grace_seconds=0)
        await run
    del bench.queue.finish
    assert await states(bench.database) == {"waiting": 1}
    async with working(bench.worker(Studio())):
        await bench.until("fail", 1)
    assert await entries_of(bench.database, task_id) == [("hold", 3), ("release", 3)]


async def test_the_lease_is_renewed_during_the_grace(bench: Bench) -> None:
    await submit(bench.orders, bench.caller, [3])
    clock, studio = ManualClock(), Studio()
    studio.gate.clear()
    worker = bench.worker(studio, clock=clock)
    run = asyncio.create_task(worker.run())
    await bench.until("generating", 1)
    stopping = asyncio.create_task(worker.stop(grace_seconds=30))
    for _ in range(2):
        await clock.until_sleeping()
        await bench.database.fetch("UPDATE leases SET expires_at = clock_timestamp() + interval '5 seconds'")
        await clock.advance(TTL / 3)
        await clock.until_sleeping()
        row = await bench.database.fetchrow(
            "SELECT expires_at - clock_timestamp() > interval '50 seconds' AS renewed FROM leases"
        )
        assert row is not None
        assert row["renewed"]
    studio.gate.set()
    await stopping
    await run
    assert await states(bench.database) == {"success": 1}


async def test_a_worker_that_holds_nothing_stops_at_once(bench: Bench) -> None:
    worker = bench.worker(Studio())
    run = asyncio.create_task(worker.run())
    await worker.claiming.wait()
    async with asyncio.timeout(10):
        await worker.stop(grace_seconds=3600)
        await run
    assert not worker.claiming.is_set()
    assert await leases(bench.database) == 0


async def test_a_worker_told_to_stop_claims_no_more(bench: Bench) -> None:
    studio = Studio()
    worker = bench.worker(studio)
    run = asyncio.create_task(worker.run())
    await worker.claiming.wait()
    await worker.stop(grace_seconds=0)
    await submit(bench.orders, bench.caller, [3])
    worker.wake()
    await run
    assert studio.called == []
    assert await states(bench.database) == {"waiting": 1}


async def test_a_worker_may_be_stopped_twice(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "CLAIM_PATIENCE_SECONDS", 3600)
    await submit(bench.orders, bench.caller, [3])
    studio = Studio()
    studio.gate.clear()
    worker = bench.worker(studio)
    run = asyncio.create_task(worker.run())
    await bench.until("generating", 1)
    for _ in range(2):
        async with asyncio.timeout(5):
            await worker.stop(grace_seconds=0)
    await run
    assert await states(bench.database) == {"waiting": 1}
    assert await faults(bench.database) == [0]


async def test_a_claim_under_way_when_the_worker_is_stopped_strands_no_task(bench: Bench) -> None:
    studio = Studio()
    studio.gate.clear()
    worker = bench.worker(studio)
    run = asyncio.create_task(worker.run())
    await worker.claiming.wait()

    async def blocked(connections: int) -> bool:
        rows = await bench.database.fetch("SELECT FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()")
        return len(rows) >= connections

    async with bench.database.transaction() as connection:  # a lease that is looked at makes the claim wait
        await connection.fetch("SELECT FROM leases FOR UPDATE")
        await submit(bench.orders, bench.caller, [3])
        worker.wake()
        await until(lambda: blocked(1))
        stopping = asyncio.create_task(worker.stop(grace_seconds=0))
        await asyncio.wait([stopping], timeout=0.2)
    await stopping
    await run
    assert await states(bench.database) == {"waiting": 1}
    assert await faults(bench.database) == [0]


async def test_input_images_are_removed_when_their_task_has_ended_and_not_before(bench: Bench, tmp_path: Path) -> None:
    name = f"{'a' * 32}.png"
    await bench.blobs.put(input_blob(name), b"picture")
    await bench.orders.create(msgspec.structs.replace(order(bench.caller), input_blobs=(name,)))
    studio = Studio()
    studio.gate.clear()
    worker = bench.worker(studio)
    async with working(worker):
        await bench.until("generating", 1)
    assert await bench.blobs.get(input_blob(name)) == b"picture"

    async def removed() -> bool:
        return not (tmp_path / "blobs" / input_blob(name)).exists()

    async with working(bench.worker(Studio())):
        await bench.until("success", 1)
        await until(removed)


async def test_tasks_of_a_worker_that_was_killed_are_ended_by_another_and_charged_once(
    bench: Bench, dsn: str, tmp_path: Path
) -> None:
    settings = {
        "CAVENDISH_DATABASE_URL": dsn,
        "CAVENDISH_DATA_DIR": str(tmp_path),
        "CAVENDISH_ENGINE": "simulator",
        "CAVENDISH_SIMULATOR_LATENCY_SECONDS": "0.5",
        "CAVENDISH_LEASE_TTL_SECONDS": "1",
        "CAVENDISH_WORKER_SLOTS": "3",
    }
    ids = await submit(bench.orders, bench.caller, [3] * 10)

    with process(settings, tmp_path / "logs", "worker") as victim:

        async def stopped_in_the_middle() -> bool:
            # Looked at while it stands still: what it holds now, it still holds when it dies.
            victim.process.send_signal(signal.SIGSTOP)
            now = await states(bench.database)
            if all(now.get(word, 0) > 0 for word in ("success", "generating", "waiting")):
                await asyncio.sleep(0.2)  # what it had sent before it was stopped is carried out all the same
                if await states(bench.database) == now:
                    return True
            victim.process.send_signal(signal.SIGCONT)
            return False

        await until(stopped_in_the_middle)
        victim.kill()
    with process(settings, tmp_path / "logs", "worker") as survivor:
        await bench.until("success", 10)
        assert survivor.terminate() == 0
    await assert_charged_once(bench.database, ids)
    assert set(await faults(bench.database)) == {0, 1}, "some were lost with the first worker, once"


async def assert_charged_once(database: Database, ids: list[TaskId]) -> None:
    for task_id in ids:
        assert await entries_of(database, task_id) == [("hold", 3), ("settle", 3)]
    await assert_books_balance(database)
