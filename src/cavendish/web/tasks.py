"""The two hot endpoints, create and query, as bare ASGI callables."""

import asyncio
from typing import Any

from cavendish.domain.errors import NotFound, RateLimited, StoreUnavailable
from cavendish.domain.idempotency import checked_key
from cavendish.domain.orders import Caller, TaskView
from cavendish.domain.task_data import task_data
from cavendish.domain.tasks import TaskId
from cavendish.domain.text import Text, shortened
from cavendish.flows.submit import Submit
from cavendish.flows.waiting import HungUp, WaitingRoom
from cavendish.ports import TaskViews
from cavendish.web.answers import Answer, preferred_language, success
from cavendish.web.asgi import Disconnected, Headers, Receive, Scope, headers_by_name, origin, read_body, too_large
from cavendish.web.auth import KeyRing
from cavendish.web.bodies import BODY_LIMIT_BYTES, json_object
from cavendish.web.limits import CreateGate, QueryLimit
from cavendish.web.waiting import hang_up, preferred_wait, wait_of_query

CREATE_PATH = "/api/v1/tasks/create"
QUERY_PATH = "/api/v1/tasks/query/"

INLINE_BODY_LIMIT_BYTES = 64 * 1024 * 1024
LARGE_BODIES_AT_ONCE = 4
REPLAYED: Headers = ((b"idempotent-replayed", b"true"),)
MAX_ID_CHARS = 200


class CreateTask:
    """POST /api/v1/tasks/create"""

    def __init__(self, keys: KeyRing, submit: Submit, gate: CreateGate, room: WaitingRoom) -> None:
        self._keys = keys
        self._submit = submit
        self._gate = gate
        self._room = room
        self._large = asyncio.Semaphore(LARGE_BODIES_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive) -> Answer:
        """Answer with the new task's id.

        Raises:
            RequestError: see `web/answers.py` for what each becomes.
        """
        headers = headers_by_name(scope)
        caller = await self._keys.speaks_for(headers.get(b"authorization"))
        self._gate.check(caller.key_id)
        raw_key = headers.get(b"idempotency-key")
        idempotency_key = checked_key(raw_key) if raw_key is not None else None
        body = await read_body(receive, limit=BODY_LIMIT_BYTES, inline_limit=INLINE_BODY_LIMIT_BYTES)
        if len(body) <= BODY_LIMIT_BYTES:
            decoded = json_object(body)
        else:
            async with self._large:
                decoded = await asyncio.to_thread(json_object, body)
                if len(body) - _inline_bytes(decoded) > BODY_LIMIT_BYTES:
                    raise too_large(BODY_LIMIT_BYTES)
        try:
            accepted = await self._submit(caller, decoded, origin(scope, headers.get(b"host")), idempotency_key)
        except RateLimited as refusal:
            self._gate.close(caller.key_id, refusal)
            raise
        extra = REPLAYED if accepted.replayed else ()
        seconds = preferred_wait(scope) if b"prefer" in headers else None
        if seconds is not None:
            del body, decoded  # they may be large, and the wait long
            task = await self._waited(caller, accepted.task_id, seconds, receive)
            if task is not None:
                applied = (b"preference-applied", f"wait={seconds}".encode())
                return success(task_data(task, preferred_language(headers.get(b"accept-language"))), (*extra, applied))
        return success({"taskId": accepted.task_id}, extra)

    async def _waited(self, caller: Caller, task_id: TaskId, seconds: float, receive: Receive) -> TaskView | None:
        try:
            return await self._room.until_ended(task_id, caller.account_id, seconds, hang_up(receive))
        except HungUp:
            raise Disconnected from None
        except StoreUnavailable:
            return None  # accepted it is, all the same: its id must reach the caller


class QueryTask:
    """GET /api/v1/tasks/query/{taskId}"""

    def __init__(self, keys: KeyRing, views: TaskViews, limit: QueryLimit, room: WaitingRoom) -> None:
        self._keys = keys
        self._views = views
        self._room = room
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, task_id: str) -> Answer:
        """Answer with the caller's task: at once, or with `?wait=SECONDS` when it has ended or the time is over.

        Raises:
            NotFound: no such task, or another account's: the two cannot be told apart.
        """
        headers = headers_by_name(scope)
        caller = await self._keys.speaks_for(headers.get(b"authorization"))
        seconds = wait_of_query(scope["query_string"]) if scope["query_string"] else 0.0
        self._limit.count(caller.key_id)
        if not could_be_an_id(task_id):
            raise no_such_task(task_id)
        if seconds:
            try:
                task = await self._room.until_ended(TaskId(task_id), caller.account_id, seconds, hang_up(receive))
            except HungUp:
                raise Disconnected from None
        else:
            task = await self._views.find(TaskId(task_id))
        if task is None or task.account_id != caller.account_id:
            raise no_such_task(task_id)
        return success(task_data(task, preferred_language(headers.get(b"accept-language"))))


def no_such_task(task_id: str) -> NotFound:
    """The error for a task that does not exist, or is another account's: the two cannot be told apart."""
    return NotFound(Text(en=f"There is no task {shortened(task_id)}", zh=f"没有任务 {shortened(task_id)}"))


def could_be_an_id(task_id: str) -> bool:
    """Whether it is worth asking the database."""
    return 0 < len(task_id) <= MAX_ID_CHARS and task_id.isascii() and task_id.isprintable()


def _inline_bytes(body: dict[str, Any]) -> int:
    fields = body.get("input")
    if not isinstance(fields, dict):
        return 0
    lists = [fields.get("image_input"), fields.get("image_urls")]
    references = [r for images in lists if isinstance(images, list) for r in images if isinstance(r, str)]
    return sum(len(r) for r in references if r[:11].lower() == "data:image/")
