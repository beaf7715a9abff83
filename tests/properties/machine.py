"""The real store and its model side by side: every action is done to both, and both must agree after every step."""

import asyncio
import itertools
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any, ClassVar, TypeVar

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant

from cavendish.clock import SystemClock
from cavendish.domain.credits import Balance, Entry, EntryKind, replay
from cavendish.domain.errors import CavendishError, LeaseLost
from cavendish.domain.limits import KeyLimits
from cavendish.domain.orders import Accepted, Caller, Work
from cavendish.domain.tasks import TERMINAL, TaskId
from cavendish.flows.work import INTERNAL
from cavendish.store.accounts import PgAccounts
from cavendish.store.database import Database
from cavendish.store.orders import PgTaskOrders
from cavendish.store.queue import PgWorkQueue
from tests.properties.model import Model
from tests.properties.world import PICTURE, REFUSED, ended, expire, new_caller, order

T = TypeVar("T")
TTL = 3600.0
IN_FLIGHT_LIMIT = 5

WHICH = st.integers(min_value=0, max_value=1000)
"""A choice among what is there, however much that is."""

_numbers = itertools.count()


def weighted(**weights: int) -> st.SearchStrategy[str]:
    """One of these events, each as often as its weight says.

    Events of one rule rather than rules: Hypothesis would leave out some rules altogether in most examples, and a
    history without orders or claims proves nothing.
    """
    return st.sampled_from([event for event, weight in weights.items() for _ in range(weight)])


BOOKS = """
SELECT json_build_object(
  'accounts', (SELECT json_agg(json_build_array(id, available, held, charged, granted))
               FROM accounts WHERE id = ANY($1)),
  'keys', (SELECT json_agg(json_build_array(id, in_flight)) FROM api_keys WHERE account_id = ANY($1)),
  'entries', (SELECT coalesce(json_agg(json_build_array(account_id, task_id, kind, amount) ORDER BY id), '[]')
              FROM credit_entries WHERE account_id = ANY($1)),
  'tasks', (SELECT coalesce(json_agg(json_build_array(id, state, lease_token, attempt, faults, cancel_requested)), '[]')
            FROM tasks WHERE account_id = ANY($1))
) AS books
"""


class _Books(msgspec.Struct):
    """What the database holds for an example's accounts."""

    accounts: list[tuple[int, int, int, int, int]]
    keys: list[tuple[int, int]]
    entries: list[tuple[int, str | None, EntryKind, int]]
    tasks: list[tuple[str, str, str | None, int, int, bool]]


