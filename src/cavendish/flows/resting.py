"""Models that this worker's engine cannot begin with for a while: their tasks wait in the queue, not in slots."""

from cavendish.ports import Clock

LEAST_REST_SECONDS = 1.0
"""However soon the engine hopes to begin: its tasks must not be claimed and given back in a circle."""


class RestingModels:
    """What the engine said about models; forgotten when its time is over."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def rest(self, model: str, seconds: float) -> bool:
        """Claim no task of `model` for so long; whether that is news."""
        news = model not in self.now()
        until = self._clock.monotonic() + max(LEAST_REST_SECONDS, seconds)
        self._until[model] = max(self._until.get(model, 0.0), until)
        return news

    def now(self) -> tuple[str, ...]:
        """Those that rest."""
        now = self._clock.monotonic()
        self._until = {model: until for model, until in self._until.items() if until > now}
        return tuple(self._until)
