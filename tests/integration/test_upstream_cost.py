"""What tasks cost upstream is on their rows and in the totals by the hour, however they end."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from cavendish.blobs.objects import ObjectBlobs
from cavendish.domain.errors import BlobsUnavailable, EngineError
from cavendish.domain.orders import Caller, Failure, Outcome, Work
from cavendish.domain.text import Text
from cavendish.domain.usage import Spent, UpstreamTokens, Usage
from cavendish.engines.simulator import plain_png
from cavendish.flows.draw import Draw
from cavendish.flows.sweep import Retention
from cavendish.flows.work import Worker
from cavendish.ports import Engine, EngineImage
from cavendish.store.database import Database
from cavendish.store.orders import PgTaskOrders
from cavendish.testing import Blocked, ManualClock, ScriptedEngine
from cavendish.wiring import Parts, open_parts
from tests.harness import settings_for
from tests.properties.bench import working
from tests.properties.world import assert_books_balance, changed, expire, new_caller, submit

PNG = plain_png(64, 64, 0)
FLASH = "gemini-2.5-flash-image"
PICTURE_USAGE = Usage((UpstreamTokens(FLASH, text_in=10, image_out=1290),))
PICTURE_MICROS = 38_703
NO_PICTURE_USAGE = Usage((UpstreamTokens(FLASH, text_in=10, text_out=20),))
NO_PICTURE_MICROS = 53
REJECTED = EngineError("content_rejected", Text(en="No", zh="不"), NO_PICTURE_USAGE)


class FailingOnce(ObjectBlobs):
    """A storage that refuses so many writes before it works."""

    refusals = 0

    async def put(self, name: str, data: bytes) -> None:
        if self.refusals:
            self.refusals -= 1
            raise BlobsUnavailable(Text(en="full", zh="已满"))
        await super().put(name, data)


@pytest.fixture
async def parts(dsn: str, tmp_path: Path) -> AsyncIterator[Parts]:
    async with open_parts(settings_for(dsn, tmp_path)) as opened:
        yield opened


@pytest.fixture
async def caller(parts: Parts) -> Caller:
    return await new_caller(parts.database)


def drawing(parts: Parts, engine: Engine) -> AbstractAsyncContextManager[None]:
    """A worker on these parts, with that engine."""
    return working(parts.worker(engine, parts.fetcher()))


async def ended(parts: Parts, tasks: int = 1) -> list[dict[str, Any]]:
    """Every task's columns, once that many have ended."""
    async with asyncio.timeout(15):
        while True:
            rows = await parts.database.fetch("SELECT * FROM tasks WHERE finished_at IS NOT NULL ORDER BY id")
            if len(rows) >= tasks:
                return [dict(row) for row in rows]
            await asyncio.sleep(0.01)


async def hours(database: Database) -> list[dict[str, Any]]:
    rows = await database.fetch("SELECT * FROM usage_hours ORDER BY hour, model")
    return [{key: row[key] for key in row.keys() if key not in ("hour", "account_id", "model")} for row in rows]  # noqa: SIM118


async def test_a_picture_s_tokens_and_cost_are_on_its_row_and_in_the_hour(parts: Parts, caller: Caller) -> None:
    await submit(PgTaskOrders(parts.database, parts.clock), caller, [3])
    async with drawing(parts, ScriptedEngine(EngineImage(PNG, usage=PICTURE_USAGE))):
        [row] = await ended(parts)
    assert json.loads(row["upstream_usage"]) == {"models": [{"upstream": FLASH, "text_in": 10, "image_out": 1290}]}
    assert row["upstream_cost_micros"] == PICTURE_MICROS
    assert await hours(parts.database) == [
        {"tasks": 1, "successes": 1, "credits": 3, "upstream_cost_micros": PICTURE_MICROS, "unpriced": 0}
    ]
    await assert_books_balance(parts.database)


async def test_a_rejected_prompt_costs_upstream_and_not_the_caller(parts: Parts, caller: Caller) -> None:
    await submit(PgTaskOrders(parts.database, parts.clock), caller, [3])
    async with drawing(parts, ScriptedEngine(REJECTED)):
        [row] = await ended(parts)
    assert (row["fail_code"], row["credits_charged"]) == ("content_rejected", 0)
    assert row["upstream_cost_micros"] == NO_PICTURE_MICROS
    assert await hours(parts.database) == [
        {"tasks": 1, "successes": 0, "credits": 0, "upstream_cost_micros": NO_PICTURE_MICROS, "unpriced": 0}
    ]


