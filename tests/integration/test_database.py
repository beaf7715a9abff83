"""The pool: which faults pass, which are bugs, and how it heals; and what the database itself refuses to store."""

import asyncio
import inspect
import time
from collections.abc import Mapping
from pathlib import Path

import asyncpg
import pytest

from cavendish.clock import SystemClock
from cavendish.domain.errors import Misconfigured, StoreUnavailable
from cavendish.domain.tasks import TaskId
from cavendish.store.database import PASSING_FAULTS, Database, translated
from cavendish.store.embedded import EmbeddedServer
from cavendish.store.orders import PgTaskOrders
from cavendish.store.queue import PgWorkQueue
from tests.properties.world import REFUSED, assert_books_balance, ended, everything, new_caller, submit

# SQLSTATE class (or one code) -> whether trying again later may help. None: never raised as an error.
PASSES: Mapping[str, bool] = {
    "03": False,  # SQL statement not yet complete
    "08": True,  # connection
    "09": False,  # triggered action
    "0A": False,  # feature not supported
    "0B": False,  # invalid transaction initiation
    "0F": False,  # locator
    "0L": False,  # invalid grantor
    "0P": False,  # invalid role specification
    "0Z": False,  # diagnostics
    "10": False,  # XQuery
    "20": False,  # case not found
    "21": False,  # cardinality violation
    "22": False,  # data: we sent something that it cannot hold
    "23": False,  # a constraint refused
    "24": False,  # invalid cursor state
    "25": False,  # invalid transaction state…
    "25006": True,  # …but a standby that cannot write may be the primary in a moment
    "25P03": True,  # …and a transaction ended for idling may be begun again
    "26": False,  # invalid SQL statement name
    "27": False,  # triggered data change violation
    "28": False,  # user or password
    "2B": False,  # dependent privilege descriptors
    "2D": False,  # invalid transaction termination
    "2F": False,  # SQL routine
    "34": False,  # invalid cursor name
    "38": False,  # external routine
    "39": False,  # external routine invocation
    "3B": False,  # savepoint
    "3D": False,  # no such database
    "3F": False,  # no such schema
    "40": True,  # rolled back: deadlock, serialisation
    "42": False,  # syntax error or access rule violation
    "44": False,  # WITH CHECK OPTION
    "53": True,  # insufficient resources: connections, memory, disk
    "54": False,  # program limit exceeded
    "55": False,  # object not in prerequisite state…
    "55P03": True,  # …but a lock that could not be had yet
    "57": True,  # operator intervention: shutting down, starting up, canceled
    "58": True,  # the machine under the database
    "72": False,  # snapshot too old
    "F0": False,  # configuration file
    "HV": False,  # foreign data wrapper
    "P0": False,  # raised in PL/pgSQL: our own refusals
    "XX": False,  # internal error
}
CLIENT_PASSES: Mapping[str, bool] = {
    "PostgresError": False,
    "FatalPostgresError": False,
    "UnknownPostgresError": False,
    "InterfaceError": True,  # the pool or the connection is closing
    "ClientConfigurationError": True,
    "InternalClientError": True,
    "OutdatedSchemaCacheError": True,
    "ProtocolError": True,
    "TargetServerAttributeNotMatched": True,
    "UnsupportedClientFeatureError": True,
    "UnsupportedServerFeatureError": True,
}


def driver_errors() -> list[type[BaseException]]:
    classes = (found for found in vars(asyncpg.exceptions).values() if inspect.isclass(found))
    return [found for found in classes if issubclass(found, BaseException) and not issubclass(found, Warning)]


def verdict(error: type[BaseException]) -> bool:
    code = getattr(error, "sqlstate", None)
    if code is None:
        return CLIENT_PASSES[error.__name__]
    return PASSES.get(code, PASSES[code[:2]]) if isinstance(code, str) else CLIENT_PASSES[error.__name__]


def test_every_error_of_the_driver_is_known_as_passing_or_as_a_bug() -> None:
    errors = driver_errors()
    assert len(errors) > 200
    wrong = [error.__name__ for error in errors if issubclass(error, PASSING_FAULTS) != verdict(error)]
    assert wrong == []


@pytest.mark.parametrize("fault", [ConnectionResetError, TimeoutError, asyncpg.DeadlockDetectedError])
def test_a_passing_fault_becomes_ours_and_names_the_driver_s(fault: type[Exception]) -> None:
    with pytest.raises(StoreUnavailable, match=f"{fault.__name__}: it broke") as caught, translated():
        raise fault("it broke")
    assert isinstance(caught.value.__cause__, fault)


