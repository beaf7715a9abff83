"""`cavendish usage`: what was made, what it earned and what it cost."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cavendish.domain.usage import UsageTotals, whole_hours
from cavendish.store.accounts import PgAccounts
from cavendish.store.database import Database
from cavendish.store.queries import load_queries
from cavendish.store.usage import PgUsage
from tests.harness import cavendish

NOW = datetime(2026, 11, 22, 20, 40, tzinfo=UTC)


async def used(database: Database, account: str, model: str, hours_ago: int, *figures: int) -> None:
    """A row of totals: tasks, successes, credits, upstream cost in micro-dollars, tasks without a price."""
    account_id = await PgAccounts(database).ensure(account)
    await database.fetch(
        "INSERT INTO usage_hours VALUES (date_trunc('hour', now(), 'UTC') - make_interval(hours => $1), $2, $3, "
        "$4, $5, $6, $7, $8)",
        hours_ago,
        account_id,
        model,
        *figures,
    )


@pytest.fixture
def settings(dsn: str, tmp_path: Path) -> dict[str, str]:
    catalog = tmp_path / "catalog.toml"
    catalog.write_text("credit_micros = 20_000\n")
    return {
        "CAVENDISH_DATABASE_URL": dsn,
        "CAVENDISH_DATA_DIR": str(tmp_path),
        "CAVENDISH_CATALOG_FILE": str(catalog),
    }


async def some_usage(database: Database) -> None:
    await used(database, "alice", "google/nano-banana", 0, 10, 8, 24, 387_000, 0)
    await used(database, "[red]bob[/]", "google/nano-banana", 1, 1, 1, 3, 38_700, 0)
    await used(database, "[red]bob[/]", "google/nano-banana-pro", 1, 2, 2, 16, 700_000, 0)
    await used(database, "alice", "google/nano-banana", 24 * 9, 1000, 1000, 3000, 1, 0)


async def test_people_get_a_table_with_the_margin_of_each_model(settings: dict[str, str], database: Database) -> None:
    await some_usage(database)
    result = cavendish(settings, "usage", "--since", "7d")
    lines = [re.sub(r"[^\w$.,/–-]+", " ", line).strip() for line in result.stdout.splitlines()]
    assert (result.returncode, result.stderr) == (0, "")
    assert "google/nano-banana 11 9 27 $0.4257 $0.1143" in lines
    assert "google/nano-banana-pro 2 2 16 $0.7000 -$0.3800" in lines
    assert "Total 13 11 43 $1.1257 -$0.2657" in lines


async def test_accounts_are_named_as_they_are_and_not_as_markup(settings: dict[str, str], database: Database) -> None:
    await some_usage(database)
    result = cavendish(settings | {"LANG": "zh_CN.UTF-8"}, "usage", "--by", "account", "--since", "12h")
    assert "[red]bob[/]" in result.stdout
    assert "上游成本" in result.stdout


async def test_programs_get_whole_numbers(settings: dict[str, str], database: Database) -> None:
    await some_usage(database)
    answer = json.loads(cavendish(settings, "usage", "--since", "30d", "--by", "model", "--json").stdout)
    assert answer["creditMicros"] == 20_000
    assert answer["until"] is None
    assert answer["rows"][1] == {
        "model": "google/nano-banana-pro",
        "tasks": 2,
        "successes": 2,
        "credits": 16,
        "upstreamCostMicros": 700_000,
        "unpricedTasks": 0,
        "marginMicros": -380_000,
    }
    assert answer["total"]["tasks"] == 1013
    assert answer["total"]["upstreamCostMicros"] == 1_125_701


async def test_a_margin_is_not_made_up(settings: dict[str, str], database: Database) -> None:
    await used(database, "alice", "google/nano-banana", 0, 2, 2, 6, 100, 1)
    unpriced = cavendish(settings, "usage", "--json")
    table = cavendish(settings, "usage")
    unsold = cavendish({k: v for k, v in settings.items() if k != "CAVENDISH_CATALOG_FILE"}, "usage")
    assert json.loads(unpriced.stdout)["rows"][0]["marginMicros"] is None
    assert "$0.0001 +" in table.stdout
    assert "+ 1 tasks used upstream models that have no price" in table.stderr
    assert "The margin is not known" not in table.stderr
    assert "The margin is not known: say what a credit sells for" in unsold.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--since", "soon"), "--since: expected a time"),
        (("--until", "soon"), "--until: expected a time"),
        (("--since", "1h", "--until", "2h"), "is not after --since"),
        (("--by", "hour"), "--by: expected model, account or day"),
    ],
)
def test_a_wrong_option_is_named_in_one_line(
    settings: dict[str, str], arguments: tuple[str, ...], complaint: str
) -> None:
    result = cavendish(settings, "usage", *arguments)
    assert result.returncode == 1
    assert complaint in result.stderr
    assert len(result.stderr.splitlines()) == 1


async def test_days_are_those_of_utc_and_a_period_ends_before_its_end(database: Database) -> None:
    account_id = await PgAccounts(database).ensure("alice")
    for hour in ("2026-11-20 23:00+00", "2026-11-21 00:00+00", "2026-11-22 05:00+00"):
        await database.fetch(
            "INSERT INTO usage_hours VALUES ($1::text::timestamptz, $2, 'm', 1, 1, 3, 5, 0)", hour, account_id
        )
    period = datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 22, 5, tzinfo=UTC)
    assert await PgUsage(database).totals(*period, "day") == [
        UsageTotals("2026-11-20", 1, 1, 3, 5, 0),
        UsageTotals("2026-11-21", 1, 1, 3, 5, 0),
    ]


async def test_a_report_walks_the_hours_of_its_period_and_no_task(database: Database) -> None:
    account_id = await PgAccounts(database).ensure("alice")
    await database.fetch(
        "INSERT INTO usage_hours SELECT date_trunc('hour', now(), 'UTC') - make_interval(hours => n), $1, 'm', 1, 1, "
        "3, 5, 0 FROM generate_series(0, 20000) AS n",
        account_id,
    )
    await database.fetch("ANALYZE")
    sql = load_queries("usage")["totals"]
    since = datetime.now(UTC) - timedelta(days=7)
    plan = "\n".join(
        row[0] for row in await database.fetch(f"EXPLAIN {sql}".replace("$1", f"'{since}'::timestamptz")
                                               .replace("$2", "NULL::timestamptz").replace("$3", "'day'"))
    )  # fmt: skip
    assert "Seq Scan on usage_hours" not in plan
    assert "usage_hours_pkey" in plan
    assert "tasks u" not in plan


def test_a_period_is_widened_to_whole_hours() -> None:
    since, until = NOW - timedelta(minutes=90), NOW - timedelta(minutes=5)
    assert whole_hours(since, until, NOW) == (NOW.replace(hour=19, minute=0), NOW.replace(hour=21, minute=0))
    sharp = NOW.replace(minute=0)
    assert whole_hours(sharp - timedelta(hours=2), sharp, NOW) == (sharp - timedelta(hours=2), sharp)
    assert whole_hours(sharp, None, NOW) == (sharp, None)


def test_a_period_of_long_ago_is_widened_to_whole_days() -> None:
    since, until = datetime(2026, 7, 1, 13, tzinfo=UTC), datetime(2026, 7, 3, 0, 0, 1, tzinfo=UTC)
    assert whole_hours(since, until, NOW) == (datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 7, 4, tzinfo=UTC))
