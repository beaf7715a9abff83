"""What was made, what it earned and what it cost: `cavendish usage`."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text as Line

from cavendish.cli.common import language, moment_of, out, say, with_database
from cavendish.domain.errors import Misconfigured
from cavendish.domain.text import Text, shortened
from cavendish.domain.usage import PER_MILLION, UsageBy, UsageTotals, whole_hours
from cavendish.settings import Settings

HEADINGS: Mapping[UsageBy, Text] = MappingProxyType(
    {
        "model": Text(en="Model", zh="模型"),
        "account": Text(en="Account", zh="账户"),
        "day": Text(en="Day (UTC)", zh="日期（UTC）"),
    }
)
TOTAL = Text(en="Total", zh="合计")

app = typer.Typer()


@app.command()
def usage(
    since: Annotated[
        str, typer.Option(metavar="WHEN", help="2026-11-22T20:00 (UTC), or 90m, 12h, 7d ago. / 起始时间，或多久之前。")
    ] = "7d",
    until: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Where to end; now, if absent. / 结束时间，默认到现在。")
    ] = None,
    by: Annotated[
        str, typer.Option(metavar="model|account|day", help="One line for each. / 按模型、账户或日期分行。")
    ] = "model",
    as_json: Annotated[
        bool,
        typer.Option("--json", help="For programs; money in micro-dollars. / 供程序读取，金额单位为百万分之一美元。"),
    ] = False,
) -> None:
    """Show tasks, credits, upstream cost and margin of a time. / 显示一段时间内的任务、积分、上游成本和毛利。"""
    grouping = _grouping(by)
    begin, end = _period(since, until)

    async def read(settings: Settings, database: Any) -> tuple[list[UsageTotals], int]:
        from cavendish.store.usage import PgUsage
        from cavendish.wiring import load_catalog

        credit_micros = load_catalog(settings.catalog_file).credit_micros
        return await PgUsage(database).totals(begin, end, grouping), credit_micros

    rows, credit_micros = with_database(read)
    together = UsageTotals(TOTAL.say(language()))
    for row in rows:
        together = together.plus(row)
    if as_json:
        out(_json(rows, together, grouping, (begin, end), credit_micros))
        return
    _print(rows, together, grouping, (begin, end), credit_micros)
    if together.unpriced:
        say(
            f"+ {together.unpriced} tasks used upstream models that have no price: their cost is not in these sums. "
            "Add the price to the file of CAVENDISH_CATALOG_FILE, under [upstream.…].",
            f"+ 有 {together.unpriced} 个任务使用了没有价格的上游模型，其成本未计入。"
            "请在 CAVENDISH_CATALOG_FILE 指定的文件的 [upstream.…] 下补充价格。",
        )
    if credit_micros == 0:
        say(
            "The margin is not known: say what a credit sells for, as credit_micros in the file of "
            "CAVENDISH_CATALOG_FILE.",
            "毛利未知：请在 CAVENDISH_CATALOG_FILE 指定的文件中用 credit_micros 写明每个积分的售价。",
        )


def _grouping(by: str) -> UsageBy:
    for known in HEADINGS:
        if known == by:
            return known
    raise Misconfigured(
        Text(
            en=f"--by: expected model, account or day; got {shortened(by)}",
            zh=f"--by：应为 model、account 或 day；收到 {shortened(by)}",
        )
    )


def _period(since: str, until: str | None) -> tuple[datetime, datetime | None]:
    now = datetime.now(UTC)
    begin = moment_of(since, now, "--since")
    end = moment_of(until, now, "--until") if until is not None else None
    if end is not None and end <= begin:
        raise Misconfigured(
            Text(
                en=f"--until ({end:%Y-%m-%d %H:%M}) is not after --since ({begin:%Y-%m-%d %H:%M})",
                zh=f"--until（{end:%Y-%m-%d %H:%M}）不晚于 --since（{begin:%Y-%m-%d %H:%M}）",
            )
        )
    return whole_hours(begin, end, now)


def _print(
    rows: Sequence[UsageTotals],
    together: UsageTotals,
    by: UsageBy,
    period: tuple[datetime, datetime | None],
    credit_micros: int,
) -> None:
    english = language() == "en"
    begin, end = period
    until = f"{end:%Y-%m-%d %H:%M}" if end is not None else ("now" if english else "现在")
    table = Table(
        title=f"{begin:%Y-%m-%d %H:%M} – {until}, UTC", title_justify="left", pad_edge=False, show_footer=True
    )
    cells = _cells(together, credit_micros)
    table.add_column(HEADINGS[by].say(language()), footer=together.name)
    titles = (
        ("Tasks", "Succeeded", "Credits", "Upstream cost", "Margin")
        if english
        else ("任务", "成功", "积分", "上游成本", "毛利")
    )
    for title, footer in zip(titles, cells, strict=True):
        table.add_column(title, justify="right", footer=footer, no_wrap=True)
    for row in rows:
        table.add_row(Line(row.name, overflow="fold"), *_cells(row, credit_micros))
    console = Console()
    console.width = max(console.width, 100)
    console.print(table, highlight=False)


def _cells(row: UsageTotals, credit_micros: int) -> tuple[str, ...]:
    margin = row.margin_micros(credit_micros)
    cost = _dollars(row.upstream_cost_micros) + (" +" if row.unpriced else "")
    return f"{row.tasks:,}", f"{row.successes:,}", f"{row.credits:,}", cost, "–" if margin is None else _dollars(margin)


def _dollars(micros: int) -> str:
    return f"{'-' if micros < 0 else ''}${Decimal(abs(micros)) / PER_MILLION:,.4f}"


def _json(
    rows: Sequence[UsageTotals],
    together: UsageTotals,
    by: UsageBy,
    period: tuple[datetime, datetime | None],
    credit_micros: int,
) -> str:
    def shown(row: UsageTotals) -> dict[str, object]:
        return {
            "tasks": row.tasks,
            "successes": row.successes,
            "credits": row.credits,
            "upstreamCostMicros": row.upstream_cost_micros,
            "unpricedTasks": row.unpriced,
            "marginMicros": row.margin_micros(credit_micros),
        }

    answer = {
        "since": period[0],
        "until": period[1],
        "by": by,
        "creditMicros": credit_micros or None,
        "rows": [{by: row.name, **shown(row)} for row in rows],
        "total": shown(together),
    }
    return msgspec.json.encode(answer).decode()
