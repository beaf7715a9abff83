"""Callers who wait at one process while others are killed or stopped: they hear the truth, and nobody hangs."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import aiohttp

from cavendish.domain.progress import read_event_id
from tests.faults.cluster import Member, cluster_on, start, until
from tests.harness import PROMPT_BODY


async def create(client: aiohttp.ClientSession, server: Member) -> str:
    async with client.post(f"{server.url}/api/v1/tasks/create", json=PROMPT_BODY) as answer:
        return str((await answer.json())["data"]["taskId"])


async def wait(client: aiohttp.ClientSession, server: Member, task_id: str) -> dict[str, Any]:
    async with client.get(f"{server.url}/api/v1/tasks/query/{task_id}?wait=60") as answer:
        data: dict[str, Any] = (await answer.json())["data"]
        return data


async def listen(client: aiohttp.ClientSession, server: Member, task_id: str, heard: list[tuple[str, str]]) -> None:
    """Note (event id, state) until the stream ends."""
    event = ""
    async with client.get(f"{server.url}/api/v1/tasks/events/{task_id}") as answer:
        async for raw in answer.content:
            name, _, value = raw.decode().rstrip("\n").partition(": ")
            if name == "id":
                event = value
            elif name == "data":
                heard.append((event, json.loads(value)["state"]))


async def until_heard(heard: list[tuple[str, str]], state: str) -> None:
    await until(lambda: state in [told for _, told in heard], f"nobody tells of {state}: {heard}")


async def test_callers_hear_of_a_worker_that_dies_and_of_the_one_that_ends_their_task(dsn: str, tmp_path: Path) -> None:
    async with cluster_on(dsn, tmp_path) as cluster:
        server, doomed = cluster.api(), cluster.worker(SIMULATOR_LATENCY_SECONDS="600")
        await start(server, doomed)
        (key,) = await cluster.keys(1)
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as client:
            task_id = await create(client, server)
            heard: list[tuple[str, str]] = []
            listening = asyncio.create_task(listen(client, server, task_id, heard))
            waiting = asyncio.create_task(wait(client, server, task_id))
            await until_heard(heard, "generating")

            doomed.kill()
            await start(cluster.worker())

            answer = await waiting
            await listening
    assert (answer["state"], heard[-1]) == ("success", ("2-success", "success"))
    positions = [read_event_id(event) for event, _ in heard]
    assert positions == sorted(set(positions)), heard


async def test_a_server_that_stops_sends_its_waiting_callers_away_with_what_is_known(dsn: str, tmp_path: Path) -> None:
    async with cluster_on(dsn, tmp_path) as cluster:
        server = cluster.api()
        await start(server)
        (key,) = await cluster.keys(1)
        sent: list[str] = []
        trace = aiohttp.TraceConfig()

        async def note(_session: object, _context: object, request: aiohttp.TraceRequestHeadersSentParams) -> None:
            sent.append(request.url.path_qs)

        trace.on_request_headers_sent.append(note)
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}, trace_configs=[trace]) as client:
            task_id = await create(client, server)
            heard: list[tuple[str, str]] = []
            listening = asyncio.create_task(listen(client, server, task_id, heard))
            await until_heard(heard, "waiting")
            async with asyncio.timeout(45):  # less than a wait may take
                waiting = asyncio.create_task(wait(client, server, task_id))
                await until(lambda: sent[-1].endswith("?wait=60"), "the wait is not sent")
                async with client.get(f"{server.url}/healthz") as answer:  # came after it, so it has been taken up
                    assert answer.status == 200

                server.signal(signal.SIGTERM)

                data = await waiting
                await listening
            assert data["state"] == "waiting"
            assert heard == [("0-waiting", "waiting")]
            assert await server.ended() == 0, server.tail()
            assert server.count("stopped") == 1
