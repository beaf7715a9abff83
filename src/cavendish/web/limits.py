"""Limits that need no database: who is known to be over theirs, and how often a key may query this process."""

import math

import msgspec

from cavendish.domain.errors import LimitPolicy, RateLimited
from cavendish.domain.limits import WINDOW_SECONDS
from cavendish.domain.tasks import KeyId
from cavendish.domain.text import Text
from cavendish.ports import Clock


class CreateGate:
    """Remembers keys that were just refused, so that a flood of creates costs a dictionary look-up each."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._closed: dict[KeyId, tuple[float, RateLimited]] = {}

    def check(self, key_id: KeyId) -> None:
        """Let a create through unless its key is known to be over its limit.

        Raises:
            RateLimited: with the seconds that are left.
        """
        closed = self._closed.get(key_id)
        if closed is None:
            return
        until, refusal = closed
        left = until - self._clock.monotonic()
        if left <= 0:
            del self._closed[key_id]
            return
        raise RateLimited(refusal.text, math.ceil(left), refusal.policy)

    def close(self, key_id: KeyId, refusal: RateLimited) -> None:
        """Remember a refusal until it may end."""
        self._closed[key_id] = (self._clock.monotonic() + refusal.retry_after_seconds, refusal)


class _Window(msgspec.Struct):
    ends_at: float
    queries: int


class QueryLimit:
    """Counts the queries of each key to this process, in windows of a minute.

    Args:
        per_minute: the most that one key may send.
    """

    def __init__(self, clock: Clock, per_minute: int) -> None:
        self._clock = clock
        self._per_minute = per_minute
        self._windows: dict[KeyId, _Window] = {}

    def count(self, key_id: KeyId) -> None:
        """One more query of that key.

        Raises:
            RateLimited: too many in this minute.
        """
        now = self._clock.monotonic()
        window = self._windows.get(key_id)
        if window is None or now >= window.ends_at:
            self._windows[key_id] = _Window(now + WINDOW_SECONDS, 1)
            return
        if window.queries >= self._per_minute:
            wait = math.ceil(window.ends_at - now)
            raise RateLimited(
                Text(
                    en=f"This key may send {self._per_minute} queries per minute; try again in {wait} s, "
                    "and poll less often",
                    zh=f"此密钥每分钟最多查询 {self._per_minute} 次；请在 {wait} 秒后重试，并降低轮询频率",
                ),
                wait,
                LimitPolicy("queries", self._per_minute, int(WINDOW_SECONDS)),
            )
        window.queries += 1
