"""The queue's fair order: accounts take turns, however much one of them has ordered."""

import asyncio

import pytest

from cavendish.clock import SystemClock
from cavendish.domain.orders import Caller, Work
from cavendish.store.database import Database
from cavendish.store.orders import PgTaskOrders
from cavendish.store.queue import PgWorkQueue
from tests.properties.world import ended, new_caller, submit

TTL = 60.0


@pytest.fixture
def queue(database: Database) -> PgWorkQueue:
    return PgWorkQueue(database)


@pytest.fixture
def orders(database: Database) -> PgTaskOrders:
    return PgTaskOrders(database, SystemClock())


async def names(queue: PgWorkQueue, callers: list[Caller], limit: int) -> str:
    """Whose tasks the next claim gives, one letter each; they are finished at once."""
    works = await queue.claim(await queue.begin_lease("worker", TTL), limit)
    await finish(queue, works)
    by_account = {caller.account_id: caller.account for caller in callers}
    return "".join(by_account[work.account_id] for work in works)


async def finish(queue: PgWorkQueue, works: list[Work]) -> None:
    await asyncio.gather(*(queue.finish(ended(work)) for work in works))


async def test_a_newcomer_is_served_before_the_thousand_tasks_of_another_account(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders
) -> None:
    a, b = await new_caller(database, "a"), await new_caller(database, "b")
    await submit(orders, a, [3] * 1000)
    await submit(orders, b, [3])
    assert "b" in await names(queue, [a, b], 2)


async def test_a_newcomer_is_served_soon_in_the_middle_of_a_long_queue(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders
) -> None:
    a, b = await new_caller(database, "a"), await new_caller(database, "b")
    await submit(orders, a, [3] * 300)
    await names(queue, [a, b], 100)
    await submit(orders, b, [3])
    assert "b" in await names(queue, [a, b], 2)


async def test_three_accounts_take_turns(database: Database, queue: PgWorkQueue, orders: PgTaskOrders) -> None:
    callers = [await new_caller(database, name) for name in "abc"]
    for caller, tasks in zip(callers, (12, 6, 3), strict=True):
        await submit(orders, caller, [3] * tasks)
    order = await names(queue, callers, 21)
    assert [sorted(order[i : i + 3]) for i in (0, 3, 6)] == [["a", "b", "c"]] * 3
    assert [sorted(order[i : i + 2]) for i in (9, 11, 13)] == [["a", "b"]] * 3
    assert order[15:] == "aaaaaa"


async def test_two_keys_of_one_account_share_its_turns(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders
) -> None:
    a, second_key, b = [await new_caller(database, name) for name in "aab"]
    await submit(orders, a, [3] * 4)
    await submit(orders, second_key, [3] * 4)
    await submit(orders, b, [3] * 4)
    order = await names(queue, [a, b], 8)
    assert order.count("b") == 4


async def test_an_account_that_was_idle_has_saved_nothing_up(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders
) -> None:
    a, idle = await new_caller(database, "a"), await new_caller(database, "i")
    await submit(orders, idle, [3])
    await submit(orders, a, [3] * 60)
    await names(queue, [a, idle], 51)
    await submit(orders, idle, [3] * 20)
    order = await names(queue, [a, idle], 20)
    assert order.count("a") == order.count("i") == 10


async def test_an_account_that_was_busy_alone_owes_nothing(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders
) -> None:
    busy, b = await new_caller(database, "a"), await new_caller(database, "b")
    await submit(orders, busy, [3] * 200)
    await names(queue, [busy, b], 200)
    await submit(orders, b, [3] * 10)
    await submit(orders, busy, [3] * 10)
    order = await names(queue, [busy, b], 10)
    assert order.count("a") == order.count("b") == 5


async def test_the_turns_go_on_after_the_queue_was_empty(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders
) -> None:
    a, b = await new_caller(database, "a"), await new_caller(database, "b")
    await submit(orders, a, [3] * 30)
    await names(queue, [a, b], 100)
    assert await names(queue, [a, b], 100) == ""
    row = await database.fetchrow("SELECT last_value AS turn FROM queue_turn")
    assert row is not None
    assert row["turn"] == 30
    await submit(orders, b, [3] * 5)
    await submit(orders, a, [3] * 5)
    assert [sorted(pair) for pair in zip(*[iter(await names(queue, [a, b], 10))] * 2, strict=True)] == [["a", "b"]] * 5


async def test_a_task_given_back_does_not_turn_the_time_back(
    database: Database, queue: PgWorkQueue, orders: PgTaskOrders
) -> None:
    a, b = await new_caller(database, "a"), await new_caller(database, "b")
    await submit(orders, a, [3] * 60)
    held = await queue.claim(await queue.begin_lease("worker", TTL), 50)
    await queue.give_back(held[0].lease_token, held[:1], "stopping")
    assert await names(queue, [a, b], 1) == "a"
    await submit(orders, b, [3] * 10)
    assert (await names(queue, [a, b], 10)).count("b") == 5
