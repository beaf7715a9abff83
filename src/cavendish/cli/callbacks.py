"""Commands about callbacks and the secrets that sign them."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from cavendish.cli.common import AccountOption, language, moment_of, out, say, with_callbacks
from cavendish.domain.callbacks import CallbackView
from cavendish.domain.errors import Misconfigured, NotFound
from cavendish.domain.text import Text, shortened

callbacks_app = typer.Typer(help="Callbacks of tasks. / 任务回调。", no_args_is_help=True)
ANSWER_SHOWN_CHARS = 200
"""Of an answer's start; the API shows all that is kept."""

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
    _print(table)


@callbacks_app.command("show")
def callbacks_show(task: Annotated[str, typer.Argument(help="The task's id. / 任务 id。")]) -> None:
    """Show a task's callback and what became of each attempt. / 显示任务的回调及每次投递的结果。"""

    async def find(callbacks: Any) -> CallbackView | None:
        view: CallbackView | None = await callbacks.find(task)
        return view

    found = with_callbacks(find)
    if found is None:
        raise NotFound(
            Text(
                en=f"{shortened(task)}: no such task that has a callBackUrl",
                zh=f"{shortened(task)}：没有带 callBackUrl 的该任务",
            )
        )
    english = language() == "en"
    not_ended = "the task has not ended" if english else "任务尚未结束"
    names = ("Task", "URL", "Webhook id", "State", "Next attempt")
    if not english:
        names = ("任务", "URL", "Webhook id", "状态", "下次投递")
    next_attempt = "–" if found.next_attempt_ms is None else _shown_time(found.next_attempt_ms)
    values = (found.task_id, found.url, found.webhook_id or "–", found.state or not_ended, next_attempt)
    for name, value in zip(names, values, strict=True):
        out(f"{name}: {value}")
    table = Table(pad_edge=False)
    for column in ("Time", "ms", "Status", "Answer's start") if english else ("时间", "毫秒", "结果", "响应开头"):
        table.add_column(column, overflow="fold", no_wrap=column in ("Time", "时间"))
    for attempt in found.attempts:
        answer = shortened(attempt.answer, ANSWER_SHOWN_CHARS) if attempt.answer else ""
        status = attempt.error or str(attempt.status)
        table.add_row(_shown_time(attempt.started_ms), str(attempt.milliseconds), status, answer)
    _print(table)


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


def _print(table: Table) -> None:
    # Without markup: hosts and answers are what strangers wrote, and are shown as they wrote it.
    console = Console(markup=False, emoji=False, highlight=False)
    console.width = max(console.width, 140)
    console.print(table)


def _shown_time(unix_ms: int) -> str:
    return f"{datetime.fromtimestamp(unix_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
