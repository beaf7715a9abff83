"""Callbacks as rows: what is due, who delivers it, what became of it; and the secrets that sign them."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg
import msgspec

from cavendish.domain.callbacks import Attempt, CallbackView, Delivery, Report
from cavendish.domain.errors import NotFound
from cavendish.domain.tasks import AccountId, TaskId
from cavendish.domain.text import Text, shortened
from cavendish.group_commit import GroupCommit
from cavendish.store.database import Database
from cavendish.store.queries import load_queries
from cavendish.store.views import task_view

REDELIVER_BATCH = 1000


class Trouble(msgspec.Struct, frozen=True):
    """A callback that is not delivered, for lists."""

    task_id: str
    account: str
    host: str
    state: str
    failures: int
    next_attempt_at: datetime | None
    callback_url: str


class PgCallbacks:
    """Implements `ports.CallbackQueue` and `ports.Callbacks`, and what the command line does to callbacks."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load_queries("callbacks")
        self._reports: GroupCommit[Report, None] = GroupCommit(self._record_batch)

    async def due(
        self, *, slow: bool, limit: int, after: datetime | None
    ) -> tuple[list[tuple[TaskId, str]], datetime | None]:
        """Tasks and hosts of callbacks whose time has come, the longest waiting first, and where the next look begins.

        `after`: where the last look ended. None, here and in the answer: at the start.
        """
        rows = await self._database.fetch(self._sql["due"], slow, limit, after)
        ended = rows[-1]["next_attempt_at"] if len(rows) == limit else None
        return [(row["task_id"], row["host"]) for row in rows], ended

    async def claim(self, task_ids: Sequence[TaskId], lease_seconds: float) -> list[Delivery]:
        """Those of the callbacks that nobody took meanwhile; they are due again after `lease_seconds`."""
        rows = await self._database.fetch(self._sql["claim"], list(task_ids), lease_seconds)
        return [_delivery(row) for row in rows]

    async def postpone(self, waits: Sequence[tuple[TaskId, float]]) -> None:
        """Have callbacks wait that many seconds, and longer each time, without an attempt."""
        await self._database.fetch(self._sql["postpone"], [t for t, _ in waits], [seconds for _, seconds in waits])

    async def record(self, report: Report) -> None:
        """What became of an attempt; reports that come together share one statement."""
        await self._reports(report)

    async def find(self, task_id: TaskId) -> CallbackView | None:
        """The callback of a task that has a URL, whoever's it is, with its newest attempts."""
        row = await self._database.fetchrow(self._sql["find"], task_id)
        if row is None:
            return None
        attempts = await self._database.fetch(self._sql["attempts"], task_id)
        return CallbackView(
            task_id=row["task_id"],
            account_id=row["account_id"],
            url=row["callback_url"],
            webhook_id=row["webhook_id"],
            state=row["state"],
            next_attempt_ms=row["next_attempt_ms"],
            attempts=tuple(Attempt(**dict(attempt)) for attempt in attempts),
        )

    async def redeliver(self, account_id: AccountId, task_id: TaskId) -> bool:
        """Queue an ended task's callback once more; False when there is nothing to deliver."""
        return await self._database.fetchrow(self._sql["redeliver"], task_id, account_id) is not None

    async def redeliver_failed(self, since: datetime) -> int:
        """Queue everything once more that ended without delivery since then; how many."""
        total = 0
        while row := await self._database.fetchrow(self._sql["redeliver_failed"], since, REDELIVER_BATCH):
            total += row["callbacks"]
            if row["callbacks"] < REDELIVER_BATCH:
                break
        return total

    async def unsuccessful(self, limit: int) -> list[Trouble]:
        """Callbacks that wait after trouble, or ended without delivery."""
        return [Trouble(**dict(row)) for row in await self._database.fetch(self._sql["unsuccessful"], limit)]

    async def secret(self, account_id: AccountId) -> str:
        """What signs the account's callbacks: `whsec_…`."""
        row = await self._database.fetchrow(self._sql["secret"], account_id)
        assert row is not None, "accounts are never deleted"
        return str(row["webhook_secret"])

    async def rotate_secret(self, account_id: AccountId) -> str:
        """A new secret; the one before it signs along for 24 hours."""
        row = await self._database.fetchrow(self._sql["rotate"], account_id)
        assert row is not None, "accounts are never deleted"
        return str(row["webhook_secret"])

    async def account_id(self, name: str) -> AccountId:
        """The account of that name.

        Raises:
            NotFound: there is none.
        """
        row = await self._database.fetchrow(self._sql["account_id"], name)
        if row is None:
            raise NotFound(
                Text(en=f"there is no account named {shortened(name)}", zh=f"没有名为 {shortened(name)} 的账户")
            )
        return AccountId(row["id"])

    async def _record_batch(self, reports: Sequence[Report]) -> list[Exception | None]:
        attempts = [report.attempt for report in reports]
        verdicts = [report.verdict for report in reports]
        await self._database.fetch(
            self._sql["record"],
            [report.task_id for report in reports],
            [report.claim for report in reports],
            [verdict.state for verdict in verdicts],
            [verdict.wait_seconds for verdict in verdicts],
            [attempt.started_ms for attempt in attempts],
            [attempt.milliseconds for attempt in attempts],
            [attempt.status for attempt in attempts],
            [attempt.error for attempt in attempts],
            [attempt.answer for attempt in attempts],
        )
        return [None] * len(reports)


def _delivery(row: asyncpg.Record) -> Delivery:
    before = row["secret_before"]
    return Delivery(
        task=task_view(row),
        url=row["callback_url"],
        host=row["host"],
        webhook_id=row["webhook_id"],
        claim=row["claim"],
        failures=row["failures"],
        secrets=(row["webhook_secret"], before) if before else (row["webhook_secret"],),
    )
