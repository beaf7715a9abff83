"""The queue: who gets which task, and that only its holder can end it."""

import asyncio
from collections.abc import Callable

import pytest

from cavendish.clock import SystemClock
from cavendish.domain.errors import LeaseLost
from cavendish.domain.orders import Caller, Work
from cavendish.store.database import Database
from cavendish.store.orders import PgTaskOrders
from cavendish.store.queue import PgWorkQueue
from tests.properties.bench import until
from tests.properties.world import (
    PICTURE,
    REFUSED,
    assert_books_balance,
    balance,
    changed,
    ended,
    entries_of,
    everything,
    expire,
    new_caller,
    order,
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


async def claim_one(queue: PgWorkQueue, orders: PgTaskOrders, caller: Caller, price: int = 3) -> Work:
    """A new task, claimed under a new lease."""
    await submit(orders, caller, [price])
    (work,) = await queue.claim(await queue.begin_lease("worker", TTL), 1)
    return work


async def test_tasks_are_claimed_in_the_order_of_their_creation(
    queue: PgWorkQueue, orders: PgTaskOrders, caller: Caller
) -> None:
    ids = await submit(orders, caller, [3] * 7)
    token = await queue.begin_lease("worker", TTL)
    assert [work.id for work in await queue.claim(token, 3)] == ids[:3]
    assert [work.id for work in await queue.claim(token, 3)] == ids[3:6]
    assert [work.id for work in await queue.claim(token, 3)] == ids[6:]
    assert await queue.claim(token, 3) == []


async def test_claimed_work_says_what_was_ordered(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders, caller: Caller
) -> None:
    wanted = order(caller, 8)
    task_id = (await orders.create(wanted)).task_id
    token = await queue.begin_lease("worker", TTL)
    (work,) = await queue.claim(token, 10)
    assert work == Work(
        task_id, caller.account_id, token, 1, 0, wanted.model, wanted.param, wanted.public_url, wanted.input_blobs
    )
    assert await state(database, task_id) == "queuing"


async def test_a_claim_takes_no_more_than_its_limit(queue: PgWorkQueue, orders: PgTaskOrders, caller: Caller) -> None:
    await submit(orders, caller, [3] * 6)
    token = await queue.begin_lease("worker", TTL)
    assert [len(await queue.claim(token, limit)) for limit in (0, 1, 4, 4)] == [0, 1, 4, 1]


async def test_two_workers_never_get_the_same_task(dsn: str, database: Database, caller: Caller) -> None:
    orders = PgTaskOrders(database, SystemClock())
    async with Database.open(dsn, max_connections=4) as other_pool:
        queues = [PgWorkQueue(database), PgWorkQueue(other_pool)]
        tokens = [await queue.begin_lease("worker", TTL) for queue in queues]
        for _ in range(30):
            ids = await submit(orders, caller, [3] * 20)
            claims = await asyncio.gather(
                *(queue.claim(token, 4) for _ in range(3) for queue, token in zip(queues, tokens, strict=True))
            )
            got = [work.id for claim in claims for work in claim]
            assert len(got) == len(set(got))
            assert set(got) <= set(ids)
            rest = [work.id for work in await queues[0].claim(tokens[0], 100)]
            assert sorted(got + rest) == sorted(ids)


async def test_an_ended_lease_gets_nothing(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders, caller: Caller
) -> None:
    (task_id,) = await submit(orders, caller, [3])
    token = await queue.begin_lease("worker", TTL)
    await expire(database, token)
    assert await queue.claim(token, 10) == []
    assert await queue.claim("00000000-0000-0000-0000-000000000000", 10) == []
    assert await state(database, task_id) == "waiting"


async def test_an_ended_lease_cannot_be_renewed(database: Database, queue: PgWorkQueue) -> None:
    token = await queue.begin_lease("worker", TTL)
    await queue.renew_lease(token, TTL)
    await expire(database, token)
    with pytest.raises(LeaseLost):
        await queue.renew_lease(token, TTL)
    with pytest.raises(LeaseLost):
        await queue.renew_lease(token, TTL)


async def test_success_settles_and_failure_releases(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders
) -> None:
    caller = await new_caller(database, "bob", granted=20)
    done, refused = await submit(orders, caller, [3, 8])
    first, second = await queue.claim(await queue.begin_lease("worker", TTL), 2)
    assert (await balance(database, caller)).held == 11
    await asyncio.gather(queue.finish(ended(first, PICTURE)), queue.finish(ended(second, REFUSED)))
    totals = await balance(database, caller)
    assert (totals.available, totals.held, totals.charged, totals.granted) == (17, 0, 3, 20)
    assert await entries_of(database, done) == [("hold", 3), ("settle", 3)]
    assert await entries_of(database, refused) == [("hold", 8), ("release", 8)]
    await assert_books_balance(database)


STALE: dict[str, Callable[[Work], Work]] = {
    "another token": lambda work: changed(work, lease_token="00000000-0000-0000-0000-000000000000"),
    "an earlier attempt": lambda work: changed(work, attempt=work.attempt - 1),
    "a later attempt": lambda work: changed(work, attempt=work.attempt + 1),
    "another account": lambda work: changed(work, account_id=work.account_id + 1),
    "another task": lambda work: changed(work, id=work.id + "0"),
}


async def test_a_finish_with_a_broken_fence_changes_nothing(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders, caller: Caller
) -> None:
    await new_caller(database, "another account")
    work = await claim_one(queue, orders, caller)
    before = await everything(database)
    for what, mistake in STALE.items():
        results = await asyncio.gather(
            *(queue.finish(ended(mistake(work), result)) for result in (PICTURE, REFUSED)), return_exceptions=True
        )
        assert [type(result) for result in results] == [LeaseLost, LeaseLost], what
        assert await everything(database) == before, what


async def test_a_finish_under_an_ended_lease_changes_nothing(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders, caller: Caller
) -> None:
    work = await claim_one(queue, orders, caller)
    await expire(database, work.lease_token)
    before = await everything(database)
    with pytest.raises(LeaseLost):
        await queue.finish(ended(work))
    assert await everything(database) == before


async def test_a_finished_task_cannot_be_finished_again(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders, caller: Caller
) -> None:
    work = await claim_one(queue, orders, caller)
    await queue.finish(ended(work, PICTURE))
    before = await everything(database)
    for result in (PICTURE, REFUSED):
        with pytest.raises(LeaseLost):
            await queue.finish(ended(work, result))
        assert await everything(database) == before


async def test_a_waiting_task_cannot_be_finished_by_the_one_who_gave_it_back(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders, caller: Caller
) -> None:
    work = await claim_one(queue, orders, caller)
    await queue.give_back(work.lease_token, [work], "stopping")
    before = await everything(database)
    with pytest.raises(LeaseLost):
        await queue.finish(ended(work))
    assert await everything(database) == before


async def test_a_holder_of_a_later_attempt_is_not_disturbed_by_the_same_lease_s_earlier_one(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders, caller: Caller
) -> None:
    first = await claim_one(queue, orders, caller)
    await queue.give_back(first.lease_token, [first], "fault")
    (second,) = await queue.claim(first.lease_token, 1)
    before = await everything(database)
    with pytest.raises(LeaseLost):
        await queue.finish(ended(first))
    await queue.mark_generating(first)
    await queue.give_back(first.lease_token, [first], "stopping")
    assert await everything(database) == before
    await queue.finish(ended(second))
    assert await state(database, second.id) == "success"


async def test_one_broken_fence_does_not_harm_its_neighbours_in_the_batch(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders, caller: Caller
) -> None:
    await submit(orders, caller, [3] * 5)
    works = await queue.claim(await queue.begin_lease("worker", TTL), 5)
    outcomes = [ended(changed(w, attempt=9) if i == 2 else w) for i, w in enumerate(works)]
    results = await asyncio.gather(*map(queue.finish, outcomes), return_exceptions=True)
    assert [type(result) for result in results] == [type(None), type(None), LeaseLost, type(None), type(None)]
    assert await states(database) == {"success": 4, "queuing": 1}
    await assert_books_balance(database)


async def test_of_many_racing_finishers_one_wins(dsn: str, database: Database, caller: Caller) -> None:
    orders = PgTaskOrders(database, SystemClock())
    async with Database.open(dsn, max_connections=4) as other_pool:
        for _ in range(10):
            work = await claim_one(PgWorkQueue(database), orders, caller)
            racers = [PgWorkQueue(pool) for pool in (database, other_pool) for _ in range(4)]
            results = await asyncio.gather(
                *(queue.finish(ended(work, REFUSED if i % 2 else PICTURE)) for i, queue in enumerate(racers)),
                return_exceptions=True,
            )
            winners = [i for i, result in enumerate(results) if result is None]
            assert len(winners) == 1
            assert all(isinstance(result, LeaseLost) for result in results if result is not None)
            kind, word = ("release", "fail") if winners[0] % 2 else ("settle", "success")
            assert await state(database, work.id) == word
            assert await entries_of(database, work.id) == [("hold", 3), (kind, 3)]
    await assert_books_balance(database)


async def test_of_many_finishers_in_one_process_one_wins(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders, caller: Caller
) -> None:
    work = await claim_one(queue, orders, caller)
    outcomes = [ended(work, PICTURE), ended(work, REFUSED), ended(changed(work, attempt=0), PICTURE)]
    results = await asyncio.gather(*map(queue.finish, outcomes), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["LeaseLost", "LeaseLost", "NoneType"]
    assert await state(database, work.id) == ("success" if results[0] is None else "fail")


async def test_the_mark_shows_that_the_engine_started(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders, caller: Caller
) -> None:
    work = await claim_one(queue, orders, caller)
    await queue.mark_generating(work)
    assert await state(database, work.id) == "generating"
    await queue.finish(ended(work))
    assert await state(database, work.id) == "success"


@pytest.mark.parametrize("way", ["finished", "given back", "broken fence"])
async def test_a_mark_that_comes_too_late_changes_nothing(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders, caller: Caller, way: str
) -> None:
    work = await claim_one(queue, orders, caller)
    if way == "finished":
        await queue.finish(ended(work))
    elif way == "given back":
        await queue.give_back(work.lease_token, [work], "stopping")
    before = await everything(database)
    await queue.mark_generating(work if way != "broken fence" else changed(work, attempt=2))
    assert await everything(database) == before


@pytest.mark.parametrize(("reason", "faults"), [("stopping", 0), ("fault", 1)])
async def test_a_task_given_back_waits_again_in_its_old_place(
    queue: PgWorkQueue, orders: PgTaskOrders, caller: Caller, reason: str, faults: int
) -> None:
    ids = await submit(orders, caller, [3] * 3)
    (work,) = await queue.claim(await queue.begin_lease("first", TTL), 1)
    await queue.mark_generating(work)
    await queue.give_back(work.lease_token, [work], "stopping" if reason == "stopping" else "fault")
    again = await queue.claim(await queue.begin_lease("second", TTL), 3)
    assert [w.id for w in again] == ids
    assert (again[0].attempt, again[0].faults) == (2, faults)


async def test_only_the_holder_gives_back(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders, caller: Caller
) -> None:
    work = await claim_one(queue, orders, caller)
    stranger = await queue.begin_lease("stranger", TTL)
    before = await everything(database)
    await queue.give_back(stranger, [work], "fault")
    await queue.give_back(work.lease_token, [], "fault")
    assert await everything(database) == before


async def test_a_lease_that_ends_while_a_finish_waits_for_the_account_has_ended(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders, caller: Caller
) -> None:
    await submit(orders, caller, [3])
    token = await queue.begin_lease("worker", 2.0)
    (work,) = await queue.claim(token, 1)
    before = await balance(database, caller)
    async with database.transaction() as somebody:
        await somebody.execute("SELECT FROM accounts WHERE id = $1 FOR UPDATE", caller.account_id)
        finishing = asyncio.create_task(queue.finish(ended(work, PICTURE)))

        async def waits() -> bool:
            return bool(await database.fetch("SELECT FROM pg_locks WHERE NOT granted"))

        async def is_over() -> bool:
            return not await queue.any_worker()

        await until(waits)
        assert not await is_over(), "it was alive when the finish began"
        await until(is_over)
    with pytest.raises(LeaseLost):
        await finishing
    assert await balance(database, caller) == before
