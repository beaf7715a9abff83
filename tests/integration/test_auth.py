"""Keys: revoked, expired, unknown; looked up seldom, stored as a hash, shown nowhere."""

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from cavendish.domain.errors import Unauthorized
from cavendish.domain.orders import Caller
from cavendish.store.accounts import PREFIX_CHARS, PgAccounts
from cavendish.store.database import Database
from cavendish.testing import ManualClock
from cavendish.web.auth import REMEMBER_SECONDS, KeyRing
from tests.harness import (
    PROMPT_BODY,
    UNLIMITED,
    Process,
    Running,
    cavendish,
    process,
    running,
    settings_for,
    until_ended,
)

BALANCE = "/api/v1/user/balance"


class CountedKeys:
    """Real look-ups, counted; each can be held up."""

    def __init__(self, accounts: PgAccounts) -> None:
        self._accounts = accounts
        self.asked = 0
        self.found = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def find_key(self, digest: bytes) -> tuple[Caller, float | None] | None:
        self.asked += 1
        found = await self._accounts.find_key(digest)
        self.found.set()
        await self.go_on.wait()
        return found


class Door:
    """A key ring over counted look-ups, with a clock that stands still."""

    def __init__(self, accounts: PgAccounts) -> None:
        self.accounts = accounts
        self.keys = CountedKeys(accounts)
        self.clock = ManualClock()
        self.ring = KeyRing(self.keys, self.clock)

    async def opens(self, key: str) -> bool:
        try:
            await self.ring.caller({"headers": [(b"authorization", f"Bearer {key}".encode())]})
        except Unauthorized:
            return False
        return True


@pytest.fixture
def door(database: Database) -> Door:
    return Door(PgAccounts(database))


