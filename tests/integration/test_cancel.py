"""Cancel: a waiting task ends at once, a running one when its engine lets go, a finished one not at all."""

from pathlib import Path

from tests.harness import running, settings_for


async def test_a_waiting_task_ends_at_once_and_is_released(dsn: str, tmp_path: Path) -> None:
    async with running(settings_for(dsn, tmp_path), with_worker=False) as server:
        key = await server.new_key(credits=10)
        task_id = await server.create(key)
        status, answer, _ = await server.call("POST", f"/api/v1/tasks/cancel/{task_id}", key=key)
        assert status == 200
        assert (answer["data"]["state"], answer["data"]["failCode"]) == ("fail", "canceled")
        _, balance, _ = await server.call("GET", "/api/v1/user/balance", key=key)
        assert balance["data"] == {"balance": 10, "held": 0}


async def test_a_running_task_ends_long_before_its_engine_would_have(dsn: str, tmp_path: Path) -> None:
    async with running(settings_for(dsn, tmp_path, SIMULATOR_LATENCY_SECONDS="600")) as server:
        key = await server.new_key(credits=10)
        task_id = await server.create(key)
        while (await server.call("GET", f"/api/v1/tasks/query/{task_id}", key=key))[1]["data"]["state"] != "generating":
            pass
        status, _, _ = await server.call("POST", f"/api/v1/tasks/cancel/{task_id}", key=key)
        assert status == 200
        data = await server.ended(key, task_id)
        assert (data["state"], data["failCode"], data["creditsConsumed"]) == ("fail", "canceled", 0)
        _, balance, _ = await server.call("GET", "/api/v1/user/balance", key=key)
        assert balance["data"] == {"balance": 10, "held": 0}


async def test_a_picture_that_comes_after_the_cancel_is_not_charged(dsn: str, tmp_path: Path) -> None:
    async with running(settings_for(dsn, tmp_path, SIMULATOR_LATENCY_SECONDS="0.2")) as server:
        key = await server.new_key(credits=10)
        assert server.worker is not None
        server.worker.cancel = lambda task_id: None  # type: ignore[method-assign]  # the notification got lost
        task_id = await server.create(key)
        while (await server.call("GET", f"/api/v1/tasks/query/{task_id}", key=key))[1]["data"]["state"] == "waiting":
            pass
        await server.call("POST", f"/api/v1/tasks/cancel/{task_id}", key=key)
        data = await server.ended(key, task_id)
        assert (data["state"], data["failCode"]) == ("fail", "canceled")
        assert data["resultUrls"] == []


async def test_a_finished_task_cannot_be_canceled(dsn: str, tmp_path: Path) -> None:
    async with running(settings_for(dsn, tmp_path)) as server:
        key = await server.new_key()
        task_id = await server.create(key)
        before = await server.ended(key, task_id)
        status, answer, _ = await server.call("POST", f"/api/v1/tasks/cancel/{task_id}", key=key)
        assert status == 422
        assert "ended" in answer["message"]
        assert await server.ended(key, task_id) == before


async def test_another_accounts_task_cannot_be_canceled(dsn: str, tmp_path: Path) -> None:
    async with running(settings_for(dsn, tmp_path), with_worker=False) as server:
        task_id = await server.create(await server.new_key("one"))
        other = await server.new_key("two")
        status, _, _ = await server.call("POST", f"/api/v1/tasks/cancel/{task_id}", key=other)
        assert status == 404
        unknown, _, _ = await server.call("POST", "/api/v1/tasks/cancel/task_x_1_0", key=other)
        assert unknown == 404
