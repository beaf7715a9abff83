"""New tasks: a batch is decided one by one under the account's lock, and limits are exact across processes."""

import asyncio
import itertools
import random

import pytest

from cavendish.clock import SystemClock
from cavendish.domain.errors import InsufficientCredits, RateLimited, Unauthorized
from cavendish.domain.limits import KeyLimits
from cavendish.domain.orders import Accepted, Caller
from cavendish.store.accounts import PgAccounts
from cavendish.store.database import Database
from cavendish.store.orders import PgTaskOrders
from cavendish.store.queue import PgWorkQueue
from cavendish.testing import ManualClock
from tests.properties.world import (
    PICTURE,
    REFUSED,
    assert_books_balance,
    balance,
    ended,
    everything,
    new_caller,
    order,
    states,
    submit,
)

TTL = 60.0


@pytest.fixture
def orders(database: Database) -> PgTaskOrders:
    return PgTaskOrders(database, SystemClock())


async def create_all(
    instances: list[PgTaskOrders], caller: Caller, prices: list[int]
) -> list[Accepted | BaseException]:
    """Creates of these prices at the same moment, dealt to the instances in turn."""
    dealt = zip(itertools.cycle(instances), prices, strict=False)
    return await asyncio.gather(*(o.create(order(caller, price)) for o, price in dealt), return_exceptions=True)


def kinds(results: list[Accepted | BaseException]) -> list[str]:
    return [type(result).__name__ for result in results]


async def count_accepted_tasks(database: Database) -> int:
    return sum((await states(database)).values())


async def test_a_batch_holds_the_price_of_each_accepted_task(database: Database, orders: PgTaskOrders) -> None:
    caller = await new_caller(database, granted=100)
    results = await create_all([orders], caller, [3, 8, 14, 0])
    assert kinds(results) == ["Accepted"] * 4
    totals = await balance(database, caller)
    assert (totals.available, totals.held) == (75, 25)
    await assert_books_balance(database)


async def test_a_refused_create_refuses_no_cheaper_one_behind_it(database: Database, orders: PgTaskOrders) -> None:
    caller = await new_caller(database, granted=5)
    results = await create_all([orders], caller, [8, 3, 3, 2, 1])
    assert kinds(results) == [
        "InsufficientCredits",
        "Accepted",
        "InsufficientCredits",
        "Accepted",
        "InsufficientCredits",
    ]
    refused = [result for result in results if isinstance(result, InsufficientCredits)]
    assert [(error.needed, error.available) for error in refused] == [(8, 5), (3, 2), (1, 0)]
    await assert_books_balance(database)


async def test_tasks_of_one_batch_wait_in_the_order_of_their_arrival(database: Database, orders: PgTaskOrders) -> None:
    caller = await new_caller(database, granted=100)
    results = await create_all([orders], caller, [3, 200, 3, 8, 200, 3])
    accepted = [result.task_id for result in results if isinstance(result, Accepted)]
    queue = PgWorkQueue(database)
    works = await queue.claim(await queue.begin_lease("worker", TTL), 10)
    assert [work.id for work in works] == accepted


async def test_refusals_write_nothing(database: Database, orders: PgTaskOrders) -> None:
    caller = await new_caller(database, granted=2)
    before = await everything(database)
    assert kinds(await create_all([orders], caller, [3, 8])) == ["InsufficientCredits"] * 2
    assert await everything(database) == before


async def test_of_a_hundred_creates_on_two_servers_exactly_those_that_are_paid_for_are_accepted(
    dsn: str, database: Database
) -> None:
    async with Database.open(dsn, max_connections=4) as other_pool:
        for attempt in range(5):
            caller = await new_caller(database, f"account {attempt}", granted=30)
            instances = [PgTaskOrders(pool, SystemClock()) for pool in (database, other_pool) for _ in range(2)]
            results = kinds(await create_all(instances, caller, [3] * 100))
            assert results.count("Accepted") == 10
            assert results.count("InsufficientCredits") == 90
            totals = await balance(database, caller)
            assert (totals.available, totals.held) == (0, 30)
    await assert_books_balance(database)


