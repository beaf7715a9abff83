"""What an engine says about itself to its operator: capacity, cool-downs, keys, breakers. Times in Unix milliseconds.

Reports leave the process and are shown to people: no key is ever whole in them.
"""

from typing import Literal

import msgspec

from cavendish.domain.text import Text

BreakerState = Literal["closed", "open", "half_open"]
"""closed: requests pass; open: none does until `until_ms`; half_open: one goes ahead to see."""

FORGET_SECONDS = 300.0
"""After so long a silence a worker process is no longer shown."""

_SHOWN_CHARS = 4
_SHORTEST_SHOWN_KEY = 16


class KeyOut(msgspec.Struct, frozen=True, rename="camel"):
    """A key that is out of rotation: `key` as `key_hint` shows it, and why."""

    key: str
    reason: Text


class ProjectReport(msgspec.Struct, frozen=True, rename="camel"):
    """The quota of one upstream project. A limit of None: there is none.

    `requests`: begun in the last minute; `running`: calls under way; `waiting`: tasks that wait for either.
    """

    project: str
    requests: int = 0
    requests_per_minute: int | None = None
    running: int = 0
    parallel: int | None = None
    waiting: int = 0
    cooling_until_ms: int | None = None
    keys_usable: int = 0
    keys_out: tuple[KeyOut, ...] = ()


class BreakerReport(msgspec.Struct, frozen=True, rename="camel"):
    """One breaker. `guards`: what it is for, such as an upstream model id; `failures`: in a row."""

    guards: str
    state: BreakerState
    failures: int = 0
    until_ms: int | None = None


class RetiredModel(msgspec.Struct, frozen=True, rename="camel"):
    """An upstream id that was answered with 404, and since when it is passed over."""

    upstream: str
    since_ms: int


class EngineReport(msgspec.Struct, frozen=True, rename="camel"):
    """One engine now. `models`: public ids that it serves; empty: every model.

    `running` and `parallel` are the whole engine's: pictures under way, and at most (None: no limit of its own).
    `engines`: those behind this one, when it only chooses among others.
    """

    name: str
    models: tuple[str, ...] = ()
    running: int = 0
    parallel: int | None = None
    waiting: int = 0
    projects: tuple[ProjectReport, ...] = ()
    breakers: tuple[BreakerReport, ...] = ()
    retired: tuple[RetiredModel, ...] = ()
    engines: tuple["EngineReport", ...] = ()


class WorkerReport(msgspec.Struct, frozen=True, rename="camel"):
    """One worker process now. `slots`: tasks that it may hold; `held`: that it holds."""

    worker: str
    version: str
    started_ms: int
    slots: int
    held: int
    engine: EngineReport


class SeenWorker(msgspec.Struct, frozen=True, rename="camel"):
    """What a worker process said last, and how long ago. `said` None: another version's words, not understood."""

    reported_ms: int
    silent_seconds: int
    said: WorkerReport | None


def key_hint(key: str) -> str:
    """A key for a report or a log line: its last four characters, or none of a key too short to lose four."""
    return f"…{key[-_SHOWN_CHARS:]}" if len(key) >= _SHORTEST_SHOWN_KEY else "…"
