"""Bring a database to this version's schema: numbered SQL files, each applied once, in order, under a lock."""

import hashlib
from importlib.resources import files

import asyncpg

from cavendish.domain.errors import Misconfigured, StoreUnavailable
from cavendish.domain.text import Text
from cavendish.store.database import Database

MIGRATION_SECONDS = 3600.0
"""One migration may rewrite or read a large table; the limit of other statements is not for it."""
DEADLOCK_TRIES = 5
"""A reader can still meet a migration half-way, and PostgreSQL then ends one of the two."""
_LOCK = 0x_CA7E_4D15  # any number, as long as every process uses the same


def shipped_migrations() -> list[tuple[str, str]]:
    """(name, SQL) of every migration of this version, in order."""
    folder = files("cavendish.store.migrations")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(name, folder.joinpath(name).read_text(encoding="utf-8")) for name in names]


async def migrate(database: Database) -> list[str]:
    """Apply what is missing; the names of what was applied. Safe to call from many processes at once.

    Raises:
        Misconfigured: the database was made by a newer version, or an applied migration was changed afterwards.
    """
    for _ in range(DEADLOCK_TRIES - 1):
        try:
            return await _migrate(database)
        except StoreUnavailable as error:
            if not isinstance(error.__cause__, asyncpg.DeadlockDetectedError):
                raise
    return await _migrate(database)


async def _migrate(database: Database) -> list[str]:
    applied: list[str] = []
    async with database.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations (name text PRIMARY KEY, sha256 text NOT NULL, "
            "applied_at timestamptz NOT NULL DEFAULT now())"
        )
        rows = await connection.fetch("SELECT name, sha256 FROM schema_migrations")
        there = {row["name"]: row["sha256"] for row in rows}
        shipped = shipped_migrations()
        unknown = sorted(there.keys() - {name for name, _ in shipped})
        if unknown:
            raise Misconfigured(
                Text(
                    en=f"the database has migrations that this version does not know ({', '.join(unknown)}); "
                    "run the newer version, or restore a backup",
                    zh=f"数据库包含当前版本不认识的迁移（{'、'.join(unknown)}）；请使用更新的版本或恢复备份",
                )
            )
        for name, sql in shipped:
            digest = hashlib.sha256(sql.encode()).hexdigest()
            if name not in there:
                if there and not applied:
                    # Servers of the version before may be at work. Every write of theirs locks its accounts first, so
                    # once the table is ours they wait here, and not in the middle, holding what a migration needs next.
                    await connection.execute("LOCK TABLE accounts IN EXCLUSIVE MODE", timeout=MIGRATION_SECONDS)
                await connection.execute(sql, timeout=MIGRATION_SECONDS)
                await connection.execute("INSERT INTO schema_migrations (name, sha256) VALUES ($1, $2)", name, digest)
                applied.append(name)
            elif there[name] != digest:
                raise Misconfigured(
                    Text(
                        en=f"migration {name} was applied in another wording than this version ships",
                        zh=f"迁移 {name} 已应用的内容与当前版本自带的不一致",
                    )
                )
    return applied
