"""The table of outcomes: complete against the vendor's enums, and each row as the contract says."""

from typing import get_args

import pytest
from google.genai import types

from cavendish.domain.text import Text
from cavendish.engines.gemini import outcomes
from cavendish.engines.gemini.answer import Picture, Reading, read_answer, read_refusal
from cavendish.engines.gemini.outcomes import Decision, Fault, Verdict
from tests.google import blocked, envelope

REJECTED = (
    "SAFETY", "IMAGE_SAFETY", "PROHIBITED_CONTENT", "IMAGE_PROHIBITED_CONTENT", "RECITATION", "IMAGE_RECITATION",
    "BLOCKLIST", "SPII",
)  # fmt: skip


def every_verdict() -> list[Verdict]:
    tables = (
        outcomes.FINISH_REASONS,
        outcomes.BLOCK_REASONS,
        outcomes.STATUSES,
        outcomes.STATUS_CLASSES,
        outcomes.FAULTS,
    )
    single = (outcomes.NO_KEY_LEFT, outcomes.NO_MODEL_LEFT, outcomes.STILL_WAITING, outcomes.STILL_SILENT)
    return [*(verdict for table in tables for verdict in table.values()), *single, outcomes.BAD_INPUT]


def test_every_finish_reason_of_the_vendor_has_a_row_and_no_other_has() -> None:
    assert set(outcomes.FINISH_REASONS) == {reason.value for reason in types.FinishReason}


def test_every_block_reason_of_the_vendor_has_a_row_and_no_other_has() -> None:
    assert set(outcomes.BLOCK_REASONS) == {reason.value for reason in types.BlockedReason}


def test_every_fault_has_a_row() -> None:
    assert set(outcomes.FAULTS) == set(get_args(Fault))


@pytest.mark.parametrize("reason", REJECTED)
def test_a_safety_block_is_content_rejected_and_not_tried_again(reason: str) -> None:
    verdict = outcomes.of_finish(reason)

    assert (verdict.code, verdict.decision) == ("content_rejected", "give_up")


@pytest.mark.parametrize("reason", ["NO_IMAGE", "IMAGE_OTHER", "OTHER", "MAX_TOKENS", "STOP"])
def test_an_answer_without_a_picture_is_tried_again_a_few_times(reason: str) -> None:
    verdict = outcomes.of_finish(reason)

    assert (verdict.code, verdict.decision) == ("no_image", "retry")
    assert 2 <= verdict.most_tries <= outcomes.MOST_TRIES


@pytest.mark.parametrize("reason", [*(r.value for r in types.BlockedReason), "A_REASON_OF_TOMORROW"])
def test_any_block_reason_is_content_rejected(reason: str) -> None:
    reading = read_answer(_json(blocked(reason)), [], "gemini-2.5-flash-image")

    assert isinstance(reading, Reading)
    assert isinstance(reading.ended, Verdict)
    assert (reading.ended.code, reading.ended.decision) == ("content_rejected", "give_up")


@pytest.mark.parametrize(
    ("status", "code", "decision"),
    [
        (400, "engine_error", "give_up"),
        (401, "engine_error", "next_key"),
        (403, "engine_error", "next_key"),
        (404, "engine_error", "next_model"),
        (408, "timeout", "retry"),
        (413, "bad_input_image", "give_up"),
        (418, "engine_error", "give_up"),
        (429, "engine_busy", "next_key"),
        (302, "engine_error", "give_up"),
        (500, "engine_error", "retry"),
        (503, "engine_busy", "retry"),
        (504, "timeout", "retry"),
        (599, "engine_error", "retry"),
    ],
)
def test_a_status_means_what_the_contract_says(status: int, code: str, decision: Decision) -> None:
    verdict = outcomes.of_status(status)

    assert (verdict.code, verdict.decision) == (code, decision)


def test_every_status_that_there_is_has_a_meaning() -> None:
    assert {outcomes.of_status(status).code for status in range(100, 1000)} <= {
        "engine_error", "engine_busy", "timeout", "bad_input_image",
    }  # fmt: skip


