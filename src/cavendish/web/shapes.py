"""What the answers' `data` looks like, where nothing else names it. The API reference is made from these too."""

from typing import Any, Literal

import msgspec

from cavendish.domain.callbacks import CallbackState
from cavendish.domain.engine_reports import EngineReport
from cavendish.domain.task_data import TaskData
from cavendish.domain.text import Text


class Created(msgspec.Struct, frozen=True):
    """A new task."""

    taskId: str  # noqa: N815 - the wire's names


class TaskListed(msgspec.Struct, frozen=True):
    """A page of tasks, newest first."""

    tasks: list[TaskData]
    cursor: str | None


class BalanceShown(msgspec.Struct, frozen=True):
    """What an account can spend, and what is set aside."""

    balance: int
    held: int


class ModelShown(msgspec.Struct, frozen=True):
    """A model: `price` is the lowest of `prices`; `input` is a JSON Schema."""

    id: str
    description: Text
    price: int
    prices: dict[str, int]
    input: dict[str, Any]


class ModelsShown(msgspec.Struct, frozen=True):
    """The catalogue."""

    models: list[ModelShown]


class AttemptShown(msgspec.Struct, frozen=True):
    """One attempt to deliver a callback: an HTTP `status`, or an `error` word."""

    time: int
    milliseconds: int
    status: int | None
    error: str | None
    answer: str | None


class CallbackShown(msgspec.Struct, frozen=True):
    """What became of a task's callback; `webhookId` and `state` are null until the task has ended."""

    taskId: str  # noqa: N815
    url: str
    webhookId: str | None  # noqa: N815
    state: CallbackState | None
    nextAttemptTime: int | None  # noqa: N815
    attempts: list[AttemptShown]


class SecretShown(msgspec.Struct, frozen=True):
    """What signs an account's callbacks."""

    secret: str


class Alive(msgspec.Struct, frozen=True):
    """The process serves."""

    status: Literal["ok"]


class Readiness(msgspec.Struct, frozen=True):
    """Whether every part is ready, and which is not."""

    status: Literal["ok", "not ready"]
    checks: dict[str, Literal["ok", "not ready"]]


class WorkerShown(msgspec.Struct, rename="camel"):
    """One worker process. Of one whose words are not understood, only the times and two nulls are sent."""

    worker: str | None
    engine: EngineReport | None
    reported_ms: int
    silent_seconds: int
    version: str | msgspec.UnsetType = msgspec.UNSET
    started_ms: int | msgspec.UnsetType = msgspec.UNSET
    slots: int | msgspec.UnsetType = msgspec.UNSET
    held: int | msgspec.UnsetType = msgspec.UNSET


class EnginesShown(msgspec.Struct):
    """`data` of GET /api/v1/admin/engines."""

    workers: list[WorkerShown]
