"""The queue when holders die or sleep: their work is found, goes on its way, and they can do no harm when they wake."""

import asyncio

import pytest

from cavendish.clock import SystemClock
from cavendish.domain.errors import LeaseLost
from cavendish.domain.orders import Caller, Work
from cavendish.flows.work import INTERNAL
from cavendish.store.database import Database
from cavendish.store.orders import PgTaskOrders
from cavendish.store.queue import SWEEP_BATCH, PgWorkQueue
from cavendish.store.views import PgTaskViews
from tests.properties.world import (
    REFUSED,
    assert_books_balance,
    balance,
    ended,
    entries_of,
    everything,
    expire,
    new_caller,
    state,
    states,
    submit,
)

TTL = 60.0


@pytest.fixture
def queue(database: Database) -> PgWorkQueue:
    return PgWorkQueue(database)


@pytest.fixture
def orders(database: Database) -> PgTaskOrders:
    return PgTaskOrders(database, SystemClock())


@pytest.fixture
async def caller(database: Database) -> Caller:
    return await new_caller(database)


async def claim_all(queue: PgWorkQueue) -> list[Work]:
    return await queue.claim(await queue.begin_lease("worker", TTL), 1000)


async def leases(database: Database) -> set[str]:
    return {str(row["token"]) for row in await database.fetch("SELECT token FROM leases")}


async def test_the_tasks_of_an_ended_lease_wait_again_and_those_of_a_living_one_do_not(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders, caller: Caller
) -> None:
    ids = await submit(orders, caller, [3] * 5)
    dead, living = await queue.begin_lease("dead", TTL), await queue.begin_lease("living", TTL)
    lost = await queue.claim(dead, 2)
    kept = await queue.claim(living, 2)
    await queue.mark_generating(lost[0])
    assert await queue.requeue_lost() == 0
    await expire(database, dead)
    assert await queue.requeue_lost() == 2
    assert await queue.requeue_lost() == 0
    assert await states(database) == {"waiting": 3, "queuing": 2}
    again = await queue.claim(living, 10)
    assert [work.id for work in again] == [*ids[:2], ids[4]]
    assert [(work.attempt, work.faults) for work in again] == [(2, 1), (2, 1), (1, 0)]
    await asyncio.gather(*(queue.finish(ended(work)) for work in [*kept, *again]))
    await assert_books_balance(database)


async def test_more_lost_tasks_than_one_sweep_takes_are_taken_by_the_next(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders, caller: Caller
) -> None:
    await submit(orders, caller, [3] * (SWEEP_BATCH + 1))
    token = await queue.begin_lease("dead", TTL)
    await queue.claim(token, SWEEP_BATCH + 1)
    await expire(database, token)
    assert [await queue.requeue_lost() for _ in range(3)] == [SWEEP_BATCH, 1, 0]


async def test_two_sweepers_share_the_work_and_count_each_loss_once(
    dsn: str, database: Database, queue: PgWorkQueue, orders: PgTaskOrders, caller: Caller
) -> None:
    await submit(orders, caller, [3] * 200)
    works = await claim_all(queue)
    await expire(database, works[0].lease_token)
    async with Database.open(dsn, max_connections=4) as other_pool:
        sweepers = [PgWorkQueue(pool) for pool in (database, other_pool) for _ in range(3)]
        requeued = await asyncio.gather(*(sweeper.requeue_lost() for sweeper in sweepers))
    assert sum(requeued) + await queue.requeue_lost() == 200
    assert {work.faults for work in await claim_all(queue)} == {1}


async def test_the_third_loss_fails_the_task_as_internal_and_releases_its_hold(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders
) -> None:
    caller = await new_caller(database, "bob", granted=10)
    (task_id,) = await submit(orders, caller, [8])
    for loss in (1, 2, 3):
        (work,) = await claim_all(queue)
        assert (work.attempt, work.faults) == (loss, loss - 1)
        assert await queue.fail_exhausted(INTERNAL) == 0
        await expire(database, work.lease_token)
        assert await queue.requeue_lost() == (1 if loss < 3 else 0)
        assert await queue.fail_exhausted(INTERNAL) == (0 if loss < 3 else 1)
    view = await PgTaskViews(database).find(task_id)
    assert view is not None
    assert (view.state, view.fail_code, view.fail_text, view.credits_charged) == ("fail", "internal", INTERNAL, 0)
    totals = await balance(database, caller)
    assert (totals.available, totals.held, totals.charged) == (10, 0, 0)
    assert await entries_of(database, task_id) == [("hold", 8), ("release", 8)]
    await assert_books_balance(database)


async def test_faults_count_whether_the_holder_or_the_sweeper_tells_of_them(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders, caller: Caller
) -> None:
    await submit(orders, caller, [3])
    for _ in range(2):
        (work,) = await claim_all(queue)
        await queue.give_back(work.lease_token, [work], "fault")
    (work,) = await claim_all(queue)
    await expire(database, work.lease_token)
    assert await queue.requeue_lost() == 0
    assert await queue.fail_exhausted(INTERNAL) == 1


