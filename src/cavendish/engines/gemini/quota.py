"""What one Google project can take now, and whether an upstream model is well. Pure: the time is passed in, in seconds.

Quota belongs to the project, whatever the key: requests begun in any minute, calls under way, and a pause after a 429.
"""

from collections import deque
from collections.abc import Sequence
from typing import Literal

import msgspec

from cavendish.domain.retry import Backoff
from cavendish.domain.text import Text
from cavendish.engines.gemini.access import Access

MINUTE_SECONDS = 60.0
COOL_DOWN = Backoff(first_seconds=2.0, most_seconds=60.0)
"""After a 429 that does not say how long; doubled with every further one in a row."""
MOST_COOL_SECONDS = 3600.0
DAILY_REST_SECONDS = 600.0
"""After a 429 about the quota of the day, the model of that project is left alone for so long."""
KEY_REST_SECONDS = 900.0
"""A refused key is tried again by one call after so long: an operator who mends it need not restart anything."""
MODEL_REST_SECONDS = 3600.0
"""An upstream id that was answered with 404 is passed over for so long."""
FAILURES_TO_OPEN = 5
FIRST_PAUSE_SECONDS = 10.0
MOST_PAUSE_SECONDS = 300.0


class Refused(msgspec.Struct, frozen=True):
    """Why a key is out of rotation, and until when."""

    until: float
    reason: Text


class Project:
    """One project: its keys and its quota.

    Args:
        label: the operator's name for it.
        keys: at least one; all lead to the same place.
        requests_per_minute: begun in any 60 seconds.
        parallel: calls under way.
    """

    def __init__(self, label: str, keys: Sequence[Access], *, requests_per_minute: int, parallel: int) -> None:
        self.label = label
        self.keys = tuple(keys)
        self.place = self.keys[0].place
        self.requests_per_minute = requests_per_minute
        self.parallel = parallel
        self.running = 0
        self.cool_until = 0.0
        self.refused: dict[Access, Refused] = {}
        self._tested: set[Access] = set()
        self._starts: deque[float] = deque()
        self._resting: dict[str, float] = {}
        self._limited = 0
        self._turn = 0

    def usable(self, now: float) -> list[Access]:
        """The keys in rotation."""
        return [
            key
            for key in self.keys
            if key not in self._tested and (key not in self.refused or self.refused[key].until <= now)
        ]

    def hopeful(self, now: float) -> bool:
        """Whether a key is in rotation, or under test by a call that may bring it back."""
        return bool(self._tested) or bool(self.usable(now))

    def free_at(self, now: float, model: str) -> float | None:
        """When a call of `model` may begin: `now`, a later time, or None when a call has to end first."""
        self._forget(now)
        if not self.usable(now):  # its only hope is under test
            return None
        # After a 429 one call goes ahead to see; the rest would only collect more of them.
        if self.running >= (1 if self._limited else self.parallel):
            return None
        at = max(now, self.cool_until, self._resting.get(model, 0.0))
        if len(self._starts) >= self.requests_per_minute:
            at = max(at, self._starts[-self.requests_per_minute] + MINUTE_SECONDS)
        return at

    def rests_until(self, model: str) -> float:
        """When the quota of the day may be back, for that model; a time long ago if it was never used up."""
        return self._resting.get(model, 0.0)

    def requests(self, now: float) -> int:
        """Begun in the last minute."""
        self._forget(now)
        return len(self._starts)

    def begin(self, now: float) -> Access:
        """A call begins; the key that it uses, each in turn."""
        keys = self.usable(now)
        self._turn += 1
        self._starts.append(now)
        self.running += 1
        key = keys[self._turn % len(keys)]
        if key in self.refused:  # its rest is over, and this call is the one that sees whether it was mended
            self._tested.add(key)
        return key

    def end(self, key: Access) -> None:
        """A call ended, however."""
        self.running -= 1
        self._tested.discard(key)

    def answered(self, key: Access) -> bool:
        """The upstream took the key and had quota; whether the key had been refused before."""
        self._limited = 0
        return self.accepted(key)

    def accepted(self, key: Access) -> bool:
        """The upstream took the key, whatever it said then; whether the key had been refused before."""
        return self.refused.pop(key, None) is not None

    def limited(self, now: float, *, wait_seconds: float | None, daily_of: str | None, roll: float) -> float:
        """A 429 came; for how many seconds there is no use in asking.

        Args:
            wait_seconds: what the upstream asked for.
            daily_of: the model whose quota of the day is used up, if it is that.
            roll: uniform in [0, 1), for the jitter.
        """
        if daily_of is not None:
            seconds = min(MOST_COOL_SECONDS, max(wait_seconds or 0.0, DAILY_REST_SECONDS))
            self._resting[daily_of] = max(self._resting.get(daily_of, 0.0), now + seconds)
            return seconds
        if now >= self.cool_until:  # calls that were under way together are told so together: that counts once
            self._limited += 1
        if wait_seconds is None:
            asked = COOL_DOWN.wait_seconds(max(1, self._limited), roll)
        else:  # at its word once; an upstream that says "at once" and does not mean it is not asked in a circle
            least = COOL_DOWN.wait_seconds(self._limited - 1, roll) if self._limited > 1 else 0.0
            asked = max(wait_seconds, least)
        seconds = min(MOST_COOL_SECONDS, asked)
        self.cool_until = max(self.cool_until, now + seconds)
        return seconds

    def refuse(self, key: Access, now: float, reason: Text) -> bool:
        """Take a key out of rotation; whether that is news."""
        news = key not in self.refused
        self.refused[key] = Refused(now + KEY_REST_SECONDS, reason)
        return news

    def _forget(self, now: float) -> None:
        while self._starts and self._starts[0] <= now - MINUTE_SECONDS:
            self._starts.popleft()


