"""However many tasks there are, no query that runs all the time reads the whole table."""

import re

from cavendish.domain.orders import Caller
from cavendish.store.database import Connection, Database
from cavendish.store.queries import load_queries
from tests.properties.world import new_caller

QUERIES = load_queries("tasks")
TASKS = 30_000
LEASE, ENDED_LEASE = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"
IDS = [f"task_{number}" for number in (20_500, 20_501, 29_000)]


async def fill(database: Database, caller: Caller) -> None:
    """20,000 finished tasks, 100 held (half of them by a worker that died), the rest waiting."""
    await database.fetch(
        """
        INSERT INTO leases (token, worker, expires_at)
        VALUES ($1, 'living', now() + interval '1 hour'), ($2, 'dead', now() - interval '1 hour')
        """,
        LEASE,
        ENDED_LEASE,
    )
    await database.fetch(
        """
        INSERT INTO tasks (id, account_id, key_id, model, param, public_url, price, turn, state, lease_token, attempt,
                           result_blobs, credits_charged, finished_at)
        SELECT 'task_' || n, $1, $2, 'google/nano-banana', repeat('x', 200), 'http://pictures.test', 3, n,
               CASE WHEN n <= 20000 THEN 'success' WHEN n <= 20100 THEN 'generating' ELSE 'waiting' END,
               CASE WHEN n BETWEEN 20001 AND 20050 THEN $3::uuid WHEN n BETWEEN 20051 AND 20100 THEN $4::uuid END,
               CASE WHEN n <= 20100 THEN 1 ELSE 0 END, CASE WHEN n <= 20000 THEN '{a.png}'::text[] ELSE '{}' END,
               CASE WHEN n <= 20000 THEN 3 ELSE 0 END, CASE WHEN n <= 20000 THEN now() END
        FROM generate_series(1, $5::int) AS n
        """,
        caller.account_id,
        caller.key_id,
        LEASE,
        ENDED_LEASE,
        TASKS,
    )
    await database.fetch("ANALYZE")


async def plans(connection: Connection, sql: str, kinds: list[str], arguments: list[str]) -> list[str]:
    """The plan for these arguments, and the one that the server keeps for any; without arguments there is but one."""
    if not arguments:
        return ["\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {sql}"))]
    found = []
    for mode in ("force_custom_plan", "force_generic_plan"):
        await connection.execute(f"SET plan_cache_mode = {mode}")
        await connection.execute(f"PREPARE tried ({', '.join(kinds)}) AS {sql}")
        rows = await connection.fetch(f"EXPLAIN EXECUTE tried ({', '.join(arguments)})")
        await connection.execute("DEALLOCATE tried")
        found.append("\n".join(row[0] for row in rows))
    return found


def array(values: list[object], kind: str) -> str:
    return "ARRAY[" + ", ".join("NULL" if v is None else f"'{v}'" for v in values) + f"]::{kind}[]"


def cases(caller: Caller) -> dict[str, list[tuple[str, str]]]:
    """Query name -> (type, value) of its parameters."""
    ids, three = array([*IDS], "text"), array([1, 1, 1], "integer")
    none = array([None] * 3, "text")
    fence = [("uuid", f"'{LEASE}'"), ("text[]", ids), ("integer[]", three)]
    return {
        "claim": [("uuid", f"'{LEASE}'"), ("bigint", "64"), ("text[]", "'{}'")],
        "mark_generating": fence,
        "give_back": [*fence, ("text[]", none), ("bigint[]", array([None] * 3, "bigint")), ("integer", "1")],
        "finish": [
            ("text[]", ids),
            ("bigint[]", array([caller.account_id] * 3, "bigint")),
            ("uuid[]", array([LEASE] * 3, "uuid")),
            ("integer[]", three),
            ("text[]", array(["success"] * 3, "text")),
            ("text[]", array(["a.png"] * 3, "text")),
            ("integer[]", three),
            ("integer[]", three),
            ("text[]", none),
            ("text[]", none),
            ("text[]", none),
            ("boolean", "true"),
            ("text[]", none),
            ("text", "'canceled'"),
            ("text", "'canceled'"),
            ("text[]", none),
            ("bigint[]", array([None] * 3, "bigint")),
        ],
        "find": [("text[]", ids)],
        "requeue_lost": [("integer", "3"), ("bigint", "500")],
        "exhausted": [("integer", "3"), ("bigint", "500")],
        "drop_ended_leases": [],
        "end_lease": [("uuid", f"'{LEASE}'")],
        "cancel": [("text", f"'{IDS[0]}'"), ("bigint", f"'{caller.account_id}'"), ("text", "'x'"), ("text", "'x'")],
    }


async def test_no_frequent_query_reads_all_tasks(database: Database) -> None:
    caller = await new_caller(database)
    await fill(database, caller)
    scanning = []
    async with database.connection() as connection:
        for name, parameters in cases(caller).items():
            kinds, values = [kind for kind, _ in parameters], [value for _, value in parameters]
            tried = await plans(connection, QUERIES[name], kinds, values)
            if name in ("requeue_lost", "exhausted"):
                assert all("tasks_leased" in plan for plan in tried), "found through their leases"
            scanning += [(name, plan) for plan in tried if re.search(r"Seq Scan on tasks", plan)]
        await connection.execute("RESET plan_cache_mode")
    assert scanning == []


BY_LEASE = {"requeue_lost", "exhausted", "end_lease", "drop_ended_leases"}


def searches(plan: str, table: str) -> list[tuple[str, bool]]:
    """How a plan reads a table: the index of each scan, and whether it looks something up in it."""
    scan = re.compile(rf"Index[^\n]* Scan[^\n]* using (\w+) on {table}\b[^\n]*(\n +Index Cond)?")
    bitmap = re.compile(rf"Bitmap Index Scan on ({table}\w*)[^\n]*(\n +Index Cond)?")
    return [(match[1], match[2] is not None) for pattern in (scan, bitmap) for match in pattern.finditer(plan)]


async def test_a_plan_from_the_hour_when_the_tables_were_empty_looks_tasks_up_all_the_same(database: Database) -> None:
    caller = await new_caller(database)
    found: dict[str, set[tuple[str, bool]]] = {}
    async with database.connection() as connection:
        for name, parameters in cases(caller).items():
            tried = await plans(connection, QUERIES[name], [k for k, _ in parameters], [v for _, v in parameters])
            assert not re.search(r"Seq Scan on tasks", tried[-1]), name
            found[name] = set(searches(tried[-1], "tasks"))
        await connection.execute("RESET plan_cache_mode")

    by_id, by_lease = ("tasks_pkey", True), ("tasks_leased", True)
    assert found.pop("claim") == {("tasks_claim", False), by_id}, "in the order of that index, which holds what waits"
    assert {name: ways for name, ways in found.items() if ways - {by_id, by_lease}} == {}
    assert {name for name, ways in found.items() if by_lease in ways} <= BY_LEASE


async def test_the_claim_walks_the_index_of_turns(database: Database) -> None:
    caller = await new_caller(database)
    await fill(database, caller)
    async with database.connection() as connection:
        tried = await plans(connection, QUERIES["claim"], ["uuid", "bigint", "text[]"], [f"'{LEASE}'", "64", "'{}'"])
        await connection.execute("RESET plan_cache_mode")
    for plan in tried:
        assert "using tasks_claim on tasks" in plan
        assert "Sort" not in plan.split("CTE claimed")[0].split("CTE picked")[1]
