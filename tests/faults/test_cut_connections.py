"""The connection to the database breaks at the worst moments: was it committed or not? Nobody can know; all is well."""

import asyncio
from pathlib import Path

import pytest

from cavendish.store.queries import load_queries
from tests.faults.audit import audit
from tests.faults.cluster import cluster_on, start, until
from tests.faults.conftest import Report
from tests.faults.load import load_on
from tests.faults.proxy import How, Proxy

TASKS = load_queries("tasks")
SUBMIT = load_queries("submit")
COMMIT = "COMMIT;"
CRASH = "[simulate:crash] a red apple"
SLOW = "[simulate:seconds=0.2] a red apple"
"""Long enough to be marked as generating."""
FAR = "3600"
"""A lease that ends long after the test: what a worker forgets, nobody else picks up in time."""

MOMENTS: tuple[tuple[str, How], ...] = (
    ("finish", "before it arrives"),
    ("finish", "after it is done"),
    ("mark_generating", "before it arrives"),
    ("mark_generating", "after it is done"),
    ("claim", "before it arrives"),
    ("claim", "after it is done"),
    ("give_back", "after it is done"),
)


async def test_a_worker_whose_connection_is_cut_at_any_statement_ends_each_task_once(
    proxy: Proxy, dsn: str, tmp_path: Path, rounds: int, report: Report
) -> None:
    async with cluster_on(dsn, tmp_path, LEASE_TTL_SECONDS=FAR) as cluster:
        await start(cluster.api(), cluster.worker(dsn=proxy.dsn))
        async with load_on(cluster.urls, await cluster.keys()) as load:
            for statement, how in MOMENTS * rounds:
                fault = proxy.plan(TASKS[statement], how)
                crash = statement == "give_back"
                ids = await load.create_many(10, CRASH if crash else SLOW)
                await until(fault.struck.is_set, f"the worker sends no {statement}")
                # The worker never died, so no attempt was lost: what can succeed succeeds.
                await cluster.until_state({"fail"} if crash else {"success"}, *ids)
            report(await audit(cluster, load))


async def test_tasks_of_a_claim_that_is_carried_out_long_after_its_sender_gave_up_are_not_forgotten(
    proxy: Proxy, dsn: str, tmp_path: Path, report: Report
) -> None:
    async with cluster_on(dsn, tmp_path, WORKER_SLOTS="1") as cluster:
        await start(cluster.api())
        async with load_on(cluster.urls, await cluster.keys()) as load:
            claim = proxy.plan(TASKS["claim"], "it arrives late")
            worker = cluster.worker(dsn=proxy.dsn)
            await worker.start()
            await until(claim.struck.is_set, "the worker sends no claim")
            # Its next claim, on another connection, fills its only slot; so that nothing but the late one takes more.
            first = await load.create("[simulate:seconds=3] a red apple")
            await cluster.until_state({"generating"}, first)
            second = await load.create()
            claim.release()
            await until(claim.done.is_set, "the late claim is not carried out")
            await cluster.until_state({"success"}, first, second)
            report(await audit(cluster, load))


async def test_a_claim_whose_answer_is_slow_does_not_keep_the_lease_from_being_renewed(
    proxy: Proxy, dsn: str, tmp_path: Path, report: Report
) -> None:
    async with cluster_on(dsn, tmp_path, LEASE_TTL_SECONDS="1", WORKER_SLOTS="2") as cluster:
        worker = cluster.worker(dsn=proxy.dsn)
        await start(cluster.api(), worker)
        async with load_on(cluster.urls, await cluster.keys()) as load:
            running = await load.create("[simulate:seconds=4] a red apple")
            await cluster.until_state({"generating"}, running)
            slow = proxy.plan(TASKS["claim"], "hold the answer")
            waiting = await load.create()
            await until(slow.struck.is_set, "the worker sends no claim")
            await cluster.until_state({"success", "fail"}, running)
            slow.release()
            await cluster.until_state({"success"}, waiting)
            report(await audit(cluster, load))
        attempts = await cluster.rows("SELECT attempt, faults FROM tasks WHERE id = $1", running)
        assert attempts == [{"attempt": 1, "faults": 0}], f"the lease was lost:\n{worker.tail()}"


async def test_a_renewal_that_hangs_is_tried_again_on_another_connection_before_the_lease_is_over(
    proxy: Proxy, dsn: str, tmp_path: Path, report: Report
) -> None:
    async with cluster_on(dsn, tmp_path, LEASE_TTL_SECONDS="3") as cluster:
        worker = cluster.worker(dsn=proxy.dsn)
        await start(cluster.api(), worker)
        async with load_on(cluster.urls, await cluster.keys()) as load:
            held = proxy.plan(TASKS["renew_lease"], "hold it")
            running = await load.create("[simulate:seconds=5] a red apple")
            await until(held.struck.is_set, "the worker renews no lease")
            await cluster.until_state({"success", "fail"}, running)
            report(await audit(cluster, load))
        attempts = await cluster.rows("SELECT attempt, faults FROM tasks WHERE id = $1", running)
        assert attempts == [{"attempt": 1, "faults": 0}], f"the lease was lost:\n{worker.tail()}"


async def test_a_create_whose_commit_is_cut_off_is_found_again_by_its_idempotency_key(
    proxy: Proxy, dsn: str, tmp_path: Path, rounds: int, report: Report
) -> None:
    moments: tuple[How, ...] = ("before it arrives", "after it is done")
    async with cluster_on(dsn, tmp_path) as cluster:
        await start(cluster.api(dsn=proxy.dsn), cluster.worker())
        async with load_on(cluster.urls, await cluster.keys()) as load:
            for how in moments * 2 * rounds:
                # A batch that fits is one statement; one with a repeated key in it, as ten orders have, is several.
                faults = [proxy.plan(SUBMIT["accept"], how), proxy.plan(COMMIT, how)]
                for count in (10, 1) * 5:
                    await load.create_many(count)
                struck = [fault.struck.is_set() for fault in faults]
                assert all(struck), "the creates were committed in another way than this test thinks"
            report(await audit(cluster, load))


async def test_an_api_machine_that_vanishes_inside_a_transaction_does_not_freeze_its_customers_accounts(
    proxy: Proxy, dsn: str, tmp_path: Path, rounds: int, report: Report
) -> None:
    if rounds == 1:
        pytest.skip("PostgreSQL waits 10 s before it gives such a transaction up: part of the long form")
    async with cluster_on(dsn, tmp_path, LEASE_TTL_SECONDS=FAR) as cluster:
        vanishing, other = cluster.api(dsn=proxy.dsn), cluster.api()
        await start(vanishing, other, cluster.worker(SIMULATOR_LATENCY_SECONDS="1"))
        asked = [vanishing]
        async with load_on(lambda: [member.url for member in asked], await cluster.keys(1)) as load:
            ids = await load.create_many(4)
            fault = proxy.plan(SUBMIT["known_requests"], "swallow the answer")
            more = asyncio.create_task(load.create_many(1))
            await until(fault.struck.is_set, "the API sends no such statement")
            asked[0] = other
            vanishing.kill()  # the network is down: PostgreSQL is not told
            await more
            await cluster.until_state({"success"}, *ids)
            report(await audit(cluster, load))
