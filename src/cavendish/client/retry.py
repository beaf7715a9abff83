"""How long to wait before asking again, and when to stop."""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_SECONDS = 0.5
MOST_SECONDS = 8.0
ATTEMPTS = 5
"""How often a request is sent when nobody says when to come back. Who says so is asked until the deadline."""


class Deadline:
    """One end for everything that an operation does.

    Args:
        seconds: from now; None: no end.
        clock: monotonic seconds.
    """

    def __init__(self, seconds: float | None, clock: Callable[[], float]) -> None:
        self.seconds = seconds
        self._clock = clock
        self._end = None if seconds is None else clock() + seconds

    def left(self) -> float:
        """Seconds until the end, at least 0; infinite without one."""
        return float("inf") if self._end is None else max(0.0, self._end - self._clock())

    def over(self) -> bool:
        """Whether the end has come."""
        return self.left() <= 0


def backoff(failures: int, roll: float) -> float:
    """Seconds after that many failures (from 1): doubling, the second half of each by chance.

    Args:
        roll: uniform in [0, 1): callers that failed together do not come back together.
    """
    full: float = min(FIRST_SECONDS * 2 ** min(failures - 1, 16), MOST_SECONDS)
    return full * (0.5 + roll / 2)


def polling(polls: int, roll: float) -> float:
    """Seconds before the next look at a task, where the server does not wait: 0.35 s at first, then up to 5 s."""
    full: float = min(0.25 * 1.4 ** min(polls, 16), 5.0)
    return full * (0.8 + roll * 0.4)


def retry_after(value: str | None, now: Callable[[], float]) -> float | None:
    """Seconds that a `Retry-After` asks for: a number or a date (RFC 9110, 10.2.3); None when it says neither.

    Args:
        now: Unix seconds.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.fromtimestamp(now(), UTC)).total_seconds())
