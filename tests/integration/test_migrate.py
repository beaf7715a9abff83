"""Migrations: each once, in order, whoever starts first; and never over something they do not know."""

import asyncio
from collections.abc import AsyncIterator
from importlib.resources import files

import pytest

from cavendish.domain.errors import Misconfigured
from cavendish.store import migrate as module
from cavendish.store.database import Database
from cavendish.store.embedded import EmbeddedServer
from cavendish.store.migrate import migrate, shipped_migrations
from cavendish.store.queries import load_queries
from tests.conftest import execute
from tests.properties.bench import until


@pytest.fixture
async def empty_dsn(postgres: EmbeddedServer) -> AsyncIterator[str]:
    """A database without a schema."""
    await execute(postgres.dsn, "CREATE DATABASE test_empty")
    yield postgres.dsn_for("test_empty")
    await execute(postgres.dsn, "DROP DATABASE test_empty WITH (FORCE)")


def names() -> list[str]:
    return [name for name, _ in shipped_migrations()]


async def applied(database: Database) -> list[str]:
    return [row["name"] for row in await database.fetch("SELECT name FROM schema_migrations ORDER BY name")]


async def test_an_empty_database_gets_every_migration_and_then_none(empty_dsn: str) -> None:
    async with Database.open(empty_dsn, max_connections=2) as database:
        assert await migrate(database) == names()
        assert await migrate(database) == []
        assert await applied(database) == names()


async def test_of_many_that_start_at_once_one_migrates(empty_dsn: str) -> None:
    async with (
        Database.open(empty_dsn, max_connections=3) as first,
        Database.open(empty_dsn, max_connections=3) as second,
    ):
        results = await asyncio.gather(*(migrate(database) for database in (first, second, first, second)))
        assert sorted(results, key=len) == [[], [], [], names()]


async def test_a_database_of_a_newer_version_is_left_alone(database: Database) -> None:
    await database.fetch("INSERT INTO schema_migrations (name, sha256) VALUES ('9999_future.sql', 'x')")
    with pytest.raises(Misconfigured, match=r"9999_future\.sql"):
        await migrate(database)


async def test_a_migration_that_was_changed_after_it_was_applied_is_refused(database: Database) -> None:
    await database.fetch("UPDATE schema_migrations SET sha256 = 'another' WHERE name = $1", names()[0])
    with pytest.raises(Misconfigured, match=f"{names()[0]} was applied in another wording"):
        await migrate(database)


async def test_a_migration_that_fails_leaves_nothing_behind(empty_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [*shipped_migrations(), ("9998_broken.sql", "CREATE TABLE half (id int); SELECT 1 / 0;")]
    monkeypatch.setattr(module, "shipped_migrations", lambda: broken)
    async with Database.open(empty_dsn, max_connections=1) as database:
        with pytest.raises(Exception, match="division by zero"):
            await migrate(database)
        rows = await database.fetch("SELECT FROM information_schema.tables WHERE table_schema = 'public'")
        assert rows == []


async def test_a_create_of_the_version_before_and_a_migration_do_not_deadlock(
    empty_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = shipped_migrations()
    async with Database.open(empty_dsn, max_connections=3) as database:
        monkeypatch.setattr(module, "shipped_migrations", lambda: [m for m in everything if m[0] < "0006"])
        await migrate(database)
        monkeypatch.setattr(module, "shipped_migrations", lambda: everything)
        await database.fetch("INSERT INTO accounts (name, available, granted) VALUES ('a', 10, 10)")
        await database.fetch(
            "INSERT INTO api_keys (account_id, hash, prefix, creates_per_minute, in_flight_limit) "
            "SELECT id, sha256('k'), 'sk-aaaaaaaa', 10, 10 FROM accounts"
        )
        async with database.transaction() as create:
            await create.execute("SELECT FROM accounts FOR NO KEY UPDATE")
            migrating = asyncio.create_task(migrate(database))

            async def waits() -> bool:
                return bool(await database.fetch("SELECT FROM pg_locks WHERE NOT granted"))

            await until(waits)
            # The order of every create: accounts, keys, tasks.
            await create.execute("UPDATE api_keys SET in_flight = 1")
            await create.execute(
                "INSERT INTO tasks (id, account_id, key_id, model, param, public_url, price, turn) "
                "SELECT 't', account_id, id, 'm', '{}', 'http://x', 1, 1 FROM api_keys"
            )
        assert await migrating == [name for name, _ in everything if name >= "0006"]


def test_migrations_are_numbered_without_gaps() -> None:
    assert [name[:5] for name in names()] == [f"{number:04}_" for number in range(1, len(names()) + 1)]


def test_the_sql_is_part_of_the_package() -> None:
    migrations = files("cavendish.store.migrations")
    assert migrations.joinpath("0001_core.sql").read_text(encoding="utf-8").startswith("-- Accounts, keys")
    for subject, name in (("tasks", "claim"), ("submit", "insert_batch"), ("accounts", "grant")):
        assert name in load_queries(subject)
