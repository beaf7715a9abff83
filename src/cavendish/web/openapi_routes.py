"""Every route for the API reference: what it takes, what it answers. Its words are in reference/words.toml."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, get_args

import msgspec

from cavendish.domain.idempotency import MAX_CHARS
from cavendish.domain.task_data import TaskData
from cavendish.domain.tasks import TaskState
from cavendish.flows.files import Uploaded
from cavendish.web.prompts import PromptAdvice
from cavendish.web.shapes import (
    Alive,
    BalanceShown,
    CallbackShown,
    Created,
    EnginesShown,
    ModelsShown,
    Readiness,
    SecretShown,
    TaskListed,
)
from cavendish.web.task_lists import DEFAULT_LIMIT, MAX_LIMIT
from cavendish.web.waiting import MAX_WAIT_SECONDS

Place: TypeAlias = Literal["path", "query", "header"]
Body: TypeAlias = Literal["create", "improve", "upload"]

IMAGES = ("image/png", "image/jpeg", "image/webp")


class Parameter(msgspec.Struct, frozen=True):
    """A parameter of a route. `schema`: JSON Schema."""

    name: str
    place: Place
    schema: Mapping[str, Any]


class Route(msgspec.Struct, frozen=True):
    """A route as the reference shows it.

    Attributes:
        id: its operationId; the key of its words.
        data: types of the envelope's `data`, or of the whole JSON when it is outside of /api/v1.
        media: media types of a success that is not JSON.
        codes: HTTP statuses beside 200.
    """

    id: str
    method: Literal["get", "post"]
    path: str
    tag: str
    codes: tuple[int, ...]
    data: tuple[type[msgspec.Struct], ...] = ()
    media: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    needs_key: bool = True
    headers: tuple[str, ...] = ()

    @property
    def has_envelope(self) -> bool:
        """Whether JSON answers have `code`, `message` and `data`."""
        return self.path.startswith("/api/")


_TASK_ID = Parameter("taskId", "path", MappingProxyType({"type": "string", "minLength": 1}))
_NAME = Parameter("name", "path", MappingProxyType({"type": "string", "minLength": 1}))
_RANGE = (
    Parameter("Range", "header", MappingProxyType({"type": "string"})),
    Parameter("If-None-Match", "header", MappingProxyType({"type": "string"})),
)
_LANG = Parameter("lang", "query", MappingProxyType({"type": "string", "examples": ["en", "zh"]}))
_KEY = Parameter(
    "Idempotency-Key",
    "header",
    MappingProxyType({"type": "string", "minLength": 1, "maxLength": MAX_CHARS, "pattern": "^[!-~]+$"}),
)
_PREFER = Parameter("Prefer", "header", MappingProxyType({"type": "string", "examples": ["wait=30"]}))
_LAST_EVENT = Parameter("Last-Event-ID", "header", MappingProxyType({"type": "string"}))
_WAIT = Parameter(
    "wait",
    "query",
    MappingProxyType({"type": "number", "minimum": 0, "maximum": MAX_WAIT_SECONDS, "default": 0}),
)
_LIST = (
    Parameter("state", "query", MappingProxyType({"type": "string", "enum": list(get_args(TaskState))})),
    Parameter("model", "query", MappingProxyType({"type": "string", "examples": ["google/nano-banana"]})),
    Parameter(
        "limit",
        "query",
        MappingProxyType({"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}),
    ),
    Parameter("cursor", "query", MappingProxyType({"type": "string", "format": "cursor"})),
)
_FAILURES = (401, 404, 429, 500)

ROUTES: tuple[Route, ...] = (
    Route(
        "createTask",
        "post",
        "/api/v1/tasks/create",
        "tasks",
        (401, 402, 404, 422, 429, 500),
        (Created, TaskData),
        parameters=(_KEY, _PREFER),
        body="create",
        headers=("Idempotent-Replayed",),
    ),
    Route(
        "queryTask",
        "get",
        "/api/v1/tasks/query/{taskId}",
        "tasks",
        (401, 404, 422, 429, 500),
        (TaskData,),
        parameters=(_TASK_ID, _WAIT),
    ),
    Route(
        "streamTask",
        "get",
        "/api/v1/tasks/events/{taskId}",
        "tasks",
        _FAILURES,
        (TaskData,),
        media=("text/event-stream",),
        parameters=(_TASK_ID, _LAST_EVENT),
    ),
    Route("listTasks", "get", "/api/v1/tasks", "tasks", (401, 404, 422, 429, 500), (TaskListed,), parameters=_LIST),
    Route(
        "cancelTask",
        "post",
        "/api/v1/tasks/cancel/{taskId}",
        "tasks",
        (401, 404, 422, 500),
        (TaskData,),
        parameters=(_TASK_ID,),
    ),
    Route("uploadFile", "post", "/api/v1/files", "files", (401, 404, 422, 429, 500), (Uploaded,), body="upload"),
    Route(
        "getFile",
        "get",
        "/files/{name}",
        "files",
        (206, 304, 401, 404, 416, 429, 500),
        media=IMAGES,
        parameters=(_NAME, *_RANGE),
        headers=("ETag",),
    ),
    Route(
        "getResult",
        "get",
        "/results/{name}",
        "files",
        (206, 304, 404, 416, 500),
        media=IMAGES[:2],
        parameters=(_NAME, *_RANGE),
        needs_key=False,
        headers=("ETag",),
    ),
    Route(
        "showCallback",
        "get",
        "/api/v1/tasks/callbacks/{taskId}",
        "callbacks",
        _FAILURES,
        (CallbackShown,),
        parameters=(_TASK_ID,),
    ),
    Route(
        "redeliverCallback",
        "post",
        "/api/v1/tasks/callbacks/{taskId}/redeliver",
        "callbacks",
        (401, 404, 422, 429, 500),
        (CallbackShown,),
        parameters=(_TASK_ID,),
    ),
    Route("showSecret", "get", "/api/v1/webhook/secret", "callbacks", _FAILURES, (SecretShown,)),
    Route("rotateSecret", "post", "/api/v1/webhook/secret/rotate", "callbacks", _FAILURES, (SecretShown,)),
    Route("getBalance", "get", "/api/v1/user/balance", "account", (401, 404, 500), (BalanceShown,)),
    Route("listModels", "get", "/api/v1/models", "account", (404, 500), (ModelsShown,), needs_key=False),
    Route(
        "improvePrompt",
        "post",
        "/api/v1/prompts/improve",
        "prompts",
        (401, 404, 422, 429, 500),
        (PromptAdvice,),
        body="improve",
    ),
    Route("listEngines", "get", "/api/v1/admin/engines", "server", _FAILURES, (EnginesShown,)),
    Route("alive", "get", "/healthz", "server", (404, 500), (Alive,), needs_key=False),
    Route("ready", "get", "/readyz", "server", (404, 500, 503), (Readiness,), needs_key=False),
    Route(
        "reference",
        "get",
        "/openapi.json",
        "server",
        (404, 500),
        media=("application/json",),
        parameters=(_LANG,),
        needs_key=False,
    ),
    Route(
        "referencePage",
        "get",
        "/docs",
        "server",
        (404, 500),
        media=("text/html",),
        parameters=(_LANG,),
        needs_key=False,
    ),
)
