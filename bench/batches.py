"""What a batch of creates, claims or finishes costs in processor time, without HTTP: Python's share and PostgreSQL's.

    .venv/bin/python bench/batches.py [--one-by-one] [--foreign-keys] [--sizes 1 25 60] [--whole] [--source FOLDER]

The figures of docs/decisions/0008, 0010, 0020 and 0021 come from here; the last two with `--whole`, which creates all
tasks of a size, then claims them, then finishes them, on one connection from an empty database. `--source`: the `src`
of another version, to compare with. Processor time, because it says the same on a busy machine.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import uvloop

if "--source" in sys.argv:
    sys.path.insert(0, sys.argv[sys.argv.index("--source") + 1])

from cavendish.clock import SystemClock
from cavendish.domain.limits import KeyLimits
from cavendish.domain.orders import NewTask, Outcome, Success, Work
from cavendish.domain.tasks import KeyId
from cavendish.store.accounts import PgAccounts
from cavendish.store.database import Database
from cavendish.store.embedded import EmbeddedServer
from cavendish.store.migrate import migrate
from cavendish.store.orders import PgTaskOrders
from cavendish.store.queue import PgWorkQueue

BATCHES = 300
AT_ONCE = 2
WHOLE_TASKS = 1500
FOREIGN_KEYS = """
ALTER TABLE tasks ADD FOREIGN KEY (account_id) REFERENCES accounts, ADD FOREIGN KEY (key_id) REFERENCES api_keys;
ALTER TABLE credit_entries ADD FOREIGN KEY (account_id) REFERENCES accounts;
"""
PARAM = '{"model":"google/nano-banana","input":{"prompt":"an orange cat on a windowsill watching the rain"}}'


async def main(arguments: argparse.Namespace) -> None:
    """Measure every size that was asked for."""
    with tempfile.TemporaryDirectory(prefix="cavendish-bench-") as folder:
        server = await asyncio.to_thread(EmbeddedServer.start, Path(folder))
        try:
            async with Database.open(server.dsn, max_connections=1 if arguments.whole else 10) as database:
                await migrate(database)
                if arguments.foreign_keys:
                    async with database.connection() as connection:
                        await connection.execute(FOREIGN_KEYS)
                await (whole if arguments.whole else measure)(database, Path(folder), arguments)
        finally:
            await asyncio.to_thread(server.close)


async def new_order(database: Database) -> NewTask:
    """What every create asks for, in the name of an account that can pay for it."""
    accounts = PgAccounts(database)
    account_id = await accounts.ensure("bench")
    await accounts.grant("bench", 10**12, None)
    await accounts.create_key(account_id, KeyLimits(10_000_000, 10_000_000), None)
    row = await database.fetchrow("SELECT id FROM api_keys")
    assert row is not None
    return NewTask(
        account_id=account_id, key_id=KeyId(row["id"]), model="google/nano-banana", upstream="gemini-2.5-flash-image",
        param=PARAM, callback_url=None, public_url="http://127.0.0.1:8787", price=3,
    )  # fmt: skip


async def measure(database: Database, folder: Path, arguments: argparse.Namespace) -> None:
    """One line for each size."""
    order = await new_order(database)
    orders = PgTaskOrders(database, SystemClock())
    write = orders._decide_each if arguments.one_by_one else orders._create_batch  # noqa: SLF001 - it measures the inside

    async def several(batches: int, size: int) -> None:
        for _ in range(batches):
            results = await write([order] * size)
            if isinstance(results[0], Exception):
                raise results[0]

    for size in arguments.sizes:
        await asyncio.gather(*(several(10, size) for _ in range(AT_ONCE)))
        python, postgres, began = time.process_time(), _postgres_seconds(folder), time.perf_counter()
        await asyncio.gather(*(several(BATCHES // AT_ONCE, size) for _ in range(AT_ONCE)))
        creates = BATCHES * size
        python, postgres = time.process_time() - python, _postgres_seconds(folder) - postgres
        shares = f"Python {python / creates * 1e6:5.0f} µs, PostgreSQL {postgres / creates * 1e6:5.0f} µs of processor"
        print(f"batches of {size:3}: {shares} a create; {creates / (time.perf_counter() - began):8,.0f} creates/s")


async def whole(database: Database, folder: Path, arguments: argparse.Namespace) -> None:
    """Three lines for each size: creates, claims, finishes."""
    order = await new_order(database)
    orders, queue = PgTaskOrders(database, SystemClock()), PgWorkQueue(database)
    token = await queue.begin_lease("bench", 3600)
    held: list[list[Work]] = []

    async def create(size: int) -> None:
        (first, *_) = await orders._create_batch([order] * size)  # noqa: SLF001 - it measures the inside
        if isinstance(first, Exception):
            raise first

    async def claim(size: int) -> None:
        held.append(await queue.claim(token, size))

    async def finish(_size: int) -> None:
        success = Success("9f86d081884c7d659a2feaa0c55ad015.png", 1024, 1024, None)
        outcomes = [Outcome(w.id, w.account_id, token, w.attempt, success, None) for w in held.pop()]
        errors = await queue._finish_live(outcomes)  # noqa: SLF001
        assert not any(errors)

    steps: tuple[tuple[str, Callable[[int], Awaitable[None]]], ...] = (
        ("creates", create), ("claims", claim), ("finishes", finish),
    )  # fmt: skip
    for size in arguments.sizes:
        batches = max(100, WHOLE_TASKS // size)
        for measured in (False, True):
            for name, step in steps:
                python, postgres = time.process_time(), _postgres_seconds(folder)
                for _ in range(batches if measured else 10):
                    await step(size)
                python, postgres = time.process_time() - python, _postgres_seconds(folder) - postgres
                if measured:
                    shares = f"Python {python / batches * 1e6:6.0f} µs, PostgreSQL {postgres / batches * 1e6:6.0f} µs"
                    print(f"batches of {size:3} {name:8}: {shares} of processor a batch", flush=True)


def _postgres_seconds(folder: Path) -> float:
    """Processor time so far of every process of the server in `folder`."""
    total = 0.0
    for process in psutil.process_iter():
        try:
            if process.name() == "postgres" and str(folder) in process.cwd():
                times = process.cpu_times()
                total += times.user + times.system
        except psutil.Error:
            continue
    return total


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one-by-one", action="store_true", help="decide each create in Python, in four round trips")
    parser.add_argument("--foreign-keys", action="store_true", help="with the foreign keys that migration 0003 dropped")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 25, 60], help="creates in a batch")
    parser.add_argument("--whole", action="store_true", help="claims and finishes, too, one batch at a time")
    parser.add_argument("--source", help="the `src` of another version, to measure that")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(parser.parse_args()))
