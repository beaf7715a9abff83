"""`make bench`: every figure beside the same machine's limit, taken in the same run. Prints a table, writes JSON."""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import callbacks  # beside this file, as is load
import psutil
from load import Request, Result, run_load  # beside this file
from rich.console import Console
from rich.table import Table
from steady import steady

BODY = json.dumps(
    {
        "model": "google/nano-banana",
        "input": {
            "prompt": "an orange cat on a windowsill watching the rain",
            "output_format": "png",
            "image_size": "1:1",
        },
    }
)
CREATE = "/api/v1/tasks/create"
QUERY = "/api/v1/tasks/query/"
HERE = Path(__file__).parent
console = Console()


class Bench:
    """One run: a data folder, an account with a key, and the figures so far."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder = folder
        self.seconds = seconds
        self.figures: dict[str, dict[str, Any]] = {}
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("CAVENDISH_")} | {
            "CAVENDISH_DATA_DIR": str(folder / "data"),
            "CAVENDISH_ENGINE": "simulator",
            "CAVENDISH_LOG_FORMAT": "json",
            "CAVENDISH_QUERIES_PER_MINUTE": "100000000",
        }
        self.key = self.cavendish(
            "keys", "create", "--account", "bench", "--credits", "1000000000000",
            "--creates-per-minute", "10000000", "--in-flight", "10000000",
        ).strip()  # fmt: skip
        self.headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        self.create = Request("POST", (CREATE,), self.headers, BODY)

    def cavendish(self, *arguments: str) -> str:
        """A command to its end; its standard output."""
        command = [sys.executable, "-m", "cavendish", *arguments]
        done = subprocess.run(command, env=self.environment, check=True, stdout=subprocess.PIPE, timeout=120)
        return done.stdout.decode()

    @contextlib.contextmanager
    def process(self, *arguments: str, **settings: str) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
        """A running `cavendish`, once it says that it runs; and its URL."""
        log = self.folder / f"{arguments[0]}.log"
        extra = {f"CAVENDISH_{name}": value for name, value in settings.items()}
        with log.open("wb") as stream:
            running = subprocess.Popen(
                [sys.executable, "-m", "cavendish", *arguments],
                env=self.environment | extra,
                stdout=stream,
                stderr=stream,
            )
        try:
            yield running, _wait_for_url(running, log)
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(60)

    def note(self, name: str, value: float, unit: str, *, target: str, limit: float | None = None, **more: Any) -> None:
        """Keep a figure, and show it at once."""
        ratio = value / limit if limit else None
        self.figures[name] = {"value": value, "unit": unit, "limit": limit, "ratio": ratio, "target": target, **more}
        shown = f"{value:,.4g} {unit}" + (f"  ({ratio:.2f} of {limit:,.0f})" if ratio and limit else "")
        console.print(f"  {name}: {shown}   [dim]target {target}[/dim]")

    def empty(self, request: Request) -> Result:
        """The same load on an endpoint that does nothing."""
        port = free_port()
        running = subprocess.Popen([sys.executable, str(HERE / "empty.py"), str(port)])
        try:
            wait_for_port(port)
            return run_load(f"http://127.0.0.1:{port}", request, connections=64, seconds=self.seconds)
        finally:
            running.kill()
            running.wait()


def creates(bench: Bench, suffix: str = "") -> None:
    """Durable, authenticated, validated, charged creates per second, one API process."""
    limit = bench.empty(bench.create)
    with bench.process("serve", "--no-worker", "--port", "0") as (_, url):
        run_load(url, bench.create, connections=64, seconds=1)
        result = run_load(url, bench.create, connections=64, seconds=bench.seconds)
    no_errors(result)
    bench.note(
        f"creates/s{suffix}",
        result.per_second,
        "/s",
        limit=limit.per_second,
        target=">= 0.45 of empty",
        load=result.tool,
    )


def queries(bench: Bench, suffix: str = "") -> None:
    """Queries of finished tasks per second, one API process."""
    ids = asyncio.run(_finished_ids(bench, 2_000))
    request = Request("GET", tuple(QUERY + task_id for task_id in ids), bench.headers)
    limit = bench.empty(request)
    with bench.process("serve", "--no-worker", "--port", "0") as (_, url):
        run_load(url, request, connections=64, seconds=1)
        result = run_load(url, request, connections=64, seconds=bench.seconds)
    no_errors(result)
    bench.note(
        f"queries/s{suffix}",
        result.per_second,
        "/s",
        limit=limit.per_second,
        target=">= 0.60 of empty",
        load=result.tool,
    )


def whole_tasks(bench: Bench, suffix: str = "") -> None:
    """Create to success, API and worker process and database on this machine."""
    asyncio.run(_drop_waiting(bench))
    with bench.process("worker") as (worker, _), bench.process("serve", "--no-worker", "--port", "0") as (api, url):
        began = asyncio.run(_now(bench))
        before = [_processor_seconds(process) for process in (worker, api)]
        run_load(url, bench.create, connections=64, seconds=bench.seconds)
        done, last = asyncio.run(_all_done(bench, began))
        spent = [_processor_seconds(process) - then for process, then in zip((worker, api), before, strict=True)]
    bench.note(f"whole tasks/s{suffix}", done / (last - began).total_seconds(), "/s", target=">= 1,500/s", tasks=done)
    for name, seconds in zip(("worker", "API"), spent, strict=True):
        bench.note(f"processor for a task, {name}{suffix}", seconds / done * 1e6, "µs", target="")


def _processor_seconds(process: "subprocess.Popen[bytes]") -> float:
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)


def latency(bench: Bench, suffix: str = "") -> None:
    """Time from sending a create to seeing `success`, at a steady 200 tasks a second."""
    with bench.process("worker"), bench.process("serve", "--no-worker", "--port", "0") as (_, url):
        times = steady(url, bench.headers, BODY, per_second=200, seconds=max(bench.seconds, 5))
    cuts = statistics.quantiles(times, n=100)
    bench.note(f"create to success p50{suffix}", cuts[49] * 1000, "ms", target="<= 10 ms", tasks=len(times))
    bench.note(f"create to success p99{suffix}", cuts[98] * 1000, "ms", target="<= 50 ms", tasks=len(times))


def in_flight(bench: Bench) -> None:
    """Memory of one worker process that holds 10,000 tasks."""
    settings = {"WORKER_SLOTS": "10000", "SIMULATOR_LATENCY_SECONDS": "30"}
    with (
        bench.process("worker", **settings) as (worker, _),
        bench.process("serve", "--no-worker", "--port", "0") as (_, url),
    ):
        asyncio.run(_create_many(bench, url, 10_000))
        asyncio.run(_until_generating(bench, 10_000))
        resident = psutil.Process(worker.pid).memory_info().rss
    bench.note("10,000 tasks in flight: resident", resident / 2**20, "MB", target="<= 500 MB")
    asyncio.run(_drop_waiting(bench))


def deliveries(bench: Bench) -> None:
    """Callbacks per second to one fast receiver."""
    callbacks.deliveries(bench, free_port, _database)


def isolation(bench: Bench) -> None:
    """From success to received, without and with receivers that hang."""
    callbacks.isolation(bench, free_port)


def gemini_weight(bench: Bench) -> None:
    """A hundred 4k answers of Gemini in flight: memory beside the pictures, and the longest stall of the loop."""
    done = subprocess.run(
        [sys.executable, str(HERE / "gemini_weight.py")], stdout=subprocess.PIPE, timeout=300, check=False
    )
    found = json.loads(done.stdout)
    bench.note("Gemini, 100 answers of 20 MB: memory", found["growth"], "x the pictures", target="<= 2.5 x")
    bench.note("Gemini, 100 answers of 20 MB: longest stall", found["stall_ms"], "ms", target="<= 50 ms", **found)


def second_start(bench: Bench) -> None:
    """From launching the command to the first 200 of /readyz, embedded database, data already there."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        with bench.process("serve", "--port", "0") as (_, url):
            asyncio.run(_until_ready(url))
            times.append(time.perf_counter() - began)
    bench.note("start to ready, second start", min(times), "s", target="<= 1.5 s", all=times)