class UpstreamModel:
    """Whether an upstream id is there and well: a breaker over errors and silences in a row."""

    def __init__(self) -> None:
        self.failures = 0
        self.open_until = 0.0
        self.gone_until = 0.0
        self.gone_since = 0.0
        self._pause = FIRST_PAUSE_SECONDS
        self._probing = False

    def gone(self, now: float) -> bool:
        """Whether it was answered with 404 not long ago."""
        return now < self.gone_until

    def retire(self, now: float) -> bool:
        """A 404 came; whether that is news."""
        news = not self.gone(now)
        if news:
            self.gone_since = now
        self.gone_until = now + MODEL_REST_SECONDS
        return news

    def state(self, now: float) -> Literal["closed", "open", "half_open"]:
        """closed: calls pass; open: none does; half_open: one goes ahead to see."""
        if self.failures < FAILURES_TO_OPEN:
            return "closed"
        return "open" if now < self.open_until else "half_open"

    def free_at(self, now: float) -> float | None:
        """When a call may begin: `now`, a later time, or None when the call that looks has to end first."""
        match self.state(now):
            case "closed":
                return now
            case "open":
                return self.open_until
            case "half_open":
                return None if self._probing else now

    def begin(self, now: float) -> bool:
        """A call begins; whether it is the one that looks. That one, and no older call, must `end_probe`."""
        if self.state(now) != "half_open":
            return False
        self._probing = True
        return True

    def end_probe(self) -> None:
        """The call that looks ended, however."""
        self._probing = False

    def answered(self) -> None:
        """The upstream did what it should, be it a refusal."""
        self.failures = 0
        self._pause = FIRST_PAUSE_SECONDS

    def failed(self, now: float) -> bool:
        """An error of the upstream's own, or silence; whether that opened the breaker."""
        self.failures += 1
        if self.failures < FAILURES_TO_OPEN or now < self.open_until:
            return False
        self.open_until = now + self._pause
        self._pause = min(MOST_PAUSE_SECONDS, self._pause * 2)
        return True
