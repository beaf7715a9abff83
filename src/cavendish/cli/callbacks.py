"""Commands about callbacks and the secrets that sign them."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from cavendish.cli.common import AccountOption, language, moment_of, out, say, with_callbacks
from cavendish.domain.errors import Misconfigured
from cavendish.domain.text import Text

callbacks_app = typer.Typer(help="Callbacks of tasks. / 任务回调。", no_args_is_help=True)
webhook_app = typer.Typer(help="Secrets that sign callbacks. / 回调签名密钥。", no_args_is_help=True)


@webhook_app.command("secret")
def webhook_secret(account: AccountOption) -> None:
    """Show what signs an account's callbacks. / 显示账户的回调签名密钥。"""

    async def show(callbacks: Any) -> str:
        secret: str = await callbacks.secret(await callbacks.account_id(account))
        return secret

    out(with_callbacks(show))


@webhook_app.command("rotate")
def webhook_rotate(account: AccountOption) -> None:
    """Make a new secret; the old one signs along for 24 hours. / 更换密钥，旧密钥在 24 小时内继续参与签名。"""

    async def rotate(callbacks: Any) -> str:
        secret: str = await callbacks.rotate_secret(await callbacks.account_id(account))
        return secret

    out(with_callbacks(rotate))


@callbacks_app.command("list")
def callbacks_list(
    limit: Annotated[int, typer.Option(help="At most this many. / 最多显示的条数。", min=1, max=10_000)] = 50,
) -> None:
    """Show callbacks that wait after trouble or were given up. / 列出出过问题正在等待或已放弃的回调。"""
    rows = with_callbacks(lambda callbacks: callbacks.unsuccessful(limit))
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
            Text(en="give a task's id or --failed-since, one of the two", zh="请提供任务 id 或 --failed-since 之一")
        )

    async def queue(callbacks: Any) -> int:
        if failed_since is not None:
            failed: int = await callbacks.redeliver_failed(moment_of(failed_since, datetime.now(UTC), "--failed-since"))
            return failed
        found = await callbacks.find(task)
        if found is None or not await callbacks.redeliver(found.account_id, task):
            raise Misconfigured(
                Text(
                    en=f"{task}: no such task that has ended and has a callBackUrl",
                    zh=f"{task}：没有已结束且带 callBackUrl 的该任务",
                )
            )
        return 1

    count = with_callbacks(queue)
    say(f"queued once more: {count}", f"已重新排队：{count}")
