"""Tasks as their owners see them. Concurrent look-ups share one statement; finished tasks never change."""

from collections.abc import Sequence

from cavendish.domain.orders import TaskView
from cavendish.domain.tasks import TaskId
from cavendish.domain.text import Text
from cavendish.store.database import Database
from cavendish.store.group_commit import GroupCommit
from cavendish.store.queries import load_queries


class PgTaskViews:
    """Implements `ports.TaskViews`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load_queries("tasks")
        self._group: GroupCommit[TaskId, TaskView | None] = GroupCommit(self._find_batch, flushers=2)

    async def find(self, task_id: TaskId) -> TaskView | None:
        """The task, whoever's it is.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        return await self._group(task_id)

    async def _find_batch(self, ids: Sequence[TaskId]) -> list[TaskView | Exception | None]:
        rows = await self._database.fetch(self._sql["find"], list(set(ids)))
        views = {
            row["id"]: TaskView(
                id=row["id"],
                account_id=row["account_id"],
                model=row["model"],
                state=row["state"],
                param=row["param"],
                public_url=row["public_url"],
                result_blobs=tuple(row["result_blobs"]),
                fail_code=row["fail_code"],
                fail_text=Text(row["fail_msg"], row["fail_msg_zh"] or row["fail_msg"]) if row["fail_msg"] else None,
                credits_charged=row["credits_charged"],
                created_ms=row["created_ms"],
                finished_ms=row["finished_ms"],
                note=row["note"],
            )
            for row in rows
        }
        return [views.get(task_id) for task_id in ids]
