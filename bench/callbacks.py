"""Callbacks: how many a second to one fast receiver, and how long after `success` they arrive, with some that hang."""

import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

HERE = Path(__file__).parent
CREATE = "/api/v1/tasks/create"


@contextlib.contextmanager
def receiver(bench: Any, port: int, name: str, *more: str) -> Iterator[Path]:
    """A bare receiver process; the file of its notes."""
    notes = bench.folder / f"{name}.notes"
    notes.write_text("")
    running = subprocess.Popen([sys.executable, str(HERE / "receiver.py"), str(port), str(notes), *more])
    try:
        yield notes
    finally:
        running.kill()
        running.wait()


def arrivals(notes: Path) -> list[tuple[int, int]]:
    """(when the task had ended, when its callback came), in Unix milliseconds."""
    return [(int(a), int(b)) for a, b in (line.split() for line in notes.read_text().splitlines())]


def wait_for(notes: Path, count: int, seconds: float = 120) -> list[tuple[int, int]]:
    """The arrivals, once there are that many."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = arrivals(notes)
        if len(found) >= count:
            return found
        time.sleep(0.1)
    raise RuntimeError(f"{len(arrivals(notes))} of {count} callbacks came within {seconds} s")


def cuts(found: list[tuple[int, int]]) -> tuple[float, float]:
    """p50 and p99 of milliseconds from the end of a task to its callback's arrival."""
    quantiles = statistics.quantiles([came - done for done, came in found], n=100)
    return quantiles[49], quantiles[98]


async def create(bench: Any, url: str, targets: list[str], *, per_second: int | None) -> None:
    """One task for each target, as fast as it goes or at a steady rate."""
    bodies = [json.dumps(json.loads(bench.create.body) | {"callBackUrl": target}) for target in targets]
    async with aiohttp.ClientSession(headers=bench.headers, connector=aiohttp.TCPConnector(limit=64)) as client:

        async def one(body: str) -> None:
            async with client.post(url + CREATE, data=body) as answer:
                assert answer.status == 200, await answer.text()

        running = []
        start = time.perf_counter()
        for i, body in enumerate(bodies):
            if per_second is not None:
                await asyncio.sleep(max(0, start + i / per_second - time.perf_counter()))
            running.append(asyncio.create_task(one(body)))
        await asyncio.gather(*running)


def deliveries(bench: Any, free_port: Any, database: Any) -> None:
    """Deliveries a second to one fast receiver, all due at once; no other work meanwhile."""
    count, port = 10_000, free_port()
    target = f"http://127.0.0.1:{port}/hook"
    settings = {"ALLOW_PRIVATE_URLS": "1", "WORKER_SLOTS": "256"}
    with (
        bench.process("worker", **settings),
        bench.process("serve", "--no-worker", "--port", "0", **settings) as (_, url),
    ):
        # Nobody listens yet: every callback fails once, and then all are due at the same moment.
        asyncio.run(create(bench, url, [target] * count, per_second=None))
        asyncio.run(_all_ended(bench, database, port))
    with receiver(bench, port, "fast") as notes:
        asyncio.run(_all_due(bench, database))
        with bench.process("worker", **settings):
            came = sorted(moment for _, moment in wait_for(notes, count))
    middle = came[count // 10 : -count // 10]  # without the start of the process and the tail
    rate = (len(middle) - 1) / ((middle[-1] - middle[0]) / 1000)
    bench.note("callbacks/s to one fast receiver", rate, "/s", target=">= 1,000/s", callbacks=count)


def isolation(bench: Any, free_port: Any) -> None:
    """From `success` to received, 200 tasks a second, 20 % of them to receivers that hang."""
    seconds = max(20, int(bench.seconds))
    settings = {"ALLOW_PRIVATE_URLS": "1", "WORKER_SLOTS": "256"}
    for name, hanging in (("all healthy", 0), ("20 % hanging", 4)):
        healthy_ports = [free_port() for _ in range(4)]
        hanging_ports = [free_port() for _ in range(hanging)]
        with contextlib.ExitStack() as stack:
            notes = [stack.enter_context(receiver(bench, port, f"{name}-{port}")) for port in healthy_ports]
            for port in hanging_ports:
                stack.enter_context(receiver(bench, port, f"{name}-{port}", "hang"))
            stack.enter_context(bench.process("worker", **settings))
            _, url = stack.enter_context(bench.process("serve", "--no-worker", "--port", "0", **settings))
            targets = []
            for i in range(200 * seconds):
                ports = hanging_ports if hanging_ports and i % 5 == 0 else healthy_ports
                targets.append(f"http://127.0.0.1:{ports[i // 5 % len(ports)]}/hook")
            asyncio.run(create(bench, url, targets, per_second=200))
            expected = len(targets) - (len(targets) // 5 if hanging else 0)
            deadline = time.monotonic() + 60
            while sum(len(arrivals(path)) for path in notes) < expected and time.monotonic() < deadline:
                time.sleep(0.1)
            found = [arrival for path in notes for arrival in arrivals(path)]
        p50, p99 = cuts(found)
        bench.note(f"success to received p50, {name}", p50, "ms", target="", callbacks=len(found), expected=expected)
        bench.note(f"success to received p99, {name}", p99, "ms", target="< 1,000 ms", callbacks=len(found))


async def _all_ended(bench: Any, database: Any, port: int) -> None:
    await _until(
        bench, database, f"SELECT count(*) = 0 FROM tasks WHERE finished_at IS NULL AND callback_url LIKE '%:{port}/%'"
    )


async def _all_due(bench: Any, database: Any) -> None:
    await _until(
        bench,
        database,
        "WITH due AS (UPDATE callbacks SET slow = false, failures = 0, next_attempt_at = now() "
        "WHERE state = 'pending' RETURNING 1) SELECT count(*) >= 0 FROM due",
    )


async def _until(bench: Any, database: Any, sql: str) -> None:
    async with database(bench) as connection:
        while not await connection.fetchval(sql):
            await asyncio.sleep(0.1)