def test_every_sentence_is_there_in_both_languages_and_names_no_vendor_word() -> None:
    for verdict in every_verdict():
        text = verdict.text
        assert isinstance(text, Text)
        assert len(text.en) > 20
        assert len(text.zh) > 8
        assert not any(word in text.en for word in ("Google", "Gemini", "http", "API", "finishReason"))


def test_a_wrong_key_of_ai_studio_is_known_although_it_is_answered_with_400() -> None:
    body = _json(
        envelope(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", reason="API_KEY_INVALID")
    )

    assert read_refusal(400, body).verdict == outcomes.KEY_REFUSED


@pytest.mark.parametrize(
    ("message", "with_images", "code"),
    [
        ("Unable to process input image. Please retry or report in troubleshooting", True, "bad_input_image"),
        ("Provided image is not valid.", True, "bad_input_image"),
        ("Unable to process input image.", False, "engine_error"),
        ('Invalid JSON payload received. Unknown name "imageSise"', True, "engine_error"),
    ],
)  # fmt: skip
def test_a_400_about_an_input_image_is_the_caller_s_to_mend(message: str, with_images: bool, code: str) -> None:
    refusal = read_refusal(400, _json(envelope(400, "INVALID_ARGUMENT", message)), with_images=with_images)

    assert refusal.verdict.code == code


@pytest.mark.parametrize(
    ("delay", "header", "seconds"), [("7s", None, 7.0), ("1.5s", "1", 1.5), (None, "30", 30.0), (None, "soon", None)]
)
def test_how_long_to_wait_is_read_from_the_body_and_from_the_header(
    delay: str | None, header: str | None, seconds: float | None
) -> None:
    body = _json(envelope(429, "RESOURCE_EXHAUSTED", "quota", retry_delay=delay))

    assert read_refusal(429, body, header).retry_seconds == seconds


def test_the_quota_of_the_day_is_told_from_that_of_the_minute() -> None:
    def daily(quota_id: str) -> bool:
        return read_refusal(429, _json(envelope(429, "RESOURCE_EXHAUSTED", "quota", quota_id=quota_id))).daily

    assert daily("GenerateRequestsPerDayPerProjectPerModel")
    assert not daily("GenerateRequestsPerMinutePerProjectPerModel")


@pytest.mark.parametrize(
    "body", [b"", b"<html>Bad gateway</html>", b"[]", b"[1]", b'{"error": "x"}', b"\xff\xfe", b"null"]
)
def test_a_refusal_without_an_envelope_is_judged_by_its_status(body: bytes) -> None:
    assert read_refusal(502, body).verdict == outcomes.of_status(502)


def test_an_envelope_in_a_list_is_read_as_well() -> None:
    body = b"[" + _json(envelope(429, "RESOURCE_EXHAUSTED", "quota", retry_delay="9s")) + b"]"

    assert read_refusal(429, body).retry_seconds == 9.0


def test_a_key_that_a_refusal_repeats_is_taken_out_of_what_is_logged() -> None:
    secret = "s3cret-key-0123456789"
    said = read_refusal(
        403, _json(envelope(403, "PERMISSION_DENIED", f"Consumer 'api_key:{secret}' has been suspended")), secret=secret
    ).said
    other = read_refusal(
        403, _json(envelope(403, "X", "see https://x/y?key=abcdefgh123 and AIzaSyA1234567890abc"))
    ).said

    assert secret not in said
    assert "suspended" in said
    assert "abcdefgh123" not in other
    assert "AIza" not in other


def test_a_picture_counts_whatever_comes_beside_it() -> None:
    reading = read_answer(
        b'{"candidates":[{"content":{"parts":[{"inlineData":{"data":"#0"}}]}}]}', [b"\xff\xd8\xff-"], "m"
    )

    assert reading.ended == Picture(b"\xff\xd8\xff-")


def _json(value: object) -> bytes:
    import msgspec

    return msgspec.json.encode(value)
