"""The list of an account's tasks: newest first, filtered, in pages that stay put while tasks are added."""

from pathlib import Path

import pytest

from tests.harness import PROMPT_BODY, Running, running, settings_for


async def page(server: Running, key: str, **query: str) -> tuple[list[str], str | None]:
    status, answer, _ = await server.call("GET", "/api/v1/tasks", key=key, params=query)
    assert status == 200, answer
    return [task["taskId"] for task in answer["data"]["tasks"]], answer["data"]["cursor"]


async def test_pages_are_newest_first_and_stable_under_inserts(dsn: str, tmp_path: Path) -> None:
    async with running(settings_for(dsn, tmp_path), with_worker=False) as server:
        key = await server.new_key()
        created = [await server.create(key) for _ in range(7)]
        seen, cursor = await page(server, key, limit="3")
        await server.create(key)
        while cursor is not None:
            more, cursor = await page(server, key, limit="3", cursor=cursor)
            seen += more
        assert seen == created[::-1]


async def test_state_and_model_filter_and_others_tasks_are_not_shown(dsn: str, tmp_path: Path) -> None:
    async with running(settings_for(dsn, tmp_path), with_worker=False) as server:
        key = await server.new_key("one")
        other = await server.new_key("two")
        await server.create(other)
        plain = await server.create(key)
        pro = await server.create(key, {"model": "google/nano-banana-pro", "input": {"prompt": "x", "image_input": []}})
        await server.call("POST", f"/api/v1/tasks/cancel/{plain}", key=key)
        assert (await page(server, key))[0] == [pro, plain]
        assert (await page(server, key, state="fail"))[0] == [plain]
        assert (await page(server, key, model="nano-banana-pro"))[0] == [pro]
        assert (await page(server, key, state="success")) == ([], None)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"state": "done"}, "state"),
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"limit": "²"}, "limit"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"cursor": "MjAyNg"}, "cursor"),
        ({"cursor": "\x00é"}, "cursor"),
    ],
)
async def test_a_wrong_parameter_is_named(dsn: str, tmp_path: Path, query: dict[str, str], named: str) -> None:
    async with running(settings_for(dsn, tmp_path), with_worker=False) as server:
        key = await server.new_key()
        status, answer, _ = await server.call("GET", "/api/v1/tasks", key=key, params=query)
        assert status == 422
        assert answer["message"].startswith(f"{named}: ")


async def test_an_unknown_model_is_404(dsn: str, tmp_path: Path) -> None:
    async with running(settings_for(dsn, tmp_path), with_worker=False) as server:
        key = await server.new_key()
        status, _, _ = await server.call("GET", "/api/v1/tasks", key=key, params={"model": "mango"})
        assert status == 404


async def test_a_rare_filter_still_reaches_the_oldest_task(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cavendish.store.views.LOOKED_AT", 4)
    async with running(settings_for(dsn, tmp_path), with_worker=False) as server:
        key = await server.new_key()
        oldest = await server.create(key)
        for _ in range(10):
            await server.create(key, PROMPT_BODY)
        await server.call("POST", f"/api/v1/tasks/cancel/{oldest}", key=key)
        seen, cursor = await page(server, key, state="fail")
        while cursor is not None:
            more, cursor = await page(server, key, state="fail", cursor=cursor)
            seen += more
        assert seen == [oldest]
