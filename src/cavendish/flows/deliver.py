"""Deliver: callbacks that are due go out, many at a time, without one receiver being in the way of another."""

import asyncio
import contextlib
import random
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime

import msgspec
import structlog

from cavendish.domain.breaker import SLOW_SECONDS, HostBreaker
from cavendish.domain.callbacks import Attempt, Delivery, Posted, Report, cleaned, judge, signed_headers
from cavendish.domain.errors import StoreUnavailable
from cavendish.domain.retry import Backoff
from cavendish.domain.task_data import task_data
from cavendish.domain.tasks import TaskId
from cavendish.ports import CallbackQueue, Clock, Poster

POLL_SECONDS = 1.0
"""The net under NOTIFY, and how late a scheduled attempt may be."""
ROUND_SECONDS = 0.01
"""Between two looks at the queue: what falls due together is claimed together."""
SLOW_ROUND_SECONDS = 0.2
"""Between two looks at what had trouble before: it has waited for seconds at least, and each look costs a query."""
WORTH_ANOTHER_LOOK = 16
"""Deliveries begun by a look at those; then the next follows at once."""
WINDOW = 512
"""How many due callbacks one look sees. The next look goes on behind them, so that nobody is hidden for long."""
LEASE_SECONDS = 30.0
"""How long a claimed callback is its deliverer's: far longer than an attempt can take."""
BUSY_SECONDS = 1.0
"""How long a callback waits, without an attempt, when its host has no room and others are behind it."""
REMEMBERED_HOSTS = 10_000
SLOW_SHARE = 1 / 4
"""Of the slots: the most that callbacks with trouble before may hold."""
DOUBTFUL_SHARE = 1 / 2
"""Of a lane's slots: the most that go to hosts not known to be prompt. Names cost nothing: hundreds of hosts that hang
may come at once, and each is unknown at first."""
CLAIM_AT_ONCE = 64
"""A body has a mebibyte at most: what one statement brings is bounded."""
MOST_DOUBTFUL_BYTES = 64 * 1024 * 1024
"""Of bodies on their way to hosts not known to be prompt, in each lane; beyond it no more of these are begun."""
RECORD_TRIES = 6
STORE_BACKOFF = Backoff(first_seconds=0.1, most_seconds=2.0)
HANGS = frozenset({"timeout", "too_slow"})

log = structlog.get_logger("cavendish.deliverer")


class _Running(msgspec.Struct, frozen=True):
    """A delivery under way: to which host, in which lane, how long its task's request is (of its body nearly all)."""

    breaker: HostBreaker
    slow: bool
    chars: int


