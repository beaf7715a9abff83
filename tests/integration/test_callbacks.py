"""Callbacks over real HTTP: signed, retried on schedule, one row for a task, seen and repeated by their owner."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook
from svix.webhooks import Webhook as SvixWebhook

from cavendish.domain.callbacks import SCHEDULE_SECONDS
from tests.harness import PROMPT_BODY, Running, running, settings_for
from tests.loopback import LoopbackServer, Script, Visit, loopback_server


async def take(visit: Visit) -> None:
    await visit.answer(200, b"thanks")


def answering(*statuses: int, **headers: str) -> Script:
    """A receiver that gives these answers in turn, and the last for ever."""
    left = list(statuses)

    async def script(visit: Visit) -> None:
        status = left.pop(0) if len(left) > 1 else left[0]
        await visit.answer(status, b"", {name.replace("_", "-"): value for name, value in headers.items()})

    return script


@asynccontextmanager
async def receiving(dsn: str, folder: Path, script: Script) -> AsyncIterator[tuple[Running, LoopbackServer, str, str]]:
    """A server with its worker and deliverer, a receiver, a key, and the receiver's URL."""
    async with loopback_server(script) as receiver, running(settings_for(dsn, folder)) as server:
        key = await server.new_key()
        yield server, receiver, key, f"http://127.0.0.1:{receiver.port}/hook?order=1%2F2"


async def ordered(server: Running, key: str, url: str, **body: Any) -> str:
    return await server.create(key, {**PROMPT_BODY, "callBackUrl": url, **body})


async def rows(server: Running, sql: str, *arguments: object) -> list[dict[str, Any]]:
    return [dict(row) for row in await server.parts.database.fetch(sql, *arguments)]


async def attempts(server: Running, count: int, *, within_seconds: float = 20) -> list[dict[str, Any]]:
    """The attempts, once there are that many."""
    async with asyncio.timeout(within_seconds):
        while True:
            found = await rows(server, "SELECT * FROM callback_attempts ORDER BY id")
            if len(found) >= count:
                return found
            await asyncio.sleep(0.02)


async def make_due(server: Running) -> None:
    """Time passes: every scheduled attempt is due now."""
    await rows(server, "UPDATE callbacks SET next_attempt_at = now() WHERE state = 'pending'")
    await rows(server, "SELECT pg_notify('cavendish_callbacks', '')")


async def callback(server: Running) -> dict[str, Any]:
    [row] = await rows(server, "SELECT *, extract(epoch FROM next_attempt_at - now())::float8 AS wait FROM callbacks")
    return row


@pytest.mark.parametrize("prompt", ["a red apple", "[simulate:content_rejected]"])
async def test_the_body_is_what_a_query_answers_and_both_packages_verify_it(
    dsn: str, tmp_path: Path, prompt: str
) -> None:
    async with receiving(dsn, tmp_path, take) as (server, receiver, key, url):
        task_id = await ordered(server, key, url, input={"prompt": prompt})
        [attempt] = await attempts(server, 1)
        [visit] = receiver.visits
        _, query, _ = await server.call("GET", f"/api/v1/tasks/query/{task_id}", key=key)
        [account] = await rows(server, "SELECT webhook_secret FROM accounts")
        row = await callback(server)

    secret = account["webhook_secret"]
    assert json.loads(visit.body) == query["data"]
    assert query["data"]["state"] == ("success" if prompt == "a red apple" else "fail")
    assert (visit.method, visit.target) == ("POST", "/hook?order=1%2F2")
    assert visit.headers["content-type"] == "application/json"
    assert visit.headers["webhook-id"] == row["webhook_id"]
    assert Webhook(secret).verify(visit.body, visit.headers) == query["data"]
    SvixWebhook(secret).verify(visit.body, visit.headers)  # raises when it does not verify
    plain = hmac.new(secret.encode(), visit.body, hashlib.sha256).hexdigest()
    assert visit.headers["x-webhook-signature"] == plain
    assert (row["state"], row["failures"]) == ("delivered", 0)
    assert (attempt["status"], attempt["error"], attempt["answer"]) == (200, None, "thanks")


async def test_a_secret_is_random_and_an_accounts_own(dsn: str, tmp_path: Path) -> None:
    async with running(settings_for(dsn, tmp_path), with_worker=False) as server:
        for account in ("one", "two"):
            await server.new_key(account)
        found = [row["webhook_secret"] for row in await rows(server, "SELECT webhook_secret FROM accounts")]

    assert len(set(found)) == 2
    assert all(len(base64.b64decode(secret.removeprefix("whsec_"))) == 32 for secret in found)


