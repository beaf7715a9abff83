"""Uploaded files as rows: whose they are, how much room they take, until when they may be used."""

from collections.abc import Sequence
from math import ceil

from cavendish.domain.errors import RateLimited
from cavendish.domain.files import NewFile, no_room
from cavendish.domain.tasks import AccountId
from cavendish.store.database import Database
from cavendish.store.queries import load_queries

SWEEP_BATCH = 200


class PgFiles:
    """Implements `ports.Files`.

    Args:
        retention_hours: how long a file may be used.
        account_bytes: the most that one account may hold.
    """

    def __init__(self, database: Database, *, retention_hours: float, account_bytes: int) -> None:
        self._database = database
        self._retention_hours = retention_hours
        self._account_bytes = account_bytes
        self._sql = load_queries("files")

    async def check_room(self, account_id: AccountId) -> None:
        """Let an upload begin unless its account is known to be full.

        Raises:
            RateLimited, StoreUnavailable
        """
        held, wait_seconds = await self._held(account_id)
        if held >= self._account_bytes:
            raise no_room(held, self._account_bytes, wait_seconds)

    async def keep(self, file: NewFile) -> int:
        """Write `file` down; when it expires, in Unix milliseconds.

        Raises:
            RateLimited: the account has no room for it.
            StoreUnavailable: the database does not answer.
        """
        row = await self._database.fetchrow(
            self._sql["keep"],
            file.name,
            file.account_id,
            file.bytes,
            file.counted_bytes,
            file.format,
            file.width,
            file.height,
            self._retention_hours,
            self._account_bytes,
        )
        if row is None:
            raise await self._no_room(file.account_id)
        expires_ms: int = row["expires_ms"]
        return expires_ms

    async def living(self, account_id: AccountId, names: Sequence[str]) -> frozenset[str]:
        """Those of the files that are the account's and have not expired."""
        rows = await self._database.fetch(self._sql["living"], account_id, list(names))
        return frozenset(row["name"] for row in rows)

    async def expired(self) -> list[str]:
        """Some files whose time is over and that no unfinished task uses."""
        return [row["name"] for row in await self._database.fetch(self._sql["expired"], SWEEP_BATCH)]

    async def remove(self, names: Sequence[str]) -> None:
        """Forget files and give their accounts the room back."""
        await self._database.fetch(self._sql["remove"], list(names))

    async def _no_room(self, account_id: AccountId) -> RateLimited:
        held, wait_seconds = await self._held(account_id)
        return no_room(held, self._account_bytes, wait_seconds)

    async def _held(self, account_id: AccountId) -> tuple[int, int]:
        row = await self._database.fetchrow(self._sql["held"], account_id)
        assert row is not None, "accounts are never deleted"
        return row["upload_bytes"], max(1, ceil(row["wait_seconds"] or 1))
