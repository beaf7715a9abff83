"""A worker that was silent past its lease comes back: its tasks are others' now, and it changes nothing."""

import signal
from collections.abc import Callable
from pathlib import Path

from cavendish.store.queries import load_queries
from tests.faults.audit import audit
from tests.faults.cluster import Cluster, Member, cluster_on, start, until
from tests.faults.conftest import Report
from tests.faults.load import load_on
from tests.faults.proxy import Proxy

TASKS = load_queries("tasks")
TOO_LATE = (
    "the lease was lost; its tasks are dropped and a new lease begins",
    "a finish came too late: the task is another's now",
)


async def test_a_worker_paused_past_its_lease_wakes_up_and_changes_nothing(
    dsn: str, tmp_path: Path, rounds: int, report: Report
) -> None:
    async with cluster_on(dsn, tmp_path, LEASE_TTL_SECONDS="1") as cluster:
        paused, other = cluster.worker(SIMULATOR_LATENCY_SECONDS="2"), cluster.worker(LEASE_TTL_SECONDS="3")
        await start(cluster.api(), paused)
        async with load_on(cluster.urls, await cluster.keys()) as load:
            for _ in range(rounds):
                ids = await load.create_many(8)
                await cluster.until_state({"generating"}, *ids)
                paused.signal(signal.SIGSTOP)
                await other.start()
                await cluster.until_state({"success"}, *ids)
                other.kill()
                await _comes_too_late_and_changes_nothing(cluster, paused, lambda: paused.signal(signal.SIGCONT))
                # Its next lease is alive and holds nothing: whatever it had in its hands is behind it.
                await until(lambda: _has_a_lease(cluster, paused), "it began no new lease", at=paused)
            report(await audit(cluster, load))


async def test_a_finish_that_was_on_its_way_while_the_lease_ended_changes_nothing(
    proxy: Proxy, dsn: str, tmp_path: Path, rounds: int, report: Report
) -> None:
    async with cluster_on(dsn, tmp_path, LEASE_TTL_SECONDS="1") as cluster:
        cut_off, other = cluster.worker(dsn=proxy.dsn), cluster.worker(LEASE_TTL_SECONDS="3")
        await start(cluster.api(), cut_off)
        async with load_on(cluster.urls, await cluster.keys()) as load:
            for _ in range(rounds):
                finish = proxy.plan(TASKS["finish"], "hold it")
                ids = await load.create_many(8)
                await until(finish.struck.is_set, "the worker sends no finish", at=cut_off)
                # All of them: one that hangs is asked again on another connection.
                renewals = [proxy.plan(TASKS["renew_lease"], "hold it") for _ in range(200)]
                await other.start()
                await cluster.until_state({"success"}, *ids)
                other.kill()
                await _comes_too_late_and_changes_nothing(cluster, cut_off, finish.release)
                for renewal in renewals:
                    renewal.release()
            report(await audit(cluster, load))


async def _comes_too_late_and_changes_nothing(cluster: Cluster, late: Member, come: Callable[[], object]) -> None:
    """Let a worker go on whose tasks were ended by another meanwhile."""
    before = await cluster.snapshot()
    said = sum(map(late.count, TOO_LATE))
    come()
    await until(lambda: sum(map(late.count, TOO_LATE)) > said, "it did not notice that its lease is over", at=late)
    assert await cluster.snapshot() == before, "a worker that came back past its lease changed something"


async def _has_a_lease(cluster: Cluster, worker: Member) -> bool:
    living = await cluster.rows("SELECT worker FROM leases WHERE expires_at > clock_timestamp()")
    return any(row["worker"].endswith(f":{worker.process.process.pid}") for row in living)
