"""Waiting: callers who want to hear of a task's moves, whichever process makes them. No waiter costs a connection.

Whoever waits is in the room before looking at the task, so that a move after the look wakes it. What wakes: hints of
the processes that move tasks, at once; and now and then a look of the room itself at all watched tasks, in one query,
because hints get lost.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager

import structlog

from cavendish.domain.errors import StoreUnavailable
from cavendish.domain.orders import TaskView
from cavendish.domain.progress import START, Position, position
from cavendish.domain.tasks import TERMINAL, AccountId, TaskId
from cavendish.ports import TaskViews, Watching

MAX_WATCHES = 20_000
"""Beyond this many in one process, whoever comes is answered at once instead of waiting."""
TICK_SECONDS = 0.25
YOUNG_TICKS = 16
"""A watch is looked after at 1, 2, 4, 8 and 16 ticks of its life: its process may not be known for waiting yet."""
OLD_TICKS = 20
"""After that, all of them together every so many ticks: five seconds."""
SIGN_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 15.0
STREAM_SECONDS = 900.0
"""After that a stream ends and its reader comes again: so a revoked key does not listen on for days."""

HangUp = Callable[[], Awaitable[None]]
"""Returns when the caller has hung up."""

log = structlog.get_logger("cavendish.waiting")


class HungUp(Exception):
    """The caller hung up while it waited; nobody wants the answer."""


class _Watch:
    """One waiter. `moves`: it wants to hear of every change, not only of the end."""

    __slots__ = ("_future", "_stirred", "age", "due", "gone", "moves", "seen")

    def __init__(self, due: int, *, moves: bool) -> None:
        self.moves = moves
        self.seen = START
        self.gone = False
        self.age = 1
        self.due = due
        self._stirred = False
        self._future: asyncio.Future[None] | None = None

    def stir(self) -> None:
        """The task may have moved."""
        self._stirred = True
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def leave(self) -> None:
        """The caller hung up."""
        self.gone = True
        self.stir()

    async def stirred(self) -> None:
        """Wait until the task may have moved since the last call."""
        if not self._stirred:
            self._future = asyncio.get_running_loop().create_future()
            try:
                await self._future
            finally:
                self._future = None
        self._stirred = False


class WaitingRoom:
    """Everybody who waits in this process."""

    def __init__(self, views: TaskViews, watching: Watching) -> None:
        self._views = views
        self._watching = watching
        self._watches: dict[TaskId, list[_Watch]] = {}
        self._count = 0
        self._moves = 0
        self._tick = 0
        self._ends_signed_until = self._moves_signed_until = 0.0
        self._rounds: asyncio.Task[None] | None = None
        self._look_at_all = False
        self._closed = False

    @property
    def waiters(self) -> int:
        """How many wait now."""
        return self._count

    def told(self, payload: str) -> None:
        """Some process announces tasks: `e` ended or `m` moved, then ids. Without ids: some may have been missed."""
        kind, *ids = payload.split(" ")
        if not ids:
            self._look_at_all = True
            self._ends_signed_until = self._moves_signed_until = 0.0
        for task_id in ids:
            for watch in self._watches.get(TaskId(task_id), ()):
                if watch.moves or kind == "e":
                    watch.stir()

    def close(self) -> None:
        """The process stops: every wait ends now, with what is known, and new ones do not begin."""
        self._closed = True
        for watches in self._watches.values():
            for watch in watches:
                watch.stir()

    async def until_ended(
        self, task_id: TaskId, account_id: AccountId, seconds: float, hang_up: HangUp
    ) -> TaskView | None:
        """The account's task, once it has ended or `seconds` are over; None when there is no such task of it.

        Raises:
            HungUp, StoreUnavailable
        """
        with self._watch(task_id, moves=False) as watch:
            task = await self._find(task_id, account_id)
            if task is None or task.state in TERMINAL or watch is None:
                return task
            del task  # its prompt may be long, and so the wait
            with contextlib.suppress(TimeoutError), _heard(hang_up, watch):
                async with asyncio.timeout(seconds):
                    while not self._closed:
                        await watch.stirred()
                        if watch.gone:
                            raise HungUp
                        with contextlib.suppress(StoreUnavailable):  # it will be there again within the time
                            task = await self._find(task_id, account_id)
                            if task is None or task.state in TERMINAL:
                                return task
                            del task
        return await self._find(task_id, account_id)

    async def states(
        self, task_id: TaskId, account_id: AccountId, after: Position, hang_up: HangUp
    ) -> AsyncGenerator[TaskView | None, None]:
        """The account's task now, and again after every change; None to say that nothing changed for a while.

        Ends after the final state, when the process stops, and after STREAM_SECONDS; at once without anything when
        there is no such task of the account. States that are passed through quickly may not be seen.

        Args:
            after: the first task is given in any case, the next ones only beyond this.

        Raises:
            HungUp; StoreUnavailable, before the first task only.
        """
        until = asyncio.get_running_loop().time() + STREAM_SECONDS
        with self._watch(task_id, moves=True) as watch:
            task = await self._find(task_id, account_id)
            if task is None:
                return
            seen = max(after, position(task.attempt, task.state))
            yield task
            task = None
            if watch is None:
                return
            with _heard(hang_up, watch):
                while not seen.final and not self._closed and asyncio.get_running_loop().time() < until:
                    watch.seen = seen
                    try:
                        async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                            await watch.stirred()
                    except TimeoutError:
                        yield None
                        continue
                    if watch.gone:
                        raise HungUp
                    try:
                        task = await self._find(task_id, account_id)
                    except StoreUnavailable:
                        continue  # the room sees the difference as soon as the database answers again
                    if task is None:
                        return
                    now = position(task.attempt, task.state)
                    if now > seen:
                        seen = now
                        yield task
                    task = None  # its prompt may be long, and so the wait

    async def _find(self, task_id: TaskId, account_id: AccountId) -> TaskView | None:
        task = await self._views.find(task_id)
        return task if task is not None and task.account_id == account_id else None

    @contextmanager
    def _watch(self, task_id: TaskId, *, moves: bool) -> Iterator[_Watch | None]:
        if self._closed or self._count >= MAX_WATCHES:
            yield None
            return
        watch = _Watch(self._tick + 1, moves=moves)
        self._watches.setdefault(task_id, []).append(watch)
        self._count += 1
        self._moves += moves
        if self._rounds is None:
            self._rounds = asyncio.create_task(self._look_around())
        try:
            yield watch
        finally:
            self._count -= 1
            self._moves -= moves
            watches = self._watches[task_id]
            watches.remove(watch)
            if not watches:
                del self._watches[task_id]

    async def _look_around(self) -> None:
        """Runs while anybody waits."""
        try:
            while self._watches:
                try:
                    await self._give_signs()
                    await self._look()
                except StoreUnavailable as error:
                    log.warning("nobody looked after waiting callers: the database does not answer", error=str(error))
                except Exception:
                    log.exception("looking after waiting callers met an unforeseen error; it goes on")
                await asyncio.sleep(TICK_SECONDS)
                self._tick += 1
        finally:
            self._rounds = None

    async def _give_signs(self) -> None:
        """Tell whoever moves tasks that somebody waits here, as often as it has to be said."""
        now = asyncio.get_running_loop().time()
        if self._moves:
            if now >= self._moves_signed_until:
                await self._watching.watch(moves=True)
                self._moves_signed_until = self._ends_signed_until = now + SIGN_SECONDS
        elif now >= self._ends_signed_until:
            await self._watching.watch(moves=False)
            self._ends_signed_until = now + SIGN_SECONDS

    async def _look(self) -> None:
        """One query for every task whose watches are due, and whoever has missed something is woken."""
        tick, everything = self._tick, self._look_at_all
        due = [
            task_id
            for task_id, watches in self._watches.items()
            if everything or watches[0].due <= tick or (len(watches) > 1 and any(w.due <= tick for w in watches))
        ]
        self._look_at_all = False
        if not due:
            return
        try:
            positions = await self._views.positions(due)
        except StoreUnavailable:
            self._look_at_all = self._look_at_all or everything
            raise
        for task_id in due:
            now = positions.get(task_id)
            for watch in self._watches.get(task_id, ()):
                watch.age *= 2
                watch.due = tick + watch.age if watch.age <= YOUNG_TICKS else (tick // OLD_TICKS + 1) * OLD_TICKS
                if now is not None and (now.final if not watch.moves else now > watch.seen):
                    watch.stir()


@contextmanager
def _heard(hang_up: HangUp, watch: _Watch) -> Iterator[None]:
    """Within the block, a caller that hangs up leaves its watch."""

    async def hear() -> None:
        await hang_up()
        watch.leave()

    hearing = asyncio.create_task(hear())
    try:
        yield
    finally:
        hearing.cancel()
