"""The quieter endpoints over tasks: list and cancel."""

from collections.abc import Mapping
from typing import get_args

from starlette.requests import Request
from starlette.responses import Response

from cavendish.domain.catalog import Catalog
from cavendish.domain.errors import InvalidRequest, Problem
from cavendish.domain.orders import TaskFilter
from cavendish.domain.task_data import task_data
from cavendish.domain.tasks import TERMINAL, TaskId, TaskState
from cavendish.domain.text import Text, shortened
from cavendish.ports import TaskCancels, TaskViews
from cavendish.web.answers import AnswerResponse, language_of, success
from cavendish.web.auth import KeyRing
from cavendish.web.limits import QueryLimit
from cavendish.web.tasks import could_be_an_id, no_such_task

STATES: tuple[TaskState, ...] = get_args(TaskState)
DEFAULT_LIMIT = 20
MAX_LIMIT = 100


class TaskLists:
    """GET /api/v1/tasks and POST /api/v1/tasks/cancel/{taskId}"""

    def __init__(
        self, *, keys: KeyRing, views: TaskViews, cancels: TaskCancels, catalog: Catalog, limit: QueryLimit
    ) -> None:
        self._keys = keys
        self._views = views
        self._cancels = cancels
        self._catalog = catalog
        self._limit = limit

    async def list(self, request: Request) -> Response:
        """The caller's tasks, newest first, a page at a time."""
        caller = await self._keys.caller(request.scope)
        self._limit.count(caller.key_id)
        wanted, limit, cursor = self._parameters(request.query_params)
        page = await self._views.list(caller.account_id, wanted, limit, cursor)
        language = language_of(request.scope)
        tasks = [task_data(task, language) for task in page.tasks]
        return AnswerResponse(success({"tasks": tasks, "cursor": page.cursor}))

    async def cancel(self, request: Request) -> Response:
        """Give a task up: a waiting one ends at once, a running one when its engine lets go.

        Raises:
            InvalidRequest: the task has ended already.
        """
        caller = await self._keys.caller(request.scope)
        task_id = request.path_params["task_id"]
        found = could_be_an_id(task_id)
        before = await self._cancels.cancel(caller.account_id, TaskId(task_id)) if found else None
        if before is None:
            raise no_such_task(task_id)
        if before in TERMINAL:
            raise InvalidRequest(
                [
                    Problem(
                        "taskId",
                        Text(
                            en=f"this task has ended already ({before}); nothing to cancel",
                            zh=f"该任务已结束（{before}），无法取消",
                        ),
                    )
                ]
            )
        task = await self._views.find(TaskId(task_id))
        assert task is not None
        return AnswerResponse(success(task_data(task, language_of(request.scope))))

    def _parameters(self, query: Mapping[str, str]) -> tuple[TaskFilter, int, str | None]:
        problems: list[Problem] = []
        state = next((s for s in STATES if s == query.get("state")), None)
        if query.get("state") and state is None:
            listed = ", ".join(STATES)
            shown = shortened(query["state"])
            problems.append(
                Problem(
                    "state",
                    Text(en=f"must be one of {listed}; got {shown}", zh=f"必须是以下之一：{listed}；收到 {shown}"),
                )
            )
        model = self._catalog.find(query["model"]).id if query.get("model") else None
        raw = query.get("limit") or str(DEFAULT_LIMIT)
        limit = int(raw) if raw.isascii() and raw.isdigit() and len(raw) < 6 else 0
        if not 1 <= limit <= MAX_LIMIT:
            problems.append(
                Problem(
                    "limit",
                    Text(
                        en=f"must be a whole number from 1 to {MAX_LIMIT}; got {shortened(raw)}",
                        zh=f"必须是 1 到 {MAX_LIMIT} 的整数；收到 {shortened(raw)}",
                    ),
                )
            )
        if problems:
            raise InvalidRequest(problems)
        return TaskFilter(state, model), limit, query.get("cursor") or None
