"""Everything that the client raises on purpose.

ClientError
├── BadArgument         what was passed cannot be sent: no key, no such file, not an image (also a ValueError)
├── ApiError            the server said no; one class for each code
│   ├── Unauthorized            401
│   ├── InsufficientCredits     402
│   ├── NotFound                404
│   ├── InvalidRequest          422
│   ├── RateLimited             429
│   ├── ServerError             500 and above
│   └── UnexpectedAnswer        not an answer of this API: look at the base URL
├── ConnectionFailed    no connection, or it broke (also a ConnectionError)
├── TimedOut            the deadline came first (also a TimeoutError)
├── TaskFailed          the task ended as `fail`; nothing was charged
└── CallbackRejected    a callback whose signature does not hold
"""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cavendish.client.values import Task

_NEEDS = re.compile(r"needs (\d{1,15}), (\d{1,15}) available")


class ClientError(Exception):
    """The root: `except ClientError` catches whatever the client raises on purpose.

    Attributes:
        task_id: the task that it is about, once there is one. It goes on: `wait(task_id)` takes up waiting for it.
        idempotency_key: of a create whose fate is not known (its answer got lost, the server failed): repeat it with
            this key, and it is one task, on servers that know such keys.
    """

    task_id: str | None = None
    idempotency_key: str | None = None


class BadArgument(ClientError, ValueError):
    """What was passed cannot be sent. Nothing was sent."""


class ApiError(ClientError):
    """The server refused, and said why.

    Attributes:
        code: the answer's `code`, or its HTTP status when it has none.
        message: the server's sentence.
        retry_after_seconds: when the server would like to be asked again; None when it did not say.
    """

    def __init__(self, message: str, code: int = 0, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.retry_after_seconds = retry_after_seconds


class Unauthorized(ApiError):
    """401: no key, or one that does not open anything (any more)."""


class InsufficientCredits(ApiError):
    """402: fewer credits than the task costs. `needed` and `available` when the server says them."""

    def __init__(self, message: str, code: int = 402, retry_after_seconds: float | None = None) -> None:
        super().__init__(message, code, retry_after_seconds)
        found = _NEEDS.search(message)
        self.needed = int(found[1]) if found else None
        self.available = int(found[2]) if found else None


class NotFound(ApiError):
    """404: no such task, model or path."""


class InvalidRequest(ApiError):
    """422: the message names every field that is wrong, and its rule."""


class RateLimited(ApiError):
    """429, for longer than the deadline allows to wait."""


class ServerError(ApiError):
    """500 and above: the server's fault, after all retries. Its message may have an id to quote to the operator."""


class UnexpectedAnswer(ApiError):
    """An answer that is not one of this API: a login page, a proxy, another service."""


class ConnectionFailed(ClientError, ConnectionError):
    """No connection, or it broke, after all retries."""


class TimedOut(ClientError, TimeoutError):
    """The deadline came first. A task that was created goes on, and is not canceled: see `task_id`."""


class TaskFailed(ClientError):
    """The task ended as `fail`. Nothing was charged.

    Attributes:
        task: the task as the server shows it.
        fail_code: the stable word, such as `content_rejected`.
        fail_msg: the sentence that goes with it.
    """

    def __init__(self, task: "Task") -> None:
        self.task = task
        self.task_id = task.id
        self.fail_code = task.fail_code or "internal"
        self.fail_msg = task.fail_msg or ""
        super().__init__(f"{self.fail_code}: {self.fail_msg} ({task.id})")


class CallbackRejected(ClientError):
    """The callback is not (any more) what the server signed: do not act on it, and answer 401."""
