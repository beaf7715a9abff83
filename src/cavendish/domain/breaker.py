"""How many deliveries one host may have under way: more while it answers, fewer when it hangs, none for a while then.

Pure: the time is passed in. A host that refuses or answers with errors costs little and keeps its room; what is
limited here is holding on to a slot for seconds.
"""

FIRST_ROOM = 4
"""For a host that has not answered yet: a hundred unknown hosts that hang must not take all slots."""
HANGS_TO_OPEN = 5
FIRST_PAUSE_SECONDS = 10.0
MOST_PAUSE_SECONDS = 300.0
SLOW_SECONDS = 2.5
"""An answer that took longer holds its slot too long to deserve more of them."""


class HostBreaker:
    """One host. `most`: the most deliveries under way to it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = float(min(most, FIRST_ROOM))
        self._hangs = 0
        self._pause = FIRST_PAUSE_SECONDS
        self._open_until = 0.0
        self.under_way = 0

    def room(self, now: float) -> int:
        """How many more may start at `now` (seconds, monotonic)."""
        if now < self._open_until:
            return 0
        limit = 1 if self._hangs >= HANGS_TO_OPEN else int(self._limit)  # after a pause, one goes ahead to see
        return max(0, limit - self.under_way)

    def closed_for(self, now: float) -> float:
        """Seconds until one may try again; 0 unless the host is being left alone."""
        return max(0.0, self._open_until - now)

    @property
    def suspicious(self) -> bool:
        """Whether its last delivery hung: what waits for it must not wait in front of others."""
        return self._hangs > 0

    @property
    def idle(self) -> bool:
        """Whether there is nothing to remember: forgetting it changes nothing."""
        return self.under_way == 0 and self._hangs == 0

    def began(self) -> None:
        """A delivery starts."""
        self.under_way += 1

    def ended(self, *, hung: bool, now: float) -> None:
        """A delivery ended; `hung`: without an answer in time, or with a late one."""
        self.under_way -= 1
        if not hung:
            self._limit = min(float(self._most), self._limit + 1)
            self._hangs = 0
            self._pause = FIRST_PAUSE_SECONDS
            return
        self._limit = max(1.0, self._limit / 2)
        self._hangs += 1
        if self._hangs >= HANGS_TO_OPEN and now >= self._open_until:
            self._open_until = now + self._pause
            self._pause = min(MOST_PAUSE_SECONDS, self._pause * 2)
