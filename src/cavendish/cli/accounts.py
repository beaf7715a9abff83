"""Commands about accounts: keys and credits."""

import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cavendish.cli.common import AccountOption, language, out, say, with_accounts
from cavendish.domain.limits import KeyLimits

DEFAULT_CREATES_PER_MINUTE = 6_000
DEFAULT_IN_FLIGHT = 10_000

keys_app = typer.Typer(help="API keys. / API 密钥。", no_args_is_help=True)
credits_app = typer.Typer(help="Credits of accounts. / 账户积分。", no_args_is_help=True)


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
    operator: Annotated[
        bool, typer.Option("--operator", help="It may also read /api/v1/admin. / 同时可读取 /api/v1/admin。")
    ] = False,
) -> None:
    """Make a key (and its account, if new). Standard output is the key alone. / 创建密钥，标准输出仅为密钥本身。"""

    async def create(accounts: Any) -> str:
        account_id = await accounts.ensure(account)
        if credits:
            await accounts.grant(account, credits, "with a new key")
        limits = KeyLimits(creates_per_minute, in_flight)
        key: str = await accounts.create_key(account_id, limits, expires_in, operator=operator)
        return key

    key = with_accounts(create)
    say(
        f"A key for {account}. It is shown this once; keep it safe.",
        f"账户 {account} 的密钥。仅显示这一次，请妥善保存。",
    )
    out(key)


@keys_app.command("list")
def keys_list() -> None:
    """Show every key's prefix, account and state. / 列出所有密钥的前缀、账户和状态。"""
    rows = with_accounts(lambda accounts: accounts.list_keys())
    table = Table(pad_edge=False)
    english = language() == "en"
    for column in (
        ("Prefix", "Account", "Created", "Expires", "Revoked", "Per minute", "In flight", "Operator")
        if english
        else ("前缀", "账户", "创建时间", "过期时间", "吊销时间", "每分钟", "未完成", "运维")
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
            ("yes" if english else "是") if row.operator else "–",
        )
    console = Console()
    console.width = max(console.width, 110)
    console.print(table)


@keys_app.command("revoke")
def keys_revoke(prefix: Annotated[str, typer.Argument(help="As `keys list` shows it. / 见 `keys list`。")]) -> None:
    """End a key at once, on every server. / 立即在所有服务器上吊销密钥。"""
    ended = with_accounts(lambda accounts: accounts.revoke_keys(prefix))
    say(f"{ended} is revoked", f"{ended} 已吊销")


@credits_app.command("grant")
def credits_grant(
    amount: Annotated[int, typer.Argument(metavar="N", help="Credits to add. / 要增加的积分。", min=1)],
    account: AccountOption,
    note: Annotated[str | None, typer.Option(help="Kept with the entry. / 随记录保存的备注。")] = None,
) -> None:
    """Add credits to an account. / 为账户增加积分。"""
    balance = with_accounts(lambda accounts: accounts.grant(account, amount, note))
    out(str(balance.available))


@credits_app.command("show")
def credits_show(account: AccountOption) -> None:
    """Show an account's totals, proved by replaying its entries. / 显示账户合计，并由全部记录重算核对。"""
    balance, proved = with_accounts(lambda accounts: accounts.audit(account))
    out(
        f"available {balance.available}\nheld      {balance.held}\n"
        f"charged   {balance.charged}\ngranted   {balance.granted}"
    )
    if not proved:
        say("The entries do NOT lead to these totals.", "账目记录与以上合计不符。")
        sys.exit(1)