async def test_bytes_that_are_no_image_cost_all_the_same(parts: Parts, caller: Caller) -> None:
    await submit(PgTaskOrders(parts.database, parts.clock), caller, [3])
    async with drawing(parts, ScriptedEngine(EngineImage(b"not an image", usage=PICTURE_USAGE))):
        [row] = await ended(parts)
    assert (row["fail_code"], row["upstream_cost_micros"]) == ("engine_error", PICTURE_MICROS)


async def test_an_engine_that_pays_nobody_leaves_no_cost(parts: Parts, caller: Caller) -> None:
    await submit(PgTaskOrders(parts.database, parts.clock), caller, [3, 8])
    async with drawing(parts, ScriptedEngine(afterwards=EngineImage(PNG))):
        rows = await ended(parts, 2)
    assert {(row["upstream_usage"], row["upstream_cost_micros"]) for row in rows} == {(None, None)}
    [hour] = await hours(parts.database)
    assert hour == {"tasks": 2, "successes": 2, "credits": 11, "upstream_cost_micros": 0, "unpriced": 0}


async def test_a_model_without_a_price_is_counted_apart(parts: Parts, caller: Caller) -> None:
    usage = Usage((UpstreamTokens("gemini-9", image_out=5),))
    await submit(PgTaskOrders(parts.database, parts.clock), caller, [3])
    async with drawing(parts, ScriptedEngine(EngineImage(PNG, usage=usage))):
        [row] = await ended(parts)
    assert row["upstream_usage"] is not None
    assert row["upstream_cost_micros"] is None
    [hour] = await hours(parts.database)
    assert (hour["upstream_cost_micros"], hour["unpriced"]) == (0, 1)


async def test_what_an_attempt_cost_whose_picture_could_not_be_stored_is_not_forgotten(
    parts: Parts, caller: Caller, tmp_path: Path
) -> None:
    blobs = FailingOnce(f"file://{tmp_path / 'other'}")
    blobs.refusals = 5  # one attempt's patience
    engine = ScriptedEngine(afterwards=EngineImage(PNG, usage=PICTURE_USAGE))
    clock = ManualClock()
    draw = Draw(
        catalog=parts.catalog, engine=engine, images=parts.images, fetcher=parts.fetcher(), blobs=blobs, clock=clock
    )
    worker = Worker(
        queue=parts.queue,
        draw=draw,
        blobs=blobs,
        clock=clock,
        name="worker",
        slots=1,
        lease_ttl_seconds=1e6,
        task_deadline_seconds=60,
        prices=parts.catalog.upstream_prices,
    )
    await submit(PgTaskOrders(parts.database, parts.clock), caller, [3])
    task = asyncio.create_task(worker.run())
    await clock.until_sleeping(2)  # the renewal, and the first wait for the storage
    await clock.advance(60)
    [row] = await ended(parts)
    await worker.stop(0)
    await task
    blobs.close()
    assert (row["state"], row["attempt"]) == ("success", 2)
    assert json.loads(row["upstream_usage"])["models"] == [
        {"upstream": FLASH, "calls": 2, "text_in": 20, "image_out": 2580}
    ]
    assert row["upstream_cost_micros"] == 2 * PICTURE_MICROS


async def held_with_cost(parts: Parts, token: str) -> Work:
    [work] = await parts.queue.claim(token, 1)
    return changed(work, spent=Spent(NO_PICTURE_USAGE, NO_PICTURE_MICROS))


async def test_a_worker_that_stops_hands_on_what_was_spent_and_a_cancel_keeps_it(parts: Parts, caller: Caller) -> None:
    [task_id] = await submit(PgTaskOrders(parts.database, parts.clock), caller, [3])
    token = await parts.queue.begin_lease("worker", 60)
    work = await held_with_cost(parts, token)
    await parts.queue.give_back(token, [work], "stopping")
    [again] = await parts.queue.claim(token, 1)
    assert again.spent == work.spent
    await parts.queue.give_back(token, [again], "stopping")
    await parts.queue.cancel(caller.account_id, task_id)
    [row] = await ended(parts)
    assert (row["fail_code"], row["upstream_cost_micros"]) == ("canceled", NO_PICTURE_MICROS)
    [hour] = await hours(parts.database)
    assert hour == {
        "tasks": 1,
        "successes": 0,
        "credits": 0,
        "upstream_cost_micros": NO_PICTURE_MICROS,
        "unpriced": 0,
    }
    await assert_books_balance(parts.database)


