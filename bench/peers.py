"""`make bench-peers`: the same creates against the stacks that one would otherwise assemble. A table, and JSON.

Every peer that is here does less than we do for a create; what it leaves out is in the table, beside its figure.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psutil
from load import Request, Result, run_load  # beside this file
from rich.table import Table
from run import BODY, CREATE, HERE, Bench, console, free_port, no_errors, wait_for_port, write_figures

VENV = HERE.parent / ".venv-peers"
CONNECTIONS = 64
WARM_UP_SECONDS = 1
START_SECONDS = 60
CELERY = "FastAPI + Celery + Redis"
BENTOML = "BentoML tasks"
NOT_CELERY = "no credits, idempotency keys or limits; one fixed key; a task cannot be queried"
NOT_BENTOML = (
    "no credits, idempotency keys or limits; one fixed key; its own envelope; a body is checked only when its task "
    "runs; each start deletes all tasks. Runs the (empty) tasks as well, in the same process"
)
DURABLE = "appendonly, fsync always"
PERSISTENCE = {
    DURABLE: ("--appendonly", "yes", "--appendfsync", "always"),
    "Redis's defaults": (),
}


@dataclass(frozen=True)
class Row:
    """One line of the table: creates per second, or why there is no figure."""

    stack: str
    lacks: str
    per_second: float | None = None
    reason: str = ""
    load: str = ""
    kept: int | None = None
    """Tasks found in the peer's store afterwards."""
    ways: dict[str, float | str] | None = None
    """Creates per second by each way to write the endpoint, or why there is no figure; the best one counts."""


