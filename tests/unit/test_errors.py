"""The error tree: codes, languages, and where another engine may step in."""

from typing import get_args

import pytest

from cavendish.domain.errors import (
    CavendishError,
    FailCode,
    InsufficientCredits,
    InvalidRequest,
    LimitPolicy,
    Problem,
    RateLimited,
    RequestError,
    another_may_serve,
)
from cavendish.domain.text import Text, shortened

CODES: tuple[FailCode, ...] = get_args(FailCode)


def test_the_failure_words_are_those_of_the_contract() -> None:
    assert set(CODES) == {
        "content_rejected",
        "no_image",
        "bad_input_image",
        "engine_busy",
        "engine_error",
        "timeout",
        "canceled",
        "internal",
    }


@pytest.mark.parametrize("code", CODES)
def test_another_engine_steps_in_only_where_the_first_was_at_fault(code: FailCode) -> None:
    assert another_may_serve(code) == (code in ("engine_busy", "engine_error", "timeout"))


def test_an_unknown_word_is_never_answered_silently() -> None:
    with pytest.raises(AssertionError):
        another_may_serve("melted")  # type: ignore[arg-type]  # what a newer database row could hold


def test_every_wrong_field_is_named_once_in_order() -> None:
    error = InvalidRequest(
        [
            Problem("input.prompt", Text(en="must not be blank", zh="不能为空白")),
            Problem("", Text(en="the rest is wrong too", zh="其余也有误")),
        ]
    )

    assert error.text.en == "input.prompt: must not be blank; the rest is wrong too"
    assert error.text.zh == "input.prompt：不能为空白；其余也有误"
    assert str(error) == error.text.en


def test_missing_credits_are_told_in_both_languages_whoever_asks() -> None:
    error = InsufficientCredits(needed=3, available=2)

    assert error.text.en == error.text.zh
    assert "Insufficient credits" in error.text.en
    assert "积分不足" in error.text.en
    assert (error.needed, error.available) == (3, 2)


@pytest.mark.parametrize(("asked", "told"), [(-5, 1), (0, 1), (1, 1), (59, 59)])
def test_try_again_is_never_sooner_than_a_second(asked: int, told: int) -> None:
    error = RateLimited(Text(en="slow down", zh="请放慢"), asked, LimitPolicy("creates", 1, 60))

    assert error.retry_after_seconds == told


def test_every_error_on_purpose_has_one_root() -> None:
    assert issubclass(RequestError, CavendishError)
    assert not issubclass(CavendishError, ValueError)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("cat", '"cat"'),
        ("", '""'),
        ("x" * 60, f'"{"x" * 60}"'),
        ("x" * 61, f'"{"x" * 60}…"'),
        ("a\0b\nc\x1b[0m", '"a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c\N{REPLACEMENT CHARACTER}[0m"'),
        ("a\u202eb", '"a\N{REPLACEMENT CHARACTER}b"'),
        ("\ud800", '"\N{REPLACEMENT CHARACTER}"'),
        (7, "7"),
        (1.5, "1.5"),
        (True, "true"),
        (None, "null"),
        ({"a": [None, "x"]}, '{"a":[null,"x"]}'),
        ([1] * 100, "[" + ("1," * 30)[:59]),
    ],
)
def test_a_value_is_shown_short_and_printable(value: object, shown: str) -> None:
    assert shortened(value) == shown
