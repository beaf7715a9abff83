"""Verify a callback before acting on it. The signatures are described in docs/callbacks.md."""

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Iterable, Mapping, Sequence

from cavendish.client.errors import CallbackRejected, UnexpectedAnswer
from cavendish.client.values import Task, read_task

TOLERANCE_SECONDS = 300
_STANDARD = ("webhook-id", "webhook-timestamp", "webhook-signature")


def verify_callback(
    body: bytes,
    headers: Mapping[str, str] | Iterable[tuple[str, str]],
    secret: str | Sequence[str],
    *,
    tolerance_seconds: float = TOLERANCE_SECONDS,
    require_timestamp: bool = False,
    now: float | None = None,
) -> Task:
    """The task that a callback tells of, once its signature is found to hold.

    The Standard Webhooks headers count when any of them is there; else `X-Webhook-Signature`, which has no time in it:
    whoever overheard such a callback can repeat it. A callback may come more than once in any case: remember
    `webhook-id`, or the task's id.

    Args:
        body: the raw bytes, as they came.
        headers: of the request, in any case.
        secret: the account's `whsec_…`, or several of them while you change over.
        tolerance_seconds: how far its time may be from now, either way.
        require_timestamp: refuse what has `X-Webhook-Signature` alone.
        now: Unix seconds, for tests.

    Raises:
        CallbackRejected: a signature is missing or wrong, the time is too far off, or the body is no task.
    """
    lowered = _lowered(headers)
    secrets = [secret] if isinstance(secret, str) else list(secret)
    if not secrets or not all(secrets):
        raise CallbackRejected("no secret to verify with: take it from GET /api/v1/webhook/secret")
    if any(name in lowered for name in _STANDARD):
        _check_standard(body, lowered, secrets, tolerance_seconds, time.time() if now is None else now)
    elif require_timestamp:
        raise CallbackRejected("the callback has no webhook-id, webhook-timestamp and webhook-signature")
    else:
        _check_plain(body, lowered.get("x-webhook-signature", ""), secrets)
    try:
        return read_task(json.loads(body))
    except (ValueError, UnexpectedAnswer) as error:
        raise CallbackRejected(f"signed, and yet not a task: {error}") from error


def _lowered(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> dict[str, str]:
    pairs = headers.items() if isinstance(headers, Mapping) or hasattr(headers, "items") else headers
    return {str(name).lower(): str(value) for name, value in pairs}


def _check_standard(
    body: bytes, headers: Mapping[str, str], secrets: Sequence[str], tolerance_seconds: float, now: float
) -> None:
    identity, timestamp, sent = (headers.get(name, "") for name in _STANDARD)
    if not identity or not sent:
        raise CallbackRejected("the callback lacks webhook-id or webhook-signature")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 15):
        raise CallbackRejected("webhook-timestamp is not a time in seconds")
    if abs(now - int(timestamp)) > tolerance_seconds:
        raise CallbackRejected(
            f"the callback is {now - int(timestamp):+.0f} s old: somebody repeats an old one, or a clock is wrong"
        )
    signed = f"{identity}.{timestamp}.".encode("utf-8", "surrogateescape") + body
    signatures = [s.removeprefix("v1,").encode("utf-8", "replace") for s in sent.split(" ") if s.startswith("v1,")]
    held = False
    for secret in secrets:
        expected = base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest())
        for signature in signatures:
            # Every pair is compared, in constant time each: how long this takes tells nothing about the secret.
            held |= hmac.compare_digest(expected, signature)
    if not held:
        raise CallbackRejected("webhook-signature is not by this secret, or the callback was changed on its way")


def _check_plain(body: bytes, sent: str, secrets: Sequence[str]) -> None:
    if not sent:
        raise CallbackRejected("the callback is not signed")
    held = False
    for secret in secrets:
        expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        held |= hmac.compare_digest(expected.encode(), sent.strip().lower().encode("utf-8", "replace"))
    if not held:
        raise CallbackRejected("X-Webhook-Signature is not by this secret, or the callback was changed on its way")


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        raise CallbackRejected("the secret is not whsec_ and base64: take it from GET /api/v1/webhook/secret") from None
