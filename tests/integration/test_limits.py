"""Limits are exact over several API processes, and a flood costs the database nothing."""

import asyncio
from collections import Counter
from pathlib import Path

from cavendish.domain.limits import KeyLimits
from tests.harness import PROMPT_BODY, Running, running, settings_for

CREATE = "/api/v1/tasks/create"


async def flood(servers: tuple[Running, ...], key: str, each: int) -> list[tuple[int, str | None]]:
    """`each` parallel creates on every server: (status, Retry-After)."""
    calls = [s.call("POST", CREATE, key=key, json=PROMPT_BODY) for s in servers for _ in range(each)]
    return [(status, headers.get("Retry-After")) for status, _, headers in await asyncio.gather(*calls)]


async def test_exactly_fifty_of_two_hundred_parallel_creates_pass_a_limit_of_fifty(dsn: str, tmp_path: Path) -> None:
    settings = settings_for(dsn, tmp_path)
    async with running(settings, with_worker=False) as one, running(settings, with_worker=False) as two:
        key = await one.new_key(limits=KeyLimits(creates_per_minute=50, in_flight=1_000))
        answers = await flood((one, two), key, 100)
        assert Counter(status for status, _ in answers) == {200: 50, 429: 150}
        assert all(1 <= int(wait or 0) <= 60 for status, wait in answers if status == 429)


async def test_obeying_retry_after_leads_to_success(dsn: str, tmp_path: Path) -> None:
    settings = settings_for(dsn, tmp_path)
    async with running(settings, with_worker=False) as server:
        key = await server.new_key(limits=KeyLimits(creates_per_minute=1, in_flight=10))
        await server.create(key)
        # The window opened 58.5 s ago: what is left is short enough to wait for.
        await server.parts.database.fetch(
            "UPDATE api_keys SET window_started_at = window_started_at - interval '58.5 s'"
        )
        status, answer, headers = await server.call("POST", CREATE, key=key, json=PROMPT_BODY)
        assert status == 429
        assert "per minute" in answer["message"]
        assert headers["RateLimit-Policy"] == '"creates";q=1;w=60'
        assert headers["RateLimit"] == f'"creates";r=0;t={headers["Retry-After"]}'
        await asyncio.sleep(int(headers["Retry-After"]))
        await server.create(key)


async def test_tasks_in_flight_are_bounded_and_a_finished_one_frees_its_place(dsn: str, tmp_path: Path) -> None:
    settings = settings_for(dsn, tmp_path)
    async with running(settings, with_worker=False) as one, running(settings, with_worker=False) as two:
        key = await one.new_key(limits=KeyLimits(creates_per_minute=1_000, in_flight=7))
        answers = await flood((one, two), key, 10)
        assert Counter(status for status, _ in answers) == {200: 7, 429: 13}
        row = await one.parts.database.fetchrow("SELECT id FROM tasks LIMIT 1")
        assert row is not None
        status, _, _ = await one.call("POST", f"/api/v1/tasks/cancel/{row['id']}", key=key)
        assert status == 200
        async with running(settings, with_worker=False) as three:  # remembers no refusal yet
            answers = await flood((three,), key, 5)
            assert Counter(status for status, _ in answers) == {200: 1, 429: 4}


async def test_exactly_ten_of_a_hundred_parallel_creates_fit_thirty_credits(dsn: str, tmp_path: Path) -> None:
    settings = settings_for(dsn, tmp_path)
    async with running(settings, with_worker=False) as one, running(settings, with_worker=False) as two:
        key = await one.new_key(credits=30)
        answers = await flood((one, two), key, 50)
        assert Counter(status for status, _ in answers) == {200: 10, 402: 90}
        _, balance, _ = await one.call("GET", "/api/v1/user/balance", key=key)
        assert balance["data"] == {"balance": 0, "held": 30}


async def test_a_flood_over_the_limit_costs_no_database_work(dsn: str, tmp_path: Path) -> None:
    async with running(settings_for(dsn, tmp_path), with_worker=False) as server:
        key = await server.new_key(limits=KeyLimits(creates_per_minute=1, in_flight=10))
        await server.create(key)
        assert [status for status, _ in await flood((server,), key, 1)] == [429]
        await server.parts.database.fetch("ALTER TABLE accounts RENAME TO accounts_away")
        try:
            answers = await flood((server,), key, 50)
        finally:
            await server.parts.database.fetch("ALTER TABLE accounts_away RENAME TO accounts")
        assert Counter(status for status, _ in answers) == {429: 50}


async def test_queries_have_a_limit_of_their_own(dsn: str, tmp_path: Path) -> None:
    settings = settings_for(dsn, tmp_path, QUERIES_PER_MINUTE="60")
    async with running(settings, with_worker=False) as server:
        key = await server.new_key()
        task_id = await server.create(key)
        statuses = [(await server.call("GET", f"/api/v1/tasks/query/{task_id}", key=key))[0] for _ in range(61)]
        assert Counter(statuses) == {200: 60, 429: 1}
        await server.create(key)
