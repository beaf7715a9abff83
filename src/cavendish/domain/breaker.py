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
SILENT_SECONDS = 1.0
"""A host that has answered nothing for so long, with deliveries under way, may have begun to hang."""


class HostBreaker:
    """One host. `most`: the most deliveries under way to it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = float(min(most, FIRST_ROOM))
        self._hangs = 0
        self._pause = FIRST_PAUSE_SECONDS
        self._open_until = 0.0
        self._answered = False
        self._silent_since: float | None = None
        self.under_way = 0

    def room(self, now: float) -> int:
        """How many more may start at `now` (seconds, monotonic)."""
        if now < self._open_until:
            return 0
        limit = 1 if self._hangs >= HANGS_TO_OPEN else int(self._limit)  # after a pause, one goes ahead to see
        if self._silent(now):
            limit = min(limit, FIRST_ROOM)
        return max(0, limit - self.under_way)

    def prompt(self, now: float) -> bool:
        """Whether it gives slots back soon, as far as can be known: it did the last time, and is not silent now."""
        return self._answered and self._hangs == 0 and not self._silent(now)

    def _silent(self, now: float) -> bool:
        return self._silent_since is not None and now - self._silent_since >= SILENT_SECONDS

    def closed_for(self, now: float) -> float:
        """Seconds until one may try again; 0 unless the host is being left alone."""
        return max(0.0, self._open_until - now)

    @property
    def suspicious(self) -> bool:
        """Whether its last delivery hung: what waits for it must not wait in front of others."""
        return self._hangs > 0

    def began(self, now: float) -> None:
        """A delivery starts."""
        self.under_way += 1
        if self._silent_since is None:
            self._silent_since = now

    def ended(self, *, hung: bool, now: float) -> None:
        """A delivery ended; `hung`: without an answer in time, or with a late one."""
        self.under_way -= 1
        self._silent_since = now if self.under_way else None
        if not hung:
            self._answered = True
            self._limit = min(float(self._most), self._limit + 1)
            self._hangs = 0
            self._pause = FIRST_PAUSE_SECONDS
            return
        self._limit = max(1.0, self._limit / 2)
        self._hangs += 1
        if self._hangs >= HANGS_TO_OPEN and now >= self._open_until:
            self._open_until = now + self._pause
            self._pause = min(MOST_PAUSE_SECONDS, self._pause * 2)
