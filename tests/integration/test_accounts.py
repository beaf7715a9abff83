"""Accounts, their ledgers and keys."""

import asyncio
import hashlib

import pytest

from cavendish.clock import SystemClock
from cavendish.domain.credits import Balance
from cavendish.domain.errors import Misconfigured, NotFound
from cavendish.domain.limits import KeyLimits
from cavendish.store.accounts import MAX_GRANT, MIN_PREFIX_CHARS, PREFIX_CHARS, PgAccounts, key_digest
from cavendish.store.database import Database
from cavendish.store.orders import PgTaskOrders
from cavendish.store.queue import PgWorkQueue
from tests.properties.world import PICTURE, REFUSED, UNLIMITED, ended, new_caller, submit


@pytest.fixture
def accounts(database: Database) -> PgAccounts:
    return PgAccounts(database)


async def test_an_account_is_made_once(accounts: PgAccounts) -> None:
    first = await accounts.ensure("alice")
    assert await accounts.ensure("alice") == first
    assert await accounts.ensure("Alice") != first
    assert await accounts.balance(first) == Balance()


async def test_an_account_made_by_many_at_once_is_one(dsn: str, database: Database) -> None:
    async with Database.open(dsn, max_connections=4) as other_pool:
        everybody = [PgAccounts(pool) for pool in (database, other_pool)]
        for attempt in range(10):
            name = f"account {attempt}"
            ids = await asyncio.gather(*(accounts.ensure(name) for accounts in everybody for _ in range(8)))
            assert len(set(ids)) == 1


async def test_a_name_that_people_could_not_read_is_refused(database: Database, accounts: PgAccounts) -> None:
    for name in ("", "x" * 101, " alice", "alice\n", "a\x00b", "a\ud800b"):
        with pytest.raises(Misconfigured, match="account name"):
            await accounts.ensure(name)
    assert await database.fetch("SELECT FROM accounts") == []


async def test_any_readable_name_will_do(accounts: PgAccounts) -> None:
    for name in ("x" * 100, "爱丽丝 & 鲍勃", "'; DROP TABLE accounts; --"):
        await accounts.ensure(name)
        assert (await accounts.grant(name, 5)).available == 5


async def test_grants_add_up_and_are_entered(database: Database, accounts: PgAccounts) -> None:
    await accounts.ensure("alice")
    assert await accounts.grant("alice", 5, "welcome") == Balance(5, 0, 0, 5)
    assert await accounts.grant("alice", 7) == Balance(12, 0, 0, 12)
    rows = await database.fetch("SELECT kind, amount, task_id, note FROM credit_entries ORDER BY id")
    assert [tuple(row) for row in rows] == [("grant", 5, None, "welcome"), ("grant", 7, None, None)]


async def test_parallel_grants_are_all_there(dsn: str, database: Database) -> None:
    await PgAccounts(database).ensure("alice")
    async with Database.open(dsn, max_connections=4) as other_pool:
        everybody = [PgAccounts(pool) for pool in (database, other_pool)]
        await asyncio.gather(*(accounts.grant("alice", 3) for accounts in everybody for _ in range(50)))
    assert await PgAccounts(database).audit("alice") == (Balance(300, 0, 0, 300), True)


async def test_an_amount_out_of_bounds_is_refused(accounts: PgAccounts) -> None:
    account_id = await accounts.ensure("alice")
    for amount in (0, -1, MAX_GRANT + 1):
        with pytest.raises(Misconfigured, match="credits"):
            await accounts.grant("alice", amount)
    assert await accounts.balance(account_id) == Balance()


async def test_an_account_that_does_not_exist_gets_nothing(accounts: PgAccounts) -> None:
    with pytest.raises(NotFound, match="nobody"):
        await accounts.grant("nobody", 5)
    with pytest.raises(NotFound, match="nobody"):
        await accounts.audit("nobody")


async def test_a_note_that_is_too_long_is_refused_in_words(accounts: PgAccounts) -> None:
    await accounts.ensure("alice")
    with pytest.raises(Misconfigured, match="note"):
        await accounts.grant("alice", 5, "x" * 501)


async def test_the_entries_prove_the_totals(database: Database, accounts: PgAccounts) -> None:
    caller = await new_caller(database, "alice", granted=100)
    await submit(PgTaskOrders(database, SystemClock()), caller, [3, 8, 14, 3])
    queue = PgWorkQueue(database)
    first, second, third = await queue.claim(await queue.begin_lease("worker", 60), 3)
    outcomes = [ended(first, PICTURE), ended(second, REFUSED), ended(third, PICTURE)]
    await asyncio.gather(*map(queue.finish, outcomes))
    assert await accounts.audit("alice") == (Balance(80, 3, 17, 100), True)