@pytest.fixture
async def server(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(settings_for(dsn, tmp_path)) as started:
        yield started


async def new_key(accounts: PgAccounts) -> str:
    return await accounts.create_key(await accounts.ensure("alice"), UNLIMITED)


async def until_refused(server: Running, key: str, *, within_seconds: float) -> None:
    deadline = time.monotonic() + within_seconds
    while (await server.call("GET", BALANCE, key=key))[0] != 401:
        assert time.monotonic() < deadline, f"the key still opens after {within_seconds} s"


async def test_a_key_revoked_by_another_process_is_refused_within_two_seconds(server: Running, dsn: str) -> None:
    key = await server.new_key()
    other = await server.new_key("other")
    assert (await server.call("GET", BALANCE, key=key))[0] == 200
    ended = await asyncio.to_thread(cavendish, {"CAVENDISH_DATABASE_URL": dsn}, "keys", "revoke", key[:PREFIX_CHARS])
    assert ended.returncode == 0, ended.stderr

    await until_refused(server, key, within_seconds=2)
    assert (await server.call("POST", "/api/v1/tasks/create", key=key, json=PROMPT_BODY))[0] == 401
    assert (await server.call("GET", BALANCE, key=other))[0] == 200


async def test_a_key_revoked_through_another_pool_is_refused_while_it_is_used_all_the_time(
    server: Running, database: Database
) -> None:
    key = await server.new_key()
    statuses: list[int] = []

    async def use() -> None:
        while statuses[-5:] != [401] * 5:
            statuses.append((await server.call("GET", BALANCE, key=key))[0])

    using = asyncio.create_task(use())
    await PgAccounts(database).revoke_keys(key[:PREFIX_CHARS])
    async with asyncio.timeout(2):
        await using

    assert statuses == sorted(statuses), "refused once, refused for good"


async def test_an_unfinished_task_of_a_revoked_key_is_still_finished(server: Running) -> None:
    key, second = await server.new_key(), await server.new_key(credits=0)
    task_id = await server.create(
        key, {"model": "nano-banana", "input": {"prompt": "[simulate:seconds=0.3] a red apple"}}
    )
    await server.parts.accounts.revoke_keys(key[:PREFIX_CHARS])

    assert (await server.ended(second, task_id))["state"] == "success"


async def test_an_expired_key_is_refused(server: Running, database: Database) -> None:
    key, other = await server.new_key(), await server.new_key("other")
    assert (await server.call("GET", BALANCE, key=key))[0] == 200
    await database.fetch("UPDATE api_keys SET expires_at = now() WHERE prefix = $1", key[:PREFIX_CHARS])

    await until_refused(server, key, within_seconds=2)
    assert (await server.call("GET", BALANCE, key=other))[0] == 200


async def test_a_key_that_expires_soon_is_trusted_no_longer_than_it_lives(door: Door, database: Database) -> None:
    key = await new_key(door.accounts)
    soon = f"UPDATE api_keys SET expires_at = clock_timestamp() + interval '{REMEMBER_SECONDS / 2} s'"
    await database.fetch(soon)
    assert await door.opens(key)
    await door.clock.advance(REMEMBER_SECONDS / 2)
    await door.opens(key)

    assert door.keys.asked == 2


async def test_an_expired_key_makes_no_task_even_where_it_is_remembered(server: Running, database: Database) -> None:
    key = await server.new_key()
    assert (await server.call("GET", BALANCE, key=key))[0] == 200
    await database.fetch("UPDATE api_keys SET expires_at = now()")
    status, answer, _ = await server.call("POST", "/api/v1/tasks/create", key=key, json=PROMPT_BODY)

    assert (status, answer["data"]) == (401, None)


async def test_an_unknown_key_is_looked_up_once_for_a_flood(door: Door) -> None:
    assert not any([await door.opens("sk-nobody") for _ in range(50)])
    assert door.keys.asked == 1


async def test_a_good_key_is_looked_up_once_for_a_flood(door: Door) -> None:
    key = await new_key(door.accounts)

    assert all([await door.opens(key) for _ in range(50)])
    assert door.keys.asked == 1


async def test_requests_at_the_same_moment_share_one_look_up(door: Door) -> None:
    key = await new_key(door.accounts)

    assert all(await asyncio.gather(*(door.opens(key) for _ in range(50))))
    assert door.keys.asked == 1


async def test_after_a_moment_a_key_is_looked_up_again(door: Door) -> None:
    key = await new_key(door.accounts)
    await door.opens(key)
    await door.clock.advance(REMEMBER_SECONDS * 0.9)
    await door.opens(key)
    assert door.keys.asked == 1
    await door.clock.advance(REMEMBER_SECONDS * 0.1)
    await door.opens(key)

    assert door.keys.asked == 2


async def test_without_any_notice_a_revoked_key_is_refused_after_a_moment(door: Door) -> None:
    key = await new_key(door.accounts)
    assert await door.opens(key)
    await door.accounts.revoke_keys(key[:PREFIX_CHARS])
    assert await door.opens(key), "nobody told the ring"
    await door.clock.advance(REMEMBER_SECONDS)

    assert not await door.opens(key)


async def test_a_notice_makes_the_ring_ask_again(door: Door) -> None:
    key = await new_key(door.accounts)
    assert await door.opens(key)
    await door.accounts.revoke_keys(key[:PREFIX_CHARS])
    door.ring.forget()

    assert not await door.opens(key)


async def test_an_answer_from_before_the_notice_is_not_remembered(door: Door) -> None:
    key = await new_key(door.accounts)
    door.keys.go_on.clear()
    early = asyncio.create_task(door.opens(key))
    await door.keys.found.wait()
    await door.accounts.revoke_keys(key[:PREFIX_CHARS])
    door.ring.forget()
    door.keys.go_on.set()
    await early

    assert not await door.opens(key)
    assert door.keys.asked == 2


async def test_one_caller_that_gives_up_does_not_spoil_the_look_up_for_others(door: Door) -> None:
    key = await new_key(door.accounts)
    door.keys.go_on.clear()
    impatient, patient = asyncio.create_task(door.opens(key)), asyncio.create_task(door.opens(key))
    await door.keys.found.wait()
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    door.keys.go_on.set()

    assert await patient


async def everything_stored(database: Database) -> str:
    tables = await database.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    rows = [row for table in tables for row in await database.fetch(f'SELECT t::text FROM "{table[0]}" t')]
    return "\n".join(row[0] for row in rows)


async def test_a_key_is_stored_only_as_its_hash(server: Running, database: Database) -> None:
    key = await server.new_key()
    await server.ended(key, await server.create(key))
    stored = await everything_stored(database)

    assert key[:PREFIX_CHARS] in stored
    assert hashlib.sha256(key.encode()).hexdigest() in stored
    assert key not in stored
    assert key.removeprefix("sk-") not in stored
    assert key[PREFIX_CHARS:] not in stored
    assert key.encode().hex() not in stored


async def test_a_key_is_random_and_never_the_same_twice(door: Door) -> None:
    keys = [await new_key(door.accounts) for _ in range(20)]

    assert len(set(keys)) == 20
    assert {len(key) for key in keys} == {43}
    assert all(key.startswith("sk-") and key[3:].isalnum() for key in keys)


async def test_no_answer_and_no_log_line_shows_a_key(dsn: str, tmp_path: Path) -> None:
    settings = {
        "CAVENDISH_DATABASE_URL": dsn,
        "CAVENDISH_DATA_DIR": str(tmp_path / "data"),
        "CAVENDISH_ENGINE": "simulator",
        "CAVENDISH_LOG_LEVEL": "debug",
    }
    made = await asyncio.to_thread(cavendish, settings, "keys", "create", "--account", "alice", "--credits", "100")
    good, bad = made.stdout.strip(), "sk-" + "n0b0dy" * 6
    seen: list[str] = []
    with process(settings, tmp_path, "serve", "--port", "0") as server:
        url = (await asyncio.to_thread(server.wait_for_line, "serving"))["url"]
        async with aiohttp.ClientSession() as client:
            for key in (good, bad, f"{good} {good}", f"{good}\t"):
                headers = {"Authorization": f"Bearer {key}", "X-Api-Key": key}
                for method, path, body in (
                    ("POST", "/api/v1/tasks/create", PROMPT_BODY),
                    ("POST", "/api/v1/tasks/create", {"model": 7, "input": {}}),
                    ("POST", "/api/v1/tasks/create", {"model": "n", "input": {"prompt": "[simulate:crash]"}}),
                    ("GET", BALANCE, None),
                    ("GET", "/api/v1/tasks/query/task_x", None),
                    ("GET", "/api/v1/nothing", None),
                ):
                    async with client.request(method, url + path, headers=headers, json=body) as answer:
                        seen.append(await answer.text() + repr(answer.headers))
            headers = {"Authorization": f"Bearer {good}"}
            crash = {"model": "nano-banana", "input": {"prompt": "[simulate:crash]"}}
            async with client.post(f"{url}/api/v1/tasks/create", headers=headers, json=crash) as answer:
                task_id = (await answer.json())["data"]["taskId"]
            assert (await until_ended(client, url, good, task_id))["failCode"] == "internal"
        assert await asyncio.to_thread(server.terminate) == 0

    log = server.log.read_text(encoding="utf-8")
    assert "an attempt met an unforeseen error" in log
    for key in (good, bad):
        assert key not in log
        assert not [text for text in seen if key in text]


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_our_own_fault_puts_no_key_and_no_prompt_into_the_log(
    dsn: str, database: Database, tmp_path: Path, log_format: str
) -> None:
    accounts = PgAccounts(database)
    key = await new_key(accounts)
    await accounts.grant("alice", 100)
    settings = {"CAVENDISH_DATABASE_URL": dsn, "CAVENDISH_DATA_DIR": str(tmp_path / "data")}
    with process(settings | {"CAVENDISH_LOG_FORMAT": log_format}, tmp_path, "serve", "--port", "0") as server:
        url = await asyncio.to_thread(_url_in_log, server)
        await database.fetch("ALTER TABLE tasks RENAME TO elsewhere")
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as client:
            async with client.get(f"{url}/api/v1/tasks/query/task_x_1_00000000") as answer:
                queried = await answer.json()
            body = {"model": "nano-banana", "input": {"prompt": "a very private apple"}}
            async with client.post(f"{url}/api/v1/tasks/create", json=body) as answer:
                created = await answer.json()
        server.kill()

    log = server.log.read_text(encoding="utf-8")
    assert (queried["code"], created["code"]) == (500, 500)
    assert "a request failed" in log
    assert queried["message"].rpartition(" ")[2] in log, "the id that the caller was told"
    assert key not in log
    assert "private apple" not in log


def _url_in_log(server: Process, *, within_seconds: float = 30) -> str:
    deadline = time.monotonic() + within_seconds
    while time.monotonic() < deadline:
        found = re.search(r"http://127\.0\.0\.1:\d+", server.log.read_text(encoding="utf-8"))
        if found is not None:
            return found[0]
        time.sleep(0.02)
    raise AssertionError(server.log.read_text(encoding="utf-8"))