def test_a_bug_stays_what_it_is() -> None:
    with pytest.raises(asyncpg.UndefinedTableError), translated():
        raise asyncpg.UndefinedTableError("no such table")


@pytest.mark.parametrize("wrong", ["user", "password", "database"])
async def test_a_wrong_url_is_the_operator_s_to_mend(postgres: EmbeddedServer, wrong: str) -> None:
    url = postgres.dsn_for("no_such_database" if wrong == "database" else "cavendish")
    url = {"user": url.replace("//", "//nobody_", 1), "password": url.replace("@", "x@", 1)}.get(wrong, url)
    with pytest.raises(Misconfigured, match="CAVENDISH_DATABASE_URL"):
        async with Database.open(url):
            pass


async def test_a_url_that_makes_no_sense_is_the_operator_s_to_mend() -> None:
    with pytest.raises(Misconfigured, match="CAVENDISH_DATABASE_URL"):
        async with Database.open("postgresql://localhost/x?target_session_attrs=nonsense"):
            pass


async def test_nobody_there_is_a_passing_fault(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        async with Database.open(f"postgresql://x@/x?host={tmp_path}"):
            pass


async def test_a_transaction_is_all_or_nothing(database: Database) -> None:
    before = await everything(database)

    async def change_my_mind() -> None:
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO accounts (name) VALUES ('alice')")
            raise RuntimeError("changed my mind")

    with pytest.raises(RuntimeError, match="changed my mind"):
        await change_my_mind()
    assert await everything(database) == before


async def test_a_statement_whose_caller_gave_up_leaves_a_connection_that_works(dsn: str) -> None:
    async def insert_and_sleep(database: Database) -> None:
        async with asyncio.timeout(0.05), database.transaction() as connection:
            await connection.execute("INSERT INTO accounts (name) VALUES ('alice')")
            await connection.execute("SELECT pg_sleep(30)")

    async with Database.open(dsn, max_connections=1) as database:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await insert_and_sleep(database)
            row = await database.fetchrow("SELECT count(*) AS accounts FROM accounts")
            assert row is not None
            assert row["accounts"] == 0


async def own_pid(database: Database) -> int:
    row = await database.fetchrow("SELECT pg_backend_pid() AS pid")
    assert row is not None
    return int(row["pid"])


async def test_one_statement_after_the_other_goes_over_the_same_connection(database: Database) -> None:
    assert len({await own_pid(database) for _ in range(5)}) == 1


async def test_statements_at_the_same_time_never_share_a_connection(database: Database) -> None:
    rows = await asyncio.gather(
        *(database.fetch("SELECT pg_backend_pid() AS pid, pg_sleep(0.2)") for _ in range(3)),
        *(database.fetchrow("SELECT pg_backend_pid() AS pid, pg_sleep(0.2)") for _ in range(2)),
    )
    pids = [row["pid"] if isinstance(row, asyncpg.Record) else row[0]["pid"] for row in rows if row is not None]
    assert len(set(pids)) == 5


async def test_whoever_waits_for_a_connection_gets_the_next_that_is_free(dsn: str) -> None:
    async with Database.open(dsn, max_connections=1) as database:
        for _ in range(3):
            async with database.connection():
                waiting = [asyncio.create_task(own_pid(database)) for _ in range(3)]
                await asyncio.sleep(0.05)
                assert not any(task.done() for task in waiting)
            async with asyncio.timeout(5):
                assert len(set(await asyncio.gather(*waiting))) == 1


async def test_the_pool_closes_at_once_although_connections_are_kept_and_one_is_at_work(dsn: str) -> None:
    async with Database.open(dsn, max_connections=3) as database:
        await asyncio.gather(own_pid(database), own_pid(database))
        at_work = asyncio.create_task(database.fetch("SELECT pg_sleep(0.3)"))
        await asyncio.sleep(0.1)
        began = time.monotonic()
    assert time.monotonic() - began < 4, "it did not wait for something that never comes"
    assert len(await at_work) == 1


async def test_a_connection_that_was_idle_for_long_is_made_anew(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await own_pid(database)
    monkeypatch.setattr("cavendish.store.database.KEPT_IDLE_SECONDS", -1.0)
    assert await own_pid(database) != before


async def test_a_kept_connection_that_broke_long_ago_fails_nobody(
    database: Database, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = await own_pid(database)
    admin = await asyncpg.connect(dsn)
    await admin.fetch("SELECT pg_terminate_backend($1, 5000)", pid)
    await admin.close()
    monkeypatch.setattr("cavendish.store.database.KEPT_IDLE_SECONDS", -1.0)
    assert await own_pid(database) != pid


async def test_the_pool_heals_after_all_its_connections_were_ended(database: Database, dsn: str) -> None:
    await asyncio.gather(*(database.fetch("SELECT pg_sleep(0.01)") for _ in range(8)))
    admin = await asyncpg.connect(dsn)
    running = [asyncio.create_task(database.fetch("SELECT pg_sleep(60)")) for _ in range(4)]
    while await admin.fetchval("SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'") < 4:
        pass
    await admin.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid()"
    )
    await admin.close()
    broken = await asyncio.gather(*running, return_exceptions=True)
    assert [type(error) for error in broken] == [StoreUnavailable] * 4
    for _ in range(20):  # the first few may still meet connections whose end has not been seen
        if await database.answers():
            break
    rows = await asyncio.gather(*(database.fetchrow("SELECT 1 AS one") for _ in range(16)))
    assert all(row is not None and row["one"] == 1 for row in rows)


async def test_the_pool_heals_after_the_database_was_restarted(tmp_path: Path) -> None:
    server = await asyncio.to_thread(EmbeddedServer.start, tmp_path)
    try:
        async with Database.open(server.dsn, max_connections=2) as database:
            assert await database.answers()
            await asyncio.to_thread(server.close)
            assert not await database.answers()
            with pytest.raises(StoreUnavailable):
                await database.fetch("SELECT 1")
            server = await asyncio.to_thread(EmbeddedServer.start, tmp_path)
            assert await database.answers()
    finally:
        await asyncio.to_thread(server.close)


async def three_tasks(database: Database) -> tuple[TaskId, TaskId, TaskId]:
    """One that waits, one that is held, one that failed."""
    waiting, held, failed = await submit(
        PgTaskOrders(database, SystemClock()), await new_caller(database, granted=100), [3, 3, 3]
    )
    queue = PgWorkQueue(database)
    works = {work.id: work for work in await queue.claim(await queue.begin_lease("worker", 60), 3)}
    await queue.give_back(works[waiting].lease_token, [works[waiting]], "stopping")
    await queue.finish(ended(works[failed], REFUSED))
    return waiting, held, failed


CHECKS = {
    "a negative balance": ("UPDATE accounts SET available = -1, held = 101", "no_credits_below_zero"),
    "a negative hold": ("UPDATE accounts SET held = -1, available = 101", "no_credits_below_zero"),
    "a negative charge": ("UPDATE accounts SET charged = -1, available = available + 1", "no_credits_below_zero"),
    "credits from nowhere": ("UPDATE accounts SET available = available + 1", "credits_add_up"),
    "credits that vanish": ("UPDATE accounts SET held = held - 3", "credits_add_up"),
    "a success without a picture": (
        "UPDATE tasks SET state = 'success', lease_token = NULL, finished_at = now(), credits_charged = 3",
        "a_success_has_images_and_is_charged",
    ),
    "a success that is not charged": (
        "UPDATE tasks SET state = 'success', lease_token = NULL, finished_at = now(), result_blobs = '{x}'",
        "a_success_has_images_and_is_charged",
    ),
    "a failure that is charged": (
        "UPDATE tasks SET credits_charged = 3 WHERE id = $1",
        "a_success_has_images_and_is_charged",
    ),
    "a failure without a reason": (
        "UPDATE tasks SET state = 'fail', lease_token = NULL, finished_at = now() WHERE id = $1",
        "a_failure_has_a_reason",
    ),
    "an end without a time": (
        "UPDATE tasks SET state = 'fail', lease_token = NULL, fail_code = 'internal', fail_msg = 'x' WHERE id = $1",
        "a_held_task_has_a_lease_and_a_finished_one_a_time",
    ),
    "a lease on a waiting task": (
        "UPDATE tasks SET state = 'waiting' WHERE id = $1",
        "a_held_task_has_a_lease_and_a_finished_one_a_time",
    ),
    "a held task without a lease": (
        "UPDATE tasks SET lease_token = NULL WHERE id = $1",
        "a_held_task_has_a_lease_and_a_finished_one_a_time",
    ),
    "a state that does not exist": (
        "UPDATE tasks SET state = 'paused', lease_token = NULL WHERE id = $1",
        "a_held_task_has_a_lease_and_a_finished_one_a_time",
    ),
    "a failure word that does not exist": (
        "UPDATE tasks SET fail_code = 'bad_luck' WHERE id = $1",
        "fail_code_known",
    ),
    "a negative counter": ("UPDATE api_keys SET in_flight = -1", "no_counter_below_zero"),
    "a key that may do nothing": ("UPDATE api_keys SET creates_per_minute = 0", "a_key_may_do_something"),
    "a lease on a finished task": (
        "UPDATE tasks SET finished_at = now() WHERE id = $1",
        "a_held_task_has_a_lease_and_a_finished_one_a_time",
    ),
    "a picture of a task that is not finished": (
        "UPDATE tasks SET result_blobs = '{x}' WHERE id = $1",
        "a_success_has_images_and_is_charged",
    ),
    "more successes than tasks": ("UPDATE usage_hours SET successes = tasks + 1", "no_more_of_some_than_of_all"),
    "usage below zero": ("UPDATE usage_hours SET credits = -1", "no_more_of_some_than_of_all"),
    "an account without a name": ("UPDATE accounts SET name = ''", "account_name_length"),
    "a secret that is none": ("UPDATE accounts SET webhook_secret = 'x'", "signing_secret_form"),
    "a callback address without end": (
        "UPDATE tasks SET callback_url = repeat('x', 2049) WHERE id = $1",
        "callback_address_length",
    ),
    "a failure told at length": ("UPDATE tasks SET fail_msg_zh = repeat('x', 2001) WHERE id = $1", "message_length"),
    "an entry of an unknown kind": (
        "INSERT INTO credit_entries (account_id, kind, amount, task_id) SELECT id, 'gift', 1, 'x' FROM accounts",
        "credit_entries_kind_check",
    ),
    "an entry below zero": (
        "INSERT INTO credit_entries (account_id, kind, amount, task_id) SELECT id, 'hold', -1, 'x' FROM accounts",
        "credit_entries_amount_check",
    ),
    "a hold without a task": (
        "INSERT INTO credit_entries (account_id, kind, amount) SELECT id, 'hold', 1 FROM accounts",
        "credit_entries_check",
    ),
}


async def test_the_database_refuses_what_must_never_be(database: Database) -> None:
    _, held, _ = await three_tasks(database)
    before = await everything(database)
    for what, (sql, constraint) in CHECKS.items():
        with pytest.raises(asyncpg.CheckViolationError) as caught:
            await database.fetch(sql, *([held] if "$1" in sql else []))
        assert caught.value.constraint_name == constraint, what
    assert await everything(database) == before


async def test_the_database_refuses_a_second_hold_settle_or_release(database: Database) -> None:
    waiting, _, failed = await three_tasks(database)
    insert = (
        "INSERT INTO credit_entries (account_id, kind, amount, task_id) SELECT account_id, $2, 3, id FROM tasks "
        "WHERE id = $1"
    )
    for task_id, kind in ((waiting, "hold"), (failed, "hold"), (failed, "release"), (failed, "settle")):
        with pytest.raises(asyncpg.UniqueViolationError) as caught:
            await database.fetch(insert, task_id, kind)
        assert caught.value.constraint_name == "credit_entries_once"
    await assert_books_balance(database)


async def test_the_ledger_is_append_only(database: Database) -> None:
    await three_tasks(database)
    before = await everything(database)
    for sql in (
        "UPDATE credit_entries SET amount = amount + 1",
        "UPDATE credit_entries SET note = 'nothing to see'",
        "DELETE FROM credit_entries",
        "TRUNCATE credit_entries",
    ):
        with pytest.raises(asyncpg.RaiseError, match="append-only"):
            await database.fetch(sql)
    assert await everything(database) == before


async def test_accounts_and_keys_stay_for_what_names_them(database: Database) -> None:
    await three_tasks(database)
    before = await everything(database)
    for table in ("accounts", "api_keys"):
        for sql in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
            with pytest.raises(asyncpg.RaiseError, match=r"are never deleted"):
                await database.fetch(sql)
    assert await everything(database) == before
