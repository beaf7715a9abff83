"""The pool of PostgreSQL connections, transactions over it, and the one place where driver errors become ours."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from types import MappingProxyType
from typing import TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from cavendish.domain.errors import Misconfigured, StoreUnavailable
from cavendish.domain.text import Text

_Pooled: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | _Pooled"

CONNECT_TIMEOUT_SECONDS = 10.0
KEPT_CONNECTIONS = 4
"""Taking a connection from the pool and giving it back costs as much as a statement, so these are not given back."""
KEPT_IDLE_SECONDS = 240.0
"""What was idle for longer may have been forgotten by something on the way to the server."""
COMMAND_TIMEOUT_SECONDS = 30.0
SESSION_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "application_name": "cavendish",
        "jit": "off",
        # A connection keeps its plans. Those from the hour when the tables were empty must not read them whole later.
        "enable_seqscan": "off",
        # A machine that vanishes inside a transaction holds the locks of its callers' accounts: end it soon.
        "idle_in_transaction_session_timeout": "10s",
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
    }
)

# What may pass by itself: the server restarts, is full, gave up on a lock, or the network broke.
PASSING_FAULTS: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.TransactionRollbackError,
    asyncpg.PostgresSystemError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,  # a standby, or a primary in the middle of a failover
    asyncpg.IdleInTransactionSessionTimeoutError,
)


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's passing faults into StoreUnavailable; let programming errors through as they are."""
    try:
        yield
    except asyncpg.exceptions.ClientConfigurationError:
        raise  # an InterfaceError by descent, but nothing that passes by itself
    except PASSING_FAULTS as error:
        kind = type(error).__name__
        raise StoreUnavailable(
            Text(en=f"the database does not answer ({kind}: {error})", zh=f"数据库无响应（{kind}：{error}）")
        ) from error


async def _nothing_to_reset(_connection: object) -> None:
    """The pool would send RESET ALL after every use: a round trip as dear as the statement before it.

    Our statements leave nothing behind on a connection: no session settings, locks, cursors or listeners.
    """


def _open(connection: _Pooled) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # it broke, and the pool has it back already
        return False


class Database:
    """A pool of connections to one PostgreSQL database."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", dsn: str) -> None:
        self._pool = pool
        self._kept: list[tuple[_Pooled, float]] = []
        self._most_kept = KEPT_CONNECTIONS
        self._waiting = 0
        self.dsn = dsn

    @classmethod
    @asynccontextmanager
    async def open(cls, dsn: str, *, max_connections: int = 10) -> AsyncIterator["Database"]:
        """Connect, and disconnect at the end.

        Args:
            dsn: a PostgreSQL URL.
            max_connections: the most connections that this process holds (one more listens).

        Raises:
            Misconfigured: the URL, user, password or database name is wrong.
            StoreUnavailable: nobody answers there now.
        """
        try:
            with translated():
                pool = await asyncpg.create_pool(
                    dsn,
                    min_size=1,
                    max_size=max_connections,
                    timeout=CONNECT_TIMEOUT_SECONDS,
                    command_timeout=COMMAND_TIMEOUT_SECONDS,
                    reset=_nothing_to_reset,
                    server_settings=dict(SESSION_SETTINGS),
                )
        except (
            ValueError,
            asyncpg.exceptions.ClientConfigurationError,
            asyncpg.InvalidAuthorizationSpecificationError,
            asyncpg.InvalidCatalogNameError,
        ) as error:
            raise Misconfigured(
                Text(
                    en=f"CAVENDISH_DATABASE_URL cannot be used: {error}",
                    zh=f"CAVENDISH_DATABASE_URL 无法使用：{error}",
                )
            ) from error
        except StoreUnavailable as error:
            raise StoreUnavailable(
                Text(en=f"CAVENDISH_DATABASE_URL: {error.text.en}", zh=f"CAVENDISH_DATABASE_URL：{error.text.zh}")
            ) from error
        database = cls(pool, dsn)
        try:
            yield database
        finally:
            try:
                async with asyncio.timeout(5):
                    try:
                        await database._release_kept()
                    finally:
                        await pool.close()
            except TimeoutError:
                pool.terminate()

    @asynccontextmanager
    async def connection(self, *, within_seconds: float = CONNECT_TIMEOUT_SECONDS) -> AsyncIterator[Connection]:
        """One connection, had within that time; each statement on it is a transaction of its own."""
        with translated():
            connection = await self._take(within_seconds)
            try:
                yield connection
            except BaseException:
                await self._pool.release(connection)  # which sees to what is left of a statement, or of the connection
                raise
            await self._give_back(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """One connection inside one transaction: all of it is durable at the end, or none."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def fetch(self, sql: str, *args: object) -> list[asyncpg.Record]:
        """Run one statement; all rows."""
        async with self.connection() as connection:
            return await connection.fetch(sql, *args)

    async def fetchrow(self, sql: str, *args: object) -> asyncpg.Record | None:
        """Run one statement; the first row, if any."""
        async with self.connection() as connection:
            return await connection.fetchrow(sql, *args)

    async def fetchrow_within(self, seconds: float, sql: str, *args: object) -> asyncpg.Record | None:
        """Run one statement whose answer is worth nothing later; the first row, if any.

        Raises:
            StoreUnavailable: no answer within that time. The connection is dropped: on one that hangs, even asking the
                server to give up the statement would hang.
        """
        async with self.connection(within_seconds=seconds) as connection:
            try:
                async with asyncio.timeout(seconds):
                    return await connection.fetchrow(sql, *args)
            except TimeoutError:
                connection.terminate()
                raise

    async def _take(self, within_seconds: float) -> "_Pooled":
        while self._kept:
            connection, since = self._kept.pop()
            if _open(connection):
                if time.monotonic() - since <= KEPT_IDLE_SECONDS:
                    return connection
                connection.terminate()
            await self._pool.release(connection)
        self._waiting += 1
        try:
            return await self._pool.acquire(timeout=within_seconds)
        finally:
            self._waiting -= 1

    async def _give_back(self, connection: "_Pooled") -> None:
        if self._waiting or len(self._kept) >= self._most_kept:
            await self._pool.release(connection)
        else:
            self._kept.append((connection, time.monotonic()))

    async def _release_kept(self) -> None:
        self._most_kept = 0
        while self._kept:
            connection, _ = self._kept.pop()
            await self._pool.release(connection)

    async def answers(self) -> bool:
        """Whether the database answers now."""
        try:
            async with asyncio.timeout(2):
                await self.fetchrow("SELECT 1")
        except (StoreUnavailable, TimeoutError):
            return False
        return True
