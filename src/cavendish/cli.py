"""The command line: thin. Results go to standard output, words to standard error."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cavendish import __version__
from cavendish.domain.errors import CavendishError, Misconfigured
from cavendish.domain.limits import KeyLimits
from cavendish.domain.text import Language, shortened
from cavendish.domain.text import Text as Sentence
from cavendish.settings import SETTINGS, Settings, read_settings

T = TypeVar("T")

DEFAULT_CREATES_PER_MINUTE = 6_000
DEFAULT_IN_FLIGHT = 10_000
FIRST_ACCOUNT = "default"
FIRST_CREDITS = 1_000

app = typer.Typer(
    help="Cavendish: a self-hosted image-generation API. / 自托管的图像生成 API。",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
keys_app = typer.Typer(help="API keys. / API 密钥。", no_args_is_help=True)
credits_app = typer.Typer(help="Credits of accounts. / 账户积分。", no_args_is_help=True)
app.add_typer(keys_app, name="keys")
app.add_typer(credits_app, name="credits")
callbacks_app = typer.Typer(help="Callbacks of tasks. / 任务回调。", no_args_is_help=True)
webhook_app = typer.Typer(help="Secrets that sign callbacks. / 回调签名密钥。", no_args_is_help=True)
app.add_typer(callbacks_app, name="callbacks")
app.add_typer(webhook_app, name="webhook")

AccountOption = Annotated[str, typer.Option("--account", help="Account name. / 账户名。")]


def main() -> None:
    """The `cavendish` program."""
    try:
        app()
    except CavendishError as error:
        _fail(error)
    except KeyboardInterrupt:
        sys.exit(130)


def language() -> Language:
    """Chinese when the terminal's locale is Chinese."""
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    return "zh" if locale.lower().startswith("zh") else "en"


def _say(en: str, zh: str) -> None:
    print(zh if language() == "zh" else en, file=sys.stderr)


def _fail(error: CavendishError) -> NoReturn:
    print(f"cavendish: {error.text.say(language())}", file=sys.stderr)
    sys.exit(1)


def _out(text: str) -> None:
    print(text, flush=True)


def _settings() -> Settings:
    from cavendish.logs import configure_logs

    settings = read_settings()
    configure_logs(settings.log_format, settings.log_level)
    return settings


@asynccontextmanager
async def _accounts(settings: Settings) -> AsyncIterator[Any]:
    from cavendish.store.accounts import PgAccounts
    from cavendish.wiring import open_database

    async with open_database(settings) as database:
        yield PgAccounts(database)


def _with_accounts(action: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
    async def run() -> T:
        async with _accounts(_settings()) as accounts:
            return await action(accounts)

    return asyncio.run(run())


def _with_callbacks(action: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
    async def run() -> T:
        from cavendish.store.callbacks import PgCallbacks
        from cavendish.wiring import open_database

        async with open_database(_settings()) as database:
            return await action(PgCallbacks(database))

    return asyncio.run(run())


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on. / 监听地址。")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port; 0 picks a free one. / 端口；0 表示自动选择。", min=0, max=65535)
    ] = 8787,
    worker: Annotated[
        bool,
        typer.Option(
            "--worker/--no-worker", help="Also work on tasks, or serve the API only. / 同时处理任务，或仅提供 API。"
        ),
    ] = True,
) -> None:
    """Run the API, and a worker in the same process. / 运行 API，并在同一进程中处理任务。"""
    from cavendish import serving
    from cavendish.wiring import Parts

    settings = _settings()

    async def announce(parts: Parts, url: str) -> None:
        # Only where nobody else administers the database: a key that appears in a team's log would be a leak.
        if settings.database_url is None and not await parts.accounts.any_key():
            key = await _first_key(parts.accounts)
            _out(_welcome(url, key))

    serving.run(serving.serve(settings, host, port, with_worker=worker, announce=announce))


@app.command()
def worker() -> None:
    """Work on tasks, without the API. / 只处理任务，不提供 API。"""
    from cavendish import serving

    serving.run(serving.work(_settings()))


@app.command()
def migrate() -> None:
    """Bring the database to this version's schema. / 将数据库升级到当前版本的结构。"""
    from cavendish.store.migrate import migrate as apply
    from cavendish.wiring import open_database

    async def run() -> list[str]:
        async with open_database(_settings(), migrated=False) as database:
            return await apply(database)

    applied = asyncio.run(run())
    if applied:
        _say(f"applied: {', '.join(applied)}", f"已应用：{'、'.join(applied)}")
    else:
        _say("nothing to do: the schema is up to date", "无需操作：结构已是最新")


