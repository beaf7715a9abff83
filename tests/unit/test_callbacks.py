"""What is signed and how, when a callback is tried again, and what an answer means."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from svix.webhooks import Webhook as SvixWebhook
from svix.webhooks import WebhookVerificationError as SvixVerificationError

from cavendish.domain.callbacks import (
    SCHEDULE_SECONDS,
    Posted,
    Verdict,
    cleaned,
    judge,
    retry_after_seconds,
    signed_headers,
)

NOW_MS = 1_700_000_000_000
OLD, NEW = (f"whsec_{base64.b64encode(bytes([number]) * 32).decode()}" for number in (1, 2))
BODY = '{"taskId":"task_x_1_0","failMsg":"引擎"}'.encode()


def signed(*secrets: str) -> dict[str, str]:
    now = int(datetime.now(UTC).timestamp())  # the packages refuse what is older than five minutes
    return signed_headers(BODY, webhook_id="msg_1", unix_seconds=now, secrets=secrets)


def after(status: int | None, *, failures: int = 0, roll: float = 0.5, **headers: str) -> Verdict:
    posted = Posted(0.1, status, {name.replace("_", "-"): value for name, value in headers.items()})
    return judge(posted, failures, roll=roll, now_ms=NOW_MS)


def test_both_packages_take_the_standard_signature() -> None:
    assert Webhook(NEW).verify(BODY, signed(NEW)) == json.loads(BODY)
    SvixWebhook(NEW).verify(BODY, signed(NEW))  # raises when it does not verify


def test_after_a_rotation_the_old_and_the_new_secret_verify() -> None:
    headers = signed(NEW, OLD)
    for secret in (OLD, NEW):
        assert Webhook(secret).verify(BODY, headers) == json.loads(BODY)
        SvixWebhook(secret).verify(BODY, headers)


def test_another_body_or_secret_is_not_verified() -> None:
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(BODY + b" ", signed(NEW))
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(BODY, signed(NEW))
    with pytest.raises(SvixVerificationError):
        SvixWebhook(OLD).verify(BODY, signed(NEW))


def test_the_plain_signature_is_keyed_with_the_newest_secret_as_it_is_shown() -> None:
    expected = hmac.new(NEW.encode(), BODY, hashlib.sha256).hexdigest()

    assert signed(NEW, OLD)["X-Webhook-Signature"] == expected


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_is_delivered(status: int) -> None:
    assert after(status) == Verdict("delivered")


def test_410_ends_it() -> None:
    assert after(410) == Verdict("gone")


@pytest.mark.parametrize("status", [None, 199, 301, 307, 400, 404, 429, 500, 503])
def test_everything_else_is_tried_again(status: int | None) -> None:
    assert after(status) == Verdict("pending", 5.0)


def test_the_waits_follow_the_schedule_and_then_it_failed() -> None:
    waits = [after(500, failures=n) for n in range(len(SCHEDULE_SECONDS) + 1)]

    assert [v.wait_seconds for v in waits[:-1]] == [5, 30, 120, 600, 1800, 7200, 21_600, 43_200, 86_400]
    assert waits[-1] == Verdict("failed")
    assert after(200, failures=9) == Verdict("delivered")


def test_waits_are_spread_by_a_fifth() -> None:
    assert after(500, failures=2, roll=0.0).wait_seconds == pytest.approx(96)
    assert after(500, failures=2, roll=0.999999).wait_seconds == pytest.approx(144, abs=0.01)


def test_retry_after_is_honoured_on_429_and_503_and_never_shortens_the_wait() -> None:
    assert after(429, retry_after="60").wait_seconds == 60
    assert after(503, retry_after="60").wait_seconds == 60
    assert after(500, retry_after="60").wait_seconds == 5
    assert after(429, retry_after="1").wait_seconds == 5


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("99999999999999999999", 86_400),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60),
        ("Tue, 14 Nov 2023 22:14:20 -0000", 60),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0),
        ("Tue, 14 Nov 2990 22:00:00 GMT", 86_400),
        ("-5", 0),
        ("soon", 0),
        ("", 0),
        ("٧", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_at_most_a_day(value: str, seconds: float) -> None:
    assert retry_after_seconds(value, NOW_MS) == seconds


def test_an_answer_is_kept_as_printable_text() -> None:
    assert cleaned("好\n".encode() + b"a\x00\x1b[31m\xff") == "好\na\ufffd\ufffd[31m\ufffd"
    assert len(cleaned(b"\xff" * 5000)) == 4096
    assert cleaned("错误\u3000参数\r\n\r".encode()) == "错误\u3000参数\n\ufffd"
