"""Finished tasks and their images leave when their time is over; the ledger and everything younger stays."""

from pathlib import Path

from tests.harness import PROMPT_BODY, running, settings_for


async def test_old_finished_tasks_and_their_images_are_removed_and_the_ledger_stays(dsn: str, tmp_path: Path) -> None:
    async with running(settings_for(dsn, tmp_path, RETENTION_DAYS="3")) as server:
        database = server.parts.database
        key = await server.new_key(credits=100)
        old = [await server.create(key) for _ in range(3)]
        urls = [(await server.ended(key, task_id))["resultUrls"][0] for task_id in old]
        young = await server.create(key)
        young_url = (await server.ended(key, young))["resultUrls"][0]
        assert server.worker is not None
        await server.worker.stop(0)
        waiting = await server.create(key)
        await database.fetch(
            "UPDATE tasks SET created_at = created_at - interval '4 days', "
            "finished_at = finished_at - interval '4 days' WHERE id = ANY($1::text[])",
            [*old, waiting],
        )
        before = await database.fetch("SELECT * FROM credit_entries ORDER BY id")

        assert await server.parts.retention().once() == 3

        rows = await database.fetch("SELECT id FROM tasks")
        assert {row["id"] for row in rows} == {young, waiting}
        assert await database.fetch("SELECT * FROM credit_entries ORDER BY id") == before
        for url, status in [*((url, 404) for url in urls), (young_url, 200)]:
            async with server.client.get(url) as answer:
                assert answer.status == status
        status, _, _ = await server.call("GET", f"/api/v1/tasks/query/{old[0]}", key=key)
        assert status == 404


async def test_a_task_stays_until_its_callback_is_delivered_or_given_up(dsn: str, tmp_path: Path) -> None:
    async with running(settings_for(dsn, tmp_path, RETENTION_DAYS="3")) as server:
        database = server.parts.database
        key = await server.new_key(credits=100)
        told = [await server.create(key, {**PROMPT_BODY, "callBackUrl": "http://127.0.0.1:9/"}) for _ in range(3)]
        urls = [(await server.ended(key, task_id))["resultUrls"][0] for task_id in told]
        assert server.worker is not None
        await server.worker.stop(0)
        await database.fetch(
            "UPDATE tasks SET created_at = created_at - interval '9 days', "
            "finished_at = finished_at - interval '9 days'"
        )
        # Scheduled, and out of the deliverer's hands: what it reports about earlier claims counts for nothing.
        await database.fetch("UPDATE callbacks SET claim = claim + 1, next_attempt_at = now() + interval '1 day'")

        assert await server.parts.retention().once() == 0
        for url in urls:
            async with server.client.get(url) as answer:
                assert answer.status == 200

        for task_id, state in zip(told, ("delivered", "failed"), strict=False):
            await database.fetch("UPDATE callbacks SET state = $2, ended_at = now() WHERE task_id = $1", task_id, state)
        assert await server.parts.retention().once() == 2
        assert [row["id"] for row in await database.fetch("SELECT id FROM tasks")] == told[2:]
        assert [row["task_id"] for row in await database.fetch("SELECT task_id FROM callbacks")] == told[2:]


async def test_zero_days_keep_everything(dsn: str, tmp_path: Path) -> None:
    async with running(settings_for(dsn, tmp_path, RETENTION_DAYS="0")) as server:
        key = await server.new_key()
        task_id = await server.create(key)
        await server.ended(key, task_id)
        await server.parts.database.fetch(
            "UPDATE tasks SET created_at = created_at - interval '9 years', "
            "finished_at = finished_at - interval '9 years'"
        )
        assert await server.parts.retention().once() == 0
        await server.ended(key, task_id)


async def test_idempotency_keys_are_forgotten_after_a_day(dsn: str, tmp_path: Path) -> None:
    async with running(settings_for(dsn, tmp_path), with_worker=False) as server:
        key = await server.new_key()
        await server.create(key, headers={"Idempotency-Key": "old"})
        await server.parts.database.fetch("UPDATE idempotency_keys SET created_at = now() - interval '25 hours'")
        await server.create(key, headers={"Idempotency-Key": "new"})
        await server.parts.retention().once()
        rows = await server.parts.database.fetch("SELECT key FROM idempotency_keys")
        assert [row["key"] for row in rows] == ["new"]
