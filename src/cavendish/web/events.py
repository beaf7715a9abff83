"""The stream of a task's states, as server-sent events."""

from contextlib import aclosing

import msgspec

from cavendish.domain.orders import TaskView
from cavendish.domain.progress import event_id, position, read_event_id
from cavendish.domain.task_data import task_data
from cavendish.domain.tasks import TaskId
from cavendish.domain.text import Language
from cavendish.flows.waiting import HungUp, WaitingRoom
from cavendish.web.answers import Answer, language_of, success
from cavendish.web.asgi import Disconnected, Headers, Receive, Scope, Send, header
from cavendish.web.auth import KeyRing
from cavendish.web.limits import QueryLimit
from cavendish.web.tasks import could_be_an_id, no_such_task
from cavendish.web.waiting import hang_up

EVENTS_PATH = "/api/v1/tasks/events/"

RETRY_MILLISECONDS = 2000
"""How long a reader of events pauses before it comes again."""

_STREAM_HEADERS: Headers = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-accel-buffering", b"no"),  # nginx would gather events until its buffer is full
)
_encode = msgspec.json.Encoder().encode


class TaskEvents:
    """GET /api/v1/tasks/events/{taskId}"""

    def __init__(self, keys: KeyRing, room: WaitingRoom, limit: QueryLimit) -> None:
        self._keys = keys
        self._room = room
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send, task_id: str) -> Answer | None:
        """Stream the caller's task: its state now, and after every change, to the end.

        A reader that has seen the end already gets one plain answer instead of a stream: an `EventSource` would come
        back after every end of a stream, but not after that.

        Raises:
            NotFound: no such task, or another account's: the two cannot be told apart.
            Disconnected: the reader hung up.
        """
        caller = await self._keys.caller(scope)
        self._limit.count(caller.key_id)
        if not could_be_an_id(task_id):
            raise no_such_task(task_id)
        language = language_of(scope)
        after = read_event_id((header(scope, b"last-event-id") or b"").decode("latin-1"))
        states = self._room.states(TaskId(task_id), caller.account_id, after, hang_up(receive))
        async with aclosing(states):
            task = await anext(states, None)
            if task is None:
                raise no_such_task(task_id)
            now = position(task.attempt, task.state)
            if now.final and now <= after:
                return success(task_data(task, language))
            await send({"type": "http.response.start", "status": 200, "headers": list(_STREAM_HEADERS)})
            opening = f"retry: {RETRY_MILLISECONDS}\n\n".encode()
            if scope["method"] == "GET":
                await _send(send, opening + _event(task, language) if now > after else opening)
                task = None  # its prompt may be long, and so the wait
                try:
                    async for task in states:
                        await _send(send, b": still here\n\n" if task is None else _event(task, language))
                        task = None  # noqa: PLW2901 - as above
                except HungUp:
                    raise Disconnected from None
        await send({"type": "http.response.body", "body": b""})
        return None


async def _send(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


def _event(task: TaskView, language: Language) -> bytes:
    """Source: HTML, section 9.2 (server-sent events); JSON as it is encoded has no line breaks."""
    data = _encode(task_data(task, language))
    return b"id: %s\ndata: %s\n\n" % (event_id(task.attempt, task.state).encode(), data)
