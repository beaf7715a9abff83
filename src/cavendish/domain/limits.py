"""How much one key may do: creates in a minute, and tasks in flight. Counters in, counters out; no clock of its own.

The minute is a window that opens with its first create and closes 60 seconds later, so that a limit of N accepts
exactly N, and `Retry-After` is the time until the window closes.
"""

import math

import msgspec

from cavendish.domain.errors import LimitPolicy, RateLimited
from cavendish.domain.text import Text

WINDOW_SECONDS = 60.0
IN_FLIGHT_RETRY_SECONDS = 1
"""A slot frees when a task ends, which nobody can foretell: ask again soon."""


class KeyLimits(msgspec.Struct, frozen=True):
    """What a key may do."""

    creates_per_minute: int
    in_flight: int


class KeyUsage(msgspec.Struct, frozen=True):
    """What a key has done. `window_age_seconds`: since the window's first create; None before any."""

    window_age_seconds: float | None
    window_creates: int
    in_flight: int


def admit(limits: KeyLimits, usage: KeyUsage) -> KeyUsage:
    """Count one more create.

    Raises:
        RateLimited: which limit, and when to try again; nothing was counted.
    """
    age, creates = usage.window_age_seconds, usage.window_creates
    if age is None or age >= WINDOW_SECONDS:
        age, creates = 0.0, 0
    if creates >= limits.creates_per_minute:
        wait = max(1, math.ceil(WINDOW_SECONDS - age))
        raise RateLimited(
            Text(
                en=f"This key may create {limits.creates_per_minute} tasks per minute; try again in {wait} s",
                zh=f"此密钥每分钟最多创建 {limits.creates_per_minute} 个任务；请在 {wait} 秒后重试",
            ),
            retry_after_seconds=wait,
            policy=LimitPolicy("creates", limits.creates_per_minute, int(WINDOW_SECONDS)),
        )
    if usage.in_flight >= limits.in_flight:
        raise RateLimited(
            Text(
                en=f"This key may have {limits.in_flight} unfinished tasks at once; wait for one to end",
                zh=f"此密钥最多同时有 {limits.in_flight} 个未完成任务；请等待其中之一结束",
            ),
            retry_after_seconds=IN_FLIGHT_RETRY_SECONDS,
            policy=LimitPolicy("in-flight", limits.in_flight),
        )
    return KeyUsage(age, creates + 1, usage.in_flight + 1)
