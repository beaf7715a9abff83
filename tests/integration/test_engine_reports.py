"""The state of every worker's engine: told through the database, shown to operators only."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cavendish.domain.engine_reports import (
    FORGET_SECONDS,
    BreakerReport,
    EngineReport,
    KeyOut,
    ProjectReport,
    RetiredModel,
    SeenWorker,
    WorkerReport,
)
from cavendish.domain.errors import StoreUnavailable
from cavendish.domain.text import Text
from cavendish.flows.report import LOOK_SECONDS, SAME_SECONDS, Reporter
from cavendish.flows.sweep import Sweeper
from cavendish.store.accounts import PgAccounts
from cavendish.store.database import Database
from cavendish.store.reports import PgReports
from cavendish.testing import ManualClock, ScriptedEngine
from cavendish.wiring import open_parts
from tests.harness import UNLIMITED, Running, cavendish, process, running, settings_for

ENGINES = "/api/v1/admin/engines"
SECRET = "AIzaSyA-a-key-of-google-that-nobody-else-may-see"
GEMINI = EngineReport(
    "gemini",
    running=3,
    projects=(
        ProjectReport("project-a", 9, 10, 2, 4, cooling_until_ms=1_795_377_600_000, keys_usable=2),
        ProjectReport(
            "project-b", 1, 10, 1, 4, keys_usable=1, keys_out=(KeyOut("…WXYZ", Text(en="answered 403", zh="返回 403")),)
        ),
    ),
    breakers=(BreakerReport("gemini-3-pro-image", "open", 5, 1_795_377_600_000),),
    retired=(RetiredModel("gemini-2.5-flash-image", 1_795_377_600_000),),
)


def word(worker: str = "one:1", held: int = 0, engine: EngineReport = GEMINI) -> WorkerReport:
    return WorkerReport(worker=worker, version="1.0", started_ms=1, slots=64, held=held, engine=engine)


def number(process: int) -> str:
    return f"00000000-0000-0000-0000-{process:012}"


async def operator_key(accounts: PgAccounts) -> str:
    return await accounts.create_key(await accounts.ensure("operators"), UNLIMITED, operator=True)


@pytest.fixture
async def server(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    """An API process that has no worker and no engine."""
    async with running(settings_for(dsn, tmp_path), with_worker=False) as started:
        yield started


async def test_any_api_process_shows_the_engines_of_all_workers(server: Running) -> None:
    reports = PgReports(server.parts.database)
    await reports.publish(number(2), word("two:2", held=7))
    await reports.publish(number(1), word("one:1"))
    await reports.publish(number(1), word("one:1", held=5))
    status, answer, headers = await server.call("GET", ENGINES, key=await operator_key(server.parts.accounts))
    assert (status, answer["code"], answer["message"]) == (200, 200, "success")
    first, second = answer["data"]["workers"]
    assert (first["worker"], first["held"], first["slots"]) == ("one:1", 5, 64)
    assert (second["worker"], second["held"]) == ("two:2", 7)
    assert (first["silentSeconds"], first["reportedMs"] > 1_700_000_000_000) == (0, True)
    assert first["engine"]["projects"][0]["coolingUntilMs"] == 1_795_377_600_000
    assert first["engine"]["projects"][1]["keysOut"] == [
        {"key": "…WXYZ", "reason": {"en": "answered 403", "zh": "返回 403"}}
    ]
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("language", "sentence"), [("en", "needs an operator key"), ("zh-CN", "需要运维密钥")])
async def test_an_ordinary_key_is_told_that_it_is_none(server: Running, language: str, sentence: str) -> None:
    key = await server.new_key()
    status, answer, headers = await server.call("GET", ENGINES, key=key, headers={"Accept-Language": language})
    assert (status, answer["code"], answer["data"]) == (401, 401, None)
    assert sentence in answer["message"]
    assert key not in answer["message"]
    assert headers["WWW-Authenticate"].startswith("Bearer")


async def test_without_a_key_with_another_method_or_elsewhere_it_answers_as_everything_does(server: Running) -> None:
    key = await operator_key(server.parts.accounts)
    nobody = await server.call("GET", ENGINES)
    posted = await server.call("POST", ENGINES, key=key)
    elsewhere = await server.call("GET", "/api/v1/admin/keys", key=key)
    assert (nobody[0], posted[0], elsewhere[0]) == (401, 404, 404)
    assert "GET" in posted[2]["Allow"]


async def test_an_operator_key_is_a_key_like_any_other_and_ends_like_one(server: Running) -> None:
    key = await operator_key(server.parts.accounts)
    await server.parts.accounts.grant("operators", 3)
    assert (await server.create(key)).startswith("task_")
    await server.parts.accounts.revoke_keys(key)
    async with asyncio.timeout(5):
        while (await server.call("GET", ENGINES, key=key))[0] != 401:  # noqa: ASYNC110 - it is told by the database
            await asyncio.sleep(0.01)


async def test_a_process_that_went_silent_is_forgotten_by_the_sweeper(database: Database, server: Running) -> None:
    reports = PgReports(database)
    await reports.publish(number(1), word("dead:1"))
    await reports.publish(number(2), word("quiet:2"))
    for process_number, seconds in ((1, FORGET_SECONDS), (2, FORGET_SECONDS - 60)):
        await database.fetch(
            "UPDATE worker_reports SET reported_at = reported_at - make_interval(secs => $2) WHERE id = $1",
            number(process_number),
            seconds,
        )
    shown = await reports.current()
    await Sweeper(lost=server.parts.queue, reports=reports, clock=ManualClock(), interval_seconds=5).once()
    left = await database.fetch("SELECT report ->> 'worker' AS worker FROM worker_reports")
    assert [(seen.said and seen.said.worker, seen.silent_seconds) for seen in shown] == [("quiet:2", 240)]
    assert [row["worker"] for row in left] == ["quiet:2"]


async def test_words_of_another_version_hide_nobody(server: Running) -> None:
    await PgReports(server.parts.database).publish(number(1), word())
    await server.parts.database.fetch(
        """INSERT INTO worker_reports (id, report) VALUES ($1, '{"worker": "new:1", "engine": 7}')""", number(2)
    )
    _, answer, _ = await server.call("GET", ENGINES, key=await operator_key(server.parts.accounts))
    workers = answer["data"]["workers"]
    assert sorted(str(worker["worker"]) for worker in workers) == ["None", "one:1"]


class Listening:
    """A `ports.WorkerReports` that remembers, and can be away."""

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.withdrawn = 0
        self.away = False

    async def publish(self, process: str, report: WorkerReport) -> None:
        if self.away:
            raise StoreUnavailable(Text(en="away", zh="不在"))
        self.heard.append(report.held)

    async def withdraw(self, process: str) -> None:
        if self.away:
            raise StoreUnavailable(Text(en="away", zh="不在"))
        self.withdrawn += 1

    async def current(self) -> list[SeenWorker]:
        return []

    async def drop_silent(self) -> None:
        return


async def test_a_worker_tells_what_changes_soon_and_that_it_lives_now_and_then() -> None:
    reports, clock, held = Listening(), ManualClock(), [0]
    reporter = Reporter(reports=reports, clock=clock, look=lambda: word(held=held[0]))
    task = asyncio.create_task(reporter.run())
    await clock.until_sleeping()
    assert reports.heard == [0]
    await clock.advance(SAME_SECONDS - 1)
    assert reports.heard == [0]
    await clock.advance(LOOK_SECONDS)
    assert reports.heard == [0, 0]
    held[0] = 4
    await clock.advance(LOOK_SECONDS)
    assert reports.heard == [0, 0, 4]
    task.cancel()
    await reporter.stop()
    assert reports.withdrawn == 1


async def test_trouble_with_the_database_or_the_report_itself_ends_nothing() -> None:
    reports, clock = Listening(), ManualClock()
    broken = [True]

    def look() -> WorkerReport:
        if broken[0]:
            raise ZeroDivisionError
        return word(held=2)

    reporter = Reporter(reports=reports, clock=clock, look=look)
    task = asyncio.create_task(reporter.run())
    await clock.until_sleeping()
    broken[0], reports.away = False, True
    await clock.advance(LOOK_SECONDS)
    assert reports.heard == []
    reports.away = False
    await clock.advance(LOOK_SECONDS)
    assert reports.heard == [2]
    reports.away = True
    task.cancel()
    await reporter.stop()


async def test_the_wired_reporter_says_what_the_worker_and_the_engine_are(dsn: str, tmp_path: Path) -> None:
    async with open_parts(settings_for(dsn, tmp_path, WORKER_SLOTS="5")) as parts:
        worker = parts.worker(ScriptedEngine(), parts.fetcher())
        await parts.reporter(worker, ScriptedEngine()).once()
        [seen] = await parts.reports.current()
    assert seen.said is not None
    assert (seen.said.worker, seen.said.slots, seen.said.held) == (worker.name, 5, 0)
    assert seen.said.engine == EngineReport("scripted")


async def test_no_key_of_the_engine_leaves_the_process_whole(dsn: str, tmp_path: Path) -> None:
    settings = settings_for(dsn, tmp_path, ENGINE="gemini", GEMINI_KEYS=f"project-a:{SECRET}")
    async with open_parts(settings) as parts:
        engine = parts.engine()
        await parts.reporter(parts.worker(engine, parts.fetcher()), engine).once()
        row = await parts.database.fetchrow("SELECT report::text AS report FROM worker_reports")
        await engine.aclose()
    assert row is not None
    assert '"project-a"' in row["report"]
    assert SECRET not in row["report"]
    assert SECRET[:12] not in row["report"]


async def test_the_command_shows_projects_cool_downs_keys_and_models(
    dsn: str, database: Database, tmp_path: Path
) -> None:
    settings = {"CAVENDISH_DATABASE_URL": dsn, "CAVENDISH_DATA_DIR": str(tmp_path), "COLUMNS": "300"}
    nobody = cavendish(settings, "engines")
    behind = EngineReport("illustrator", ("google/nano-banana",), running=1, parallel=2)
    await PgReports(database).publish(number(1), word(engine=EngineReport("router", engines=(GEMINI, behind))))
    english = cavendish(settings, "engines").stdout
    chinese = cavendish(settings | {"LANG": "zh_CN.UTF-8"}, "engines").stdout
    for_programs = json.loads(cavendish(settings, "engines", "--json").stdout)
    assert (nobody.stdout, nobody.stderr) == ("", "No worker has been heard of in the last five minutes.\n")
    for part in (
        "one:1",
        "project-a",
        "9/10",
        "cooling down until 20:00:00 UTC",
        "key …WXYZ is out: answered 403",
        "gemini-3-pro-image: left alone until 20:00:00 UTC after 5 failures",
        "gemini-2.5-flash-image: gone since",
        "illustrator (google/nano-banana)",
    ):
        assert part in english
    assert "密钥 …WXYZ 已停用：返回 403" in chinese
    assert for_programs["workers"][0]["engine"]["engines"][1]["parallel"] == 2


async def test_a_served_process_is_shown_while_it_runs_and_gone_when_it_stopped(dsn: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "CAVENDISH_DATABASE_URL": dsn,
        "CAVENDISH_DATA_DIR": str(tmp_path),
        "CAVENDISH_ENGINE": "simulator",
    }
    created = cavendish(settings, "keys", "create", "--account", "ops", "--operator")
    listed = cavendish(settings | {"COLUMNS": "200"}, "keys", "list").stdout
    assert created.stdout.startswith("sk-")
    assert "Operator" in listed
    assert "yes" in listed
    async with Database.open(dsn, max_connections=2) as database:
        reports = PgReports(database)
        with process(settings, tmp_path / "logs", "serve", "--port", "0") as served:
            async with asyncio.timeout(30):
                while not (seen := await reports.current()):
                    assert served.process.poll() is None
                    await asyncio.sleep(0.05)
            assert seen[0].said is not None
            assert (seen[0].said.engine.name, seen[0].said.slots) == ("simulator", 64)
            assert served.terminate() == 0
        assert await reports.current() == []
