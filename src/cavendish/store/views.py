"""Tasks as their owners see them. Concurrent look-ups share one statement; finished tasks never change."""

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import asyncpg

from cavendish.domain.errors import InvalidRequest, Problem
from cavendish.domain.orders import TaskFilter, TaskPage, TaskView
from cavendish.domain.progress import Position, position
from cavendish.domain.tasks import AccountId, TaskId
from cavendish.domain.text import Text
from cavendish.group_commit import GroupCommit
from cavendish.store.database import Database
from cavendish.store.queries import load_queries

LOOKED_AT = 10_000
"""How many tasks one page of a list may look at."""
END_OF_TIME = (datetime(9999, 1, 1, tzinfo=UTC), "")


class PgTaskViews:
    """Implements `ports.TaskViews`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load_queries("tasks")
        self._group: GroupCommit[TaskId, TaskView | None] = GroupCommit(self._find_batch)

    async def find(self, task_id: TaskId) -> TaskView | None:
        """The task, whoever's it is.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        return await self._group(task_id)

    async def positions(self, task_ids: Sequence[TaskId]) -> Mapping[TaskId, Position]:
        """How far these tasks have come, those that exist.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        rows = await self._database.fetch(self._sql["positions"], list(task_ids))
        return {row["id"]: position(row["attempt"], row["state"]) for row in rows}

    async def list(self, account_id: AccountId, wanted: TaskFilter, limit: int, cursor: str | None) -> TaskPage:
        """The account's tasks, newest first, stable under inserts. A page may be short when a filter is rare.

        Raises:
            InvalidRequest: the cursor is not one of ours.
            StoreUnavailable: the database does not answer.
        """
        below = _decoded(cursor) if cursor is not None else END_OF_TIME
        rows = await self._database.fetch(
            self._sql["list"], account_id, *below, wanted.state, wanted.model, LOOKED_AT, limit
        )
        tasks = tuple(task_view(row) for row in rows)
        if len(rows) == limit:
            return TaskPage(tasks, _encoded(rows[-1]["created_at"], rows[-1]["id"]))
        reach = await self._database.fetchrow(self._sql["list_reach"], account_id, *below, LOOKED_AT)
        return TaskPage(tasks, _encoded(reach["created_at"], reach["id"]) if reach is not None else None)

    async def _find_batch(self, ids: Sequence[TaskId]) -> Sequence[TaskView | Exception | None]:
        rows = await self._database.fetch(self._sql["find"], list(set(ids)))
        views = {row["id"]: task_view(row) for row in rows}
        return [views.get(task_id) for task_id in ids]


def task_view(row: asyncpg.Record) -> TaskView:
    """A row of the statements that read whole tasks."""
    fail_msg = row["fail_msg"]
    return TaskView(
        row["id"],
        row["account_id"],
        row["model"],
        row["state"],
        row["param"],
        row["public_url"],
        tuple(row["result_blobs"]),
        row["fail_code"],
        Text(fail_msg, row["fail_msg_zh"] or fail_msg) if fail_msg else None,
        row["credits_charged"],
        row["created_ms"],
        row["finished_ms"],
        row["note"],
        row["attempt"],
    )


def _encoded(created_at: datetime, task_id: str) -> str:
    return base64.urlsafe_b64encode(f"{created_at.isoformat()} {task_id}".encode()).decode().rstrip("=")


def _decoded(cursor: str) -> tuple[datetime, str]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        moment, _, task_id = text.partition(" ")
        created_at = datetime.fromisoformat(moment)
        if created_at.tzinfo is None or not task_id.isprintable() or not task_id:
            raise ValueError(text)
    except ValueError:
        raise InvalidRequest(
            [Problem("cursor", Text(en="must be the cursor of an earlier page", zh="必须是前一页返回的 cursor"))]
        ) from None
    return created_at, task_id
