"""What passes between the verbs and the store: orders for new tasks, claimed work, outcomes, and a task as shown."""

from typing import Literal

import msgspec

from cavendish.domain.errors import FailCode
from cavendish.domain.files import FileUse
from cavendish.domain.tasks import AccountId, KeyId, TaskId, TaskState
from cavendish.domain.text import Text
from cavendish.domain.usage import Spent


class NewTask(msgspec.Struct, frozen=True):
    """A checked create, ready to be written. `price` in credits.

    `input_blobs` hold inline images; `files` are uploaded ones that its input refers to.
    """

    account_id: AccountId
    key_id: KeyId
    model: str
    upstream: str
    param: str
    callback_url: str | None
    public_url: str
    price: int
    input_blobs: tuple[str, ...] = ()
    idempotency_key: str | None = None
    files: tuple[FileUse, ...] = ()


class Accepted(msgspec.Struct, frozen=True):
    """The answer to a create. `replayed`: the task is an earlier request's, found by its idempotency key."""

    task_id: TaskId
    replayed: bool = False


class Work(msgspec.Struct, frozen=True):
    """A claimed task. `lease_token` and `attempt` are the fence of every write about it. `spent`: upstream, so far."""

    id: TaskId
    account_id: AccountId
    lease_token: str
    attempt: int
    faults: int
    model: str
    param: str
    public_url: str
    input_blobs: tuple[str, ...]
    cancel_requested: bool = False
    spent: Spent | None = None


class Success(msgspec.Struct, frozen=True):
    """The picture is durable under `blob`."""

    blob: str
    width: int
    height: int
    note: str | None = None


class Failure(msgspec.Struct, frozen=True):
    """No picture, and why."""

    code: FailCode
    text: Text


class Renewal(msgspec.Struct, frozen=True):
    """A lease goes on. `tasks`: how many it holds; `given_up`: those of them whose owners want them stopped."""

    tasks: int
    given_up: tuple[TaskId, ...] = ()


class Outcome(msgspec.Struct, frozen=True):
    """How a claimed task ended, with the fence that must still hold for it to count. `spent`: over all attempts."""

    id: TaskId
    account_id: AccountId
    lease_token: str
    attempt: int
    result: Success | Failure
    spent: Spent | None = None


class TaskView(msgspec.Struct, frozen=True):
    """A task as its owner sees it. Times in Unix milliseconds; `attempt`: how often it was claimed."""

    id: TaskId
    account_id: AccountId
    model: str
    state: TaskState
    param: str
    public_url: str
    result_blobs: tuple[str, ...]
    fail_code: FailCode | None
    fail_text: Text | None
    credits_charged: int
    created_ms: int
    finished_ms: int | None
    note: str | None
    attempt: int = 0


class TaskFilter(msgspec.Struct, frozen=True):
    """Which of an account's tasks to list."""

    state: TaskState | None = None
    model: str | None = None


class TaskPage(msgspec.Struct, frozen=True):
    """Tasks, newest first. `cursor`: where the next page begins; None when there is none."""

    tasks: tuple[TaskView, ...]
    cursor: str | None


class Caller(msgspec.Struct, frozen=True):
    """Whom a key speaks for. `operator`: it may also see how the installation is."""

    key_id: KeyId
    account_id: AccountId
    account: str
    operator: bool = False


ReturnReason = Literal["stopping", "no_capacity", "fault"]
"""Why a holder gives a task back: it stops, or its engine cannot begin (no harm), or it could not bring the task to an
outcome (one fault counted)."""
