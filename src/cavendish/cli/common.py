"""What every command shares: languages, output, settings, and the database for the length of one action."""

import asyncio
import os
import re
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from cavendish.domain.errors import CavendishError, Misconfigured
from cavendish.domain.text import Language, Text, shortened
from cavendish.settings import Settings, read_settings

T = TypeVar("T")

COMMAND_ACCOUNT = "command-line"
"""Whom commands generate for that start a server of their own."""

HIDDEN_KEY = "sk-..."
"""What stands for an API key in a command line that is shown."""

AccountOption = Annotated[str, typer.Option("--account", help="Account name. / 账户名。")]


def language() -> Language:
    """Chinese when the terminal's locale is Chinese."""
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    return "zh" if locale.lower().startswith("zh") else "en"


def say(en: str, zh: str) -> None:
    """A sentence for the person at the terminal: standard error."""
    print(zh if language() == "zh" else en, file=sys.stderr)


def fail(error: CavendishError) -> NoReturn:
    """Say what went wrong in one line, and end with 1."""
    print(f"cavendish: {error.text.say(language())}", file=sys.stderr)
    sys.exit(1)


def out(text: str) -> None:
    """A command's result: standard output."""
    print(text, flush=True)


def configured() -> Settings:
    """The settings, with logs set up by them. Raises Misconfigured."""
    from cavendish.logs import configure_logs

    settings = read_settings()
    configure_logs(settings.log_format, settings.log_level)
    return settings


def with_accounts(action: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
    """Run `action` on the accounts of the configured database."""

    async def run() -> T:
        from cavendish.store.accounts import PgAccounts
        from cavendish.wiring import open_database

        async with open_database(configured()) as database:
            return await action(PgAccounts(database))

    return asyncio.run(run())


def with_callbacks(action: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
    """Run `action` on the callbacks of the configured database."""

    async def run() -> T:
        from cavendish.store.callbacks import PgCallbacks
        from cavendish.wiring import open_database

        async with open_database(configured()) as database:
            return await action(PgCallbacks(database))

    return asyncio.run(run())


def with_database(action: Callable[[Settings, Any], Coroutine[Any, Any, T]]) -> T:
    """Run `action` on the settings and the configured database."""

    async def run() -> T:
        from cavendish.wiring import open_database

        settings = configured()
        async with open_database(settings) as database:
            return await action(settings, database)

    return asyncio.run(run())


def moment_of(text: str, now: datetime, option: str) -> datetime:
    """The time that `text`, given as `option`, means: ISO 8601 (UTC unless it says otherwise), or a span before `now`.

    Raises:
        Misconfigured: it is neither, or before the calendar begins.
    """
    span = re.fullmatch(r"(\d{1,6})([mhd])", text)
    try:
        if span is not None:
            return now - timedelta(**{{"m": "minutes", "h": "hours", "d": "days"}[span[2]]: int(span[1])})
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise Misconfigured(
            Text(
                en=f"{option}: expected a time such as 2026-11-22T20:00, or 90m, 12h, 3d; got {shortened(text)}",
                zh=f"{option}：应为时间（如 2026-11-22T20:00）或 90m、12h、3d；收到 {shortened(text)}",
            )
        ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