@pytest.mark.parametrize(
    ("kind", "amount"),
    [
        ("grant", 1),
        ("hold", 1),
        ("hold", 1000),
        ("settle", 1),
    ],
)
async def test_totals_that_the_entries_do_not_lead_to_are_found(
    database: Database, accounts: PgAccounts, kind: str, amount: int
) -> None:
    await new_caller(database, "alice", granted=100)
    await database.fetch(
        "INSERT INTO credit_entries (account_id, kind, amount, task_id) SELECT id, $1, $2, $3 FROM accounts",
        kind,
        amount,
        None if kind == "grant" else "forged",
    )
    assert await accounts.audit("alice") == (Balance(100, 0, 0, 100), False)


async def test_only_a_digest_of_a_key_is_stored(database: Database, accounts: PgAccounts) -> None:
    key = await accounts.create_key(await accounts.ensure("alice"), UNLIMITED)
    assert key.startswith("sk-")
    assert len(key) == 43
    rows = await database.fetch("SELECT * FROM api_keys")
    assert rows[0]["hash"] == hashlib.sha256(key.encode()).digest()
    assert rows[0]["prefix"] == key[:PREFIX_CHARS]
    assert key not in repr(rows)


async def test_a_key_speaks_for_its_account(accounts: PgAccounts) -> None:
    account_id = await accounts.ensure("alice")
    key = await accounts.create_key(account_id, UNLIMITED)
    found = await accounts.find_key(key_digest(key))
    assert found is not None
    caller, expires_in = found
    assert (caller.account_id, caller.account, expires_in) == (account_id, "alice", None)
    assert await accounts.find_key(key_digest(key + "x")) is None
    assert await accounts.find_key(key_digest("sk-\ud800")) is None


async def test_a_key_that_expires_says_when_and_then_opens_nothing(database: Database, accounts: PgAccounts) -> None:
    key = await accounts.create_key(await accounts.ensure("alice"), UNLIMITED, expires_in_days=30)
    found = await accounts.find_key(key_digest(key))
    assert found is not None
    assert found[1] is not None
    assert 29 * 86_400 < found[1] <= 30 * 86_400
    await database.fetch("UPDATE api_keys SET expires_at = clock_timestamp()")
    assert await accounts.find_key(key_digest(key)) is None


async def test_keys_are_listed_oldest_first_with_their_limits(accounts: PgAccounts) -> None:
    assert not await accounts.any_key()
    keys = []
    for name, limit in (("bob", 5), ("alice", 7), ("bob", 9)):
        keys.append(await accounts.create_key(await accounts.ensure(name), KeyLimits(limit, limit + 1)))
    rows = await accounts.list_keys()
    assert [row.prefix for row in rows] == [key[:PREFIX_CHARS] for key in keys]
    assert [(row.account, row.creates_per_minute, row.in_flight_limit) for row in rows] == [
        ("bob", 5, 6),
        ("alice", 7, 8),
        ("bob", 9, 10),
    ]
    assert await accounts.any_key()


async def test_keys_of_one_account_can_be_left_out_of_the_question_whether_there_are_any(accounts: PgAccounts) -> None:
    await accounts.create_key(await accounts.ensure("command-line"), KeyLimits(1, 1))
    assert await accounts.any_key()
    assert not await accounts.any_key(besides="command-line")
    await accounts.create_key(await accounts.ensure("default"), KeyLimits(1, 1))
    assert await accounts.any_key(besides="command-line")


@pytest.mark.parametrize("given", ["the prefix", "the whole key", "its first characters"])
async def test_a_key_is_revoked_by_what_names_it_alone(accounts: PgAccounts, given: str) -> None:
    account_id = await accounts.ensure("alice")
    key, other = [await accounts.create_key(account_id, UNLIMITED) for _ in range(2)]
    named = {"the prefix": key[:PREFIX_CHARS], "the whole key": key}.get(given, key[:MIN_PREFIX_CHARS])
    assert key[:MIN_PREFIX_CHARS] != other[:MIN_PREFIX_CHARS], "one in fourteen million"
    assert await accounts.revoke_keys(named) == key[:PREFIX_CHARS]
    assert await accounts.find_key(key_digest(key)) is None
    assert await accounts.find_key(key_digest(other)) is not None
    assert [row.revoked_at is not None for row in await accounts.list_keys()] == [True, False]


async def test_a_prefix_of_none_or_of_several_revokes_nothing(database: Database, accounts: PgAccounts) -> None:
    account_id = await accounts.ensure("alice")
    keys = [await accounts.create_key(account_id, UNLIMITED) for _ in range(2)]
    await database.fetch("UPDATE api_keys SET prefix = 'sk-same000' || id")
    for prefix in ("sk-same000", "sk-nobody", "sk-same%%%", "sk-", ""):
        with pytest.raises(NotFound, match="does not name one key"):
            await accounts.revoke_keys(prefix)
    assert all([await accounts.find_key(key_digest(key)) for key in keys])
