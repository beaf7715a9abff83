"""What callers who wait cost: memory of an API process with 10,000 of them, and how soon they hear of the end.

    .venv/bin/python bench/waiters.py [--waiters 10000] [--kind query|events|both]

A server of its own on an embedded PostgreSQL, and no worker: so every task waits. Another process opens one connection
for each waiter. Then a worker starts, and every waiter must hear of its task. Memory is the API process's resident set.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import psutil

from cavendish.domain.limits import KeyLimits
from cavendish.store.accounts import PgAccounts
from cavendish.store.database import Database
from cavendish.store.embedded import EmbeddedServer

BODY = {"model": "google/nano-banana", "input": {"prompt": "a red apple"}}
PATHS = {"query": "/api/v1/tasks/query/{}?wait=60", "events": "/api/v1/tasks/events/{}"}


def main() -> None:
    """Measure, and print one line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waiters", type=int, default=10_000)
    parser.add_argument("--kind", choices=["query", "events", "both"], default="both")
    parser.add_argument("--hold", nargs=3, metavar=("URL", "KEY", "IDS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.hold:
        asyncio.run(hold(options.kind, *options.hold))
        return
    with (
        tempfile.TemporaryDirectory(prefix="cavendish-waiters-") as folder,
        EmbeddedServer.start(Path(folder) / "database") as database,
    ):
        for kind in ("query", "events") if options.kind == "both" else (options.kind,):
            measure(kind, options.waiters, database.dsn, Path(folder))


def measure(kind: str, waiters: int, dsn: str, folder: Path) -> None:
    """One run: so many waiters of that kind."""
    settings = {
        "CAVENDISH_DATABASE_URL": dsn,
        "CAVENDISH_DATA_DIR": str(folder / "data"),
        "CAVENDISH_ENGINE": "simulator",
        "CAVENDISH_WORKER_SLOTS": "256",
        "CAVENDISH_LOG_FORMAT": "json",
        "CAVENDISH_QUERIES_PER_MINUTE": "1000000",
    }
    with cavendish(settings, folder, "serve", "--no-worker", "--port", "0") as (server, log):
        url = re.search(r'"url": ?"([^"]+)"', wait_for(log, '"serving"'))
        assert url is not None
        key = asyncio.run(new_key(dsn))
        ids = asyncio.run(create(url[1], key, waiters))
        api = psutil.Process(server.pid)
        before, cpu = api.memory_info().rss, busy(api)
        names = folder / f"{kind}.ids"
        names.write_text("\n".join(ids))
        command = [sys.executable, __file__, "--kind", kind, "--hold", url[1], key, str(names)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            taken = busy(api) - cpu
            time.sleep(3)  # what accepting them needed for a moment is given back
            held = api.memory_info().rss
            cpu = busy(api)
            time.sleep(10)
            idle = busy(api) - cpu
            started = time.time()
            with cavendish(settings, folder, "worker"):
                heard = json.loads(holder.stdout.readline())
        print(
            f"{waiters} waiters ({kind}): {(held - before) / 1e6:.0f} MB more than the {before / 1e6:.0f} MB before, "
            f"{(held - before) / waiters / 1e3:.1f} KB each"
        )
        print(f"  taken in with {taken:.1f} s of processor time; while they wait, {idle * 10:.1f} % of one core")
        print(
            f"  heard of the end: {heard['answers']} of {waiters}, {heard['last'] - started:.1f} s after a worker "
            f"started; from the end of a task to its waiter p50 {heard['p50']:.0f} ms, p99 {heard['p99']:.0f} ms"
        )
        print(f"  at its highest: {peak(server.pid) / 1e6:.0f} MB")


@contextlib.contextmanager
def cavendish(
    settings: dict[str, str], folder: Path, *arguments: str
) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    """A real process, and where it logs."""
    log = folder / f"{arguments[0]}-{time.monotonic_ns()}.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "cavendish", *arguments], env=os.environ | settings, stdout=stream, stderr=stream
        )
    try:
        yield process, log
    finally:
        process.terminate()
        process.wait(60)


def wait_for(log: Path, word: str) -> str:
    """The first line of a log with that word."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for line in log.read_text(encoding="utf-8").splitlines():
            if word in line:
                return line
        time.sleep(0.05)
    raise RuntimeError(f"no {word} in {log.read_text(encoding='utf-8')}")


def busy(process: psutil.Process) -> float:
    """Seconds of processor time so far."""
    times = process.cpu_times()
    return times.user + times.system


def peak(pid: int) -> int:
    """The most memory that a process ever had, in bytes; 0 where the system does not say."""
    status = Path(f"/proc/{pid}/status")
    match = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(match[1]) * 1024 if match is not None else 0


async def new_key(dsn: str) -> str:
    """A key without limits that matter."""
    async with Database.open(dsn, max_connections=1) as database:
        accounts = PgAccounts(database)
        account = await accounts.ensure("waiters")
        await accounts.grant("waiters", 1_000_000)
        return await accounts.create_key(account, KeyLimits(creates_per_minute=1_000_000, in_flight=1_000_000))


async def create(url: str, key: str, count: int) -> list[str]:
    """So many tasks; their ids."""
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=64)) as client:

        async def one() -> str:
            async with client.post(f"{url}/api/v1/tasks/create", json=BODY) as answer:
                return str((await answer.json())["data"]["taskId"])

        return list(await asyncio.gather(*(one() for _ in range(count))))


async def hold(kind: str, url: str, key: str, names: str) -> None:
    """The other process: a connection for each task, and what it hears on it."""
    address = urlsplit(url)
    ids = Path(names).read_text().splitlines()
    connections = []
    for start in range(0, len(ids), 100):
        batch = [asyncio.open_connection(address.hostname, address.port) for _ in ids[start : start + 100]]
        connections += await asyncio.gather(*batch)
    for task_id, (_, writer) in zip(ids, connections, strict=True):
        path = PATHS[kind].format(task_id)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
    if kind == "events":
        await asyncio.gather(*(reader.readuntil(b'"waiting"') for reader, _ in connections))
    else:
        await asyncio.sleep(5)  # a query that waits says nothing before its end
    print("held", flush=True)
    delays: list[float] = []
    last = 0.0

    async def hear(reader: asyncio.StreamReader) -> None:
        nonlocal last
        await reader.readuntil(b'"state":"success"')
        ended = await reader.readuntil(b'"costTime"')
        last = time.time()
        complete = re.search(rb'"completeTime":(\d+)', ended)
        assert complete is not None
        delays.append(last * 1000 - int(complete[1]))

    await asyncio.wait([asyncio.create_task(hear(reader)) for reader, _ in connections], timeout=90)
    cuts = statistics.quantiles(delays, n=100)
    print(json.dumps({"answers": len(delays), "last": last, "p50": cuts[49], "p99": cuts[98]}), flush=True)


if __name__ == "__main__":
    main()
