"""Calls that gather while a flush is under way share the next one, and each gets its own answer."""

import asyncio
from collections.abc import Awaitable, Sequence

import pytest

from cavendish.blobs.objects import storage_overloaded
from cavendish.domain.errors import BlobsUnavailable, StoreUnavailable
from cavendish.group_commit import GroupCommit


class Flushes:
    """A flush that answers twice the item, and can be held at its beginning."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, items: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(items))
        await self.open.wait()
        return [ValueError(str(item)) if item < 0 else 2 * item for item in items]


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def answers(*calls: Awaitable[int]) -> list[int]:
    return list(await asyncio.gather(*calls))


async def test_each_caller_gets_the_answer_to_its_own_item() -> None:
    group = GroupCommit(Flushes())
    assert await asyncio.gather(*map(group, range(1000))) == [2 * item for item in range(1000)]


async def test_calls_of_the_same_moment_share_one_flush() -> None:
    flushes = Flushes()
    await asyncio.gather(*map(GroupCommit(flushes), range(50)))
    assert flushes.batches == [list(range(50))]


async def test_calls_that_come_during_a_flush_share_the_next_one_in_order() -> None:
    flushes = Flushes()
    flushes.open.clear()
    group = GroupCommit(flushes)
    first = asyncio.create_task(group(0))
    await turns()
    others = [asyncio.create_task(group(item)) for item in range(1, 9)]
    await turns()
    assert flushes.batches == [[0]]
    flushes.open.set()
    assert await answers(first, *others) == [2 * item for item in range(9)]
    assert flushes.batches == [[0], list(range(1, 9))]


async def test_no_batch_is_larger_than_its_bound() -> None:
    flushes = Flushes()
    await asyncio.gather(*map(GroupCommit(flushes, max_batch=4), range(10)))
    assert flushes.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


async def test_several_flushers_work_at_once() -> None:
    flushes = Flushes()
    flushes.open.clear()
    group = GroupCommit(flushes, max_batch=1, flushers=2)
    calls = [asyncio.create_task(group(item)) for item in range(5)]
    await turns()
    assert flushes.batches == [[0], [1]]
    flushes.open.set()
    assert await answers(*calls) == [0, 2, 4, 6, 8]


async def test_an_error_for_one_item_is_not_its_neighbours() -> None:
    group = GroupCommit(Flushes())
    results = await asyncio.gather(*map(group, [1, -2, 3]), return_exceptions=True)
    assert results[0] == 2
    assert isinstance(results[1], ValueError)
    assert results[2] == 6


async def test_a_flush_that_raises_is_told_to_its_whole_batch_and_the_next_one_goes_on() -> None:
    failing = True

    async def flush(items: Sequence[int]) -> list[int | Exception]:
        if failing:
            raise ConnectionError("gone")
        return list(items)

    group = GroupCommit(flush)
    results = await asyncio.gather(*map(group, range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionError] * 3
    failing = False
    assert await group(7) == 7


async def test_a_caller_that_hung_up_before_its_turn_is_left_out() -> None:
    flushes = Flushes()
    flushes.open.clear()
    group = GroupCommit(flushes)
    calls = [asyncio.create_task(group(item)) for item in range(3)]
    await turns()
    late = [asyncio.create_task(group(item)) for item in (10, 11, 12)]
    await turns()
    late[1].cancel()
    await turns()
    flushes.open.set()
    assert await answers(*calls, late[0], late[2]) == [0, 2, 4, 20, 24]
    assert flushes.batches == [[0, 1, 2], [10, 12]]
    assert late[1].cancelled()


async def test_a_caller_that_hangs_up_during_the_flush_disturbs_nobody() -> None:
    flushes = Flushes()
    flushes.open.clear()
    group = GroupCommit(flushes)
    calls = [asyncio.create_task(group(item)) for item in range(3)]
    await turns()
    calls[1].cancel()
    await turns()
    flushes.open.set()
    assert await answers(calls[0], calls[2]) == [0, 4]
    assert calls[1].cancelled()
    assert await answers(group(5)) == [10]


async def test_when_all_that_waited_hung_up_nothing_is_flushed_and_the_next_call_is() -> None:
    flushes = Flushes()
    flushes.open.clear()
    group = GroupCommit(flushes)
    first = asyncio.create_task(group(1))
    await turns()
    second = asyncio.create_task(group(2))
    await turns()
    second.cancel()
    await turns()
    flushes.open.set()
    assert await answers(first) == [2]
    assert await answers(group(3)) == [6]
    assert flushes.batches == [[1], [3]]


async def test_more_than_the_bound_may_not_wait() -> None:
    flushes = Flushes()
    flushes.open.clear()
    group = GroupCommit(flushes, max_batch=2, max_waiting=3)
    calls = [asyncio.create_task(group(item)) for item in range(2)]
    await turns()
    calls += [asyncio.create_task(group(item)) for item in range(2, 5)]
    await turns()
    with pytest.raises(StoreUnavailable, match="3 writes wait"):
        await group(9)
    flushes.open.set()
    assert await answers(*calls) == [0, 2, 4, 6, 8]
    assert await answers(group(9)) == [18]


async def test_the_bound_of_another_room_is_told_in_its_words() -> None:
    flushes = Flushes()
    flushes.open.clear()
    group = GroupCommit(flushes, max_batch=1, max_waiting=1, overload=storage_overloaded)
    calls = [asyncio.create_task(group(1))]
    await turns()
    calls.append(asyncio.create_task(group(2)))
    await turns()
    with pytest.raises(BlobsUnavailable, match="wait for the storage"):
        await group(3)
    flushes.open.set()
    assert await answers(*calls) == [2, 4]


async def test_a_call_right_after_an_answer_is_flushed_too() -> None:
    group = GroupCommit(Flushes())
    assert await group(1) == 2
    async with asyncio.timeout(0.5):
        assert await group(2) == 4


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_flush_that_answers_too_few_is_an_error_for_its_callers() -> None:
    async def flush(items: Sequence[int]) -> list[int | Exception]:
        return [*items[1:]]

    group = GroupCommit(flush)
    calls = [asyncio.create_task(group(item)) for item in range(2)]
    done, hanging = await asyncio.wait(calls, timeout=0.5)
    if hanging:
        for call in hanging:
            call.cancel()
        raise TimeoutError
    assert all(isinstance(call.exception(), Exception) for call in done)
