"""Every error that Cavendish raises on purpose.

CavendishError
├── RequestError                the caller can mend it; each knows its own stable code
│   ├── Unauthorized            unauthorized
│   ├── InvalidRequest          invalid_request      (one Problem per wrong field)
│   ├── NotFound                not_found
│   ├── RateLimited             rate_limited
│   └── InsufficientCredits     insufficient_credits
├── EngineError                 one task's outcome; carries the FailCode that the caller will read
├── NoCapacity                  the engine cannot begin with this model for some seconds; the task waits on, unharmed
├── BadImage                    bytes that are not an image we take, or a URL that gives none
├── AddressRefused              an outbound URL that leads where we do not go
├── LeaseLost                   another worker holds the task now; nothing was changed
├── BlobMissing                 no such object in blob storage
├── Unavailable                 a part that we need does not answer now; trying again may help
│   ├── StoreUnavailable        the database
│   ├── BlobsUnavailable        blob storage
│   └── EngineUnavailable       what draws went away in the middle: the task is tried again
└── Misconfigured               an operator must change a setting or the machine

Errors know nothing of HTTP: `web/answers.py` is the only table from here to a status.
"""

from collections.abc import Sequence
from typing import Literal, assert_never

import msgspec

from cavendish.domain.text import Text
from cavendish.domain.usage import Usage

FailCode = Literal[
    "content_rejected",
    "no_image",
    "bad_input_image",
    "engine_busy",
    "engine_error",
    "timeout",
    "canceled",
    "internal",
]
"""Why a task failed: the stable words of the contract, §5."""


def another_may_serve(code: FailCode) -> bool:
    """Whether it was the engine's doing, so that another engine may end the same task well."""
    match code:
        case "engine_busy" | "engine_error" | "timeout":
            return True
        case "content_rejected" | "bad_input_image" | "no_image" | "canceled" | "internal":
            return False
        case _:
            assert_never(code)


class CavendishError(Exception):
    """The root. `text` is the sentence for people, in both languages."""

    def __init__(self, text: Text) -> None:
        super().__init__(text.en)
        self.text = text


class RequestError(CavendishError):
    """The request cannot be served as it was sent."""


class Unauthorized(RequestError):
    """No key, or one that does not open anything (any more)."""


class Problem(msgspec.Struct, frozen=True):
    """One wrong field: its path (`input.image_size`) and the rule it breaks with the value, shortened."""

    path: str
    rule: Text


class InvalidRequest(RequestError):
    """The body or a parameter breaks at least one rule; all that could be found are named."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            Text(
                en="; ".join(f"{p.path}: {p.rule.en}" if p.path else p.rule.en for p in self.problems),
                zh="；".join(f"{p.path}：{p.rule.zh}" if p.path else p.rule.zh for p in self.problems),
            )
        )


class NotFound(RequestError):
    """No such path, model or task for this account."""


class LimitPolicy(msgspec.Struct, frozen=True):
    """A limit as it is announced: at most `quota` in `window_seconds`, or at any one time when that is None."""

    name: str
    quota: int
    window_seconds: int | None = None


class RateLimited(RequestError):
    """The key's limit is reached; `retry_after_seconds` (whole, >= 1) is when trying again makes sense."""

    def __init__(self, text: Text, retry_after_seconds: int, policy: LimitPolicy) -> None:
        super().__init__(text)
        self.retry_after_seconds = max(1, retry_after_seconds)
        self.policy = policy


class InsufficientCredits(RequestError):
    """The account has fewer credits available than the task's price."""

    def __init__(self, needed: int, available: int) -> None:
        sentence = (
            f"Insufficient credits: this task needs {needed}, {available} available "
            f"(积分不足，需要 {needed} 积分，当前余额 {available})"
        )
        # Both languages in one sentence: clients in the field search it for either word.
        super().__init__(Text(en=sentence, zh=sentence))
        self.needed = needed
        self.available = available


class EngineError(CavendishError):
    """The engine's answer for one task was not a picture; `usage`: what it cost upstream all the same."""

    def __init__(self, code: FailCode, text: Text, usage: Usage | None = None) -> None:
        super().__init__(text)
        self.code: FailCode = code
        self.usage = usage


class NoCapacity(CavendishError):
    """The engine has begun nothing, and cannot begin with this model for about `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            Text(
                en=f"The engine cannot begin with this model for {seconds:.0f} s",
                zh=f"引擎在 {seconds:.0f} 秒内无法开始处理该模型",
            )
        )
        self.seconds = seconds


class BadImage(CavendishError):
    """The bytes are not an image that we take (format, size, pixels), or could not be had at all."""


class AddressRefused(CavendishError):
    """The URL leads to an address, port or scheme that outbound requests never use."""


class LeaseLost(CavendishError):
    """The lease ended and the task may be held by another; whatever was about to be written was not."""


class BlobMissing(CavendishError):
    """Blob storage has no object of that name."""


class Unavailable(CavendishError):
    """A part that we depend on does not answer now."""


class StoreUnavailable(Unavailable):
    """The database does not answer, or the connection broke."""


class BlobsUnavailable(Unavailable):
    """Blob storage does not answer, is full, or refuses to write."""


class EngineUnavailable(Unavailable):
    """What draws ended without saying why: killed, or out of memory. The request may be fine."""


class Misconfigured(CavendishError):
    """An operator must change a setting or the machine before this can work."""