async def test_a_worker_that_stops_in_good_order_harms_no_task_however_often(
    queue: PgWorkQueue, orders: PgTaskOrders, caller: Caller
) -> None:
    await submit(orders, caller, [3])
    for attempt in range(1, 8):
        (work,) = await claim_all(queue)
        assert (work.attempt, work.faults) == (attempt, 0)
        await queue.give_back(work.lease_token, [work], "stopping")


async def test_racing_sweepers_fail_an_exhausted_task_once(
    dsn: str, database: Database, queue: PgWorkQueue, orders: PgTaskOrders, caller: Caller
) -> None:
    await submit(orders, caller, [3] * 20)
    await database.fetch("UPDATE tasks SET faults = 2")
    works = await claim_all(queue)
    await expire(database, works[0].lease_token)
    async with Database.open(dsn, max_connections=4) as other_pool:
        sweepers = [PgWorkQueue(pool) for pool in (database, other_pool) for _ in range(3)]
        failed = await asyncio.gather(*(sweeper.fail_exhausted(INTERNAL) for sweeper in sweepers))
    assert sum(failed) == 20
    await assert_books_balance(database)


async def test_ended_leases_are_dropped_unless_they_still_hold_tasks(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders, caller: Caller
) -> None:
    await submit(orders, caller, [3])
    empty, holding, living = [await queue.begin_lease("worker", TTL) for _ in range(3)]
    await queue.claim(holding, 1)
    for token in (empty, holding):
        await expire(database, token)
    await queue.drop_ended_leases()
    assert await leases(database) == {empty, holding, living}, "a claim that saw them alive may still commit"
    await database.fetch(
        "UPDATE leases SET expires_at = expires_at - interval '10 minutes' WHERE token <> $1::uuid", living
    )
    await queue.drop_ended_leases()
    assert await leases(database) == {holding, living}
    await queue.requeue_lost()
    await queue.drop_ended_leases()
    assert await leases(database) == {living}


async def test_a_lease_is_ended_by_its_holder_once_it_holds_nothing(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders, caller: Caller
) -> None:
    await submit(orders, caller, [3])
    (work,) = await claim_all(queue)
    await queue.end_lease(work.lease_token)
    assert await leases(database) == {work.lease_token}
    await queue.renew_lease(work.lease_token, TTL)
    await queue.finish(ended(work))
    await queue.end_lease(work.lease_token)
    with pytest.raises(LeaseLost):
        await queue.renew_lease(work.lease_token, TTL)


@pytest.mark.parametrize("meanwhile", ["nothing", "swept", "claimed by another", "finished by another"])
async def test_a_holder_that_slept_past_its_lease_changes_nothing_when_it_wakes(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders, caller: Caller, meanwhile: str
) -> None:
    (task_id,) = await submit(orders, caller, [3])
    (work,) = await claim_all(queue)
    await expire(database, work.lease_token)
    if meanwhile != "nothing":
        await queue.requeue_lost()
    if meanwhile in ("claimed by another", "finished by another"):
        (again,) = await claim_all(queue)
        if meanwhile == "finished by another":
            await queue.finish(ended(again, REFUSED))
    before = await everything(database)
    with pytest.raises(LeaseLost):
        await queue.renew_lease(work.lease_token, TTL)
    with pytest.raises(LeaseLost):
        await queue.finish(ended(work))
    if meanwhile != "nothing":  # until the sweeper came, the task is the sleeper's to give back
        await queue.mark_generating(work)
        await queue.give_back(work.lease_token, [work], "fault")
    assert await queue.claim(work.lease_token, 1) == []
    assert await everything(database) == before
    expected = {"nothing": "queuing", "swept": "waiting", "claimed by another": "queuing"}
    assert await state(database, task_id) == expected.get(meanwhile, "fail")


@pytest.mark.parametrize("way", ["the sweeper drops ended leases", "the holder leaves"])
async def test_a_lease_is_kept_when_a_claim_under_it_commits_at_that_moment(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders, caller: Caller, way: str
) -> None:
    (task_id,) = await submit(orders, caller, [3])
    token = await queue.begin_lease("worker", TTL)
    async with database.transaction() as claiming:
        assert len(await claiming.fetch(queue._sql["claim"], token, 1, [])) == 1
        if way == "the holder leaves":
            leaving = asyncio.create_task(queue.end_lease(token))
        else:
            await expire(database, token)
            leaving = asyncio.create_task(queue.drop_ended_leases())
        await until_blocked(database, leaving)
    await leaving
    await expire(database, token)
    assert await queue.requeue_lost() == 1, "the task names a lease that nobody will ever find"
    assert await state(database, task_id) == "waiting"


async def until_blocked(database: Database, doing: "asyncio.Task[None]") -> None:
    """Until some connection waits for a lock, or `doing` is done without."""
    while not doing.done():
        row = await database.fetchrow(
            "SELECT count(*) AS waiting FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()"
        )
        if row is not None and row["waiting"]:
            return
