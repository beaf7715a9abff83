"""How the engines of all worker processes are: `cavendish engines`."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text as Line

from cavendish.cli.common import language, out, say, with_database
from cavendish.domain.engine_reports import EngineReport, ProjectReport, SeenWorker
from cavendish.settings import Settings

SILENT_SECONDS = 45
"""Three signs of life missed."""

app = typer.Typer()


@app.command()
def engines(
    as_json: Annotated[bool, typer.Option("--json", help="For programs, as the API gives it. / 供程序读取。")] = False,
) -> None:
    """Show what each worker's engine serves, waits for and has trouble with. / 显示各 worker 的引擎状态。"""

    async def read(_settings: Settings, database: Any) -> list[SeenWorker]:
        from cavendish.store.reports import PgReports

        seen: list[SeenWorker] = await PgReports(database).current()
        return seen

    workers = with_database(read)
    if as_json:
        from cavendish.web.admin import shown

        out(msgspec.json.encode({"workers": [shown(worker) for worker in workers]}).decode())
        return
    if not workers:
        say("No worker has been heard of in the last five minutes.", "最近五分钟内没有任何 worker 的消息。")
        return
    _print(workers)


def _print(workers: Sequence[SeenWorker]) -> None:
    table = Table(pad_edge=False)
    for title in (
        ("Worker", "Tasks", "Engine", "Project", "Drawing", "Waiting", "Last minute", "Keys", "State")
        if language() == "en"
        else ("Worker", "任务", "引擎", "项目", "绘制中", "等待", "最近一分钟", "密钥", "状态")
    ):
        table.add_column(title, overflow="fold")
    for seen in workers:
        worker = seen.said
        if worker is None:
            table.add_row("?", "", "", "", "", "", "", "", _in("another version", "其他版本"))
            continue
        head = [worker.worker, f"{worker.held}/{worker.slots}"]
        for cells in _engine_rows(worker.engine, seen.silent_seconds):
            table.add_row(*(Line(cell) for cell in (*head, *cells)))  # what others named is not markup
            head = ["", ""]
    console = Console()
    console.width = max(console.width, 140)
    console.print(table, highlight=False)


def _engine_rows(engine: EngineReport, silent_seconds: int) -> Iterator[list[str]]:
    if engine.engines:  # it only chooses among others
        for behind in engine.engines:
            yield from _engine_rows(behind, silent_seconds)
        return
    name = engine.name + (f" ({', '.join(engine.models)})" if engine.models else "")
    state = _engine_state(engine, silent_seconds)
    if not engine.projects:
        running = _of(engine.running, engine.parallel)
        yield [name, "–", running, str(engine.waiting), "–", "–", state or _in("well", "正常")]
        return
    for project in engine.projects:
        own = "\n".join(part for part in (state, _project_state(project)) if part) or _in("well", "正常")
        yield [
            name,
            project.project,
            _of(project.running, project.parallel),
            str(project.waiting or (engine.waiting if name else 0)),
            _of(project.requests, project.requests_per_minute),
            _of(project.keys_usable, project.keys_usable + len(project.keys_out)),
            own,
        ]
        name, state = "", ""


def _engine_state(engine: EngineReport, silent_seconds: int) -> str:
    parts = []
    if silent_seconds >= SILENT_SECONDS:
        parts.append(_in(f"silent for {silent_seconds} s", f"已 {silent_seconds} 秒没有消息"))
    for breaker in engine.breakers:
        if breaker.state == "open":
            until = _clock(breaker.until_ms)
            parts.append(
                _in(
                    f"{breaker.guards}: left alone until {until} after {breaker.failures} failures",
                    f"{breaker.guards}：连续失败 {breaker.failures} 次，暂停到 {until}",
                )
            )
        elif breaker.state == "half_open":
            parts.append(_in(f"{breaker.guards}: being tried again", f"{breaker.guards}：正在试探恢复"))
    for model in engine.retired:
        since = f"{datetime.fromtimestamp(model.since_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"
        parts.append(_in(f"{model.upstream}: gone since {since}", f"{model.upstream}：自 {since} 起不存在"))
    return "\n".join(parts)


def _project_state(project: ProjectReport) -> str:
    parts = []
    if project.cooling_until_ms is not None:
        until = _clock(project.cooling_until_ms)
        parts.append(_in(f"cooling down until {until}", f"冷却到 {until}"))
    parts += [
        _in(f"key {key.key} is out: {key.reason.en}", f"密钥 {key.key} 已停用：{key.reason.zh}")
        for key in project.keys_out
    ]
    return "\n".join(parts)


def _of(count: int, limit: int | None) -> str:
    return str(count) if limit is None else f"{count}/{limit}"


def _clock(moment_ms: int | None) -> str:
    return "?" if moment_ms is None else f"{datetime.fromtimestamp(moment_ms / 1000, UTC):%H:%M:%S} UTC"


def _in(en: str, zh: str) -> str:
    return zh if language() == "zh" else en
