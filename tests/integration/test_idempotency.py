"""The same create sent again makes no second task and no second charge."""

import asyncio
from pathlib import Path

import pytest

from cavendish.store.database import Database
from tests.harness import PROMPT_BODY, running, settings_for

EDIT_BODY = {"model": "nano-banana-edit", "input": {"prompt": "a red apple", "image_urls": ["https://a.example/1.png"]}}
CREATE = "/api/v1/tasks/create"


async def test_a_repeated_create_gives_the_same_task_and_one_charge(dsn: str, tmp_path: Path) -> None:
    async with running(settings_for(dsn, tmp_path)) as server:
        key = await server.new_key(credits=30)
        headers = {"Idempotency-Key": "order-1"}
        first, answer, sent = await server.call("POST", CREATE, key=key, json=PROMPT_BODY, headers=headers)
        again, repeated, marked = await server.call("POST", CREATE, key=key, json=PROMPT_BODY, headers=headers)
        assert (first, again) == (200, 200)
        assert repeated == answer
        assert "Idempotent-Replayed" not in sent
        assert marked["Idempotent-Replayed"] == "true"
        await server.ended(key, answer["data"]["taskId"])
        _, balance, _ = await server.call("GET", "/api/v1/user/balance", key=key)
        assert balance["data"] == {"balance": 27, "held": 0}


async def test_a_hundred_copies_at_once_on_two_servers_make_one_task(dsn: str, tmp_path: Path) -> None:
    settings = settings_for(dsn, tmp_path)
    async with running(settings, with_worker=False) as one, running(settings, with_worker=False) as two:
        key = await one.new_key(credits=30)
        headers = {"Idempotency-Key": "order-1"}
        calls = [
            server.call("POST", CREATE, key=key, json=PROMPT_BODY, headers=headers)
            for server in (one, two)
            for _ in range(50)
        ]
        answers = await asyncio.gather(*calls)
        assert {status for status, _, _ in answers} == {200}
        assert len({answer["data"]["taskId"] for _, answer, _ in answers}) == 1
        rows = await one.parts.database.fetch("SELECT kind, amount FROM credit_entries WHERE kind = 'hold'")
        assert [tuple(row) for row in rows] == [("hold", 3)]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (EDIT_BODY, "model"),
        ({"model": "google/nano-banana", "input": {"prompt": "a green apple"}}, "input.prompt"),
        ({"model": "google/nano-banana", "input": {"prompt": "a red apple", "image_size": "16:9"}}, "input.image_size"),
        ({**PROMPT_BODY, "callBackUrl": "https://a.example/cb"}, "callBackUrl"),
    ],
)
async def test_the_same_key_with_another_body_is_refused_and_the_field_named(
    dsn: str, tmp_path: Path, change: dict[str, object], named: str
) -> None:
    async with running(settings_for(dsn, tmp_path), with_worker=False) as server:
        key = await server.new_key()
        headers = {"Idempotency-Key": "order-1"}
        await server.create(key, headers=headers)
        status, answer, _ = await server.call("POST", CREATE, key=key, json=change, headers=headers)
        assert status == 422
        assert "Idempotency-Key" in answer["message"]
        assert named in answer["message"]


async def test_another_order_of_the_same_fields_is_the_same_request(dsn: str, tmp_path: Path) -> None:
    async with running(settings_for(dsn, tmp_path), with_worker=False) as server:
        key = await server.new_key()
        headers = {"Idempotency-Key": "order-1"}
        fields = {"prompt": "a red apple", "image_size": "1:1"}
        first = await server.create(key, {"model": "nano-banana", "input": fields}, headers=headers)
        turned = {"input": dict(reversed(fields.items())), "model": "google/nano-banana"}
        assert await server.create(key, turned, headers=headers) == first


async def test_other_inline_image_bytes_are_another_request(dsn: str, tmp_path: Path) -> None:
    def body(shade: int) -> dict[str, object]:
        import base64

        from cavendish.engines.simulator import plain_png

        data = base64.b64encode(plain_png(64, 64, shade)).decode()
        image = f"data:image/png;base64,{data}"
        return {"model": "google/nano-banana-pro", "input": {"prompt": "x", "image_input": [image]}}

    async with running(settings_for(dsn, tmp_path), with_worker=False) as server:
        key = await server.new_key()
        headers = {"Idempotency-Key": "order-1"}
        first = await server.create(key, body(1), headers=headers)
        assert await server.create(key, body(1), headers=headers) == first
        status, answer, _ = await server.call("POST", CREATE, key=key, json=body(2), headers=headers)
        assert status == 422
        assert "input.image_input" in answer["message"]
        stored = [path for path in (tmp_path / "blobs" / "inputs").rglob("*") if path.is_file()]
        assert len(stored) == 1, "the bytes of refused and repeated requests are not kept"


async def test_the_key_is_free_again_after_24_hours(dsn: str, tmp_path: Path, database: Database) -> None:
    async with running(settings_for(dsn, tmp_path), with_worker=False) as server:
        key = await server.new_key()
        headers = {"Idempotency-Key": "order-1"}
        first = await server.create(key, headers=headers)
        await database.fetch("UPDATE idempotency_keys SET created_at = created_at - interval '24 hours'")
        second = await server.create(key, headers=headers)
        assert second != first
        assert await server.create(key, headers=headers) == second


async def test_accounts_do_not_share_idempotency_keys(dsn: str, tmp_path: Path) -> None:
    async with running(settings_for(dsn, tmp_path), with_worker=False) as server:
        headers = {"Idempotency-Key": "order-1"}
        first = await server.create(await server.new_key("one"), headers=headers)
        assert await server.create(await server.new_key("two"), headers=headers) != first


async def test_a_refused_create_leaves_its_key_unused(dsn: str, tmp_path: Path) -> None:
    async with running(settings_for(dsn, tmp_path), with_worker=False) as server:
        key = await server.new_key(credits=2)
        headers = {"Idempotency-Key": "order-1"}
        status, _, _ = await server.call("POST", CREATE, key=key, json=PROMPT_BODY, headers=headers)
        assert status == 402
        await server.parts.accounts.grant("tester", 10)
        await server.create(key, headers=headers)


@pytest.mark.parametrize("value", ["", "with space", "x" * 256, "ключ".encode().decode("latin-1")])
async def test_a_malformed_key_is_refused(dsn: str, tmp_path: Path, value: str) -> None:
    async with running(settings_for(dsn, tmp_path), with_worker=False) as server:
        key = await server.new_key()
        host, port = server.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        body = b'{"model":"google/nano-banana","input":{"prompt":"x"}}'
        writer.write(
            f"POST {CREATE} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\nIdempotency-Key: {value}\r\n\r\n".encode("latin-1")
            + body
        )
        answer = await reader.read()
        writer.close()
        assert b" 422 " in answer.split(b"\r\n", 1)[0]
        assert b"Idempotency-Key" in answer
