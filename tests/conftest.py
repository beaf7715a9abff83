"""A real PostgreSQL for the session; a fresh database, cloned from a migrated template, for each test."""

import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from cavendish.store.database import Database
from cavendish.store.embedded import EmbeddedServer
from cavendish.store.migrate import migrate

TEMPLATE = "cavendish_template"
_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedServer]:
    """The embedded server on a throw-away folder."""
    with (
        tempfile.TemporaryDirectory(prefix="cavendish-test-") as folder,
        EmbeddedServer.start(Path(folder) / "data") as server,
    ):
        asyncio.run(_make_template(server))
        yield server


async def _make_template(server: EmbeddedServer) -> None:
    # Nothing in this server must survive a crash; what must is tested on servers of its own.
    await execute(server.dsn, "ALTER ROLE CURRENT_USER SET synchronous_commit = off")
    await execute(server.dsn, f'CREATE DATABASE "{TEMPLATE}"')
    async with Database.open(server.dsn_for(TEMPLATE), max_connections=1) as database:
        await migrate(database)


async def execute(dsn: str, sql: str) -> None:
    """One statement on a connection of its own."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


@pytest.fixture
async def dsn(postgres: EmbeddedServer) -> AsyncIterator[str]:
    """A fresh, migrated database."""
    name = f"test_{next(_numbers)}"
    await execute(postgres.dsn, f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}"')
    yield postgres.dsn_for(name)
    await execute(postgres.dsn, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """A pool on the fresh database."""
    async with Database.open(dsn, max_connections=8) as opened:
        yield opened
