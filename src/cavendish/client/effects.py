"""What a plan asks of the world. A plan is a generator: it yields effects, gets what came of them, and returns a value.

Plans hold all the logic and do no I/O; `Client` and `AsyncClient` carry out their effects, each in its own way.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Send:
    """Send a request; what comes of it is an Answer or a Broken, never an exception.

    Attributes:
        seconds: how long the answer may take.
        most_bytes: a body larger than that is cut off, and the answer is Broken.
    """

    method: Literal["GET", "POST"]
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    seconds: float = 30.0
    most_bytes: int = 16_000_000
    follow_redirects: bool = False


@dataclass(frozen=True)
class Pause:
    """Wait that many seconds."""

    seconds: float


@dataclass(frozen=True)
class Work:
    """Something that blocks: reading a file, encoding a picture."""

    call: Callable[[], Any]


@dataclass(frozen=True)
class Tell:
    """Call back into the caller's code: a state has changed."""

    call: Callable[[], Any]


@dataclass(frozen=True)
class Answer:
    """A whole HTTP answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Broken:
    """No whole answer.

    Attributes:
        sent: whether the server may have got the request: False only when there was no connection at all.
        slow: the time ran out.
    """

    reason: str
    sent: bool
    slow: bool = False


Effect: TypeAlias = Send | Pause | Work | Tell
Plan: TypeAlias = Generator[Effect, Any, T]


def send(request: Send) -> Plan[Answer | Broken]:
    """Yield a request; its outcome, typed."""
    outcome = yield request
    assert isinstance(outcome, Answer | Broken)
    return outcome


def work(call: Callable[[], T]) -> Plan[T]:
    """Yield blocking work; its result, typed."""
    result: T = yield Work(call)
    return result
