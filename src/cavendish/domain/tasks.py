"""The life of a task: its states, who sets each, who moves it on, and what a crash leaves behind.

waiting     Set by submit, or by the sweeper when a lease ended. Any worker may claim it. A crash leaves it as it is.
queuing     Set by the claim: a worker holds the lease and waits for engine capacity. When the lease ends
            (the worker died), the sweeper puts the task back to waiting, or fails it after the last attempt.
generating  Set by the lease's holder when the engine starts. A crash leaves it as for queuing.
success     Set by the lease's holder, after the image is durable, together with the settlement. Final.
fail        Set by the lease's holder, the sweeper, or a cancel, together with the release. Final.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NewType

from cavendish.domain.text import Text

TaskState = Literal["waiting", "queuing", "generating", "success", "fail"]
TaskId = NewType("TaskId", str)
AccountId = NewType("AccountId", int)
KeyId = NewType("KeyId", int)

TERMINAL: frozenset[TaskState] = frozenset({"success", "fail"})
"""The one set of final states."""

TRANSITIONS: Mapping[TaskState, frozenset[TaskState]] = MappingProxyType(
    {
        "waiting": frozenset({"queuing", "fail"}),
        "queuing": frozenset({"generating", "success", "fail", "waiting"}),
        "generating": frozenset({"success", "fail", "waiting"}),
        "success": frozenset(),
        "fail": frozenset(),
    }
)
"""Which states may follow which. queuing -> success: a fast engine ends before the mark is written."""

CANCELED = Text(en="The task was canceled by its owner", zh="任务已由其所有者取消")

MAX_ATTEMPTS = 3
"""How many times a task is given to a worker before it fails as `internal`."""


def may_follow(before: TaskState, after: TaskState) -> bool:
    """Whether the transition table allows `before` -> `after`."""
    return after in TRANSITIONS[before]
