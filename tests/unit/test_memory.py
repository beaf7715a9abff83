"""The budget of bytes: never overdrawn, in order, and nothing is lost by those who go away."""

import asyncio
from contextlib import AsyncExitStack

from cavendish.flows.memory import ByteBudget


class Holder:
    """Takes a share and keeps it until told."""

    def __init__(self, budget: ByteBudget, wanted: int) -> None:
        self.has = asyncio.Event()
        self.done = asyncio.Event()
        self._budget, self._wanted = budget, wanted
        self.task = asyncio.create_task(self._hold())

    async def _hold(self) -> None:
        async with self._budget.taken(self._wanted):
            self.has.set()
            await self.done.wait()

    async def end(self) -> None:
        self.done.set()
        await self.task


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_finds_no_room_waits_in_order_and_nobody_smaller_overtakes() -> None:
    budget = ByteBudget(10)
    first, large, small, nothing = (Holder(budget, wanted) for wanted in (6, 8, 2, 0))
    await turns()
    assert [one.has.is_set() for one in (first, large, small, nothing)] == [True, False, False, True]
    await first.end()
    await turns()
    assert [one.has.is_set() for one in (large, small)] == [True, True]
    for one in (large, small, nothing):
        await one.end()


async def test_more_than_all_of_it_is_had_alone() -> None:
    budget = ByteBudget(10)
    small, huge, after = (Holder(budget, wanted) for wanted in (1, 500, 1))
    await turns()
    assert not huge.has.is_set()
    await small.end()
    await turns()
    assert (huge.has.is_set(), after.has.is_set()) == (True, False)
    await huge.end()
    await after.end()


async def test_what_is_not_needed_is_given_back_at_once() -> None:
    budget = ByteBudget(10)
    async with budget.taken(10) as share:
        other = Holder(budget, 7)
        share.shrink(3)
        share.shrink(5)  # a share never grows
        await turns()
        assert (share.held, other.has.is_set()) == (3, True)
        await other.end()
    async with budget.taken(10):
        pass


async def test_who_goes_away_takes_nothing_along() -> None:
    budget = ByteBudget(10)
    first, waits, given = (Holder(budget, wanted) for wanted in (10, 10, 10))
    await turns()
    waits.task.cancel()
    await turns()
    first.done.set()
    await first.task  # its share goes to the last one, which is canceled before it learns of that
    given.task.cancel()
    await asyncio.gather(waits.task, given.task, return_exceptions=True)
    async with AsyncExitStack() as stack, asyncio.timeout(5):
        await stack.enter_async_context(budget.taken(10))
