"""SIGTERM: no new work, a grace for what runs, the rest back at once; a second signal ends it now."""

import signal
from pathlib import Path

import aiohttp

from cavendish.store.queries import load_queries
from tests.faults.audit import audit
from tests.faults.cluster import cluster_on, start, until
from tests.faults.conftest import Report
from tests.faults.load import load_on
from tests.faults.proxy import Proxy

TASKS = load_queries("tasks")
FAR = "3600"
"""A lease that ends long after the test: only who gave a task back can be the reason that another has it."""


async def test_a_stopping_worker_ends_what_it_can_in_its_grace_and_gives_the_rest_back_at_once(
    dsn: str, tmp_path: Path, report: Report
) -> None:
    async with cluster_on(dsn, tmp_path, LEASE_TTL_SECONDS=FAR) as cluster:
        stopping = cluster.worker(SHUTDOWN_GRACE_SECONDS="3", SIMULATOR_LATENCY_SECONDS="600", WORKER_SLOTS="20")
        await start(cluster.api(), stopping)
        async with load_on(cluster.urls, await cluster.keys()) as load:
            short = await load.create_many(5, "[simulate:seconds=1] a red apple")
            long = await load.create_many(5)  # longer than the grace
            await cluster.until_state({"generating"}, *long)

            stopping.signal(signal.SIGTERM)
            await stopping.line("stopping")
            late = await load.create_many(5)  # it has slots free, and would claim these

            assert await stopping.ended() == 0, stopping.tail()
            tasks = {row["id"]: row for row in await cluster.rows("SELECT * FROM tasks")}
            outcomes = {name: {tasks[i]["state"] for i in ids} for name, ids in (("short", short), ("long", long))}
            assert outcomes == {"short": {"success"}, "long": {"waiting"}}, (
                "what is short ends, what is long waits again"
            )
            assert {tasks[i]["faults"] for i in long} == {0}, "being stopped is no fault of a task"
            assert {(tasks[i]["state"], tasks[i]["attempt"]) for i in late} == {("waiting", 0)}, "claimed after SIGTERM"
            living = await cluster.rows("SELECT * FROM leases WHERE expires_at > clock_timestamp()")
            assert living == [], "the lease of a worker that left lives on"

            await cluster.worker().start()
            await cluster.until_state({"success"}, *long, *late)
            report(await audit(cluster, load))


async def test_tasks_that_a_worker_claims_in_the_moment_of_sigterm_go_back_at_once(
    proxy: Proxy, dsn: str, tmp_path: Path, report: Report
) -> None:
    async with cluster_on(dsn, tmp_path, LEASE_TTL_SECONDS=FAR) as cluster:
        await start(cluster.api())
        async with load_on(cluster.urls, await cluster.keys()) as load:
            ids = await load.create_many(5)
            answer = proxy.plan(TASKS["claim"], "hold the answer")
            stopping = cluster.worker(dsn=proxy.dsn, SIMULATOR_LATENCY_SECONDS="600", SHUTDOWN_GRACE_SECONDS="0")
            await stopping.start()
            await until(answer.struck.is_set, "the worker sends no claim")
            assert set(await cluster.states(*ids)) == {"queuing"}
            stopping.signal(signal.SIGTERM)
            await stopping.line("stopping")
            answer.release()
            assert await stopping.ended() == 0, stopping.tail()
            assert set(await cluster.states(*ids)) == {"waiting"}, stopping.tail()
            await cluster.worker().start()
            await cluster.until_state({"success"}, *ids)
            report(await audit(cluster, load))


async def test_a_stopping_server_is_not_ready_and_a_second_signal_ends_it_now(
    dsn: str, tmp_path: Path, report: Report
) -> None:
    async with cluster_on(dsn, tmp_path, SHUTDOWN_GRACE_SECONDS="600") as cluster:
        server = cluster.api(with_worker=True, SIMULATOR_LATENCY_SECONDS="600")
        await start(server)
        async with load_on(cluster.urls, await cluster.keys()) as load:
            task_id = await load.create()
            await cluster.until_state({"generating"}, task_id)
            assert await _readiness(server.url) == (200, {"database": "ok", "api": "ok", "worker": "ok"})

            server.signal(signal.SIGTERM)
            await server.line("stopping")
            states = []

            async def refused() -> bool:
                states.append(await _readiness(server.url))
                return states[-1][0] == 503

            await until(refused, f"still ready after SIGTERM: {states[-1:]}", at=server)
            assert states[-1][1] == {"database": "ok", "api": "not ready", "worker": "not ready"}
            late = await load.create()  # accepted, because it is stored; for another worker
            assert await cluster.states(task_id, late) == ["generating", "waiting"]

            server.signal(signal.SIGTERM)
            assert await server.ended() == 128 + signal.SIGTERM, server.tail()

            await start(cluster.api(with_worker=True))
            await cluster.until_state({"success"}, task_id, late)
            report(await audit(cluster, load))


async def _readiness(url: str) -> tuple[int, dict[str, str]]:
    async with aiohttp.ClientSession() as client, client.get(f"{url}/readyz") as answer:
        return answer.status, (await answer.json())["checks"]