@app.command()
def settings() -> None:
    """Show every setting: variable, bounds, default, help. / 列出全部设置。"""
    console = Console()
    for setting in SETTINGS:
        default = setting.default or ("not set" if language() == "en" else "不设置")
        word = "default" if language() == "en" else "默认"
        console.print(f"[bold]{setting.variable}[/bold]", highlight=False)
        console.print(f"    {setting.bounds.say(language())}; {word}: {default}", highlight=False, markup=False)
        console.print(f"    {setting.help.say(language())}", highlight=False, markup=False)


@app.command()
def version() -> None:
    """Show the version. / 显示版本。"""
    _out(__version__)


@keys_app.command("create")
def keys_create(
    account: AccountOption,
    credits: Annotated[  # noqa: A002 - the option is --credits
        int, typer.Option(help="Credits to grant with it. / 同时授予的积分。", min=0, max=10**12)
    ] = 0,
    expires_in: Annotated[
        int | None, typer.Option(help="Days until it expires. / 多少天后过期。", min=1, max=36_500, metavar="DAYS")
    ] = None,
    creates_per_minute: Annotated[
        int, typer.Option(help="Tasks it may create per minute. / 每分钟最多创建的任务数。", min=1, max=10_000_000)
    ] = DEFAULT_CREATES_PER_MINUTE,
    in_flight: Annotated[
        int, typer.Option(help="Unfinished tasks it may have at once. / 同时未完成任务数上限。", min=1, max=10_000_000)
    ] = DEFAULT_IN_FLIGHT,
) -> None:
    """Make a key (and its account, if new). Standard output is the key alone. / 创建密钥，标准输出仅为密钥本身。"""

    async def create(accounts: Any) -> str:
        account_id = await accounts.ensure(account)
        if credits:
            await accounts.grant(account, credits, "with a new key")
        key: str = await accounts.create_key(account_id, KeyLimits(creates_per_minute, in_flight), expires_in)
        return key

    key = _with_accounts(create)
    _say(
        f"A key for {account}. It is shown this once; keep it safe.",
        f"账户 {account} 的密钥。仅显示这一次，请妥善保存。",
    )
    _out(key)


@keys_app.command("list")
def keys_list() -> None:
    """Show every key's prefix, account and state. / 列出所有密钥的前缀、账户和状态。"""
    rows = _with_accounts(lambda accounts: accounts.list_keys())
    table = Table(pad_edge=False)
    english = language() == "en"
    for column in (
        ("Prefix", "Account", "Created", "Expires", "Revoked", "Per minute", "In flight")
        if english
        else ("前缀", "账户", "创建时间", "过期时间", "吊销时间", "每分钟", "未完成")
    ):
        table.add_column(column)
    for row in rows:
        moments = [f"{m:%Y-%m-%d %H:%M}" if m else "–" for m in (row.created_at, row.expires_at, row.revoked_at)]
        table.add_row(
            row.prefix,
            Text(row.account, overflow="fold"),  # a name is not markup
            *moments,
            str(row.creates_per_minute),
            f"{row.in_flight}/{row.in_flight_limit}",
        )
    console = Console()
    console.width = max(console.width, 100)
    console.print(table)


@keys_app.command("revoke")
def keys_revoke(prefix: Annotated[str, typer.Argument(help="As `keys list` shows it. / 见 `keys list`。")]) -> None:
    """End a key at once, on every server. / 立即在所有服务器上吊销密钥。"""
    ended = _with_accounts(lambda accounts: accounts.revoke_keys(prefix))
    _say(f"{ended} is revoked", f"{ended} 已吊销")


@credits_app.command("grant")
def credits_grant(
    amount: Annotated[int, typer.Argument(metavar="N", help="Credits to add. / 要增加的积分。", min=1)],
    account: AccountOption,
    note: Annotated[str | None, typer.Option(help="Kept with the entry. / 随记录保存的备注。")] = None,
) -> None:
    """Add credits to an account. / 为账户增加积分。"""
    balance = _with_accounts(lambda accounts: accounts.grant(account, amount, note))
    _out(str(balance.available))


@credits_app.command("show")
def credits_show(account: AccountOption) -> None:
    """Show an account's totals, proved by replaying its entries. / 显示账户合计，并由全部记录重算核对。"""
    balance, proved = _with_accounts(lambda accounts: accounts.audit(account))
    _out(
        f"available {balance.available}\nheld      {balance.held}\n"
        f"charged   {balance.charged}\ngranted   {balance.granted}"
    )
    if not proved:
        _say("The entries do NOT lead to these totals.", "账目记录与以上合计不符。")
        sys.exit(1)


@webhook_app.command("secret")
def webhook_secret(account: AccountOption) -> None:
    """Show what signs an account's callbacks. / 显示账户的回调签名密钥。"""

    async def show(callbacks: Any) -> str:
        secret: str = await callbacks.secret(await callbacks.account_id(account))
        return secret

    _out(_with_callbacks(show))