async def test_the_creates_of_a_minute_are_exact_on_two_servers(dsn: str, database: Database) -> None:
    caller = await new_caller(database, limits=KeyLimits(creates_per_minute=50, in_flight=1000))
    async with Database.open(dsn, max_connections=4) as other_pool:
        instances = [PgTaskOrders(pool, SystemClock()) for pool in (database, other_pool)]
        results = await create_all(instances, caller, [3] * 200)
    assert kinds(results).count("Accepted") == 50
    refused = [result for result in results if isinstance(result, RateLimited)]
    assert len(refused) == 150
    assert all(1 <= error.retry_after_seconds <= 60 for error in refused)
    assert await count_accepted_tasks(database) == 50


async def test_the_minute_begins_anew_sixty_seconds_after_its_first_create(
    database: Database, orders: PgTaskOrders
) -> None:
    caller = await new_caller(database, limits=KeyLimits(creates_per_minute=2, in_flight=1000))
    assert kinds(await create_all([orders], caller, [3] * 3)) == ["Accepted", "Accepted", "RateLimited"]
    await age_window(database, 59.5)
    (refused,) = await create_all([orders], caller, [3])
    assert isinstance(refused, RateLimited)
    assert refused.retry_after_seconds == 1
    await age_window(database, 60)
    assert kinds(await create_all([orders], caller, [3] * 3)) == ["Accepted", "Accepted", "RateLimited"]


async def age_window(database: Database, seconds: float) -> None:
    await database.fetch(
        "UPDATE api_keys SET window_started_at = clock_timestamp() - make_interval(secs => $1)", seconds
    )


async def test_refused_creates_do_not_count_against_the_minute(database: Database, orders: PgTaskOrders) -> None:
    caller = await new_caller(database, granted=3, limits=KeyLimits(creates_per_minute=1, in_flight=1000))
    assert kinds(await create_all([orders], caller, [8] * 3)) == ["InsufficientCredits"] * 3
    assert kinds(await create_all([orders], caller, [3])) == ["Accepted"]


async def test_each_key_of_an_account_has_limits_of_its_own(database: Database, orders: PgTaskOrders) -> None:
    limits = KeyLimits(creates_per_minute=1, in_flight=1000)
    first, second = [await new_caller(database, "alice", limits=limits) for _ in range(2)]
    results = await asyncio.gather(
        *(orders.create(order(caller)) for caller in (first, second, first, second)), return_exceptions=True
    )
    assert kinds(results) == ["Accepted", "Accepted", "RateLimited", "RateLimited"]


@pytest.mark.parametrize("result", [PICTURE, REFUSED], ids=["success", "failure"])
async def test_a_slot_in_flight_is_free_again_when_its_task_ends(
    database: Database, orders: PgTaskOrders, result: object
) -> None:
    caller = await new_caller(database, limits=KeyLimits(creates_per_minute=1000, in_flight=2))
    results = await create_all([orders], caller, [3] * 3)
    assert kinds(results) == ["Accepted", "Accepted", "RateLimited"]
    queue = PgWorkQueue(database)
    token = await queue.begin_lease("worker", TTL)
    (work,) = await queue.claim(token, 1)
    assert kinds(await create_all([orders], caller, [3])) == ["RateLimited"]
    await queue.give_back(token, [work], "fault")
    assert kinds(await create_all([orders], caller, [3])) == ["RateLimited"]
    (work,) = await queue.claim(token, 1)
    await queue.finish(ended(work, PICTURE if result is PICTURE else REFUSED))
    assert kinds(await create_all([orders], caller, [3] * 2)) == ["Accepted", "RateLimited"]
    await assert_books_balance(database)


@pytest.mark.parametrize(
    "end",
    ["revoked_at = now()", "expires_at = clock_timestamp() - interval '1 millisecond'"],
    ids=["revoked", "expired"],
)
async def test_a_key_that_ended_is_refused_among_others_that_live(
    database: Database, orders: PgTaskOrders, end: str
) -> None:
    dead, living = await new_caller(database, "alice"), await new_caller(database, "alice")
    stranger = Caller(type(living.key_id)(10**9), living.account_id, "alice")
    await database.fetch(f"UPDATE api_keys SET {end} WHERE id = $1", dead.key_id)
    results = await asyncio.gather(
        *(orders.create(order(caller)) for caller in (living, dead, stranger, living)), return_exceptions=True
    )
    assert kinds(results) == ["Accepted", "Unauthorized", "Unauthorized", "Accepted"]
    await assert_books_balance(database)


