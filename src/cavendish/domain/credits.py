"""Exact credits: integers that move between four totals and are never edited, only added to.

For every account, always: available + held + charged = granted, and nothing is below zero. The database states the
same as CHECK constraints; `replay` proves an account's totals from its append-only entries.
"""

from collections.abc import Iterable
from typing import Literal, assert_never

import msgspec

from cavendish.domain.errors import InsufficientCredits

EntryKind = Literal["grant", "hold", "settle", "release"]


class Balance(msgspec.Struct, frozen=True):
    """An account's four totals, in credits."""

    available: int = 0
    held: int = 0
    charged: int = 0
    granted: int = 0

    def __post_init__(self) -> None:
        assert min(self.available, self.held, self.charged, self.granted) >= 0, f"a total below zero: {self}"
        assert self.available + self.held + self.charged == self.granted, f"totals do not add up: {self}"


class Entry(msgspec.Struct, frozen=True):
    """One line of the ledger. `amount` is in credits, 0 or more."""

    kind: EntryKind
    amount: int


def grant(balance: Balance, amount: int) -> Balance:
    """Add credits to the account."""
    return Balance(balance.available + amount, balance.held, balance.charged, balance.granted + amount)


def hold(balance: Balance, amount: int) -> Balance:
    """Set a task's price aside.

    Raises:
        InsufficientCredits: fewer available than `amount`; nothing changed.
    """
    if amount > balance.available:
        raise InsufficientCredits(needed=amount, available=balance.available)
    return Balance(balance.available - amount, balance.held + amount, balance.charged, balance.granted)


def settle(balance: Balance, amount: int) -> Balance:
    """The held price of a task is charged: it ended in success."""
    return Balance(balance.available, balance.held - amount, balance.charged + amount, balance.granted)


def release(balance: Balance, amount: int) -> Balance:
    """The held price of a task goes back in full: it failed."""
    return Balance(balance.available + amount, balance.held - amount, balance.charged, balance.granted)


def replay(entries: Iterable[Entry]) -> Balance:
    """The balance that these entries, in order, must have led to."""
    balance = Balance()
    for entry in entries:
        match entry.kind:
            case "grant":
                balance = grant(balance, entry.amount)
            case "hold":
                balance = hold(balance, entry.amount)
            case "settle":
                balance = settle(balance, entry.amount)
            case "release":
                balance = release(balance, entry.amount)
            case _:
                assert_never(entry.kind)
    return balance