def fill(bench: Bench, rows: int) -> None:
    """Put finished tasks into the table."""
    console.print(f"filling in {rows:,} finished tasks …")
    asyncio.run(_fill(bench, rows))


FIGURES = (
    second_start,
    creates,
    queries,
    whole_tasks,
    latency,
    in_flight,
    deliveries,
    isolation,
    gemini_weight,
)


def main() -> None:
    """Run the figures that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8, help="how long each load lasts")
    parser.add_argument("--rows", type=int, default=5_000_000, help="finished tasks for the second round; 0 skips it")
    parser.add_argument(
        "--only",
        nargs="*",
        help="names of figures: " + " ".join(figure.__name__ for figure in FIGURES),
    )
    arguments = parser.parse_args()
    chosen = set(FIGURES)
    if arguments.only:
        chosen = {figure for figure in chosen if figure.__name__ in arguments.only}
    with tempfile.TemporaryDirectory(prefix="cavendish-bench-") as folder:
        bench = Bench(Path(folder), arguments.seconds)
        console.print("[bold]empty table[/bold]")
        for figure in FIGURES:
            if figure in chosen:
                figure(bench)
        if arguments.rows:
            fill(bench, arguments.rows)
            for figure in (creates, queries, whole_tasks, latency):
                if figure in chosen:
                    figure(bench, f" with {arguments.rows:,} finished tasks")
    _report(bench)


def _report(bench: Bench) -> None:
    table = Table(
        title=f"Cavendish on {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    for column in ("figure", "value", "of the limit", "target"):
        table.add_column(column, justify="right" if column in ("value", "of the limit") else "left")
    for name, figure in bench.figures.items():
        ratio = f"{figure['ratio']:.2f}" if figure["ratio"] else ""
        table.add_row(name, f"{figure['value']:,.4g} {figure['unit']}", ratio, figure["target"])
    console.print(table)
    write_figures("", bench.figures)


def write_figures(prefix: str, figures: dict[str, dict[str, Any]], **more: Any) -> None:
    """Keep the figures of a run, with the machine they are from, as JSON."""
    folder = Path("bench-results")
    folder.mkdir(exist_ok=True)
    path = folder / f"{prefix}{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    machine = {"machine": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version()}
    path.write_text(json.dumps({"machine": machine, "figures": figures, **more}, indent=2) + "\n")
    console.print(f"written to {path}")


def no_errors(result: Result) -> None:
    """Refuse a figure that errors are part of."""
    if result.errors:
        raise RuntimeError(f"{result.errors} of {result.requests} answers were errors: the figure would mean nothing")


def _wait_for_url(running: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and running.poll() is None:
        for line in log.read_text(encoding="utf-8").splitlines():
            fields = json.loads(line) if line.startswith("{") else {}
            if fields.get("event") in ("serving", "working"):
                return str(fields.get("url", ""))
        time.sleep(0.005)
    raise RuntimeError(f"it did not start:\n{log.read_text(encoding='utf-8')}")


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def wait_for_port(port: int) -> None:
    """Return once something listens there; 20 s at most."""
    import socket

    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


@contextlib.asynccontextmanager
async def _database(bench: Bench) -> Any:
    from cavendish.store.embedded import EmbeddedServer

    server = await asyncio.to_thread(EmbeddedServer.start, bench.folder / "data")
    connection = await asyncpg.connect(server.dsn)
    try:
        yield connection
    finally:
        await connection.close()
        await asyncio.to_thread(server.close)


async def _now(bench: Bench) -> datetime:
    async with _database(bench) as connection:
        return await connection.fetchval("SELECT clock_timestamp()")  # type: ignore[no-any-return]


async def _finished_ids(bench: Bench, count: int) -> list[str]:
    async with _database(bench) as connection:
        # Tasks from all over the table, so that a large one is not read from a handful of cached pages.
        tasks = await connection.fetchval("SELECT count(*) FROM tasks")
        percent = min(100.0, 100 * 20 * count / max(1, tasks))
        rows = await connection.fetch(
            "SELECT id FROM (SELECT id FROM tasks TABLESAMPLE SYSTEM ($2) WHERE state = 'success') AS sampled "
            "ORDER BY random() LIMIT $1",
            count,
            percent,
        )
    if len(rows) < count:
        with bench.process("serve", "--port", "0", WORKER_SLOTS="256") as (_, url):
            await _create_many(bench, url, count)
            await _all_done(bench, None)
        return await _finished_ids(bench, count)
    return [row["id"] for row in rows]


async def _drop_waiting(bench: Bench) -> None:
    """Tasks left over from another figure end as canceled, by the same statement that a caller's cancel runs."""
    from cavendish.domain.tasks import CANCELED
    from cavendish.store.queries import load_queries

    async with _database(bench) as connection:
        ids = await connection.fetch("SELECT id, account_id FROM tasks WHERE state = 'waiting'")
        # One transaction each: in a common one the versions of the account's row would pile up.
        await connection.execute("SET synchronous_commit = off")
        cancel = await connection.prepare(load_queries("tasks")["cancel"])
        for row in ids:
            await cancel.fetch(row["id"], row["account_id"], CANCELED.en, CANCELED.zh)
        await connection.execute("VACUUM ANALYZE tasks")