async def test_a_key_does_not_open_another_account(database: Database, orders: PgTaskOrders) -> None:
    alice, bob = await new_caller(database, "alice"), await new_caller(database, "bob")
    with pytest.raises(Unauthorized):
        await orders.create(order(Caller(bob.key_id, alice.account_id, "alice")))
    assert await count_accepted_tasks(database) == 0


async def test_an_id_that_is_taken_is_drawn_again(database: Database) -> None:
    caller = await new_caller(database)
    clock = ManualClock()
    ids = []
    for _ in range(3):  # three servers that draw the same numbers in the same millisecond
        orders = PgTaskOrders(database, clock)
        orders._random = random.Random(7)
        ids.append((await orders.create(order(caller))).task_id)
    expected = random.Random(7)
    start = f"task_gemini-2.5-flash-image_{clock.now_ms()}_"
    assert ids == [f"{start}{expected.getrandbits(32):08x}" for _ in range(3)]
    await assert_books_balance(database)


async def test_a_batch_may_hold_creates_of_several_accounts(database: Database, orders: PgTaskOrders) -> None:
    callers = [await new_caller(database, f"account {i}", granted=3 * i) for i in range(5)]
    wanted = [order(caller) for caller in callers for _ in range(3)]
    random.Random(1).shuffle(wanted)
    results = await asyncio.gather(*map(orders.create, wanted), return_exceptions=True)
    assert kinds(results).count("Accepted") == 0 + 1 + 2 + 3 + 3
    totals = [await balance(database, caller) for caller in callers]
    assert [(t.available, t.held) for t in totals] == [(0, 0), (0, 3), (0, 6), (0, 9), (3, 9)]
    await assert_books_balance(database)


async def test_grants_creates_and_finishes_from_everywhere_at_once_keep_the_sums_and_never_lock_up(
    dsn: str, database: Database
) -> None:
    callers = [await new_caller(database, f"account {i}", granted=60) for i in range(4)]
    async with Database.open(dsn, max_connections=4) as second, Database.open(dsn, max_connections=4) as third:
        pools = (database, second, third)
        shops = [PgTaskOrders(pool, SystemClock()) for pool in pools]
        queues = [PgWorkQueue(pool) for pool in pools]
        tokens = [await queue.begin_lease("worker", TTL) for queue in queues]

        async def buy(shop: PgTaskOrders, shift: int) -> None:
            for i in range(30):
                try:
                    await shop.create(order(callers[(i + shift) % 4], (3, 8, 14)[i % 3]))
                except InsufficientCredits:
                    await asyncio.sleep(0)

        async def serve(queue: PgWorkQueue, token: str, shift: int) -> None:
            for i in range(15):
                works = await queue.claim(token, 6)
                works = works if (i + shift) % 2 else works[::-1]
                ending, rest = works[:-1], works[-1:]
                marks = (queue.mark_generating(work) for work in ending)
                ends = (queue.finish(ended(work, REFUSED if i % 3 else PICTURE)) for work in ending)
                await asyncio.gather(*marks, *ends, queue.give_back(token, rest, "stopping"))

        async def grant(pool: Database) -> None:
            for i in range(20):
                await PgAccounts(pool).grant(callers[i % 4].account, 5)

        async with asyncio.timeout(60):
            await asyncio.gather(
                *(buy(shop, shift) for shift, shop in enumerate(shops)),
                *(serve(q, token, shift) for shift, (q, token) in enumerate(zip(queues, tokens, strict=True))),
                *(grant(pool) for pool in pools),
            )
    await assert_books_balance(database)
    assert sum([(await balance(database, caller)).granted for caller in callers]) == 4 * 60 + 3 * 20 * 5


async def test_a_task_that_costs_nothing_needs_no_credits(database: Database, orders: PgTaskOrders) -> None:
    caller = await new_caller(database, granted=0)
    assert len(await submit(orders, caller, [0])) == 1
    await assert_books_balance(database)