class Deliverer:
    """One process's deliveries.

    Args:
        slots: deliveries under way at once. At most a quarter of them goes to callbacks that had trouble before, at
            most half to first attempts at hosts that are unknown or slow; so a quarter is always left for first
            attempts at hosts that answer.
        per_host: of these, to one host and port.
    """

    def __init__(self, *, queue: CallbackQueue, poster: Poster, clock: Clock, slots: int, per_host: int) -> None:
        self._queue = queue
        self._poster = poster
        self._clock = clock
        self._slots = slots
        self._slow_slots = max(1, int(slots * SLOW_SHARE))
        self._per_host = per_host
        self._hosts: OrderedDict[str, HostBreaker] = OrderedDict()
        self._running: dict[asyncio.Task[None], _Running] = {}
        self._wake = asyncio.Event()
        self._slow_looked_at = -SLOW_ROUND_SECONDS
        self._looked_to: dict[bool, datetime | None] = {False: None, True: None}
        self._hungry = False
        self._stopping = asyncio.Event()
        self._slow_seen = True
        self._encode = msgspec.json.Encoder().encode

    @property
    def under_way(self) -> int:
        """Deliveries under way now."""
        return len(self._running)

    def wake(self, _payload: str = "") -> None:
        """There may be something to deliver."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver until `stop`."""
        failures = 0
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                await self.once()
                failures = 0
            except StoreUnavailable as error:
                failures += 1
                log.warning("no callbacks claimed: the database does not answer", error=str(error))
                await self._pause(failures)
                continue
            await asyncio.sleep(ROUND_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS if self._slow_seen else SLOW_ROUND_SECONDS):
                    await self._wake.wait()

    async def stop(self, grace_seconds: float) -> None:
        """Begin no more, and let what is under way end for up to `grace_seconds`. The rest is due again by itself."""
        self._stopping.set()
        self._wake.set()
        if self._running:
            await asyncio.wait(list(self._running), timeout=grace_seconds)
        left = list(self._running)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def once(self) -> int:
        """Start what is due and has room; how many."""
        first = await self._round(slow=False)
        again = 0
        now = self._clock.monotonic()
        self._slow_seen = now - self._slow_looked_at >= SLOW_ROUND_SECONDS
        if self._slow_seen:
            self._slow_looked_at = now
            again = await self._round(slow=True)
            if again >= WORTH_ANOTHER_LOOK:
                self._slow_looked_at = -SLOW_ROUND_SECONDS
        self._hungry = first + again > 0
        return first + again

    async def _round(self, *, slow: bool) -> int:
        slots, doubtful = self._room(slow=slow)
        if slots <= 0 or self._stopping.is_set():
            return 0
        after = self._looked_to[slow]
        due, self._looked_to[slow] = await self._queue.due(slow=slow, limit=WINDOW, after=after)
        if after is not None:
            self._wake.set()  # this look did not begin at the start: the next one does, or goes on
        if not due or self._stopping.is_set():
            return 0
        chosen, postponed = self._choose(due, slots, doubtful)
        if postponed:
            await self._queue.postpone(postponed)
        deliveries = await self._queue.claim(chosen, LEASE_SECONDS) if chosen else []
        if self._stopping.is_set():
            return 0  # whoever stops us has counted already; these are due again by themselves
        for delivery in deliveries:
            self._start(delivery, slow=slow)
        if len(due) == WINDOW or len(deliveries) < len(chosen) or len(chosen) == CLAIM_AT_ONCE:
            self._wake.set()  # there is more than one look shows, or another process was faster: look again
        return len(deliveries)

    def _room(self, *, slow: bool) -> tuple[int, int]:
        """How many more a lane may start, and how many of these at hosts that are not known to be prompt."""
        now = self._clock.monotonic()
        lane = [running for running in self._running.values() if running.slow == slow]
        doubtful = [running.chars for running in lane if not running.breaker.prompt(now)]
        most = self._slow_slots if slow else self._slots
        slots = min(self._slots - len(self._running), most - len(lane), CLAIM_AT_ONCE)
        if sum(doubtful) >= MOST_DOUBTFUL_BYTES:
            return slots, 0
        return slots, max(1, int(most * DOUBTFUL_SHARE)) - len(doubtful)

    def _choose(
        self, due: Sequence[tuple[TaskId, str]], slots: int, doubtful: int
    ) -> tuple[list[TaskId], list[tuple[TaskId, float]]]:
        """Which to claim, and which to have wait."""
        now = self._clock.monotonic()
        rooms: dict[str, int] = {}
        chosen: list[TaskId] = []
        postponed: list[tuple[TaskId, float]] = []
        for task_id, host in due:
            breaker = self._host(host)
            prompt = breaker.prompt(now)
            room = rooms.setdefault(host, breaker.room(now))
            if room > 0 and (prompt or doubtful > 0):
                if len(chosen) < slots:
                    chosen.append(task_id)
                    rooms[host] = room - 1
                    doubtful -= not prompt
            elif closed := breaker.closed_for(now):
                postponed.append((task_id, closed * random.uniform(1.0, 1.3)))  # noqa: S311 - jitter
            elif not prompt and (breaker.suspicious or len(due) == WINDOW):
                postponed.append((task_id, BUSY_SECONDS * random.uniform(0.5, 1.0)))  # noqa: S311 - jitter
        return chosen, postponed

    def _host(self, name: str) -> HostBreaker:
        breaker = self._hosts.get(name)
        if breaker is None:
            breaker = self._hosts[name] = HostBreaker(self._per_host)
            while len(self._hosts) > REMEMBERED_HOSTS:
                oldest, forgotten = next(iter(self._hosts.items()))
                if forgotten.under_way:
                    break
                del self._hosts[oldest]
        else:
            self._hosts.move_to_end(name)
        return breaker

    def _start(self, delivery: Delivery, *, slow: bool) -> None:
        breaker = self._host(delivery.host)
        breaker.began(self._clock.monotonic())
        task = asyncio.create_task(self._deliver(delivery, breaker))
        self._running[task] = _Running(breaker, slow, len(delivery.task.param))

        def ended(task: asyncio.Task[None]) -> None:
            self._running.pop(task, None)
            if self._hungry:
                self._wake.set()
            if not task.cancelled() and task.exception() is not None:
                log.error("a delivery broke; it is due again", exc_info=task.exception())

        task.add_done_callback(ended)

    async def _deliver(self, delivery: Delivery, breaker: HostBreaker) -> None:
        started_ms, started = self._clock.now_ms(), self._clock.monotonic()
        hung = False
        try:
            posted = await self._post(delivery, started_ms // 1000)
            hung = posted.error in HANGS or (posted.error is None and posted.seconds >= SLOW_SECONDS)
        except Exception:
            # A bug of ours. Were it not counted, it would come again every half minute for ever.
            log.exception("a delivery met an unforeseen error; it counts as failed", task_id=delivery.task.id)
            posted = Posted(seconds=self._clock.monotonic() - started, error="internal")
        finally:
            breaker.ended(hung=hung, now=self._clock.monotonic())
        await self._record(delivery, started_ms, posted)

    async def _post(self, delivery: Delivery, unix_seconds: int) -> Posted:
        body = self._encode(task_data(delivery.task, "en"))
        headers = signed_headers(
            body, webhook_id=delivery.webhook_id, unix_seconds=unix_seconds, secrets=delivery.secrets
        )
        return await self._poster.post(delivery.url, body, headers)

    async def _record(self, delivery: Delivery, started_ms: int, posted: Posted) -> None:
        verdict = judge(posted, delivery.failures, roll=random.random(), now_ms=self._clock.now_ms())  # noqa: S311
        attempt = Attempt(
            started_ms=started_ms,
            milliseconds=round(posted.seconds * 1000),
            status=posted.status,
            error=posted.error,
            answer=cleaned(posted.body) if posted.body else None,
        )
        report = Report(delivery.task.id, delivery.claim, attempt, verdict)
        for failures in range(1, RECORD_TRIES + 1):
            try:
                await self._queue.record(report)
                break
            except StoreUnavailable as error:
                log.warning("an attempt is not recorded yet: the database does not answer", error=str(error))
                await self._pause(failures)
        if verdict.state != "delivered":
            log.info(
                "a callback was not delivered",
                task_id=delivery.task.id,
                host=delivery.host,
                status=posted.status,
                error=posted.error,
                state=verdict.state,
                next_attempt_in_seconds=round(verdict.wait_seconds),
            )

    async def _pause(self, failures: int) -> None:
        await self._clock.sleep(STORE_BACKOFF.wait_seconds(failures, random.random()))  # noqa: S311 - jitter
