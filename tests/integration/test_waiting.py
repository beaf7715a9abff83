"""Waiting over HTTP: until a task has ended, or for each of its states; whoever ends it, and whatever gets lost."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
import pytest_asyncio

from cavendish.flows import waiting
from cavendish.flows.waiting import WaitingRoom
from cavendish.ports import EngineImage
from cavendish.store.embedded import EmbeddedServer
from cavendish.testing import Blocked, ScriptedEngine
from cavendish.wiring import Parts, open_parts
from tests import imagery
from tests.conftest import TEMPLATE, execute
from tests.contract.wire import connected, head
from tests.harness import PROMPT_BODY, Running, running, settings_for
from tests.properties.bench import working

pytestmark = pytest.mark.asyncio(loop_scope="module")

PICTURE = EngineImage(imagery.png())
LONG = 30
"""Seconds that no test waits: whoever is not woken fails by its own deadline."""


@asynccontextmanager
async def api(dsn: str, folder: Path, **settings: str) -> AsyncIterator[Running]:
    """An API without a worker."""
    async with running(settings_for(dsn, folder, **settings), with_worker=False) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def quiet(postgres: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """An API where nobody works."""
    database = f"waiting_{uuid4().hex}"
    await execute(postgres.dsn, f'CREATE DATABASE "{database}" TEMPLATE "{TEMPLATE}"')
    async with api(postgres.dsn_for(database), tmp_path_factory.mktemp("waiting")) as server:
        yield server
    await execute(postgres.dsn, f'DROP DATABASE "{database}" WITH (FORCE)')


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def busy(postgres: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """An API with a worker that has every picture at once."""
    database = f"waiting_{uuid4().hex}"
    await execute(postgres.dsn, f'CREATE DATABASE "{database}" TEMPLATE "{TEMPLATE}"')
    async with running(settings_for(postgres.dsn_for(database), tmp_path_factory.mktemp("working"))) as server:
        yield server
    await execute(postgres.dsn, f'DROP DATABASE "{database}" WITH (FORCE)')


@asynccontextmanager
async def elsewhere(server: Running, engine: ScriptedEngine) -> AsyncIterator[Parts]:
    """A worker with parts and a listener of its own, as in another process: it shares the database and nothing else."""
    async with open_parts(server.parts.settings) as parts:
        worker = parts.worker(engine, parts.fetcher())
        async with parts.listener.running(), working(worker):
            yield parts


async def until(question: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not question():  # noqa: ASYNC110 - it is another task's doing
            await asyncio.sleep(0.005)


async def waited(server: Running, key: str, task_id: str, seconds: object = LONG) -> dict[str, Any]:
    path = f"/api/v1/tasks/query/{task_id}?wait={seconds}"
    status, answer, _ = await server.call("GET", path, key=key)
    assert status == 200, answer
    data: dict[str, Any] = answer["data"]
    return data


class Stream:
    """The events of a task, read as a client reads them."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self.comments = 0

    async def event(self) -> tuple[str, dict[str, Any]] | None:
        """The next (id, data); None at the end of the stream."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(20):
            async for raw in self.answer.content:
                line = raw.decode().rstrip("\n")
                if line.startswith(":"):
                    self.comments += 1
                elif line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif "data" in fields:
                    return fields["id"], json.loads(fields["data"])
        return None

    async def states(self) -> list[tuple[str, str]]:
        """(id, state) of everything that comes until the end."""
        seen = []
        while (event := await self.event()) is not None:
            seen.append((event[0], event[1]["state"]))
        return seen


@asynccontextmanager
async def events(server: Running, key: str, task_id: str, last: str | None = None) -> AsyncIterator[Stream]:
    headers = {"Authorization": f"Bearer {key}"} | ({"Last-Event-ID": last} if last is not None else {})
    async with server.client.get(f"{server.url}/api/v1/tasks/events/{task_id}", headers=headers) as answer:
        yield Stream(answer)


async def test_a_query_waits_until_another_process_has_ended_the_task(dsn: str, tmp_path: Path) -> None:
    step = Blocked(PICTURE)
    engine = ScriptedEngine(step)
    async with api(dsn, tmp_path) as server, elsewhere(server, engine):
        key = await server.new_key()
        task_id = await server.create(key)
        answers = [asyncio.create_task(waited(server, key, task_id)) for _ in range(3)]
        await until(lambda: server.parts.waiting.waiters == 3)
        await engine.until_called()
        assert not any(answer.done() for answer in answers)

        step.release()

        assert {(await answer)["state"] for answer in answers} == {"success"}
        assert server.parts.waiting.waiters == 0


async def test_a_notification_wakes_without_any_look_at_the_database(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Blocked(PICTURE)
    engine = ScriptedEngine(step)
    async with api(dsn, tmp_path) as server, elsewhere(server, engine) as parts:

        async def no_look(self: WaitingRoom) -> None:
            pass

        monkeypatch.setattr(WaitingRoom, "_look", no_look)
        key = await server.new_key()
        task_id = await server.create(key)
        answer = asyncio.create_task(waited(server, key, task_id))
        await until(lambda: parts.announcements._ends_until > parts.clock.monotonic())
        await engine.until_called()
        step.release()

        assert (await answer)["state"] == "success"


async def test_a_lost_notification_is_made_up_for(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "TICK_SECONDS", 0.01)
    step = Blocked(PICTURE)
    engine = ScriptedEngine(step)
    async with api(dsn, tmp_path) as server, elsewhere(server, engine) as parts:
        monkeypatch.setattr(parts.announcements, "_announce", lambda _kind, _ids: None)
        key = await server.new_key()
        tasks = [await server.create(key) for _ in range(1)]
        answer = asyncio.create_task(waited(server, key, tasks[0]))
        await until(lambda: server.parts.waiting.waiters == 1)
        await engine.until_called()
        async with events(server, key, tasks[0]) as stream:
            assert await stream.event() is not None
            step.release()
            assert (await stream.states())[-1] == ("1-success", "success")
        assert (await answer)["state"] == "success"


async def test_a_wait_that_is_over_answers_with_the_state_as_it_is(quiet: Running) -> None:
    key = await quiet.new_key()
    task_id = await quiet.create(key)

    assert (await waited(quiet, key, task_id, "0.05"))["state"] == "waiting"
    assert (await waited(quiet, key, task_id, 0))["state"] == "waiting"


async def test_a_task_that_has_ended_is_answered_at_once(busy: Running) -> None:
    key = await busy.new_key()
    task_id = await busy.create(key)
    await busy.ended(key, task_id)

    assert (await waited(busy, key, task_id))["state"] == "success"
    async with events(busy, key, task_id) as stream:
        assert await stream.states() == [("1-success", "success")]


async def test_a_cancel_ends_the_wait(quiet: Running) -> None:
    key = await quiet.new_key()
    task_id = await quiet.create(key)
    answer = asyncio.create_task(waited(quiet, key, task_id))
    await until(lambda: quiet.parts.waiting.waiters == 1)

    await quiet.call("POST", f"/api/v1/tasks/cancel/{task_id}", key=key)

    assert ((await answer)["state"], (await answer)["failCode"]) == ("fail", "canceled")


async def test_a_wait_that_is_no_number_up_to_sixty_is_refused_before_anything_is_looked_up(quiet: Running) -> None:
    key = await quiet.new_key()

    status, answer, _ = await quiet.call("GET", "/api/v1/tasks/query/nothing?wait=61", key=key)

    assert status == 422
    assert answer["message"].startswith('wait: must be a number of seconds from 0 to 60; got "61"')


async def test_nobody_waits_for_what_is_not_theirs(quiet: Running) -> None:
    mine, other = await quiet.new_key("mine"), await quiet.new_key("other")
    task_id = await quiet.create(mine)
    for path in (f"query/{task_id}?wait={LONG}", f"events/{task_id}", f"query/none?wait={LONG}", "events/none"):
        status, answer, _ = await quiet.call("GET", f"/api/v1/tasks/{path}", key=other)
        assert (status, answer["message"].startswith("There is no task")) == (404, True), path
    status, _, _ = await quiet.call("GET", f"/api/v1/tasks/events/{task_id}")
    assert status == 401
    status, _, headers = await quiet.call("POST", f"/api/v1/tasks/events/{task_id}", key=mine)
    assert (status, headers["Allow"]) == (404, "GET, HEAD")
    assert quiet.parts.waiting.waiters == 0


async def test_a_wait_counts_once_against_the_limit_of_queries(dsn: str, tmp_path: Path) -> None:
    async with api(dsn, tmp_path, QUERIES_PER_MINUTE="60") as server:
        key = await server.new_key()
        task_id = await server.create(key)
        for _ in range(30):
            await waited(server, key, task_id, "0.001")
            async with events(server, key, task_id) as stream:
                assert stream.answer.status == 200
        status, _, headers = await server.call("GET", f"/api/v1/tasks/query/{task_id}?wait=1", key=key)
        assert (status, headers["RateLimit-Policy"]) == (429, '"queries";q=60;w=60')
        async with events(server, key, task_id) as stream:
            assert stream.answer.status == 429


async def test_events_tell_every_state_to_the_end(dsn: str, tmp_path: Path) -> None:
    step = Blocked(PICTURE)
    engine = ScriptedEngine(step)
    async with api(dsn, tmp_path) as server:
        key = await server.new_key()
        task_id = await server.create(key)
        async with events(server, key, task_id) as stream:
            first = await stream.event()
            assert first is not None
            assert stream.answer.headers["Content-Type"] == "text/event-stream"
            assert stream.answer.headers["Cache-Control"] == "no-store"
            async with elsewhere(server, engine):
                seen = [(first[0], first[1]["state"])]
                while seen[-1][1] != "generating":
                    event = await stream.event()
                    assert event is not None
                    seen.append((event[0], event[1]["state"]))
                step.release()
                last = await stream.event()
            assert last is not None
            _, answer, _ = await server.call("GET", f"/api/v1/tasks/query/{task_id}", key=key)
            assert last == ("1-success", answer["data"])
            assert await stream.event() is None

    assert seen[0] == ("0-waiting", "waiting")
    assert set(seen[1:-1]) <= {("1-queuing", "queuing")}
    assert seen[-1] == ("1-generating", "generating")


async def test_a_reader_that_comes_again_hears_only_what_is_new(quiet: Running) -> None:
    key = await quiet.new_key()
    task_id = await quiet.create(key)
    async with events(quiet, key, task_id) as stream:
        first = await stream.event()
    assert first is not None
    async with events(quiet, key, task_id, last=first[0]) as stream:
        await until(lambda: quiet.parts.waiting.waiters == 1)
        await quiet.call("POST", f"/api/v1/tasks/cancel/{task_id}", key=key)
        assert await stream.states() == [("0-fail", "fail")]
    async with events(quiet, key, task_id, last=first[0]) as stream:
        assert await stream.states() == [("0-fail", "fail")]


async def test_a_reader_that_has_seen_the_end_is_told_so_without_a_stream(quiet: Running) -> None:
    key = await quiet.new_key()
    task_id = await quiet.create(key)
    await quiet.call("POST", f"/api/v1/tasks/cancel/{task_id}", key=key)
    async with events(quiet, key, task_id, last="0-fail") as stream:
        assert stream.answer.content_type == "application/json"
        assert (await stream.answer.json())["data"]["state"] == "fail"


@pytest.mark.parametrize("last", ["", "nonsense", "99999999999-waiting", "1-flying"])
async def test_a_last_event_id_that_is_none_of_ours_is_passed_over(quiet: Running, last: str) -> None:
    key = await quiet.new_key()
    async with events(quiet, key, await quiet.create(key), last=last) as stream:
        event = await stream.event()

    assert event is not None
    assert event[0] == "0-waiting"


async def test_a_silent_stream_is_kept_alive(quiet: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "KEEP_ALIVE_SECONDS", 0.01)
    server = quiet
    key = await server.new_key()
    task_id = await server.create(key)
    async with events(server, key, task_id) as stream:
        assert await stream.event() is not None
        ending = asyncio.create_task(stream.event())
        await until(lambda: stream.comments >= 2)
        await server.call("POST", f"/api/v1/tasks/cancel/{task_id}", key=key)
        assert (await ending or ("",))[0] == "0-fail"


async def test_whoever_hangs_up_is_dropped_at_once(quiet: Running) -> None:
    key = await quiet.new_key()
    task_id = await quiet.create(key)
    async with AsyncExitStack() as stack:
        for path in (f"query/{task_id}?wait={LONG}", f"events/{task_id}"):
            _, writer = await stack.enter_async_context(connected(quiet.url))
            writer.write(head("GET", f"/api/v1/tasks/{path}", "Host: x", f"Authorization: Bearer {key}"))
        await until(lambda: quiet.parts.waiting.waiters == 2)

    await until(lambda: quiet.parts.waiting.waiters == 0)


async def test_a_process_that_stops_ends_its_waits_with_what_is_known(dsn: str, tmp_path: Path) -> None:
    async with api(dsn, tmp_path) as server:
        key = await server.new_key()
        task_id = await server.create(key)
        answer = asyncio.create_task(waited(server, key, task_id))
        async with events(server, key, task_id) as stream:
            assert await stream.event() is not None
            await until(lambda: server.parts.waiting.waiters == 2)

            server.parts.waiting.close()

            assert (await answer)["state"] == "waiting"
            assert await stream.event() is None
        assert (await waited(server, key, task_id))["state"] == "waiting", "nobody begins to wait any more"


async def test_a_room_that_is_full_answers_at_once(quiet: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MAX_WATCHES", 0)
    server = quiet
    key = await server.new_key()
    task_id = await server.create(key)

    assert (await waited(server, key, task_id))["state"] == "waiting"
    async with events(server, key, task_id) as stream:
        assert await stream.states() == [("0-waiting", "waiting")]


async def create(server: Running, key: str, prefer: str | None, **headers: str) -> tuple[dict[str, Any], str | None]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if prefer is not None:
        sent["Prefer"] = prefer
    status, answer, received = await server.call(
        "POST", "/api/v1/tasks/create", key=key, json=PROMPT_BODY, headers=sent
    )
    assert status == 200, answer
    return answer["data"], received.get("Preference-Applied")


async def test_a_create_that_prefers_to_wait_is_answered_as_a_query(busy: Running) -> None:
    key = await busy.new_key()

    data, applied = await create(busy, key, "respond-async, wait=20")

    assert (data["state"], applied) == ("success", "wait=20")
    _, answer, _ = await busy.call("GET", f"/api/v1/tasks/query/{data['taskId']}", key=key)
    assert data == answer["data"]


@pytest.mark.parametrize(("prefer", "applied"), [(None, None), ("wait=soon", None), ("wait=0, x", "wait=0")])
async def test_a_preference_that_is_not_understood_is_passed_over(
    quiet: Running, prefer: str | None, applied: str | None
) -> None:
    data, said = await create(quiet, await quiet.new_key(), prefer)

    assert said == applied
    assert set(data) == {"taskId"} if applied is None else data["state"] == "waiting"


async def test_a_longer_preference_is_applied_as_far_as_it_goes(busy: Running) -> None:
    _, applied = await create(busy, await busy.new_key(), "wait=3600")

    assert applied == "wait=60"


async def test_a_repeated_create_waits_for_the_task_that_there_is(busy: Running) -> None:
    key = await busy.new_key()
    first, _ = await create(busy, key, None, Idempotency_Key="one")
    again, applied = await create(busy, key, "wait=20", Idempotency_Key="one")

    assert (again["taskId"], again["state"], applied) == (first["taskId"], "success", "wait=20")


async def test_whoever_hangs_up_after_a_create_keeps_the_task(dsn: str, tmp_path: Path) -> None:
    async with api(dsn, tmp_path) as server:
        key = await server.new_key()
        body = json.dumps(PROMPT_BODY)
        async with connected(server.url) as (_, writer):
            lines = ("Host: x", f"Authorization: Bearer {key}", "Prefer: wait=30", f"Content-Length: {len(body)}")
            writer.write(head("POST", "/api/v1/tasks/create", *lines) + body.encode())
            await until(lambda: server.parts.waiting.waiters == 1)
        await until(lambda: server.parts.waiting.waiters == 0)

        rows = await server.parts.database.fetch("SELECT state FROM tasks")
        assert [row["state"] for row in rows] == ["waiting"]


async def test_nothing_is_announced_while_nobody_waits(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(settings_for(dsn, tmp_path)) as server:
        announcements = server.parts.announcements
        said: list[str] = []
        monkeypatch.setattr(announcements, "_announce", lambda kind, _ids: said.append(kind))
        key = await server.new_key()
        await server.ended(key, await server.create(key))

        assert set(said) <= {"?"}, "a listener that connects asks who waits"
        announcements.watched("ends")
        await server.ended(key, await server.create(key))
        assert set(said) - {"?"} == {"e"}
