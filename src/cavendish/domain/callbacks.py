"""Callbacks: what is signed and how, when to try again, and what an answer means. §4 of the contract."""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

import msgspec

from cavendish.domain.orders import TaskView
from cavendish.domain.tasks import AccountId, TaskId

CallbackState = Literal["pending", "delivered", "gone", "failed"]
"""pending: an attempt is due or scheduled · delivered · gone: answered 410 · failed: the last attempt failed."""

SECRET_PREFIX = "whsec_"  # noqa: S105 - how secrets begin, not one
SCHEDULE_SECONDS = (5.0, 30.0, 120.0, 600.0, 1800.0, 7200.0, 21_600.0, 43_200.0, 86_400.0)
"""The wait after each failed attempt. After the failure that follows the last wait, there is no other."""
JITTER = 0.2
MOST_RETRY_AFTER_SECONDS = 86_400.0
ANSWER_CHARS = 4096
_SPACES = "\n\t\N{NO-BREAK SPACE}\N{IDEOGRAPHIC SPACE}"
"""What is kept of an answer though it is not printable; the last is an ordinary space in Chinese."""


class Delivery(msgspec.Struct, frozen=True):
    """A claimed callback. `claim` is the fence of what is recorded; `secrets`: the newest first."""

    task: TaskView
    url: str
    host: str
    webhook_id: str
    claim: int
    failures: int
    secrets: tuple[str, ...]


class Posted(msgspec.Struct, frozen=True):
    """What one attempt met: an answer (`status`, lower-case header names, the body's start), or an `error` word."""

    seconds: float
    status: int | None = None
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: bytes = b""
    error: str | None = None


class Verdict(msgspec.Struct, frozen=True):
    """What an attempt means for its callback; `wait_seconds` counts for `pending`."""

    state: CallbackState
    wait_seconds: float = 0.0


class Attempt(msgspec.Struct, frozen=True):
    """One attempt as it is listed. `started_ms`: Unix milliseconds; exactly one of `status` and `error` is there."""

    started_ms: int
    milliseconds: int
    status: int | None
    error: str | None
    answer: str | None


class Report(msgspec.Struct, frozen=True):
    """What a deliverer writes about one attempt."""

    task_id: TaskId
    claim: int
    attempt: Attempt
    verdict: Verdict


class CallbackView(msgspec.Struct, frozen=True):
    """A callback as its owner sees it; `webhook_id` and `state` are None until the task has ended."""

    task_id: TaskId
    account_id: AccountId
    url: str
    webhook_id: str | None
    state: CallbackState | None
    next_attempt_ms: int | None
    attempts: tuple[Attempt, ...] = ()


def signed_headers(body: bytes, *, webhook_id: str, unix_seconds: int, secrets: Sequence[str]) -> dict[str, str]:
    """The headers of a delivery of exactly `body`.

    Args:
        secrets: the account's secrets as shown (`whsec_…`), the newest first. All sign; the plain
            `X-Webhook-Signature`, which has room for one, is by the newest.
    """
    signed = b"%s.%d.%s" % (webhook_id.encode(), unix_seconds, body)
    return {
        "Content-Type": "application/json",
        "X-Webhook-Signature": hmac.new(secrets[0].encode(), body, hashlib.sha256).hexdigest(),
        "webhook-id": webhook_id,
        "webhook-timestamp": str(unix_seconds),
        "webhook-signature": " ".join(f"v1,{_standard_signature(secret, signed)}" for secret in secrets),
    }


def _standard_signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def judge(posted: Posted, failures: int, *, roll: float, now_ms: int) -> Verdict:
    """What comes after an attempt.

    A redirect is a failed attempt like any other: it is not followed, and tried again.

    Args:
        failures: how many attempts failed before this one.
        roll: uniform in [0, 1), for the jitter.
        now_ms: Unix milliseconds, for `Retry-After` with a date.
    """
    status = posted.status
    if status is not None and 200 <= status < 300:
        return Verdict("delivered")
    if status == 410:
        return Verdict("gone")
    if failures >= len(SCHEDULE_SECONDS):
        return Verdict("failed")
    wait = SCHEDULE_SECONDS[failures] * (1 + JITTER * (2 * roll - 1))
    if status in (429, 503):
        wait = max(wait, retry_after_seconds(posted.headers.get("retry-after", ""), now_ms))
    return Verdict("pending", wait)


def retry_after_seconds(value: str, now_ms: int) -> float:
    """Seconds that a `Retry-After` asks to wait, at most a day; 0 when it says nothing that can be understood."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), MOST_RETRY_AFTER_SECONDS)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(
        max(0.0, (moment - datetime.fromtimestamp(now_ms / 1000, moment.tzinfo)).total_seconds()),
        MOST_RETRY_AFTER_SECONDS,
    )


def cleaned(body: bytes) -> str:
    """The start of an answer as it may be stored and shown: text, without control characters."""
    text = body[:ANSWER_CHARS].decode("utf-8", "replace").replace("\r\n", "\n")
    return "".join(c if c.isprintable() or c in _SPACES else "\N{REPLACEMENT CHARACTER}" for c in text)
