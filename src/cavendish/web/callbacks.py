"""Callbacks for their owners: the signing secret, what became of each attempt, and once more."""

from starlette.requests import Request
from starlette.responses import Response

from cavendish.domain.callbacks import CallbackView
from cavendish.domain.errors import InvalidRequest, NotFound, Problem
from cavendish.domain.tasks import TaskId
from cavendish.domain.text import Text, shortened
from cavendish.ports import Callbacks, TaskViews
from cavendish.web.answers import AnswerResponse, success
from cavendish.web.auth import KeyRing
from cavendish.web.limits import QueryLimit
from cavendish.web.shapes import AttemptShown, CallbackShown, SecretShown
from cavendish.web.tasks import could_be_an_id, no_such_task

CALLBACKS_PATH = "/api/v1/tasks/callbacks/"
SECRET_PATH = "/api/v1/webhook/secret"  # noqa: S105 - where to read it


class CallbackEndpoints:
    """GET and rotate the secret; list the attempts of a task's callback; redeliver."""

    def __init__(self, *, keys: KeyRing, callbacks: Callbacks, views: TaskViews, limit: QueryLimit) -> None:
        self._keys = keys
        self._callbacks = callbacks
        self._views = views
        self._limit = limit

    async def secret(self, request: Request) -> Response:
        """What signs the caller's callbacks."""
        caller = await self._keys.caller(request.scope)
        self._limit.count(caller.key_id)
        return _secret(await self._callbacks.secret(caller.account_id))

    async def rotate(self, request: Request) -> Response:
        """A new secret; the one before it signs along for 24 hours."""
        caller = await self._keys.caller(request.scope)
        self._limit.count(caller.key_id)
        return _secret(await self._callbacks.rotate_secret(caller.account_id))

    async def show(self, request: Request) -> Response:
        """What became of a task's callback so far.

        Raises:
            NotFound: no such task of the caller, or it has no URL.
        """
        return AnswerResponse(success(_shown(await self._callback(request))))

    async def redeliver(self, request: Request) -> Response:
        """Queue the callback of an ended task once more, under its id.

        Raises:
            NotFound: no such task of the caller, or it has no URL.
            InvalidRequest: the task has not ended.
        """
        callback = await self._callback(request)
        if not await self._callbacks.redeliver(callback.account_id, callback.task_id):
            raise InvalidRequest(
                [
                    Problem(
                        "taskId",
                        Text(
                            en="this task has not ended yet; its callback will be sent when it does",
                            zh="该任务尚未结束；结束后会自动发送回调",
                        ),
                    )
                ]
            )
        return AnswerResponse(success(_shown(await self._callbacks.find(callback.task_id) or callback)))

    async def _callback(self, request: Request) -> CallbackView:
        caller = await self._keys.caller(request.scope)
        self._limit.count(caller.key_id)
        task_id = TaskId(request.path_params["task_id"])
        found = could_be_an_id(task_id)
        callback = await self._callbacks.find(task_id) if found else None
        if callback is not None and callback.account_id == caller.account_id:
            return callback
        task = await self._views.find(task_id) if found else None
        if task is None or task.account_id != caller.account_id:
            raise no_such_task(task_id)
        raise NotFound(
            Text(
                en=f"Task {shortened(task_id)} was created without a callBackUrl",
                zh=f"任务 {shortened(task_id)} 创建时没有提供 callBackUrl",
            )
        )


def _secret(secret: str) -> Response:
    return AnswerResponse(success(SecretShown(secret), ((b"cache-control", b"no-store"),)))


def _shown(callback: CallbackView) -> CallbackShown:
    return CallbackShown(
        taskId=callback.task_id,
        url=callback.url,
        webhookId=callback.webhook_id,
        state=callback.state,
        nextAttemptTime=callback.next_attempt_ms,
        attempts=[
            AttemptShown(attempt.started_ms, attempt.milliseconds, attempt.status, attempt.error, attempt.answer)
            for attempt in callback.attempts
        ],
    )