@webhook_app.command("rotate")
def webhook_rotate(account: AccountOption) -> None:
    """Make a new secret; the old one signs along for 24 hours. / 更换密钥，旧密钥在 24 小时内继续参与签名。"""

    async def rotate(callbacks: Any) -> str:
        secret: str = await callbacks.rotate_secret(await callbacks.account_id(account))
        return secret

    _out(_with_callbacks(rotate))


@callbacks_app.command("list")
def callbacks_list(
    limit: Annotated[int, typer.Option(help="At most this many. / 最多显示的条数。", min=1, max=10_000)] = 50,
) -> None:
    """Show callbacks that wait after trouble or were given up. / 列出出过问题正在等待或已放弃的回调。"""
    rows = _with_callbacks(lambda callbacks: callbacks.unsuccessful(limit))
    english = language() == "en"
    table = Table(pad_edge=False)
    for column in (
        ("Task", "Account", "Host", "State", "Failed", "Next attempt")
        if english
        else ("任务", "账户", "主机", "状态", "失败次数", "下次投递")
    ):
        table.add_column(column, overflow="fold")
    for row in rows:
        moment = f"{row.next_attempt_at:%Y-%m-%d %H:%M:%S}" if row.next_attempt_at else "–"
        table.add_row(row.task_id, row.account, row.host, row.state, str(row.failures), moment)
    console = Console()
    console.width = max(console.width, 140)
    console.print(table)


@callbacks_app.command("redeliver")
def callbacks_redeliver(
    task: Annotated[str | None, typer.Argument(help="The task's id. / 任务 id。")] = None,
    failed_since: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN",
            help="All that were given up since then: 2026-11-22T20:00, 90m, 12h, 3d. / 此时间之后放弃的全部回调。",
        ),
    ] = None,
) -> None:
    """Queue a callback once more, or all that failed since a time. / 重新投递一个回调，或某时间之后失败的全部回调。"""
    if (task is None) == (failed_since is None):
        raise Misconfigured(
            Sentence(en="give a task's id or --failed-since, one of the two", zh="请提供任务 id 或 --failed-since 之一")
        )

    async def queue(callbacks: Any) -> int:
        if failed_since is not None:
            failed: int = await callbacks.redeliver_failed(moment_of(failed_since, datetime.now(UTC)))
            return failed
        found = await callbacks.find(task)
        if found is None or not await callbacks.redeliver(found.account_id, task):
            raise Misconfigured(
                Sentence(
                    en=f"{task}: no such task that has ended and has a callBackUrl",
                    zh=f"{task}：没有已结束且带 callBackUrl 的该任务",
                )
            )
        return 1

    count = _with_callbacks(queue)
    _say(f"queued once more: {count}", f"已重新排队：{count}")


def moment_of(text: str, now: datetime) -> datetime:
    """The time that `text` means: ISO 8601 (UTC unless it says otherwise), or a span before `now`.

    Raises:
        Misconfigured: it is neither.
    """
    span = re.fullmatch(r"(\d{1,6})([mhd])", text)
    if span is not None:
        return now - timedelta(**{{"m": "minutes", "h": "hours", "d": "days"}[span[2]]: int(span[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Misconfigured(
            Sentence(
                en=f"--failed-since: expected a time such as 2026-11-22T20:00, or 90m, 12h, 3d; got {shortened(text)}",
                zh=f"--failed-since：应为时间（如 2026-11-22T20:00）或 90m、12h、3d；收到 {shortened(text)}",
            )
        ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


async def _first_key(accounts: Any) -> str:
    account_id = await accounts.ensure(FIRST_ACCOUNT)
    await accounts.grant(FIRST_ACCOUNT, FIRST_CREDITS, "first start")
    key: str = await accounts.create_key(account_id, KeyLimits(DEFAULT_CREATES_PER_MINUTE, DEFAULT_IN_FLIGHT))
    return key


def _welcome(url: str, key: str) -> str:
    head = (
        f"Your first key, with {FIRST_CREDITS} credits. It is shown this once:"
        if language() == "en"
        else f"你的第一个密钥，含 {FIRST_CREDITS} 积分，仅显示这一次："
    )
    prompt = "an orange cat on a windowsill, watching the rain" if language() == "en" else "一只橘猫坐在窗台上看雨"
    return f"""
{head}

  {key}

curl --request POST --url {url}/api/v1/tasks/create \\
  --header 'Authorization: Bearer {key}' \\
  --header 'Content-Type: application/json' \\
  --data '{{"model": "google/nano-banana", "input": {{"prompt": "{prompt}"}}}}'
"""
