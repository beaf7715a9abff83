"""The main path, end to end, inside one event loop."""

from pathlib import Path

from tests.harness import running, settings_for


async def test_a_request_goes_in_and_a_picture_comes_out(dsn: str, tmp_path: Path) -> None:
    async with running(settings_for(dsn, tmp_path)) as server:
        key = await server.new_key(credits=10)
        task_id = await server.create(key)
        data = await server.ended(key, task_id)
        assert data["state"] == "success"
        assert data["creditsConsumed"] == 3
        async with server.client.get(data["resultUrls"][0]) as picture:
            assert picture.status == 200
            assert picture.headers["Content-Type"] == "image/png"
            assert (await picture.read()).startswith(b"\x89PNG")
        _, balance, _ = await server.call("GET", "/api/v1/user/balance", key=key)
        assert balance["data"] == {"balance": 7, "held": 0}