async def test_the_sweeper_that_fails_a_lost_task_keeps_what_earlier_attempts_cost(
    parts: Parts, caller: Caller
) -> None:
    await submit(PgTaskOrders(parts.database, parts.clock), caller, [3])
    for _ in range(3):
        token = await parts.queue.begin_lease("worker", 60)
        work = await held_with_cost(parts, token)
        if work.attempt == 1:
            await parts.queue.give_back(token, [work], "fault")
            continue
        await expire(parts.database, token)
        await parts.queue.requeue_lost()
    assert await parts.queue.fail_exhausted(Text(en="lost", zh="丢失")) == 1
    [row] = await ended(parts)
    assert (row["fail_code"], row["upstream_cost_micros"]) == ("internal", NO_PICTURE_MICROS)


async def test_a_task_canceled_while_it_was_drawn_still_cost_what_it_cost(parts: Parts, caller: Caller) -> None:
    step = Blocked(REJECTED)
    engine = ScriptedEngine(step)
    [task_id] = await submit(PgTaskOrders(parts.database, parts.clock), caller, [3])
    async with drawing(parts, engine):
        await engine.until_called()
        await parts.queue.cancel(caller.account_id, task_id)  # nobody tells this worker; the finish sees it
        step.release()
        [row] = await ended(parts)
    assert (row["fail_code"], row["upstream_cost_micros"]) == ("canceled", NO_PICTURE_MICROS)


async def test_a_finish_that_comes_too_late_counts_nothing(parts: Parts, caller: Caller) -> None:
    await submit(PgTaskOrders(parts.database, parts.clock), caller, [3])
    token = await parts.queue.begin_lease("worker", 60)
    work = await held_with_cost(parts, token)
    outcome = Outcome(work.id, work.account_id, token, work.attempt, Failure("no_image", Text("a", "b")), work.spent)
    stale = changed_outcome(outcome, attempt=work.attempt + 1)
    results = await asyncio.gather(parts.queue.finish(outcome), parts.queue.finish(stale), return_exceptions=True)
    assert [type(result).__name__ for result in results] == ["NoneType", "LeaseLost"]
    [hour] = await hours(parts.database)
    assert (hour["tasks"], hour["upstream_cost_micros"]) == (1, NO_PICTURE_MICROS)


async def test_old_hours_are_folded_into_their_days_and_nothing_is_lost(parts: Parts, caller: Caller) -> None:
    await parts.database.fetch(
        """
        INSERT INTO usage_hours
        SELECT moment, $1, model, 2, 1, 3, 100, 1
        FROM generate_series(date_trunc('day', now(), 'UTC') - interval '64 days', now(), '1 hour') AS moment,
             unnest(ARRAY['one', 'two']) AS model
        """,
        caller.account_id,
    )
    before = await totals(parts.database)
    retention = Retention(
        old=parts.queue, files=parts.files, blobs=parts.blobs, clock=ManualClock(), days=0, pause_seconds=0
    )
    folded = [await parts.queue.fold_usage(), await parts.queue.fold_usage()]
    await retention.once()
    assert folded == [2 * 2 * 23, 0]
    assert await totals(parts.database) == before
    old = await parts.database.fetch(
        "SELECT DISTINCT extract(hour FROM hour AT TIME ZONE 'UTC') AS hour, tasks FROM usage_hours "
        "WHERE hour < date_trunc('day', now() - interval '62 days', 'UTC')"
    )
    assert [(int(row["hour"]), row["tasks"]) for row in old] == [(0, 48)]


async def totals(database: Database) -> Sequence[object]:
    row = await database.fetchrow(
        "SELECT sum(tasks), sum(successes), sum(credits), sum(upstream_cost_micros), sum(unpriced) FROM usage_hours"
    )
    assert row is not None
    return [int(value) for value in row.values()]


def changed_outcome(outcome: Outcome, attempt: int) -> Outcome:
    return Outcome(outcome.id, outcome.account_id, outcome.lease_token, attempt, outcome.result, outcome.spent)
