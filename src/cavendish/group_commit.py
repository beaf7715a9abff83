"""Concurrent small writes (or reads) share one statement of the database, or one job of a thread.

Whoever calls while a flush is under way waits for the next one, which takes everything that gathered meanwhile. One
caller alone pays no delay; a thousand at once pay for a handful of transactions.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from cavendish.domain.errors import StoreUnavailable, Unavailable
from cavendish.domain.text import Text

Q = TypeVar("Q")
R = TypeVar("R")


def _overloaded(waiting: int) -> StoreUnavailable:
    return StoreUnavailable(
        Text(
            en=f"{waiting} writes wait for the database already; it is too slow for this load",
            zh=f"已有 {waiting} 个写入在等待数据库；数据库跟不上当前负载",
        )
    )


class GroupCommit(Generic[Q, R]):
    """Collects calls and hands them to `flush` in batches.

    Args:
        flush: takes a batch and answers one result, or one exception, for each, in order. If it raises, every caller
            of that batch gets the error.
        max_batch: the most that one flush takes.
        max_waiting: the most that may wait; beyond that a call fails at once rather than grow memory.
        flushers: how many flushes may run at the same time.
        overload: makes the error for a call beyond `max_waiting`, which it is told.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[Q]], Awaitable[Sequence[R | Exception]]],
        *,
        max_batch: int = 500,
        max_waiting: int = 20_000,
        flushers: int = 1,
        overload: Callable[[int], Unavailable] = _overloaded,
    ) -> None:
        self._flush = flush
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._flushers = flushers
        self._overload = overload
        self._waiting: deque[tuple[Q, asyncio.Future[R]]] = deque()
        self._running = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, item: Q) -> R:
        """Have `item` flushed with its neighbours; its own result.

        Raises:
            StoreUnavailable (or what `overload` says): too much is waiting already.
        """
        if len(self._waiting) >= self._max_waiting:
            raise self._overload(self._max_waiting)
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._running < self._flushers:
            self._running += 1
            task = asyncio.create_task(self._run())
            self._tasks.add(task)  # the loop itself keeps only weak references
            task.add_done_callback(self._tasks.discard)
        return await future

    async def _run(self) -> None:
        try:
            await self._flush_all()
        finally:
            # In the same step as the last look at what waits: a call that comes now starts a new run.
            self._running -= 1

    async def _flush_all(self) -> None:
        while self._waiting:
            batch: list[tuple[Q, asyncio.Future[R]]] = []
            while self._waiting and len(batch) < self._max_batch:
                item, future = self._waiting.popleft()
                if not future.done():  # a caller that hung up before its turn wants nothing any more
                    batch.append((item, future))
            if not batch:
                return
            try:
                results = await self._flush([item for item, _ in batch])
                assert len(results) == len(batch), f"{len(results)} results for {len(batch)} calls"
            except Exception as error:  # noqa: BLE001 - whatever went wrong is told to every caller of the batch
                results = [error] * len(batch)
            for (_, future), result in zip(batch, results, strict=True):
                if future.done():
                    continue
                if isinstance(result, Exception):
                    future.set_exception(result)
                else:
                    future.set_result(result)
