"""A budget of bytes, first come first served: what tasks hold in memory while they wait for others."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Share:
    """What one holder has of a budget."""

    def __init__(self, budget: "ByteBudget", taken: int) -> None:
        self._budget = budget
        self.held = taken

    def shrink(self, to: int) -> None:
        """Give back what turned out not to be needed; a share never grows."""
        if to < self.held:
            spare, self.held = self.held - to, to
            self._budget.give(spare)


class ByteBudget:
    """At most `most` bytes at a time, over all holders. Who wants more gets it when all of it is free."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._free = most
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def taken(self, wanted: int) -> AsyncIterator[Share]:
        """A share for the length of the block; nobody waits for nothing."""
        wanted = min(wanted, self._most)
        if wanted > 0:
            await self._take(wanted)
        share = Share(self, wanted)
        try:
            yield share
        finally:
            share.shrink(0)

    def give(self, spare: int) -> None:
        """So many bytes are free again."""
        self._free += spare
        self._serve()

    async def _take(self, wanted: int) -> None:
        entry = wanted, asyncio.get_running_loop().create_future()
        self._line.append(entry)
        self._serve()
        try:
            await entry[1]
        except asyncio.CancelledError:
            if not entry[1].cancelled():  # it was given just before its holder went away
                self._free += wanted
            self._serve()
            raise

    def _serve(self) -> None:
        while self._line:
            wanted, future = self._line[0]
            if future.cancelled():  # its holder is about to learn of it
                self._line.popleft()
                continue
            if wanted > self._free:
                return
            self._line.popleft()
            self._free -= wanted
            future.set_result(None)
