"""How far a task has come: what tells one change of state from another, and which of two came later."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from cavendish.domain.tasks import TaskState

_STEPS: Mapping[TaskState, int] = MappingProxyType(
    # Within an attempt: claimed, started, given back, ended. `waiting` belongs to the attempt before it.
    {"queuing": 1, "generating": 2, "waiting": 3, "success": 4, "fail": 4}
)
_EVENT_ID = re.compile(r"([0-9]{1,9})-([a-z]+)")


class Position(NamedTuple):
    """A place on a task's way. Positions of one task are ordered: it never goes back, only into another attempt."""

    attempt: int
    step: int

    @property
    def final(self) -> bool:
        """Whether nothing comes after it."""
        return self.step == _STEPS["success"]


START = Position(-1, 0)
"""Before everything."""


def position(attempt: int, state: TaskState) -> Position:
    """Where a task in its `attempt`th attempt is."""
    return Position(attempt, _STEPS[state])


def event_id(attempt: int, state: TaskState) -> str:
    """The id of the event that tells of this change, the same from every process: `1-generating`."""
    return f"{attempt}-{state}"


def read_event_id(value: str) -> Position:
    """The position that an event id names; START when it is none of ours."""
    match = _EVENT_ID.fullmatch(value)
    step = next((step for state, step in _STEPS.items() if match is not None and state == match[2]), None)
    return Position(int(match[1]), step) if match is not None and step is not None else START
