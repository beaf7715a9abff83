"""Several API and worker processes over one database: sharing the work, and being killed in the middle of it."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.faults.audit import audit
from tests.faults.cluster import cluster_on, start, supervised, until
from tests.faults.conftest import Report
from tests.faults.load import load_on

ORDERS = 80
KILLS = 4


async def test_two_apis_and_two_workers_share_the_work_and_finish_all_of_it(
    dsn: str, tmp_path: Path, rounds: int, report: Report
) -> None:
    orders = ORDERS * rounds
    # Few slots and a slow engine: neither worker can do it alone before the other has begun.
    async with cluster_on(dsn, tmp_path, WORKER_SLOTS="4", LOG_LEVEL="debug") as cluster:
        workers = [cluster.worker(), cluster.worker()]
        await start(cluster.api(), cluster.api(), *workers)
        async with load_on(cluster.urls, await cluster.keys()) as load:
            ids = await load.create_many(orders)
            tally = await audit(cluster, load)

        assert (tally.accepted, tally.success) == (orders, orders), "without any fault, every task succeeds"
        done = [{line["task_id"] for line in worker.lines() if line["event"] == "task done"} for worker in workers]
        assert done[0] | done[1] == set(ids)
        assert not done[0] & done[1], "a task was drawn by both workers"
        assert min(map(len, done)) >= orders // 10, f"the work was not shared: {[len(part) for part in done]}"
        report(tally)


@pytest.mark.parametrize("seed", [1])
async def test_processes_killed_at_random_lose_no_task_and_charge_none_twice(
    dsn: str, tmp_path: Path, rounds: int, report: Report, seed: int
) -> None:
    chance = random.Random(seed)
    async with cluster_on(dsn, tmp_path) as cluster:
        members = [cluster.api(), cluster.api(), cluster.worker(), cluster.worker()]
        await start(*members)
        async with (
            supervised(*members),
            load_on(cluster.urls, await cluster.keys(), seed=seed) as load,
            asyncio.TaskGroup() as group,
        ):
            customers = group.create_task(load.customers(ORDERS * rounds))
            for number in range(KILLS * rounds):
                # By progress, not by the clock: the kills fall into the load on any machine.
                due = (number + chance.random()) * ORDERS / (KILLS + 1)
                await until(lambda due=due: load.accepted >= due, f"{load.accepted} orders accepted, not {due:.0f}")
                await until(lambda: any(member.running for member in members), "no process comes back")
                await asyncio.sleep(chance.random() * 0.05)
                chance.choice([member for member in members if member.running]).kill()
            await customers
            report(await audit(cluster, load))
