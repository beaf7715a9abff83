"""The store seen from outside: accounts to act with, time that can be moved, and the books checked by plain SQL."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from cavendish.domain.credits import Balance, Entry, replay
from cavendish.domain.limits import KeyLimits
from cavendish.domain.orders import Caller, Failure, NewTask, Outcome, Success, Work
from cavendish.domain.tasks import TaskId
from cavendish.domain.text import Text
from cavendish.ports import TaskOrders
from cavendish.store.accounts import PgAccounts, key_digest
from cavendish.store.database import Database

UNLIMITED = KeyLimits(creates_per_minute=1_000_000, in_flight=1_000_000)
PARAM = '{"model":"google/nano-banana","input":{"prompt":"a red apple"}}'
PICTURE = Success(f"{'0' * 32}.png", 1024, 1024)
REFUSED = Failure("content_rejected", Text(en="Not this one", zh="不行"))


async def new_caller(
    database: Database, account: str = "alice", granted: int = 1_000_000, limits: KeyLimits = UNLIMITED
) -> Caller:
    """A new key for `account`, which gets `granted` credits."""
    accounts = PgAccounts(database)
    account_id = await accounts.ensure(account)
    if granted:
        await accounts.grant(account, granted)
    found = await accounts.find_key(key_digest(await accounts.create_key(account_id, limits)))
    assert found is not None
    return found[0]


def order(caller: Caller, price: int = 3) -> NewTask:
    """A create by that caller."""
    return NewTask(
        account_id=caller.account_id,
        key_id=caller.key_id,
        model="google/nano-banana",
        upstream="gemini-2.5-flash-image",
        param=PARAM,
        callback_url=None,
        public_url="http://pictures.test",
        price=price,
    )


async def submit(orders: TaskOrders, caller: Caller, prices: Sequence[int]) -> list[TaskId]:
    """Tasks of those prices, in that order, in one batch."""
    accepted = await asyncio.gather(*(orders.create(order(caller, price)) for price in prices))
    return [one.task_id for one in accepted]


def ended(work: Work, result: Success | Failure = PICTURE) -> Outcome:
    """The outcome of claimed work."""
    return Outcome(work.id, work.account_id, work.lease_token, work.attempt, result)


def changed(work: Work, **fields: object) -> Work:
    """`work` with other fields: a holder that is mistaken."""
    return msgspec.structs.replace(work, **fields)


async def expire(database: Database, token: str) -> None:
    """The lease is over, as if its holder had been silent for a second too long."""
    await database.fetch(
        "UPDATE leases SET expires_at = clock_timestamp() - interval '1 second' WHERE token = $1", token
    )


async def state(database: Database, task_id: str) -> str:
    """The task's state."""
    row = await database.fetchrow("SELECT state FROM tasks WHERE id = $1", task_id)
    assert row is not None, f"{task_id} is gone"
    return str(row["state"])


async def states(database: Database) -> Mapping[str, int]:
    """How many tasks are in which state."""
    rows = await database.fetch("SELECT state, count(*) AS tasks FROM tasks GROUP BY state")
    return {row["state"]: row["tasks"] for row in rows}


async def everything(database: Database) -> Mapping[str, Sequence[tuple[object, ...]]]:
    """Every row of every table: equal before and after when nothing was changed."""
    tables = ("accounts", "api_keys", "credit_entries", "leases", "tasks", "usage_hours")
    return {
        table: [tuple(row.values()) for row in await database.fetch(f"SELECT * FROM {table} ORDER BY 1")]
        for table in tables
    }


async def balance(database: Database, caller: Caller) -> Balance:
    """The caller's totals."""
    return await PgAccounts(database).balance(caller.account_id)


async def entries_of(database: Database, task_id: str) -> list[tuple[str, int]]:
    """(kind, amount) of the task's entries, oldest first."""
    rows = await database.fetch("SELECT kind, amount FROM credit_entries WHERE task_id = $1 ORDER BY id", task_id)
    return [(row["kind"], row["amount"]) for row in rows]


async def assert_books_balance(database: Database) -> None:
    """For every account, key and task: totals, entries and counters agree, each computed from the tasks anew."""
    entries: dict[int, list[Entry]] = {}
    for row in await database.fetch("SELECT account_id, kind, amount FROM credit_entries ORDER BY id"):
        entries.setdefault(row["account_id"], []).append(Entry(row["kind"], row["amount"]))
    for row in await database.fetch("SELECT id, available, held, charged, granted FROM accounts"):
        totals = Balance(row["available"], row["held"], row["charged"], row["granted"])
        assert replay(entries.get(row["id"], [])) == totals, f"account {row['id']}"
    wrong_usage = await database.fetch(
        """
        SELECT a.id, u.* FROM accounts a
        LEFT JOIN (SELECT account_id, sum(tasks) AS tasks, sum(successes) AS successes, sum(credits) AS credits
                   FROM usage_hours GROUP BY account_id) u ON u.account_id = a.id
        LEFT JOIN (SELECT account_id, count(*) FILTER (WHERE kind IN ('settle', 'release')) AS tasks,
                          count(*) FILTER (WHERE kind = 'settle') AS successes
                   FROM credit_entries GROUP BY account_id) e ON e.account_id = a.id
        WHERE (coalesce(u.tasks, 0), coalesce(u.successes, 0), coalesce(u.credits, 0))
              IS DISTINCT FROM (coalesce(e.tasks, 0), coalesce(e.successes, 0), a.charged)
        """
    )
    assert [dict(row) for row in wrong_usage] == [], "usage by the hour is what the ledger says"
    wrong_tasks = await database.fetch(
        """
        SELECT t.id, t.state, array_agg(e.kind ORDER BY e.id) AS kinds, array_agg(e.amount) AS amounts
        FROM tasks t LEFT JOIN credit_entries e ON e.task_id = t.id GROUP BY t.id
        HAVING array_agg(e.kind ORDER BY e.id) IS DISTINCT FROM CASE t.state
                 WHEN 'success' THEN ARRAY['hold', 'settle'] WHEN 'fail' THEN ARRAY['hold', 'release']
                 ELSE ARRAY['hold'] END
            OR NOT coalesce(bool_and(e.amount = t.price AND e.account_id = t.account_id), false)
        """
    )
    assert wrong_tasks == []
    wrong_keys = await database.fetch(
        """
        SELECT k.id, k.in_flight, count(t.id) FROM api_keys k
        LEFT JOIN tasks t ON t.key_id = k.id AND t.state IN ('waiting', 'queuing', 'generating')
        GROUP BY k.id HAVING k.in_flight <> count(t.id)
        """
    )
    assert wrong_keys == []
    orphans = await database.fetch("SELECT task_id FROM credit_entries WHERE task_id NOT IN (SELECT id FROM tasks)")
    assert orphans == []
