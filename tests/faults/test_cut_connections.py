"""The connection to the database breaks at the worst moments: was it committed or not? Nobody can know; all is well."""

from pathlib import Path

from cavendish.store.queries import load_queries
from tests.faults.audit import audit
from tests.faults.cluster import cluster_on, start, until
from tests.faults.conftest import Report
from tests.faults.load import load_on
from tests.faults.proxy import How, Proxy

TASKS = load_queries("tasks")
COMMIT = "COMMIT;"
CRASH = "[simulate:crash] a red apple"
FAR = "3600"
"""A lease that ends long after the test: what a worker forgets, nobody else picks up in time."""

MOMENTS: tuple[tuple[str, How], ...] = (
    ("finish", "before it arrives"),
    ("finish", "after it is done"),
    ("mark_generating", "before it arrives"),
    ("mark_generating", "after it is done"),
    ("claim", "before it arrives"),
    ("give_back_after_fault", "before it arrives"),
    ("give_back_after_fault", "after it is done"),
)


async def test_a_worker_whose_connection_is_cut_at_any_statement_ends_each_task_once(
    proxy: Proxy, dsn: str, tmp_path: Path, rounds: int, report: Report
) -> None:
    async with cluster_on(dsn, tmp_path, LEASE_TTL_SECONDS=FAR) as cluster:
        await start(cluster.api(), cluster.worker(dsn=proxy.dsn))
        async with load_on(cluster.urls, await cluster.keys()) as load:
            for statement, how in MOMENTS * rounds:
                fault = proxy.plan(TASKS[statement], how)
                crash = statement == "give_back_after_fault"
                ids = await load.create_many(10, CRASH if crash else "a red apple")
                await until(fault.struck.is_set, f"the worker sends no {statement}")
                # The worker never died, so no attempt was lost: what can succeed succeeds.
                await cluster.until_state({"fail"} if crash else {"success"}, *ids)
            report(await audit(cluster, load))


async def test_a_create_whose_commit_is_cut_off_is_found_again_by_its_idempotency_key(
    proxy: Proxy, dsn: str, tmp_path: Path, rounds: int, report: Report
) -> None:
    moments: tuple[How, ...] = ("before it arrives", "after it is done")
    async with cluster_on(dsn, tmp_path) as cluster:
        await start(cluster.api(dsn=proxy.dsn), cluster.worker())
        async with load_on(cluster.urls, await cluster.keys()) as load:
            for how in moments * 3 * rounds:
                fault = proxy.plan(COMMIT, how)
                await load.create_many(10)
                assert fault.struck.is_set(), "the creates were committed in another way than this test thinks"
            report(await audit(cluster, load))