class Peers:
    """One run: our server's figures, and the peers' with the same request and the same load."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.environment = bench.environment | {
            "PEER_KEY": bench.key,
            "BENTOML_HOME": str(bench.folder / "bentoml"),
            "BENTOML_DO_NOT_TRACK": "true",
        }

    def ours(self) -> Row:
        """The figure that the others are set against."""
        with self.bench.process("serve", "--no-worker", "--port", "0") as (_, url):
            result, _ = self.measured(url, self.bench.create, wrong_body=422)
        return Row("Cavendish", "", result.per_second, load=result.tool)

    def celery(self, persistence: str) -> Row:
        """FastAPI and Celery on a Redis of their own; the faster of the two ways to write the endpoint."""
        row = Row(f"{CELERY} ({persistence})", NOT_CELERY)
        if persistence != DURABLE:
            row = replace(row, lacks=f"{NOT_CELERY}; a crash loses what came after the last snapshot (1 to 60 min)")
        data = Path(tempfile.mkdtemp(dir=self.bench.folder))
        redis, port = free_port(), free_port()
        environment = self.environment | {"PEER_REDIS": f"redis://127.0.0.1:{redis}/0"}
        keep = ("redis-server", "--bind", "127.0.0.1", "--port", str(redis), "--dir", str(data))
        api = (
            *(str(VENV / "bin/python"), "-m", "uvicorn", "fastapi_celery:app", "--host", "127.0.0.1"),
            *("--port", str(port), "--http", "httptools", "--loop", "uvloop", "--backlog", "2048"),
            *("--no-access-log", "--no-server-header", "--no-proxy-headers", "--timeout-keep-alive", "75"),
        )
        url = f"http://127.0.0.1:{port}"
        with self.process(keep + PERSISTENCE[persistence], environment):
            wait_for_port(redis)
            with self.process(api, environment) as (running, log):
                until_it_answers(url, running, log)
                results, ways = self.each_way(url, redis)
        if not results:
            raise RuntimeError("; ".join(f"{way}: {why}" for way, why in ways.items()))
        best, kept = max(results, key=lambda found: found[0].per_second)
        return replace(row, per_second=best.per_second, ways=ways, kept=kept, load=best.tool)

    def each_way(self, url: str, redis: int) -> tuple[list[tuple[Result, int]], dict[str, float | str]]:
        """Both endpoints of the FastAPI application: what worked, with the tasks that Redis has from it; and a note."""
        results: list[tuple[Result, int]] = []
        ways: dict[str, float | str] = {}
        for way in ("threads", "loop"):
            before = waiting_in(redis)
            request = replace(self.bench.create, paths=(f"/{way}{CREATE}",))
            try:
                result, accepted = self.measured(url, request, wrong_body=422)
                kept = waiting_in(redis) - before
                must_be_kept(accepted, kept)
            except RuntimeError as error:
                ways[way] = str(error)
            else:
                ways[way] = result.per_second
                results.append((result, kept))
        return results, ways

    def bentoml(self) -> Row:
        """A BentoML service; what it accepts it runs, in the same process."""
        port = free_port()
        serve = (str(VENV / "bin/bentoml"), "serve", "--quiet", "--host", "127.0.0.1", "--port", str(port))
        url = f"http://127.0.0.1:{port}"
        with self.process((*serve, "bento:Studio"), self.environment) as (running, log):
            until_it_answers(url, running, log)
            request = replace(self.bench.create, paths=(f"{CREATE}/submit",))
            result, accepted = self.measured(url, request, wrong_body=200)
        with contextlib.closing(sqlite3.connect(self.bench.folder / "bentoml" / "task_result.db")) as store:
            kept = int(store.execute("SELECT count(*) FROM result").fetchone()[0])
        must_be_kept(accepted, kept)
        return Row(BENTOML, NOT_BENTOML, result.per_second, load=result.tool, kept=kept)

    def measured(self, url: str, request: Request, *, wrong_body: int) -> tuple[Result, int]:
        """The load, once the server has shown that it checks what it claims to check; and all creates it accepted."""
        (path,) = request.paths
        wrong = BODY.replace("1:1", "2:5")
        accepted = 0
        for headers, body, wanted in (
            (request.headers, BODY, 200),
            ({"Content-Type": "application/json"}, BODY, 401),
            (request.headers, wrong, wrong_body),
        ):
            status = status_of(url + path, headers, body)
            if status != wanted:
                raise RuntimeError(f"a create was answered {status} in place of {wanted}: {body}")
            accepted += status == 200
        warm_up = run_load(url, request, connections=CONNECTIONS, seconds=WARM_UP_SECONDS)
        result = run_load(url, request, connections=CONNECTIONS, seconds=self.bench.seconds)
        if result.errors:
            late = ", or later than the 2 s that wrk waits" if result.tool == "wrk" else ""
            raise RuntimeError(f"{result.errors} of {result.requests} answers were errors{late}")
        return result, accepted + warm_up.requests - warm_up.errors + result.requests

    @contextlib.contextmanager
    def process(
        self, command: tuple[str, ...], environment: dict[str, str]
    ) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
        """A peer's process, and its log; at the end it is stopped, with all that it started."""
        log = self.bench.folder / f"{Path(command[0]).name}.log"
        with log.open("wb") as stream:
            running = subprocess.Popen(
                command, env=environment, cwd=HERE / "peers", stdout=stream, stderr=stream, start_new_session=True
            )
        try:
            yield running, log
        finally:
            stop(running)


def must_be_kept(accepted: int, kept: int) -> None:
    """Refuse a figure for creates that are not in the peer's store."""
    if kept < accepted:
        raise RuntimeError(f"{accepted} creates were accepted, but the store has {kept}")