async def test_a_task_without_a_url_has_no_callback(dsn: str, tmp_path: Path) -> None:
    async with running(settings_for(dsn, tmp_path)) as server:
        key = await server.new_key()
        await server.ended(key, await server.create(key))
        assert await rows(server, "SELECT FROM callbacks") == []


async def test_a_canceled_task_is_told_too(dsn: str, tmp_path: Path) -> None:
    async with receiving(dsn, tmp_path, take) as (server, receiver, key, url):
        assert server.worker is not None
        await server.worker.stop(0)
        task_id = await ordered(server, key, url)
        status, _, _ = await server.call("POST", f"/api/v1/tasks/cancel/{task_id}", key=key)
        assert status == 200
        await attempts(server, 1)
        [visit] = receiver.visits

    data = json.loads(visit.body)
    assert (data["state"], data["failCode"]) == ("fail", "canceled")
    assert data["failMsg"] == "The task was canceled by its owner"


async def test_failed_attempts_follow_the_schedule_under_one_id_until_there_is_no_other(
    dsn: str, tmp_path: Path
) -> None:
    async with receiving(dsn, tmp_path, answering(500)) as (server, receiver, key, url):
        await ordered(server, key, url)
        waits = []
        for number in range(1, len(SCHEDULE_SECONDS) + 1):
            await attempts(server, number)
            row = await callback(server)
            assert (row["state"], row["failures"]) == ("pending", number)
            waits.append(row["wait"])
            await make_due(server)
        await attempts(server, len(SCHEDULE_SECONDS) + 1)
        last = await callback(server)

    assert last["state"] == "failed"
    assert len({visit.headers["webhook-id"] for visit in receiver.visits}) == 1
    assert len({visit.body for visit in receiver.visits}) == 1
    for wait, nominal in zip(waits, SCHEDULE_SECONDS, strict=True):
        assert nominal * 0.8 - 5 <= wait <= nominal * 1.2


async def test_a_receiver_that_comes_back_gets_it(dsn: str, tmp_path: Path) -> None:
    async with receiving(dsn, tmp_path, answering(502, 204)) as (server, receiver, key, url):
        await ordered(server, key, url)
        await attempts(server, 1)
        await make_due(server)
        found = await attempts(server, 2)
        row = await callback(server)

    assert [attempt["status"] for attempt in found] == [502, 204]
    assert row["state"] == "delivered"
    assert len({visit.headers["webhook-id"] for visit in receiver.visits}) == 1


async def test_410_stops_it(dsn: str, tmp_path: Path) -> None:
    async with receiving(dsn, tmp_path, answering(410)) as (server, _, key, url):
        await ordered(server, key, url)
        await attempts(server, 1)
        assert (await callback(server))["state"] == "gone"


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_honoured(dsn: str, tmp_path: Path, status: int) -> None:
    async with receiving(dsn, tmp_path, answering(status, Retry_After="3600")) as (server, _, key, url):
        await ordered(server, key, url)
        await attempts(server, 1)
        row = await callback(server)

    assert row["state"] == "pending"
    assert 3500 < row["wait"] <= 3600


async def test_a_redirect_is_a_failed_attempt_and_not_followed(dsn: str, tmp_path: Path) -> None:
    async with receiving(dsn, tmp_path, answering(301, Location="/elsewhere")) as (server, receiver, key, url):
        await ordered(server, key, url)
        [attempt] = await attempts(server, 1)
        row = await callback(server)

    assert (attempt["status"], row["state"], row["failures"]) == (301, "pending", 1)
    assert [visit.target for visit in receiver.visits] == ["/hook?order=1%2F2"]


async def test_a_long_or_dirty_answer_is_cut_and_cleaned(dsn: str, tmp_path: Path) -> None:
    async def script(visit: Visit) -> None:
        await visit.answer(400, b"\x00\x1b\xff" + b"a" * 10_000_000)

    async with receiving(dsn, tmp_path, script) as (server, _, key, url):
        await ordered(server, key, url)
        [attempt] = await attempts(server, 1)

    assert attempt["status"] == 400
    assert attempt["answer"] == "\ufffd\ufffd\ufffd" + "a" * 4093


async def test_a_claim_whose_deliverer_died_is_due_again_under_the_same_id(dsn: str, tmp_path: Path) -> None:
    async with receiving(dsn, tmp_path, take) as (server, receiver, key, url):
        await ordered(server, key, url)
        await attempts(server, 1)
        # As a deliverer leaves it that was killed after the receiver answered and before it was recorded.
        await rows(server, "UPDATE callbacks SET state = 'pending', ended_at = NULL")
        await make_due(server)
        await attempts(server, 2)
        assert (await callback(server))["state"] == "delivered"

    assert len({visit.headers["webhook-id"] for visit in receiver.visits}) == 1
    assert len(receiver.visits) == 2


