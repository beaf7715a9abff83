"""Credits: exact integers; whatever happens in whatever order, the four totals add up."""

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cavendish.domain.credits import Balance, Entry, EntryKind, grant, hold, release, replay, settle
from cavendish.domain.errors import InsufficientCredits

AMOUNTS = st.integers(0, 10**12)
KINDS: st.SearchStrategy[EntryKind] = st.sampled_from(["grant", "hold", "settle", "release"])
VERBS: dict[EntryKind, Callable[[Balance, int], Balance]] = {
    "grant": grant,
    "hold": hold,
    "settle": settle,
    "release": release,
}


def test_a_task_that_succeeds_is_charged() -> None:
    balance = settle(hold(grant(Balance(), 10), 3), 3)

    assert balance == Balance(available=7, held=0, charged=3, granted=10)


def test_a_task_that_fails_costs_nothing() -> None:
    balance = release(hold(grant(Balance(), 10), 3), 3)

    assert balance == grant(Balance(), 10)


def test_all_can_be_held_but_not_one_more() -> None:
    balance = hold(grant(Balance(), 3), 3)
    assert balance.available == 0
    with pytest.raises(InsufficientCredits) as refused:
        hold(balance, 1)

    assert (refused.value.needed, refused.value.available) == (1, 0)


def test_a_price_of_nothing_can_be_held_with_nothing() -> None:
    assert hold(Balance(), 0) == Balance()


@pytest.mark.parametrize("totals", [(-1, 0, 0, -1), (0, -1, 1, 0), (1, 0, 0, 0), (0, 0, 0, 1), (1, 1, 1, 2)])
def test_totals_that_do_not_add_up_cannot_be_written_down(totals: tuple[int, int, int, int]) -> None:
    with pytest.raises(AssertionError, match="total"):
        Balance(*totals)


@pytest.mark.parametrize("verb", [settle, release])
def test_what_was_never_held_can_be_neither_charged_nor_given_back(verb: Callable[[Balance, int], Balance]) -> None:
    with pytest.raises(AssertionError, match="below zero"):
        verb(grant(Balance(), 10), 1)


@given(st.lists(st.tuples(KINDS, AMOUNTS), max_size=30))
def test_whatever_is_tried_the_totals_add_up_and_the_entries_prove_them(tries: list[tuple[EntryKind, int]]) -> None:
    balance, entries = Balance(), []
    for kind, amount in tries:
        with contextlib.suppress(InsufficientCredits, AssertionError):
            balance = VERBS[kind](balance, amount)
            entries.append(Entry(kind, amount))

    assert balance.available + balance.held + balance.charged == balance.granted
    assert min(balance.available, balance.held, balance.charged) >= 0
    assert replay(entries) == balance


@given(st.integers(0, 100), st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=20))
def test_tasks_are_charged_exactly_for_those_that_succeed(credits: int, tasks: list[tuple[int, bool]]) -> None:  # noqa: A002
    balance = grant(Balance(), credits)
    taken: list[tuple[int, bool]] = []
    for price, succeeds in tasks:
        with contextlib.suppress(InsufficientCredits):
            balance = hold(balance, price)
            taken.append((price, succeeds))
    assert balance.held == sum(price for price, _ in taken)
    for price, succeeds in reversed(taken):
        balance = settle(balance, price) if succeeds else release(balance, price)

    assert balance.held == 0
    assert balance.charged == sum(price for price, succeeds in taken if succeeds)
    assert balance.available == credits - balance.charged


def test_entries_that_could_not_have_happened_are_not_replayed() -> None:
    with pytest.raises(InsufficientCredits):
        replay([Entry("grant", 2), Entry("hold", 3)])
    with pytest.raises(AssertionError):
        replay([Entry("settle", 1)])


def test_no_entries_are_an_empty_account() -> None:
    assert replay([]) == Balance()
