"""Repeatable variety: the same request always draws the same lots, on every machine and every Python."""

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Chance:
    """Lots drawn from a text. Uses only `Random.random`, whose sequence Python promises to keep."""

    def __init__(self, *words: object) -> None:
        text = "\x1f".join(str(word) for word in words)
        self._words = words
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        self._random = random.Random(int.from_bytes(digest, "big"))  # noqa: S311 - for looks, not for secrets

    def branch(self, name: str) -> "Chance":
        """Independent lots for one part of the picture, so that a change elsewhere does not move this part."""
        return Chance(*self._words, name)

    def between(self, low: float, high: float) -> float:
        """A number from `low` to `high`."""
        return low + (high - low) * self._random.random()

    def whole(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both possible."""
        return low + int(self._random.random() * (high - low + 1))

    def pick(self, items: Sequence[T]) -> T:
        """One of `items`."""
        return items[int(self._random.random() * len(items))]

    def likely(self, share: float) -> bool:
        """True in `share` (0-1) of the cases."""
        return self._random.random() < share
