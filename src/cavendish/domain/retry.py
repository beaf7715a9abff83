"""When to try again: exponential waits with jitter. Shared by everything that retries; randomness is passed in."""

import msgspec


class Backoff(msgspec.Struct, frozen=True):
    """Waits of `first_seconds`, doubling up to `most_seconds`, each spread by +-`jitter` of itself."""

    first_seconds: float
    most_seconds: float
    jitter: float = 0.2

    def wait_seconds(self, failures: int, roll: float) -> float:
        """Seconds to wait after the `failures`-th failure in a row (1, 2, …). `roll` is uniform in [0, 1)."""
        assert failures >= 1
        assert 0 <= roll < 1
        base: float = min(self.most_seconds, self.first_seconds * 2 ** min(failures - 1, 60))
        return base * (1 + self.jitter * (2 * roll - 1))
