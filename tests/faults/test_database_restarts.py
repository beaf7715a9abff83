"""The database goes away under load and comes back."""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from cavendish.store.embedded import EmbeddedServer
from tests.faults.audit import audit
from tests.faults.cluster import Cluster, cluster_on, start, until
from tests.faults.conftest import Report
from tests.faults.load import Load, load_on

ORDERS = 60


class Restartable:
    """A PostgreSQL of its own, on a folder that stays where it is: its URL never changes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._handles: list[EmbeddedServer] = []

    @property
    def dsn(self) -> str:
        """Where it answers."""
        return self._handles[-1].dsn

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        self._handles.append(await asyncio.to_thread(EmbeddedServer.start, self._folder))

    async def stop(self) -> None:
        """A fast shutdown: connections are cut, everything is written."""
        for handle in self._handles:
            await asyncio.to_thread(handle.close)

    async def kill(self) -> None:
        """kill -9 for the postmaster and every process of it: what a power cut leaves."""
        pid_file = self._folder / "postgres" / "cluster" / "postmaster.pid"
        postmaster = psutil.Process(int(pid_file.read_text(encoding="utf-8").splitlines()[0]))
        processes = [postmaster, *postmaster.children(recursive=True)]
        os.kill(postmaster.pid, signal.SIGKILL)  # first, so that it starts no others
        for child in processes[1:]:
            try:
                child.kill()
            except psutil.NoSuchProcess:
                continue
        gone, _ = await asyncio.to_thread(psutil.wait_procs, processes, 20)
        assert len(gone) == len(processes), "PostgreSQL survived kill -9"


@pytest.fixture
async def restartable() -> AsyncIterator[Restartable]:
    with tempfile.TemporaryDirectory(prefix="cavendish-faults-") as folder:
        server = Restartable(Path(folder) / "data")
        await server.start()
        try:
            yield server
        finally:
            await server.stop()


async def test_a_database_that_is_stopped_or_killed_under_load_and_comes_back_has_lost_nothing(
    restartable: Restartable, tmp_path: Path, rounds: int, report: Report
) -> None:
    async with cluster_on(restartable.dsn, tmp_path) as cluster:
        members = [cluster.api(), cluster.worker(), cluster.worker()]
        await start(*members)
        async with load_on(cluster.urls, await cluster.keys()) as load:
            for number in range(rounds):
                for end in (restartable.stop, restartable.kill):
                    customers = asyncio.create_task(load.customers(ORDERS))
                    due = load.accepted + ORDERS // (2 + number % 5)
                    await _until_accepted(load, due)
                    await end()
                    await _until_refused(cluster)
                    await restartable.start()
                    await customers
            assert all(member.running for member in members), "a process ended because the database was away"
            report(await audit(cluster, load))


async def test_a_database_that_is_read_only_for_a_while_as_in_a_failover_only_delays(
    dsn: str, tmp_path: Path, report: Report
) -> None:
    name = "current_database()"
    turn = f"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = {{}}', {name}); END $$"
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {name} AND pid <> pg_backend_pid()"
    async with cluster_on(dsn, tmp_path) as cluster:
        worker = cluster.worker()
        await start(cluster.api(), worker)
        async with load_on(cluster.urls, await cluster.keys()) as load:
            ids = await load.create_many(8)
            await cluster.until_state({"success"}, *ids)
            await cluster.rows(turn.format("on"))
            await cluster.rows(cut)
            said = worker.tail()
            await until(lambda: worker.tail() != said, "the worker does not notice")
            await cluster.rows("SET default_transaction_read_only = off")
            await cluster.rows(turn.format("off"))
            await cluster.rows(cut)
            more = await load.create_many(8)
            await cluster.until_state({"success"}, *more)
            report(await audit(cluster, load))


async def _until_accepted(load: Load, due: int) -> None:
    await until(lambda: load.accepted >= due, f"{load.accepted} orders accepted, not {due}")


async def _until_refused(cluster: Cluster) -> None:
    """Wait until the processes have felt it."""
    felt = ("no lease", "nothing claimed", "a write is repeated", "the lease could not be renewed", "a request failed")

    def noticed() -> bool:
        events = [str(line["event"]) for member in cluster.members for line in member.lines()]
        return any(event.startswith(felt) for event in events)

    await until(noticed, "no process notices that the database is away")
