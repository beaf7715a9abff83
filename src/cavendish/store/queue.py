"""The tasks table as the queue: leases, claims, marks, fenced finishes, and what the sweeper mends."""

from collections.abc import Sequence

import asyncpg
import msgspec

from cavendish.domain.errors import LeaseLost, StoreUnavailable
from cavendish.domain.orders import Failure, Outcome, Renewal, ReturnReason, Success, Work
from cavendish.domain.tasks import CANCELED, MAX_ATTEMPTS, AccountId, TaskId, TaskState
from cavendish.domain.text import Text, storable
from cavendish.domain.usage import HOURS_KEPT_DAYS, Spent, Usage
from cavendish.group_commit import GroupCommit
from cavendish.store.announcements import Announcements
from cavendish.store.database import Database
from cavendish.store.queries import load_queries

SWEEP_BATCH = 500
MAX_TEXT_CHARS = 2000

_encoder = msgspec.json.Encoder()
_usage_decoder = msgspec.json.Decoder(Usage)

LEASE_LOST = Text(
    en="the lease is over; the task may be held by another worker", zh="租约已结束；任务可能已由其他 worker 持有"
)


class PgWorkQueue:
    """Implements `ports.WorkQueue`, `ports.LostWork`, `ports.TaskCancels` and `ports.OldTasks`.

    Args:
        announcements: told of every move that is made here; None: nobody is.
    """

    def __init__(self, database: Database, announcements: Announcements | None = None) -> None:
        self._database = database
        self._announcements = announcements
        self._sql = load_queries("tasks")
        self._finishes: GroupCommit[Outcome, None] = GroupCommit(self._finish_live)
        self._marks: GroupCommit[Work, None] = GroupCommit(self._mark_batch)

    async def begin_lease(self, worker: str, ttl_seconds: float) -> str:
        """A fresh token, alive for `ttl_seconds` by the database's clock."""
        row = await self._database.fetchrow(self._sql["begin_lease"], worker, ttl_seconds)
        assert row is not None
        return str(row["token"])

    async def renew_lease(self, token: str, ttl_seconds: float) -> Renewal:
        """One more term from now, and what the lease holds.

        Raises:
            LeaseLost: the last term is over; the token is dead for good.
            StoreUnavailable: also when there is no answer within a quarter of the term, so that there is time to ask
                again on another connection.
        """
        row = await self._database.fetchrow_within(ttl_seconds / 4, self._sql["renew_lease"], token, ttl_seconds)
        if row is None:
            raise LeaseLost(LEASE_LOST)
        return Renewal(row["tasks"], tuple(row["given_up"]))

    async def end_lease(self, token: str) -> None:
        """The holder leaves."""
        await self._database.fetch(self._sql["end_lease"], token)

    async def any_worker(self) -> bool:
        """Whether any lease is alive: some process works on tasks, or did until a moment ago."""
        row = await self._database.fetchrow(self._sql["any_worker"])
        return bool(row and row["found"])

    async def claim(self, token: str, limit: int, without: Sequence[str] = ()) -> list[Work]:
        """Up to `limit` waiting tasks, of no model in `without`, in fair order; none when the lease is over."""
        rows = await self._database.fetch(self._sql["claim"], token, limit, list(without))
        works = [_work(row, token) for row in rows]
        self._moved(works)
        return works

    async def held(self, token: str) -> list[Work]:
        """Everything that the lease holds, also what was claimed by an answer that got lost."""
        return [_work(row, token) for row in await self._database.fetch(self._sql["held"], token)]

    async def mark_generating(self, work: Work) -> None:
        """The engine has started on `work`."""
        await self._marks(work)

    async def finish(self, outcome: Outcome) -> None:
        """End a task this worker holds, with its settle or release, in one transaction.

        Raises:
            LeaseLost: the fence did not hold; nothing was changed.
        """
        await self._finishes(outcome)

    async def give_back(self, token: str, works: Sequence[Work], reason: ReturnReason) -> None:
        """The tasks wait again, those that are still held under `token`."""
        usages, costs = _spent_columns([work.spent for work in works])
        ids, attempts = [work.id for work in works], [work.attempt for work in works]
        faults = 1 if reason == "fault" else 0
        await self._database.fetch(self._sql["give_back"], token, ids, attempts, usages, costs, faults)
        self._moved(works)

    async def requeue_lost(self) -> int:
        """Tasks whose lease ended, and that may be tried again, wait again; how many."""
        row = await self._database.fetchrow(self._sql["requeue_lost"], MAX_ATTEMPTS, SWEEP_BATCH)
        return row["tasks"] if row is not None else 0

    async def fail_exhausted(self, text: Text) -> int:
        """Tasks whose last attempt was lost fail as `internal`; how many."""
        rows = await self._database.fetch(self._sql["exhausted"], MAX_ATTEMPTS, SWEEP_BATCH)
        outcomes = [
            Outcome(row["id"], row["account_id"], str(row["lease_token"]), row["attempt"], Failure("internal", text))
            for row in rows
        ]
        return len(await self._finish(outcomes, lease_must_live=False)) if outcomes else 0

    async def drop_ended_leases(self) -> None:
        """Forget ended leases that hold nothing."""
        await self._database.fetch(self._sql["drop_ended_leases"])

    async def cancel(self, account_id: AccountId, task_id: TaskId) -> TaskState | None:
        """End a waiting task and release it, or have the worker of a held one told; the state before, if it exists."""
        row = await self._database.fetchrow(self._sql["cancel"], task_id, account_id, CANCELED.en, CANCELED.zh)
        if row is not None and row["state"] == "waiting" and self._announcements is not None:
            self._announcements.ended([task_id])
        return row["state"] if row is not None else None

    async def outlived(self, days: int) -> list[tuple[TaskId, tuple[str, ...], tuple[str, ...]]]:
        """Some tasks that ended more than `days` ago: id, names of result images, names of inline input images."""
        rows = await self._database.fetch(self._sql["outlived"], days, SWEEP_BATCH)
        return [(row["id"], tuple(row["result_blobs"]), tuple(row["input_blobs"])) for row in rows]

    async def remove_tasks(self, ids: Sequence[TaskId]) -> None:
        """Remove ended tasks; the ledger keeps their entries."""
        await self._database.fetch(self._sql["remove_tasks"], list(ids))

    async def remove_idempotency_keys(self) -> int:
        """Forget some keys whose 24 hours are over; how many."""
        row = await self._database.fetchrow(self._sql["remove_idempotency_keys"], SWEEP_BATCH)
        return row["keys"] if row is not None else 0

    async def fold_usage(self) -> int:
        """Fold hours of usage from long ago into days, some of them; how many."""
        row = await self._database.fetchrow(self._sql["fold_usage"], HOURS_KEPT_DAYS, SWEEP_BATCH)
        return row["hours"] if row is not None else 0

    async def _mark_batch(self, works: Sequence[Work]) -> list[Exception | None]:
        by_token: dict[str, list[Work]] = {}
        for work in works:
            by_token.setdefault(work.lease_token, []).append(work)
        for token, held in by_token.items():
            ids, attempts = [w.id for w in held], [w.attempt for w in held]
            await self._database.fetch(self._sql["mark_generating"], token, ids, attempts)
        self._moved(works)
        return [None] * len(works)

    def _moved(self, works: Sequence[Work]) -> None:
        if self._announcements is not None:
            self._announcements.moved(work.id for work in works)

    async def _finish_live(self, outcomes: Sequence[Outcome]) -> list[Exception | None]:
        first = {(outcome.id, outcome.attempt, outcome.lease_token): outcome for outcome in reversed(outcomes)}
        try:
            ended = await self._finish(list(first.values()), lease_must_live=True)
        except StoreUnavailable:
            raise
        except Exception:
            if len(first) == 1:
                raise
            return await self._finish_one_by_one(outcomes)  # one that cannot be written must not strand the others
        return [
            None if (o.id, o.attempt) in ended and first[o.id, o.attempt, o.lease_token] is o else LeaseLost(LEASE_LOST)
            for o in outcomes
        ]

    async def _finish_one_by_one(self, outcomes: Sequence[Outcome]) -> list[Exception | None]:
        results: list[Exception | None] = []
        for outcome in outcomes:
            try:
                results += await self._finish_live([outcome])
            except Exception as error:  # noqa: BLE001 - told to the caller whose outcome it is
                results.append(error)
        return results

    async def _finish(self, outcomes: Sequence[Outcome], *, lease_must_live: bool) -> set[tuple[str, int]]:
        results = [outcome.result for outcome in outcomes]
        successes = [result if isinstance(result, Success) else None for result in results]
        failures = [result if isinstance(result, Failure) else None for result in results]
        usages, costs = _spent_columns([outcome.spent for outcome in outcomes])
        rows: list[asyncpg.Record] = await self._database.fetch(
            self._sql["finish"],
            [o.id for o in outcomes],
            [o.account_id for o in outcomes],
            [o.lease_token for o in outcomes],
            [o.attempt for o in outcomes],
            ["success" if s else "fail" for s in successes],
            [s and s.blob for s in successes],
            [s and s.width for s in successes],
            [s and s.height for s in successes],
            [f and f.code for f in failures],
            [f and storable(f.text.en, MAX_TEXT_CHARS) for f in failures],
            [f and storable(f.text.zh, MAX_TEXT_CHARS) for f in failures],
            lease_must_live,
            [storable(s.note, MAX_TEXT_CHARS) if s and s.note else None for s in successes],
            CANCELED.en,
            CANCELED.zh,
            usages,
            costs,
        )
        if self._announcements is not None:
            self._announcements.ended(row["id"] for row in rows)
        return {(row["id"], row["attempt"]) for row in rows}


def _spent_columns(spent: Sequence[Spent | None]) -> tuple[list[str | None], list[int | None]]:
    usages = [_encoder.encode(one.usage).decode() if one is not None else None for one in spent]
    return usages, [one.cost_micros if one is not None else None for one in spent]


def _work(row: asyncpg.Record, token: str) -> Work:
    usage = row["upstream_usage"]
    return Work(
        id=row["id"],
        account_id=row["account_id"],
        lease_token=token,
        attempt=row["attempt"],
        faults=row["faults"],
        model=row["model"],
        param=row["param"],
        public_url=row["public_url"],
        input_blobs=tuple(row["input_blobs"]),
        cancel_requested=row["cancel_requested"],
        spent=Spent(_usage_decoder.decode(usage), row["upstream_cost_micros"]) if usage is not None else None,
    )