async def _all_done(bench: Bench, began: datetime | None) -> tuple[int, datetime]:
    deadline = time.monotonic() + 300
    async with _database(bench) as connection:
        while time.monotonic() < deadline:
            # By index: a look at five million rows would be part of what is measured.
            unfinished = await connection.fetchval(
                "SELECT EXISTS (SELECT FROM tasks WHERE state = 'waiting')"
                " OR EXISTS (SELECT FROM tasks WHERE lease_token IS NOT NULL)"
            )
            if not unfinished:
                since = began or datetime(2000, 1, 1, tzinfo=UTC)
                row = await connection.fetchrow(
                    "SELECT count(*) AS done, max(finished_at) AS last FROM tasks "
                    "WHERE state = 'success' AND created_at >= $1",
                    since,
                )
                return row["done"], row["last"]
            await asyncio.sleep(0.1)
    raise RuntimeError("tasks are still unfinished after 300 s")


async def _until_generating(bench: Bench, count: int) -> None:
    deadline = time.monotonic() + 60
    async with _database(bench) as connection:
        while time.monotonic() < deadline:
            if await connection.fetchval("SELECT count(*) FROM tasks WHERE state = 'generating'") >= count:
                return
            await asyncio.sleep(0.1)
    raise RuntimeError(f"fewer than {count} tasks are in flight after 60 s")


