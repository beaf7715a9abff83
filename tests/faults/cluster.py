"""Real API and worker processes on one database and one folder of pictures, to be killed, paused and started again."""

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from cavendish.store.accounts import PgAccounts
from cavendish.store.database import Database
from tests.harness import UNLIMITED, Process, process

PUBLIC_URL = "http://pictures.test"
"""What result URLs begin with: the address of all API processes together, as behind a load balancer."""
PATIENCE_SECONDS = 45.0
"""The deadline of everything that is waited for: far beyond what it takes on a slow machine."""


class Member:
    """One place in the cluster: a process, or the next one when that was killed."""

    def __init__(self, folder: Path, settings: dict[str, str], arguments: tuple[str, ...]) -> None:
        self.folder = folder
        self.settings = settings
        self.arguments = arguments
        self.url = ""
        self._stack = contextlib.ExitStack()
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        """The process that runs here now, or ran last."""
        assert self._process is not None, "never started"
        return self._process

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.process.poll() is None

    async def start(self) -> "Member":
        """Start it, and wait until it serves or works."""
        assert await self._started(), f"exit code {self.process.process.returncode} while starting:\n{self.tail()}"
        return self

    async def stay_up(self) -> None:
        """Start it again whenever it has ended, until canceled."""
        while True:
            if not self.running:
                await self._started()
            await asyncio.sleep(0.02)

    async def _started(self) -> bool:
        """Start it; False when it ended before it served or worked."""
        self.url = ""  # the old one answers no more
        self._process = self._stack.enter_context(process(self.settings, self.folder, *self.arguments))
        event = "serving" if self.arguments[0] == "serve" else "working"
        await until(lambda: not self.running or self.count(event) > 0, "it does not start", at=self)
        for line in self.lines():
            if line.get("event") == event:
                self.url = str(line.get("url", ""))
                return True
        return False

    def kill(self) -> None:
        """kill -9"""
        self.process.kill()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end; the exit code."""
        popen = self.process.process
        await until(lambda: popen.poll() is not None, f"{self.arguments[0]} does not end", at=self)
        return int(popen.returncode)

    def lines(self) -> list[dict[str, Any]]:
        """What it logged so far, whole lines only."""
        text = self.process.log.read_text(encoding="utf-8", errors="replace")
        whole = text[: text.rfind("\n") + 1].splitlines()
        return [json.loads(line) for line in whole if line.startswith("{")]

    def count(self, event: str) -> int:
        """How many lines of that event it logged so far."""
        return sum(line.get("event") == event for line in self.lines())

    async def line(self, event: str) -> dict[str, Any]:
        """Wait for a log line; the first of that event."""
        found: list[dict[str, Any]] = []

        def logged() -> bool:
            found.extend(line for line in self.lines() if line.get("event") == event)
            return bool(found) or self.process.process.poll() is not None

        await until(logged, f"{self.arguments[0]} did not log {event!r}", at=self)
        assert found, f"exit code {self.process.process.returncode} before the line {event!r}:\n{self.tail()}"
        return found[0]

    def tail(self) -> str:
        """The end of its log, for failure messages."""
        return self.process.log.read_text(encoding="utf-8", errors="replace")[-3000:]

    def close(self) -> None:
        """Kill what still runs."""
        self._stack.close()


class Cluster:
    """Members that share a database and a folder of pictures."""

    def __init__(self, dsn: str, folder: Path, **settings: str) -> None:
        self.dsn = dsn
        self.folder = folder
        self.blobs = folder / "blobs"
        self.members: list[Member] = []
        self._settings = {
            "DATA_DIR": str(folder / "data"),
            "BLOBS_URL": f"file://{self.blobs}",
            "PUBLIC_URL": PUBLIC_URL,
            "ENGINE": "simulator",
            "SIMULATOR_LATENCY_SECONDS": "0.05",
            "LEASE_TTL_SECONDS": "1.5",
            "WORKER_SLOTS": "8",
            **settings,
        }
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._asking = asyncio.Lock()

    def api(self, *, with_worker: bool = False, dsn: str | None = None, **settings: str) -> Member:
        """An API process, not started yet; `dsn`: reaches the database another way than the others."""
        return self._member(("serve", *(() if with_worker else ("--no-worker",)), "--port", "0"), dsn, settings)

    def worker(self, *, dsn: str | None = None, **settings: str) -> Member:
        """A worker process, not started yet."""
        return self._member(("worker",), dsn, settings)

    def urls(self) -> list[str]:
        """Where the API answers now."""
        return [member.url for member in self.members if member.url and member.running]

    def _member(self, arguments: tuple[str, ...], dsn: str | None, settings: dict[str, str]) -> Member:
        variables = {"DATABASE_URL": dsn or self.dsn, **self._settings, **settings}
        member = Member(
            self.folder / f"process-{len(self.members)}",
            {f"CAVENDISH_{name}": value for name, value in variables.items()},
            arguments,
        )
        self.members.append(member)
        return member

    async def keys(self, count: int = 2) -> list[str]:
        """Keys of that many new accounts, with more credits than any load needs."""
        async with Database.open(self.dsn, max_connections=1) as database:
            accounts = PgAccounts(database)
            made = []
            for number in range(count):
                account_id = await accounts.ensure(f"account-{number}")
                await accounts.grant(f"account-{number}", 10_000_000)
                made.append(await accounts.create_key(account_id, UNLIMITED))
            return made

    async def rows(self, sql: str, *arguments: object) -> list[dict[str, Any]]:
        """Ask the database, past everything that is tested."""
        async with self._asking:
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(self.dsn, timeout=10)
            return [dict(row) for row in await self._connection.fetch(sql, *arguments)]

    async def close(self) -> None:
        """Let go of the connection that `rows` uses."""
        if self._connection is not None:
            await self._connection.close(timeout=5)

    async def states(self, *task_ids: str) -> list[str]:
        """The states of those tasks, in that order."""
        found = {row["id"]: str(row["state"]) for row in await self.rows("SELECT id, state FROM tasks")}
        return [found[task_id] for task_id in task_ids]

    async def until_state(self, wanted: set[str], *task_ids: str) -> None:
        """Wait until each of those tasks is in one of the wanted states."""

        async def reached() -> bool:
            return set(await self.states(*task_ids)) <= wanted

        await until(reached, f"{len(task_ids)} tasks do not all become {' or '.join(sorted(wanted))}")

    async def snapshot(self) -> dict[str, list[dict[str, Any]]]:
        """Everything that must not change any more: tasks, ledger, totals and counters."""
        return {
            table: await self.rows(f"SELECT * FROM {table} ORDER BY id")
            for table in ("tasks", "credit_entries", "accounts", "api_keys")
        }


@asynccontextmanager
async def cluster_on(dsn: str, folder: Path, **settings: str) -> AsyncIterator[Cluster]:
    """A cluster without members; those that still run at the end are killed."""
    cluster = Cluster(dsn, folder, **settings)
    try:
        yield cluster
    finally:
        for member in cluster.members:
            member.close()
        await cluster.close()


async def start(*members: Member) -> None:
    """Start several at the same time."""
    await asyncio.gather(*(member.start() for member in members))


@asynccontextmanager
async def supervised(*members: Member) -> AsyncIterator[None]:
    """Within the block, whoever ends is started again."""
    supervisors = [asyncio.create_task(member.stay_up()) for member in members]
    try:
        yield
    finally:
        for supervisor in supervisors:
            supervisor.cancel()
        ends = await asyncio.gather(*supervisors, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends), f"a process does not come back: {ends}"


async def until(
    question: Callable[[], bool] | Callable[[], Awaitable[bool]], complaint: str, *, at: Member | None = None
) -> None:
    """Ask again and again until the answer is yes; fail with `complaint` (and the log of `at`) after the deadline."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        answer = question()
        if answer if isinstance(answer, bool) else await answer:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"{complaint} within {PATIENCE_SECONDS:g} s\n{at.tail() if at else ''}")
        await asyncio.sleep(0.02)
