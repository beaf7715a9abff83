"""However many callbacks there are, no statement about them reads the whole table, nor the tables beside it."""

import re

from cavendish.domain.orders import Caller
from cavendish.store.database import Database
from cavendish.store.queries import load_queries
from tests.integration.test_query_plans import array, plans, searches
from tests.properties.world import new_caller

QUERIES = load_queries("callbacks")
CALLBACKS = 30_000
DUE = [f"task_{number}" for number in (29_991, 29_992, 29_993)]
TASK, ACCOUNT = ("text", f"'{DUE[0]}'"), ("bigint", "1")

CASES = {
    # query name -> (type, value) of its parameters
    "due": [("boolean", "false"), ("bigint", "512"), ("timestamptz", "'2026-11-22'")],
    "claim": [("text[]", array([*DUE], "text")), ("float8", "30")],
    "postpone": [("text[]", array([*DUE], "text")), ("float8[]", array([1, 1, 1], "float8"))],
    "record": [
        ("text[]", array([*DUE], "text")),
        ("integer[]", array([1, 1, 1], "integer")),
        ("text[]", array(["pending"] * 3, "text")),
        ("float8[]", array([5, 5, 5], "float8")),
        ("bigint[]", array([1, 1, 1], "bigint")),
        ("integer[]", array([1, 1, 1], "integer")),
        ("integer[]", array([500, 500, 500], "integer")),
        ("text[]", array([None] * 3, "text")),
        ("text[]", array(["x"] * 3, "text")),
    ],
    "redeliver": [TASK, ACCOUNT],
    "redeliver_failed": [("timestamptz", "now() - interval '12 hours'"), ("bigint", "1000")],
    "find": [TASK],
    "attempts": [TASK],
    "unsuccessful": [("bigint", "50")],
}
NO_TABLE_OF_CALLBACKS = {"secret", "rotate", "account_id"}


async def fill(database: Database, caller: Caller) -> None:
    """15,000 delivered, 5,000 given up, 9,980 scheduled for later, 20 due; each with its task and an attempt."""
    await database.fetch(
        """
        INSERT INTO tasks (id, account_id, key_id, model, param, public_url, price, turn, state, callback_url,
                           result_blobs, credits_charged, finished_at)
        SELECT 'task_' || n, $1, $2, 'google/nano-banana', repeat('x', 200), 'http://pictures.test', 3, n, 'success',
               'http://shop.example/', '{a.png}', 3, now()
        FROM generate_series(1, $3::int) AS n
        """,
        caller.account_id,
        caller.key_id,
        CALLBACKS,
    )
    await database.fetch(
        """
        INSERT INTO callbacks (task_id, account_id, host, state, slow, failures, next_attempt_at, ended_at)
        SELECT 'task_' || n, $1, 'shop.example',
               CASE WHEN n <= 15000 THEN 'delivered' WHEN n <= 20000 THEN 'failed' ELSE 'pending' END,
               n <= 29990, 0, CASE WHEN n <= 29980 THEN now() + interval '1 hour' ELSE now() END,
               CASE WHEN n <= 20000 THEN now() - make_interval(secs => n) END
        FROM generate_series(1, $2::int) AS n
        """,
        caller.account_id,
        CALLBACKS,
    )
    await database.fetch(
        "INSERT INTO callback_attempts (task_id, started_at, milliseconds, status) "
        "SELECT 'task_' || n, now(), 5, 200 FROM generate_series(1, $1::int) AS n",
        CALLBACKS,
    )
    for table in ("tasks", "callbacks", "callback_attempts", "accounts"):
        await database.fetch(f"ANALYZE {table}")


def test_every_statement_about_callbacks_is_looked_at() -> None:
    assert set(QUERIES) == CASES.keys() | NO_TABLE_OF_CALLBACKS


async def test_no_statement_about_callbacks_reads_all_of_a_table(database: Database) -> None:
    await fill(database, await new_caller(database))
    found: dict[str, list[str]] = {}
    async with database.connection() as connection:
        for name, parameters in CASES.items():
            kinds, values = [kind for kind, _ in parameters], [value for _, value in parameters]
            found[name] = await plans(connection, QUERIES[name], kinds, values)
        await connection.execute("RESET plan_cache_mode")

    every = [(name, plan) for name, both in found.items() for plan in both]
    scanning = [(name, plan) for name, plan in every if re.search(r"Seq Scan on (callback|task)", plan)]
    assert scanning == []
    # Walking a primary key from its start in search of a few rows is reading everything too.
    walking = [(name, plan) for name, plan in every if re.search(r"_pkey on [^\n]*\n +Filter", plan)]
    assert walking == []
    assert all("callbacks_due" in plan and "Sort" not in plan for plan in found["due"]), "in the order of its index"
    assert all("callbacks_unsuccessful" in plan for plan in found["redeliver_failed"]), "only those given up since"


async def test_a_plan_from_the_hour_when_there_was_no_callback_looks_them_up_all_the_same(database: Database) -> None:
    await new_caller(database)
    by_task = {"claim", "postpone", "record", "redeliver", "find"}
    async with database.connection() as connection:
        for name in by_task:
            kinds, values = [kind for kind, _ in CASES[name]], [value for _, value in CASES[name]]
            _, kept = await plans(connection, QUERIES[name], kinds, values)
            ways = set(searches(kept, "callbacks") + searches(kept, "tasks"))
            assert not ways - {("callbacks_pkey", True), ("tasks_pkey", True)}, f"{name}: {ways}"
            assert "Seq Scan" not in kept, name
        await connection.execute("RESET plan_cache_mode")


async def test_a_look_reads_what_is_due_and_nothing_that_is_scheduled_for_later(database: Database) -> None:
    await fill(database, await new_caller(database))
    for slow in ("true", "false"):
        plan = await looked_at(database, slow)
        assert (rows_read(plan), "Filter" in plan) == (10, False), plan
    await database.fetch("UPDATE callbacks SET next_attempt_at = now() WHERE state = 'pending'")
    plan = await looked_at(database, "true")
    assert rows_read(plan) == 512, plan


async def looked_at(database: Database, slow: str) -> str:
    """How `due` was answered."""
    sql = QUERIES["due"].replace("$1", slow).replace("$2", "512").replace("$3", "NULL")
    rows = await database.fetch(f"EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) {sql}")
    return "\n".join(row[0] for row in rows)


def rows_read(plan: str) -> int:
    """The most rows that a step of the plan gave to the next."""
    return max(int(number) for number in re.findall(r"actual rows=(\d+)", plan))