async def _create_many(bench: Bench, url: str, count: int) -> None:
    left = iter(range(count))
    async with aiohttp.ClientSession(headers=bench.headers) as client:

        async def one() -> None:
            for _ in left:
                async with client.post(url + CREATE, data=BODY) as answer:
                    assert answer.status == 200, await answer.text()

        await asyncio.gather(*(one() for _ in range(64)))


async def _until_ready(url: str) -> None:
    deadline = time.monotonic() + 30
    async with aiohttp.ClientSession() as client:
        while time.monotonic() < deadline:
            async with client.get(url + "/readyz") as answer:
                if answer.status == 200:
                    return
            await asyncio.sleep(0.005)
    raise RuntimeError("not ready after 30 s")


async def _fill(bench: Bench, rows: int) -> None:
    """Finished tasks, spread over 30 days, each with its entries, as the ledger demands."""
    statement = (HERE / "fill.sql").read_text(encoding="utf-8")
    async with _database(bench) as connection:
        for start in range(0, rows, 250_000):
            await connection.execute(
                statement.replace(":start", str(start)).replace(":rows", str(min(250_000, rows - start)))
            )
        await connection.execute("VACUUM ANALYZE")
        # What filling has left to write is not part of what is measured next.
        await connection.execute("CHECKPOINT")


if __name__ == "__main__":
    main()
