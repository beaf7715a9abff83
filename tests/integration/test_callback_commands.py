"""What operators do about callbacks on the command line."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cavendish.cli.common import moment_of
from cavendish.domain.errors import Misconfigured
from cavendish.store.accounts import PgAccounts
from cavendish.store.callbacks import PgCallbacks
from cavendish.store.database import Database
from tests.harness import cavendish

NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)


async def ended_tasks(database: Database, **states: str) -> None:
    """Tasks with callbacks in these states."""
    accounts = PgAccounts(database)
    account_id = await accounts.ensure("tester")
    for task_id, state in states.items():
        await database.fetch(
            """
            WITH task AS (
              INSERT INTO tasks (id, account_id, key_id, model, state, param, callback_url, public_url, price, turn,
                                 fail_code, fail_msg, finished_at)
              VALUES ($1, $2, 1, 'm', 'fail', '{}', 'http://shop.example/', 'http://p.test', 3, 1, 'canceled', 'x',
                      now())
            )
            INSERT INTO callbacks (task_id, account_id, host, state, slow, ended_at)
            VALUES ($1, $2, 'shop.example', $3::text, true, CASE WHEN $3 <> 'pending' THEN now() END)
            """,
            task_id,
            account_id,
            state,
        )


async def states(database: Database) -> dict[str, str]:
    return {row["task_id"]: row["state"] for row in await database.fetch("SELECT task_id, state FROM callbacks")}


async def test_commands_show_rotate_list_and_redeliver(dsn: str, database: Database, tmp_path: Path) -> None:
    settings = {"CAVENDISH_DATABASE_URL": dsn, "CAVENDISH_DATA_DIR": str(tmp_path)}
    await ended_tasks(database, one="failed", two="gone", three="delivered", four="delivered")

    listed = cavendish(settings, "callbacks", "list").stdout
    all_failed = cavendish(settings, "callbacks", "redeliver", "--failed-since", "1h")
    after_all = await states(database)
    one = cavendish(settings, "callbacks", "redeliver", "three")
    unknown = cavendish(settings, "callbacks", "redeliver", "nine")
    secret = cavendish(settings, "webhook", "secret", "--account", "tester").stdout.strip()
    rotated = cavendish(settings, "webhook", "rotate", "--account", "tester").stdout.strip()
    nobody = cavendish(settings, "webhook", "secret", "--account", "nobody")

    assert "shop.example" in listed
    assert "three" not in listed
    assert (all_failed.returncode, after_all) == (
        0,
        {"one": "pending", "two": "pending", "three": "delivered", "four": "delivered"},
    )
    assert one.returncode == 0
    assert (await states(database))["three"] == "pending"
    assert (unknown.returncode, "no such task" in unknown.stderr) == (1, True)
    assert secret.startswith("whsec_")
    assert rotated == await PgCallbacks(database).secret(await PgCallbacks(database).account_id("tester")) != secret
    assert (nobody.returncode, "no account" in nobody.stderr) == (1, True)


async def test_a_callback_is_shown_with_what_became_of_each_attempt(
    dsn: str, database: Database, tmp_path: Path
) -> None:
    settings = {"CAVENDISH_DATABASE_URL": dsn, "CAVENDISH_DATA_DIR": str(tmp_path)}
    await ended_tasks(database, one="pending")
    await database.fetch("UPDATE callbacks SET next_attempt_at = '2026-11-22 20:00:05Z', webhook_id = 'msg_7'")
    await database.fetch(
        """
        INSERT INTO callback_attempts (task_id, started_at, milliseconds, status, error, answer)
        VALUES ('one', '2026-11-22 19:00Z', 5001, NULL, 'too_slow', NULL),
               ('one', '2026-11-22 20:00Z', 12, 500, NULL, $1)
        """,
        "[bold]out of[/] order\n" + "x" * 4000,
    )

    shown = cavendish(settings, "callbacks", "show", "one")
    unknown = cavendish(settings, "callbacks", "show", "nine")

    lines = [line.strip(" │┃") for line in shown.stdout.splitlines()]
    assert lines[:5] == [
        "Task: one",
        "URL: http://shop.example/",
        "Webhook id: msg_7",
        "State: pending",
        "Next attempt: 2026-11-22 20:00:05 UTC",
    ]
    [first, second] = [line.replace("│", " ").split() for line in lines if line.startswith("2026-")]
    assert first == ["2026-11-22", "19:00:00", "UTC", "5001", "too_slow"]
    assert second[:7] == ["2026-11-22", "20:00:00", "UTC", "12", "500", '"[bold]out', "of[/]"]
    assert len(shown.stdout) < 2500, "the answer's start, not all of it"
    assert (unknown.returncode, "no such task" in unknown.stderr) == (1, True)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90m", datetime(2026, 11, 22, 18, 30, tzinfo=UTC)),
        ("12h", datetime(2026, 11, 22, 8, 0, tzinfo=UTC)),
        ("3d", datetime(2026, 11, 19, 20, 0, tzinfo=UTC)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T10:00+02:00", datetime(2026, 11, 20, 8, 0, tzinfo=UTC)),
    ],
)
def test_a_time_is_a_date_or_a_span(text: str, moment: datetime) -> None:
    assert moment_of(text, NOW, "--since") == moment


@pytest.mark.parametrize("text", ["yesterday", "3w", "-1h", "999999d", ""])
def test_what_is_no_time_is_said_to_be_none(text: str) -> None:
    with pytest.raises(Misconfigured, match="--since: expected a time"):
        moment_of(text, NOW, "--since")
