"""Work: hold a lease, claim waiting tasks into free slots, bring each to an outcome, and let go in good order."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

import msgspec
import structlog

from cavendish.domain.errors import (
    BlobsUnavailable,
    EngineError,
    LeaseLost,
    NoCapacity,
    StoreUnavailable,
    Unavailable,
)
from cavendish.domain.orders import Failure, Outcome, Success, Work
from cavendish.domain.results import input_blob
from cavendish.domain.retry import Backoff
from cavendish.domain.tasks import CANCELED, MAX_ATTEMPTS
from cavendish.domain.text import Text
from cavendish.domain.usage import TokenPrices, Usage, spend
from cavendish.flows.draw import Progress
from cavendish.flows.given_up import GivenUp
from cavendish.flows.resting import RestingModels
from cavendish.ports import Blobs, Clock, WorkQueue

CLAIM_BATCH = 256
POLL_SECONDS = 2.0
"""The net under NOTIFY: how long a waiting task can go unnoticed when a notification is lost."""
CLAIM_PATIENCE_SECONDS = 5.0
"""How long a stop waits for a claim that is under way; after that its tasks run again when the lease ends."""
MARK_DELAY_SECONDS = 0.1
"""Work that ends sooner is never shown as `generating`: the mark would cost a write that nobody could see."""
FAULT_BACKOFF = Backoff(first_seconds=0.5, most_seconds=5.0)
STORE_BACKOFF = Backoff(first_seconds=0.1, most_seconds=2.0)

TIMED_OUT = Text(
    en="The picture took longer than the server allows; try again, or ask for a lower resolution",
    zh="生成时间超过服务器上限；请重试，或降低分辨率",
)
INTERNAL = Text(
    en=f"The server could not finish this task in {MAX_ATTEMPTS} attempts; nothing was charged",
    zh=f"服务器尝试 {MAX_ATTEMPTS} 次后仍未能完成该任务；未扣除积分",
)

log = structlog.get_logger("cavendish.worker")

NO_PRICES: Mapping[str, TokenPrices] = MappingProxyType({})

Drawing = Callable[[Work, Progress], Awaitable[Success]]


class _Progress:
    """Implements `flows.draw.Progress`."""

    def __init__(self, begun: Callable[[], None], used: Callable[[Usage], None]) -> None:
        self._begun = begun
        self.used = used

    def __call__(self) -> None:
        self._begun()


class Worker:
    """One worker process's share of the queue.

    Args:
        name: shown beside its lease.
        slots: tasks held at once.
        lease_ttl_seconds: how long its tasks stay its own after it went silent.
        task_deadline_seconds: the longest that one attempt may take, once its engine has started.
        prices: upstream id -> what it takes.
    """

    def __init__(
        self,
        *,
        queue: WorkQueue,
        draw: Drawing,
        blobs: Blobs,
        clock: Clock,
        name: str,
        slots: int,
        lease_ttl_seconds: float,
        task_deadline_seconds: float,
        prices: Mapping[str, TokenPrices] = NO_PRICES,
    ) -> None:
        self._queue = queue
        self._draw = draw
        self._blobs = blobs
        self._clock = clock
        self._name = name
        self._slots = slots
        self._lease_ttl_seconds = lease_ttl_seconds
        self._task_deadline_seconds = task_deadline_seconds
        self._prices = prices
        self._held: dict[asyncio.Task[None], Work] = {}
        self._fences: set[tuple[str, int]] = set()
        self._given_up = GivenUp()
        self._resting = RestingModels(clock)
        self._chores: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._claim = asyncio.Lock()
        self._stopping = False
        self._let_go_of_all = asyncio.Event()
        self._token: str | None = None
        self.claiming = asyncio.Event()
        """Set while a claim loop is up: what readiness asks."""

    @property
    def name(self) -> str:
        """What is shown beside its lease."""
        return self._name

    @property
    def slots(self) -> int:
        """Tasks that it may hold at once."""
        return self._slots

    @property
    def held(self) -> int:
        """Tasks held now."""
        return len(self._held)

    def wake(self, _payload: str = "") -> None:
        """There may be work."""
        self._wake.set()

    def cancel(self, task_id: str) -> None:
        """Its owner gave a task up: if it is being drawn here, stop that; if it comes, do not begin."""
        self._given_up.add(task_id)

    async def run(self) -> None:
        """Work until `stop`."""
        failures = 0
        while not self._stopping:
            try:
                self._token = await self._queue.begin_lease(self._name, self._lease_ttl_seconds)
                failures = 0
                await self._term(self._token)
            except LeaseLost:
                log.warning("the lease was lost; its tasks are dropped and a new lease begins", held=self.held)
                await self._drop_held()
            except StoreUnavailable as error:
                failures += 1
                log.warning("no lease: the database does not answer", error=str(error))
                await self._pause(failures)
            except Exception:
                # A worker that ends silently would leave a server that accepts tasks and never draws one.
                failures += 1
                log.exception("the worker met an unforeseen error and begins a new lease", held=self.held)
                await self._drop_held()
                await self._pause(failures)
            finally:
                self.claiming.clear()

    async def stop(self, grace_seconds: float) -> None:
        """Claim no more, let running work end for up to `grace_seconds`, give the rest back at once."""
        self._stopping = True
        self.claiming.clear()
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            # What a claim that is under way brings is ours, too, and must be given back like the rest.
            async with asyncio.timeout(CLAIM_PATIENCE_SECONDS), self._claim:
                pass
        if self._held:
            await asyncio.wait(list(self._held), timeout=grace_seconds)
        works = list(self._held.values())
        await self._drop_held()
        self._let_go_of_all.set()
        if self._chores:
            await asyncio.wait(list(self._chores), timeout=5)
        if self._token is not None:
            with contextlib.suppress(StoreUnavailable):  # then the lease runs out by itself
                if works:
                    await self._queue.give_back(self._token, works, "stopping")
                    log.info("stopping: unfinished tasks wait again", tasks=len(works))
                await self._queue.end_lease(self._token)

    async def _term(self, token: str) -> None:
        claims = asyncio.create_task(self._claim_loop(token))
        renewals = asyncio.create_task(self._renew_loop(token))
        try:
            await asyncio.wait((claims, renewals), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (claims, renewals):
                task.cancel()
            results = await asyncio.gather(claims, renewals, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _renew_loop(self, token: str) -> None:
        failures = 0
        while True:
            if failures:
                await self._pause(failures)
            else:
                await self._clock.sleep(self._lease_ttl_seconds / 3)
            try:
                renewal = await self._queue.renew_lease(token, self._lease_ttl_seconds)
                failures = 0
                for task_id in renewal.given_up:  # the net under NOTIFY
                    self.cancel(task_id)
                if renewal.tasks > len(self._held) and not self._claim.locked():
                    # More than we know of, and no claim is under way: one was carried out and its answer got lost.
                    async with self._claim:
                        await self._take_up_again(token)
            except StoreUnavailable as error:
                failures += 1
                log.warning("the lease could not be renewed yet", error=str(error))

    async def _claim_loop(self, token: str) -> None:
        failures = 0
        while not self._stopping:
            self._wake.clear()
            want = min(self._slots - len(self._held), CLAIM_BATCH)
            got = 0
            if want > 0:
                try:
                    async with self._claim:
                        if failures:
                            # The last claim may have been carried out although its answer never came.
                            await self._take_up_again(token)
                            want = min(want, self._slots - len(self._held))
                        if want > 0 and not self._stopping:
                            works = await self._queue.claim(token, want, self._resting.now())
                            got = len(works)
                            for work in works:
                                self._take(work)
                    failures = 0
                    self.claiming.set()
                except StoreUnavailable as error:
                    failures += 1
                    self.claiming.clear()
                    log.warning("nothing claimed: the database does not answer", error=str(error))
                    await self._pause(failures)
                    continue
            if got < want or want <= 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._wake.wait()
        await self._let_go_of_all.wait()  # the lease is renewed until the last task is out of our hands

    async def _take_up_again(self, token: str) -> None:
        if self._stopping:
            return
        known = {work.id for work in self._held.values()}
        for work in await self._queue.held(token):
            if work.id not in known:
                log.warning("a claim whose answer got lost is taken up", task_id=work.id)
                self._take(work)

    def _take(self, work: Work) -> None:
        if (work.id, work.attempt) in self._fences:
            # The database crashed and forgot the claim, and gave the task to the same lease anew: it is being drawn.
            log.warning("a claim that the database forgot is given again", task_id=work.id)
            return
        self._fences.add((work.id, work.attempt))
        task = asyncio.create_task(self._bring_to_an_end(work))
        self._held[task] = work
        task.add_done_callback(self._let_go)

    def _let_go(self, task: asyncio.Task[None]) -> None:
        was_full = len(self._held) >= self._slots
        work = self._held.pop(task)
        self._fences.discard((work.id, work.attempt))
        if was_full:
            self._wake.set()
        if not task.cancelled() and task.exception() is not None:
            log.error("a task ended without an outcome; its lease will run out", exc_info=task.exception())

    async def _drop_held(self) -> None:
        tasks = list(self._held)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _bring_to_an_end(self, work: Work) -> None:
        try:
            result = await self._attempt(work)
        except NoCapacity as error:
            if self._resting.rest(work.model, error.seconds):
                log.warning("a model rests: its tasks wait in the queue", model=work.model, seconds=error.seconds)
            await self._until_stored(lambda: self._queue.give_back(work.lease_token, [work], "no_capacity"))
            return
        work = self._as_held(work)
        if result is None and work.faults + 1 < MAX_ATTEMPTS:
            # Held while it waits: what broke gets a moment to mend before the next attempt.
            await self._clock.sleep(FAULT_BACKOFF.wait_seconds(work.faults + 1, random.random()))  # noqa: S311 - jitter
            await self._until_stored(lambda: self._queue.give_back(work.lease_token, [work], "fault"))
            self.wake()
            return
        ended = result or Failure("internal", INTERNAL)
        outcome = Outcome(work.id, work.account_id, work.lease_token, work.attempt, ended, work.spent)
        try:
            await self._until_stored(lambda: self._queue.finish(outcome))
        except LeaseLost:
            # Nothing was written. The blob stays: if it was our own finish whose answer got lost, it is the result.
            # What it used upstream is on no row then, and the log is the only place that knows.
            spent = msgspec.to_builtins(work.spent)
            log.warning(
                "a finish came too late: the task is another's now", task_id=work.id, attempt=work.attempt, spent=spent
            )
            return
        except Exception:
            log.exception("an outcome could not be written; the task waits again", task_id=work.id)
            await self._until_stored(lambda: self._queue.give_back(work.lease_token, [work], "fault"))
            return
        if isinstance(ended, Failure):
            log.info("task failed", task_id=work.id, fail_code=ended.code)
        else:
            log.debug("task done", task_id=work.id)
        if work.input_blobs:
            try:
                await self._blobs.delete([input_blob(name) for name in work.input_blobs])
            except BlobsUnavailable as error:
                log.warning("input images could not be removed", task_id=work.id, error=str(error))

    async def _attempt(self, work: Work) -> Success | Failure | None:
        """One attempt; None when it came to no outcome and another may help. Raises NoCapacity."""
        if work.cancel_requested or work.id in self._given_up:
            return Failure("canceled", CANCELED)
        current = asyncio.current_task()
        assert current is not None
        self._given_up.begin(work.id, current)
        loop = asyncio.get_running_loop()
        handle: asyncio.TimerHandle | None = None

        def started() -> None:
            nonlocal handle
            handle = loop.call_later(MARK_DELAY_SECONDS, self._mark, work)
            limit.reschedule(loop.time() + self._task_deadline_seconds)  # waiting for capacity does not count

        def used(usage: Usage) -> None:
            held = self._as_held(work)
            self._held[current] = msgspec.structs.replace(held, spent=spend(held.spent, usage, self._prices))

        try:
            async with asyncio.timeout(None) as limit:
                return await self._draw(work, _Progress(started, used))
        except asyncio.CancelledError:
            if work.id not in self._given_up:
                raise
            if current.uncancel() > 0:
                raise  # we are being stopped, too: it is given back, and ends when it is claimed again
            return Failure("canceled", CANCELED)
        except NoCapacity:
            raise
        except EngineError as error:
            return Failure(error.code, error.text)
        except TimeoutError:
            return Failure("timeout", TIMED_OUT)
        except Unavailable as error:
            log.warning("an attempt failed", task_id=work.id, attempt=work.attempt, error=str(error))
        except Exception:
            log.exception("an attempt met an unforeseen error", task_id=work.id, attempt=work.attempt)
        finally:
            self._given_up.end(work.id)
            if handle is not None:
                handle.cancel()
        return None

    def _as_held(self, work: Work) -> Work:
        """`work` with what was spent on it by now. For the task that brings it to an end."""
        current = asyncio.current_task()
        assert current is not None
        return self._held.get(current, work)

    def _mark(self, work: Work) -> None:
        chore = asyncio.create_task(self._mark_generating(work))
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)

    async def _mark_generating(self, work: Work) -> None:
        try:
            await self._queue.mark_generating(work)
        except StoreUnavailable as error:
            log.warning("the state `generating` could not be shown", task_id=work.id, error=str(error))

    async def _until_stored(self, write: Callable[[], Awaitable[None]]) -> None:
        """Repeat a fenced write until the database took it or said that the lease is lost."""
        failures = 0
        while True:
            try:
                await write()
                return
            except StoreUnavailable as error:
                failures += 1
                log.warning("a write is repeated: the database does not answer", error=str(error))
                await self._pause(failures)

    async def _pause(self, failures: int) -> None:
        await self._clock.sleep(STORE_BACKOFF.wait_seconds(failures, random.random()))  # noqa: S311 - jitter