async def test_what_a_deliverer_says_whose_claim_is_old_is_listed_and_changes_nothing(dsn: str, tmp_path: Path) -> None:
    entered, release = asyncio.Event(), asyncio.Event()

    async def script(visit: Visit) -> None:
        entered.set()
        await release.wait()
        await visit.answer(410)

    async with receiving(dsn, tmp_path, script) as (server, _, key, url):
        await ordered(server, key, url)
        await entered.wait()
        await rows(server, "UPDATE callbacks SET claim = claim + 1, next_attempt_at = now() + interval '1 hour'")
        release.set()
        await attempts(server, 1)
        row = await callback(server)

    assert (row["state"], row["failures"]) == ("pending", 0)


async def test_the_owner_sees_the_attempts_and_has_it_sent_once_more_under_the_same_id(
    dsn: str, tmp_path: Path
) -> None:
    async with receiving(dsn, tmp_path, answering(404, 200)) as (server, receiver, key, url):
        task_id = await ordered(server, key, url)
        path = f"/api/v1/tasks/callbacks/{task_id}"
        await attempts(server, 1)
        _, seen, _ = await server.call("GET", path, key=key)
        status, queued, _ = await server.call("POST", f"{path}/redeliver", key=key)
        await attempts(server, 2)
        _, again, _ = await server.call("GET", path, key=key)
        await server.call("POST", f"{path}/redeliver", key=key)
        await attempts(server, 3)

    data = seen["data"]
    assert (data["taskId"], data["url"], data["state"]) == (task_id, url, "pending")
    [attempt] = data["attempts"]
    assert (attempt["status"], attempt["error"], attempt["answer"]) == (404, None, None)
    assert attempt["milliseconds"] >= 0
    assert data["nextAttemptTime"] > attempt["time"]
    assert status == 200
    assert queued["data"]["state"] == "pending"
    assert again["data"]["state"] == "delivered"
    assert again["data"]["nextAttemptTime"] is None
    assert [a["status"] for a in again["data"]["attempts"]] == [404, 200]
    assert {visit.headers["webhook-id"] for visit in receiver.visits} == {data["webhookId"]}


async def test_a_callback_can_be_seen_and_repeated_by_its_owner_only_and_when_there_is_one(
    dsn: str, tmp_path: Path
) -> None:
    async with running(settings_for(dsn, tmp_path), with_worker=False) as server:
        key, other = await server.new_key("one"), await server.new_key("two")
        with_url = await ordered(server, key, "http://127.0.0.1:9/")
        without = await server.create(key)
        base = "/api/v1/tasks/callbacks"
        _, unfinished, _ = await server.call("GET", f"{base}/{with_url}", key=key)
        too_early, refusal, _ = await server.call("POST", f"{base}/{with_url}/redeliver", key=key)
        none, reason, _ = await server.call("GET", f"{base}/{without}", key=key)
        refused = [
            (await server.call(method, f"{base}/{path}", key=owner))[0]
            for method, path, owner in [
                ("GET", with_url, other),
                ("POST", f"{with_url}/redeliver", other),
                ("GET", "task_x_1_0", key),
                ("GET", with_url, None),
            ]
        ]

    assert (unfinished["data"]["state"], unfinished["data"]["attempts"]) == (None, [])
    assert (too_early, "not ended" in refusal["message"]) == (422, True)
    assert (none, "without a callBackUrl" in reason["message"]) == (404, True)
    assert refused == [404, 404, 404, 401]


async def test_after_a_rotation_both_secrets_sign_for_a_day(dsn: str, tmp_path: Path) -> None:
    async with receiving(dsn, tmp_path, take) as (server, receiver, key, url):
        _, before, _ = await server.call("GET", "/api/v1/webhook/secret", key=key)
        _, after, _ = await server.call("POST", "/api/v1/webhook/secret/rotate", key=key)
        _, shown, headers = await server.call("GET", "/api/v1/webhook/secret", key=key)
        await ordered(server, key, url)
        await attempts(server, 1)
        await rows(server, "UPDATE accounts SET webhook_secret_before_until = now() - interval '1 second'")
        await ordered(server, key, url)
        await attempts(server, 2)
        first, second = receiver.visits

    old, new = before["data"]["secret"], after["data"]["secret"]
    assert old != new
    assert shown["data"] == {"secret": new}
    assert headers["cache-control"] == "no-store"
    for secret in (old, new):
        Webhook(secret).verify(first.body, first.headers)
        SvixWebhook(secret).verify(first.body, first.headers)
    plain = hmac.new(new.encode(), first.body, hashlib.sha256).hexdigest()
    assert first.headers["x-webhook-signature"] == plain
    assert len(second.headers["webhook-signature"].split(" ")) == 1
    Webhook(new).verify(second.body, second.headers)
