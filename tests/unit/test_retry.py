"""Waits between tries: exponential, bounded, spread."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cavendish.domain.retry import Backoff

MIDDLE = 0.5
ROLLS = st.floats(0, 1, exclude_max=True)
BACKOFFS = st.builds(Backoff, st.floats(0.001, 10), st.floats(10, 1000), st.floats(0, 1))


def test_waits_double_up_to_the_most() -> None:
    backoff = Backoff(first_seconds=0.1, most_seconds=2.0)
    waits = [backoff.wait_seconds(failures, MIDDLE) for failures in range(1, 8)]

    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0])


@pytest.mark.parametrize(("roll", "factor"), [(0.0, 0.8), (0.25, 0.9), (0.5, 1.0), (0.75, 1.1), (0.999999, 1.2)])
def test_the_roll_spreads_a_wait_by_a_fifth_either_way(roll: float, factor: float) -> None:
    assert Backoff(10, 10).wait_seconds(1, roll) == pytest.approx(10 * factor, rel=1e-5)


def test_without_jitter_the_roll_does_not_matter() -> None:
    backoff = Backoff(1, 100, jitter=0)

    assert backoff.wait_seconds(3, 0.0) == backoff.wait_seconds(3, 0.9) == 4


@given(BACKOFFS, st.integers(1, 10**9), ROLLS)
def test_no_wait_leaves_its_bounds_however_many_failures(backoff: Backoff, failures: int, roll: float) -> None:
    wait = backoff.wait_seconds(failures, roll)

    assert backoff.first_seconds * (1 - backoff.jitter) <= wait * (1 + 1e-9)
    assert wait <= backoff.most_seconds * (1 + backoff.jitter) * (1 + 1e-9)


@given(BACKOFFS, st.integers(1, 100), ROLLS)
def test_a_further_failure_never_shortens_the_wait(backoff: Backoff, failures: int, roll: float) -> None:
    assert backoff.wait_seconds(failures, roll) <= backoff.wait_seconds(failures + 1, roll)


@given(BACKOFFS, st.integers(1, 100), ROLLS, ROLLS)
def test_a_larger_roll_never_shortens_the_wait(backoff: Backoff, failures: int, one: float, two: float) -> None:
    small, large = sorted((one, two))

    assert backoff.wait_seconds(failures, small) <= backoff.wait_seconds(failures, large)


@pytest.mark.parametrize(("failures", "roll"), [(0, 0.5), (-1, 0.5), (1, 1.0), (1, -0.1)])
def test_questions_without_sense_are_refused(failures: int, roll: float) -> None:
    with pytest.raises(AssertionError):
        Backoff(1, 2).wait_seconds(failures, roll)
