"""`cavendish generate` against servers of the guide alone: no idempotency keys, no catalogue, no Files, no waiting."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cavendish.cli.generating import Options, generate_all
from cavendish.cli.jobs import Job, identities
from cavendish.cli.journal import Journal
from cavendish.engines.simulator import plain_png
from tests.loopback import LoopbackServer, Visit, loopback_server

JSON = {"Content-Type": "application/json"}
Route = Callable[[Visit], Awaitable[None]]


def envelope(data: object, code: int = 200) -> bytes:
    return json.dumps({"code": code, "message": "said", "data": data}).encode()


async def missing(visit: Visit) -> None:
    await visit.answer(404, b"<html>nothing here</html>", {"Content-Type": "text/html"})


@asynccontextmanager
async def plain_server(routes: Mapping[str, Route]) -> AsyncIterator[LoopbackServer]:
    """A server that has these paths and no others."""

    async def script(visit: Visit) -> None:
        await routes.get(visit.target.partition("?")[0], missing)(visit)

    async with loopback_server(script) as server:
        yield server


def options(server: LoopbackServer, batch: Path) -> Options:
    return Options(
        batch=batch,
        parallel=1,
        timeout_seconds=20,
        to_stdout=False,
        show=False,
        as_json=True,
        quiet=True,
        base_url=f"http://127.0.0.1:{server.port}",
        api_key="sk-x",
        command="cavendish generate",
    )


def creates(server: LoopbackServer) -> int:
    return sum(visit.target == "/api/v1/tasks/create" for visit in server.visits)


async def test_a_server_of_the_guide_alone_is_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(plain_png(8, 6, 1))
    states = iter(["waiting", "generating", "success"])

    async def create(visit: Visit) -> None:
        await visit.answer(200, envelope({"taskId": "task_1"}), JSON)

    async def query(visit: Visit) -> None:
        result = json.dumps({"resultUrls": ["/result.png"]})
        data = {"taskId": "task_1", "state": next(states), "resultJson": result}
        await visit.answer(200, envelope(data), JSON)

    async def result(visit: Visit) -> None:
        await visit.answer(200, plain_png(64, 32, 1), {"Content-Type": "image/png"})

    routes = {"/api/v1/tasks/create": create, "/api/v1/tasks/query/task_1": query, "/result.png": result}
    async with plain_server(routes) as server:
        code = await generate_all([Job("a cat", images=(str(photo),), line=1)], options(server, tmp_path / "pics"))
        sent = next(json.loads(visit.body) for visit in server.visits if visit.target.endswith("create"))
        keys = [visit.headers.get("authorization") for visit in server.visits if visit.target == "/result.png"]

    assert code == 0
    assert json.loads(capsys.readouterr().out)["file"] == str(tmp_path / "pics" / "001-a-cat.png")
    assert sent["input"]["image_urls"][0].startswith("data:image/png;base64,")
    assert keys == [None], "the key is not for results"


async def test_a_create_of_unknown_fate_is_not_sent_again_where_keys_are_not_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def cut(_: Visit) -> None:
        raise ConnectionError("after it was accepted")

    async with plain_server({"/api/v1/tasks/create": cut}) as server:
        codes = [await generate_all([Job("a cat", line=1)], options(server, tmp_path)) for _ in range(2)]
        sent = creates(server)
    first, second = (json.loads(line)["message"] for line in capsys.readouterr().out.splitlines())

    assert codes == [1, 1]
    assert sent == 1
    assert "Whether it was accepted is not known" in first
    assert "might pay twice" in second


async def test_a_create_that_was_refused_is_sent_again_by_the_next_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def poor(visit: Visit) -> None:
        await visit.answer(402, envelope(None, 402), JSON)

    async with plain_server({"/api/v1/tasks/create": poor}) as server:
        codes = [await generate_all([Job("a cat", line=1)], options(server, tmp_path)) for _ in range(2)]
        sent = creates(server)

    assert codes == [1, 1]
    assert sent == 2
    assert [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()] == ["said", "said"]


async def test_a_refusal_of_the_repeat_does_not_settle_what_became_of_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first create may have been accepted; a limit that its repeat meets says nothing about that."""
    job = Job("a cat", line=1)

    async def limited(visit: Visit) -> None:
        await visit.answer(429, envelope(None, 429), JSON | {"Retry-After": "999"})

    async def openapi(visit: Visit) -> None:
        await visit.answer(200, b'{"parameters": "Idempotency-Key"}', JSON)

    async with plain_server({"/api/v1/tasks/create": limited, "/openapi.json": openapi}) as server:
        with Journal(tmp_path) as journal:
            journal.begin(next(identities([job], f"http://127.0.0.1:{server.port}")), "sent-before", ())
        codes = [await generate_all([job], options(server, tmp_path)) for _ in range(2)]
        keys = [v.headers["idempotency-key"] for v in server.visits if v.target == "/api/v1/tasks/create"]

    assert codes == [1, 1]
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert keys == ["sent-before"] * 2, "another key would be another task, and another charge"
