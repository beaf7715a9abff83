"""Who waits for tasks says so, and whoever moves tasks says which, as long as somebody waits. Hints, never truths.

A process with waiters notifies `cavendish_watched` now and then; a process that claims, marks and ends tasks remembers
that for a while, and only then announces them on `cavendish_tasks`, in a transaction of its own after the finishing
one: PostgreSQL lets transactions that notify commit only one after the other, and finishes must not queue for that.
"""

import asyncio
from collections.abc import Iterable, Iterator

import structlog

from cavendish.domain.errors import StoreUnavailable
from cavendish.ports import Clock
from cavendish.store.database import Database
from cavendish.store.queries import load_queries

WATCHED_SECONDS = 30.0
"""How long after the last sign of a waiter moves are announced; waiters give a sign every ten seconds."""
PAYLOAD_BYTES = 7_900
"""PostgreSQL takes less than 8,000 bytes in one notification."""
MAX_PENDING = 50_000
ASK = "?"
"""Announced when moves may have gone unannounced: whoever waits looks at once, and gives a sign."""

log = structlog.get_logger("cavendish.announcements")


class Announcements:
    """Implements `ports.Watching`, and what `PgWorkQueue` announces by."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._sql = load_queries("tasks")
        self._ends_until = self._moves_until = 0.0
        self._pending: list[tuple[str, str]] = []
        self._flushing: asyncio.Task[None] | None = None

    async def watch(self, *, moves: bool) -> None:
        """Have every process announce what ends, and what moves if `moves`, for the next WATCHED_SECONDS.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        await self._database.fetch(self._sql["watch"], "moves" if moves else "ends")

    def watched(self, payload: str) -> None:
        """Somebody waits somewhere: for moves, or for ends alone. Empty: a sign may have been missed, so ask for it."""
        if not payload:
            self._announce(ASK, ("",))
            return
        until = self._clock.monotonic() + WATCHED_SECONDS
        self._ends_until = until
        if payload == "moves":
            self._moves_until = until

    def ended(self, task_ids: Iterable[str]) -> None:
        """These tasks have reached their end, durably."""
        if self._ends_until > self._clock.monotonic():
            self._announce("e", task_ids)

    def moved(self, task_ids: Iterable[str]) -> None:
        """These tasks have changed their state, durably."""
        if self._moves_until > self._clock.monotonic():
            self._announce("m", task_ids)

    def _announce(self, kind: str, task_ids: Iterable[str]) -> None:
        if len(self._pending) < MAX_PENDING:
            self._pending += [(kind, task_id) for task_id in task_ids]
        if self._flushing is None and self._pending:
            self._flushing = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        try:
            while self._pending:
                batch, self._pending = self._pending, []
                try:
                    await self._database.fetch(self._sql["announce"], list(payloads(batch)))
                except StoreUnavailable as error:
                    log.debug("an announcement is lost; whoever waits looks for itself", error=str(error))
        finally:
            self._flushing = None


def payloads(moves: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Notifications within the payload's bound: `e` or `m`, then ids, separated by blanks; or ASK alone."""
    lines: dict[str, list[str]] = {}
    sizes: dict[str, int] = {}
    for kind, task_id in moves:
        size = sizes.get(kind, 0) + len(task_id.encode()) + 1
        if size > PAYLOAD_BYTES - 1:
            yield " ".join([kind, *lines.pop(kind)])
            size = len(task_id.encode()) + 1
        lines.setdefault(kind, []).append(task_id)
        sizes[kind] = size
    for kind, ids in lines.items():
        yield " ".join([kind, *ids]).rstrip()
