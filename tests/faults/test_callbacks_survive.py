"""Receivers that misbehave and deliverers that are killed: every callback is delivered or scheduled, under one id."""

import asyncio
import json
import random
from collections import defaultdict
from pathlib import Path

import pytest

from tests.faults.audit import audit
from tests.faults.cluster import Cluster, cluster_on, start, until
from tests.faults.conftest import Report
from tests.faults.load import Load, load_on
from tests.faults.receivers import healthy, receivers
from tests.loopback import LoopbackServer, Visit, loopback_server

KILLS, ORDERS = 2, 16
OUTCOMES = {
    # receiver -> (state after its first attempt, status, error)
    "healthy": ("delivered", 200, None),
    "hangs": ("pending", None, "too_slow"),
    "byte_by_byte": ("pending", None, "too_slow"),
    "body_byte_by_byte": ("delivered", 202, None),
    "ten_megabytes": ("pending", 500, None),
    "closes_in_the_middle": ("pending", None, "reset"),
    "closes_in_the_body": ("pending", 500, None),
    "moved": ("pending", 301, None),
    "gone": ("gone", 410, None),
    "too_many": ("pending", 429, None),
    "refuses": ("pending", None, "refused"),
}


async def tell(load: Load, server: LoopbackServer | int, count: int) -> list[str]:
    """Tasks whose callbacks go there."""
    port = server if isinstance(server, int) else server.port
    url = f"http://127.0.0.1:{port}/hook"
    return list(await asyncio.gather(*(load.create(callBackUrl=url) for _ in range(count))))


async def callbacks(cluster: Cluster) -> dict[str, str]:
    """Task id -> state of its callback; fails when an ended task with a URL has none."""
    rows = await cluster.rows(
        "SELECT t.id, c.state FROM tasks t LEFT JOIN callbacks c ON c.task_id = t.id "
        "WHERE t.callback_url IS NOT NULL AND t.finished_at IS NOT NULL"
    )
    lost = [row["id"] for row in rows if row["state"] is None]
    assert lost == [], "ended, with a URL, and nothing is scheduled"
    return {row["id"]: row["state"] for row in rows}


async def time_passes(cluster: Cluster) -> None:
    """The claims of dead deliverers are over, and scheduled attempts are due, without waiting for it."""
    await cluster.rows(
        "UPDATE callbacks SET next_attempt_at = now() "
        "WHERE state = 'pending' AND next_attempt_at > now() + interval '1 second'"
    )


async def test_whatever_a_receiver_does_a_callback_is_delivered_or_still_scheduled(
    dsn: str, tmp_path: Path, report: Report
) -> None:
    async with cluster_on(dsn, tmp_path, ALLOW_PRIVATE_URLS="1") as cluster, receivers() as servers:
        await start(cluster.api(), cluster.worker())
        async with load_on(cluster.urls, await cluster.keys()) as load:
            made = {name: await tell(load, server, 3) for name, server in servers.items()}

            async def all_tried() -> bool:
                [row] = await cluster.rows("SELECT count(DISTINCT task_id) AS tasks FROM callback_attempts")
                return bool(row["tasks"] == 3 * len(made))

            await until(all_tried, "not every callback was tried")
            found = defaultdict(set)
            first = await cluster.rows(
                "SELECT DISTINCT ON (a.task_id) a.*, c.state FROM callback_attempts a JOIN callbacks c USING (task_id) "
                "ORDER BY a.task_id, a.id"
            )
            by_task = {row["task_id"]: (row["state"], row["status"], row["error"]) for row in first}
            for name, ids in made.items():
                found[name] = {by_task[task_id] for task_id in ids}
            await callbacks(cluster)
            longest = max(len(row["answer"] or "") for row in first)
            asked_to_wait = await cluster.rows(
                "SELECT extract(epoch FROM c.next_attempt_at - a.started_at)::float8 AS seconds "
                "FROM callbacks c JOIN callback_attempts a USING (task_id) WHERE a.status = 429"
            )
            report(await audit(cluster, load))

    assert found == {name: {outcome} for name, outcome in OUTCOMES.items()}
    assert longest == 4096
    assert len(asked_to_wait) == 3
    assert all(3600 <= row["seconds"] < 3700 for row in asked_to_wait), "Retry-After: 3600"


@pytest.mark.parametrize("seed", [1])
async def test_deliverers_killed_at_random_lose_nothing_and_repeat_under_the_same_id(
    dsn: str, tmp_path: Path, rounds: int, report: Report, seed: int
) -> None:
    chance = random.Random(seed)

    async def sometimes_late(visit: Visit) -> None:
        """A third answers at once, a third a little later, and a third breaks off before an answer."""
        fate = chance.random()
        if fate < 1 / 3:
            raise ConnectionError
        await asyncio.sleep((fate - 1 / 3) / 10)
        await healthy(visit)

    async with (
        cluster_on(dsn, tmp_path, ALLOW_PRIVATE_URLS="1") as cluster,
        loopback_server(sometimes_late) as receiver,
    ):
        api, worker = cluster.api(), cluster.worker()
        await start(api, worker)
        async with load_on(cluster.urls, await cluster.keys(), seed=seed) as load:
            ids: list[str] = []
            for _ in range(KILLS * rounds):
                # Deliveries are under way then: some answered, some not, some answered and not recorded.
                moment = len(receiver.visits) + chance.randint(1, ORDERS)
                ordering = asyncio.create_task(tell(load, receiver, ORDERS))
                await until(lambda: len(receiver.visits) >= moment, "too few deliveries", at=worker)  # noqa: B023
                worker.kill()
                ids += await ordering
                await callbacks(cluster)
                await worker.start()
                await time_passes(cluster)
            await cluster.until_state({"success"}, *ids)

            async def all_delivered() -> bool:
                await time_passes(cluster)
                states = await callbacks(cluster)
                return set(states.values()) == {"delivered"} and len(states) == len(ids)

            await until(all_delivered, "callbacks are still not delivered", at=worker)
            report(await audit(cluster, load))

    sent: dict[str, set[str]] = defaultdict(set)
    for visit in receiver.visits:
        sent[json.loads(visit.body)["taskId"]].add(visit.headers["webhook-id"])
    assert sent.keys() == set(ids)
    assert all(len(webhook_ids) == 1 for webhook_ids in sent.values()), "every repeat has the same id"
    assert len(set().union(*sent.values())) == len(ids), "and no two tasks share one"
    assert len(receiver.visits) > len(ids), "those without an answer came again"