class StoreMachine(RuleBasedStateMachine):
    """Actions for the rules of its subclasses. Each example has accounts and an event loop of its own."""

    dsn: ClassVar[str]
    accounts: ClassVar[int] = 1

    @classmethod
    def over(cls, dsn: str) -> type[RuleBasedStateMachine]:
        """This machine on that database."""
        return type(cls.__name__, (cls,), {"dsn": dsn})

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self.stack = AsyncExitStack()
        self.database = self.run(self.stack.enter_async_context(Database.open(self.dsn, max_connections=2)))
        self.queue = PgWorkQueue(self.database)
        self.orders = PgTaskOrders(self.database, SystemClock())
        self.works: list[Work] = []
        """All that was ever claimed, in order."""
        row = self.run(self.database.fetchrow("SELECT last_value FROM queue_turn"))
        assert row is not None
        self.model = Model(row["last_value"], IN_FLIGHT_LIMIT)
        self.callers = [self._new_caller() for _ in range(self.accounts)]

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        """Run to the end on this example's loop."""
        return self.runner.run(doing)

    def _new_caller(self) -> Caller:
        limits = KeyLimits(creates_per_minute=1_000_000, in_flight=IN_FLIGHT_LIMIT)
        caller = self.run(new_caller(self.database, f"account {next(_numbers)}", granted=0, limits=limits))
        self.model.add(caller)
        return caller

    def grant(self, caller: Caller, amount: int) -> None:
        """Credits for an account."""
        self.run(PgAccounts(self.database).grant(caller.account, amount))
        self.model.grant(caller.account_id, amount)

    def submit(self, caller: Caller, prices: Sequence[int]) -> None:
        """Creates of one moment."""
        results = self.run(self._gather([self.orders.create(order(caller, price)) for price in prices]))
        for price, result in zip(prices, results, strict=True):
            assert type(result).__name__ == self.model.admit(caller, price)
            if isinstance(result, Accepted):
                self.model.take_turn(caller)
                self.model.enqueue(caller, price, result.task_id)

    def begin_lease(self, worker: str) -> str:
        """A new term."""
        token = self.run(self.queue.begin_lease(worker, TTL))
        self.model.leases[token] = True
        return token

    def claim(self, token: str, limit: int) -> list[Work]:
        """The works that a claim gives."""
        works = self.run(self.queue.claim(token, limit))
        assert [work.id for work in works] == self.model.claim(token, limit)
        for work in works:
            task = self.model.tasks[work.id]
            assert (work.attempt, work.faults) == (task.attempt, task.faults)
            assert (work.cancel_requested, work.lease_token) == (task.cancel_requested, token)
        self.works += works
        return works

    def renew(self, token: str) -> bool:
        """Whether the term goes on."""
        renewed = self.succeeds(self.queue.renew_lease(token, TTL))
        assert renewed == self.model.leases[token]
        return renewed

    def expire(self, token: str) -> None:
        """The term is over."""
        self.run(expire(self.database, token))
        self.model.leases[token] = False

    def finish(self, work: Work, *, success: bool) -> None:
        """A holder, or one that was, brings an outcome."""
        finished = self.succeeds(self.queue.finish(ended(work, PICTURE if success else REFUSED)))
        assert finished == self.model.finish(work, success=success)

    def sweep(self) -> None:
        """One pass of the sweeper."""
        requeued = self.run(self.queue.requeue_lost())
        failed = self.run(self.queue.fail_exhausted(INTERNAL))
        assert (requeued, failed) == self.model.sweep()
        self.run(self.queue.drop_ended_leases())

    def cancel(self, caller: Caller, task_id: TaskId) -> None:
        """The owner, or a stranger, gives a task up."""
        before = self.run(self.queue.cancel(caller.account_id, task_id))
        if self.model.tasks[task_id].caller.account_id == caller.account_id:
            assert before == self.model.cancel(task_id)
        else:
            assert before is None

    def succeeds(self, doing: Coroutine[Any, Any, object]) -> bool:
        """Whether it was done, rather than refused for a lost lease."""
        try:
            self.run(doing)
        except LeaseLost:
            return False
        return True

    @staticmethod
    async def _gather(doing: Sequence[Coroutine[Any, Any, Accepted]]) -> list[Accepted | BaseException]:
        results = await asyncio.gather(*doing, return_exceptions=True)
        assert all(isinstance(result, Accepted | CavendishError) for result in results), results
        return results

    @invariant()
    def the_store_is_as_the_model_has_it(self) -> None:
        """Totals and their proof, counters, tasks: none is lost, each has one holder at most and its due entries."""
        books = self.run(self._books())
        assert {account: Balance(*totals) for account, *totals in books.accounts} == self.model.balances
        assert dict(books.keys) == self.model.in_flight
        entries = [(account, task_id, Entry(kind, amount)) for account, task_id, kind, amount in books.entries]
        for account_id, balance in self.model.balances.items():
            assert replay(entry for account, _, entry in entries if account == account_id) == balance
        for key_id, in_flight in self.model.in_flight.items():
            mine = [task for task in self.model.tasks.values() if task.caller.key_id == key_id]
            assert sum(task.state not in TERMINAL for task in mine) == in_flight
        assert {task_id: tuple(fields) for task_id, *fields in books.tasks} == {
            task.id: (task.state, task.token, task.attempt, task.faults, task.cancel_requested)
            for task in self.model.tasks.values()
        }
        found: dict[str, list[Entry]] = {}
        for _, task_id, entry in entries:
            if task_id is not None:
                found.setdefault(task_id, []).append(entry)
        assert found == {
            task.id: [Entry("hold", task.price)]
            + [Entry("settle", task.price)] * (task.state == "success")
            + [Entry("release", task.price)] * (task.state == "fail")
            for task in self.model.tasks.values()
        }

    async def _books(self) -> _Books:
        row = await self.database.fetchrow(BOOKS, list(self.model.balances))
        assert row is not None
        return msgspec.json.decode(row["books"], type=_Books)

    def teardown(self) -> None:
        """Leave nothing for the next example to claim; the ledger stays, as it must."""
        self.run(self.database.fetch("DELETE FROM tasks"))
        self.run(self.database.fetch("DELETE FROM leases"))
        self.run(self.stack.aclose())
        self.runner.close()
