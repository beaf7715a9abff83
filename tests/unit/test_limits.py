"""What one key may do: exactly N creates in a minute, exactly M tasks in flight."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cavendish.domain.errors import RateLimited
from cavendish.domain.limits import IN_FLIGHT_RETRY_SECONDS, WINDOW_SECONDS, KeyLimits, KeyUsage, admit

WIDE = 10**6


def refusal(limits: KeyLimits, usage: KeyUsage) -> RateLimited:
    with pytest.raises(RateLimited) as refused:
        admit(limits, usage)
    return refused.value


def test_the_first_create_opens_a_window() -> None:
    assert admit(KeyLimits(5, 5), KeyUsage(None, 0, 0)) == KeyUsage(0.0, 1, 1)


def test_within_the_window_creates_add_up() -> None:
    assert admit(KeyLimits(5, 5), KeyUsage(12.5, 3, 2)) == KeyUsage(12.5, 4, 3)


@pytest.mark.parametrize("age", [WINDOW_SECONDS, WINDOW_SECONDS + 0.001, 1e9])
def test_after_a_minute_a_new_window_opens(age: float) -> None:
    assert admit(KeyLimits(5, 5), KeyUsage(age, 5, 0)) == KeyUsage(0.0, 1, 1)


def test_just_before_the_minute_is_over_the_old_window_counts() -> None:
    assert refusal(KeyLimits(5, 5), KeyUsage(WINDOW_SECONDS - 0.001, 5, 0)).retry_after_seconds == 1


@pytest.mark.parametrize(
    ("age", "seconds"), [(0.0, 60), (0.001, 60), (0.999, 60), (1.0, 59), (30.0, 30), (30.5, 30), (59.0, 1), (59.999, 1)]
)
def test_try_again_when_the_window_closes_and_not_before(age: float, seconds: int) -> None:
    error = refusal(KeyLimits(1, WIDE), KeyUsage(age, 1, 0))

    assert error.retry_after_seconds == seconds
    assert age + error.retry_after_seconds >= WINDOW_SECONDS


def test_the_refusal_says_which_limit_and_how_much_in_both_languages() -> None:
    error = refusal(KeyLimits(7, WIDE), KeyUsage(10.0, 7, 0))

    assert "7 tasks per minute" in error.text.en
    assert "7" in error.text.zh
    assert "50 s" in error.text.en
    assert (error.policy.quota, error.policy.window_seconds) == (7, 60)


def test_a_full_flight_is_refused_and_to_be_asked_again_soon() -> None:
    error = refusal(KeyLimits(WIDE, 4), KeyUsage(1.0, 1, 4))

    assert error.retry_after_seconds == IN_FLIGHT_RETRY_SECONDS == 1
    assert "4 unfinished tasks" in error.text.en
    assert (error.policy.quota, error.policy.window_seconds) == (4, None)


def test_one_place_left_in_flight_is_enough() -> None:
    assert admit(KeyLimits(WIDE, 4), KeyUsage(1.0, 1, 3)).in_flight == 4


def test_with_both_limits_reached_the_longer_wait_is_told() -> None:
    assert refusal(KeyLimits(5, 5), KeyUsage(10.0, 5, 5)).retry_after_seconds == 50


def test_a_new_window_does_not_empty_the_flight() -> None:
    refusal(KeyLimits(5, 5), KeyUsage(WINDOW_SECONDS, 5, 5))


@given(st.integers(1, 50), st.lists(st.floats(0, 10), min_size=1, max_size=120))
def test_no_window_ever_holds_more_than_the_limit(limit: int, gaps: list[float]) -> None:
    limits, usage, now = KeyLimits(limit, WIDE), KeyUsage(None, 0, 0), 0.0
    opened, accepted = 0.0, 0
    for gap in gaps:
        now += gap
        if usage.window_age_seconds is not None:
            usage = KeyUsage(now - opened, usage.window_creates, 0)
        try:
            usage = admit(limits, usage)
        except RateLimited:
            assert accepted == limit
            continue
        if usage.window_creates == 1:
            opened, accepted = now, 0
        accepted += 1
        assert accepted <= limit