def stop(running: "subprocess.Popen[bytes]") -> None:
    """End a process and its descendants: politely, then for certain."""
    try:
        descendants = psutil.Process(running.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        descendants = []
    running.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.wait(10)
    if running.poll() is None:
        running.kill()
        running.wait(10)
    for left in psutil.wait_procs(descendants, timeout=2)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            left.kill()


def until_it_answers(url: str, running: "subprocess.Popen[bytes]", log: Path) -> None:
    """Return at the first HTTP answer, whatever it says.

    Raises:
        RuntimeError: the process ended, or did not answer in time; with the end of its log.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and running.poll() is None:
        with contextlib.suppress(OSError):
            status_of(url, {}, None)
            return
        time.sleep(0.05)
    raise RuntimeError(f"it did not start:\n{log.read_text(encoding='utf-8', errors='replace')[-2000:]}")


def status_of(url: str, headers: dict[str, str], body: str | None) -> int:
    """The status of one answer."""
    request = urllib.request.Request(url, body.encode() if body is not None else None, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def waiting_in(redis: int) -> int:
    """How many tasks are in Celery's list."""
    with socket.create_connection(("127.0.0.1", redis), timeout=10) as connection:
        connection.sendall(b"LLEN celery\r\n")
        return int(connection.makefile("rb").readline().removeprefix(b":"))


def versions() -> dict[str, str]:
    """What is installed of the peers: nothing where they could not be installed."""
    if not (VENV / "ready").exists():
        return {}
    ask = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    command = [str(VENV / "bin/python"), "-c", ask]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)
    return {name: found[name] for name in ("fastapi", "celery", "redis", "bentoml", "uvicorn", "pydantic")}


def figure(name: str, run: Callable[..., Row], *arguments: str) -> Row:
    """A peer's row; a peer that does not work has a reason in place of a figure."""
    console.print(f"  {name} …")
    try:
        return run(*arguments)
    except (RuntimeError, OSError, subprocess.SubprocessError, sqlite3.Error) as error:
        console.print(f"  {name}: no figure: {error}", markup=False)
        return Row(name, "", reason=f"no figure: {str(error).splitlines()[0]}")


def main() -> None:
    """Measure ours, then each peer that can run here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8, help="how long each load lasts")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped then, too
    installed = versions()
    with tempfile.TemporaryDirectory(prefix="cavendish-peers-") as folder:
        bench = Bench(Path(folder), arguments.seconds)
        peers = Peers(bench)
        empty = bench.empty(bench.create)
        no_errors(empty)
        rows = [Row("an endpoint that does nothing", "everything", empty.per_second, load=empty.tool), peers.ours()]
        if not installed:
            console.print(
                "Skipping the peers: they are not installed in .venv-peers. `make bench-peers` installs them",
                soft_wrap=True,
            )
        elif shutil.which("redis-server") is None:
            console.print(f"Skipping {CELERY}: first apt-get install redis-server, or put it on PATH", soft_wrap=True)
        else:
            rows += [figure(f"{CELERY} ({kept})", peers.celery, kept) for kept in PERSISTENCE]
        if installed:
            rows.append(figure(BENTOML, peers.bentoml))
    report(rows, installed, arguments.seconds)


def report(rows: list[Row], installed: dict[str, str], seconds: float) -> None:
    """The table and the JSON."""
    empty, ours = (row.per_second or 0 for row in rows[:2])
    table = Table(
        title=f"Creates: {CONNECTIONS} connections, one API process each, {seconds:g} s, {os.cpu_count()} cores"
    )
    for column in ("stack", "creates/s", "of ours", "of empty", "what it does not do"):
        table.add_column(column, justify="right" if column in ("creates/s", "of ours", "of empty") else "left")
    figures: dict[str, dict[str, Any]] = {}
    for row in rows:
        of_ours = row.per_second / ours if row.per_second else None
        of_empty = row.per_second / empty if row.per_second else None
        figures[row.stack] = asdict(row) | {"unit": "/s", "of_ours": of_ours, "of_empty": of_empty}
        if row.per_second:
            table.add_row(row.stack, f"{row.per_second:,.0f}", f"{of_ours:.2f}", f"{of_empty:.2f}", row.lacks)
        else:
            table.add_row(row.stack, "-", "-", "-", row.reason)
    console.print(table)
    write_figures("peers-", figures, versions=installed)


if __name__ == "__main__":
    main()
