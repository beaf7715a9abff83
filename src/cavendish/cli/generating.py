"""The way of `generate` and `fetch`: price, progress, pictures, balance, and the exit code."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from cavendish.cli.common import COMMAND_ACCOUNT, HIDDEN_KEY
from cavendish.cli.drawing import Drawing, Kind, Outcome, Progress
from cavendish.cli.files import format_of
from cavendish.cli.jobs import Job, identities, slug
from cavendish.cli.journal import Journal
from cavendish.cli.progress import ProgressLine
from cavendish.cli.reports import Reports, credits_words
from cavendish.cli.service import Service, open_service
from cavendish.cli.terminal import detect_here
from cavendish.client import ClientError, Model, NotFound, ServerError, UnexpectedAnswer
from cavendish.client.requests import model_id
from cavendish.domain.errors import Misconfigured
from cavendish.domain.text import Text

T = TypeVar("T")

_KINDS: tuple[tuple[Kind, str, str], ...] = (
    ("saved", "saved", "张已保存"),
    ("kept", "there already", "张已存在"),
    ("failed", "failed", "张失败"),
    ("refused", "not drawn", "张未生成"),
    ("late", "still going on", "张仍在进行"),
    ("running", "going on", "张继续进行"),
    ("skipped", "not begun", "张未开始"),
)
DONE, ERROR, FAILED, LATE, INTERRUPTED = 0, 1, 3, 4, 130


@dataclass(frozen=True)
class Options:
    """How it is done. `batch`: the folder of a batch; `command`: how to run this again."""

    batch: Path | None
    parallel: int
    timeout_seconds: float
    to_stdout: bool
    show: bool | None
    as_json: bool
    quiet: bool
    base_url: str | None
    api_key: str | None
    command: str


async def generate_all(jobs: Sequence[Job], options: Options) -> int:
    """Draw the jobs; the exit code.

    Raises:
        Misconfigured: before anything is paid.
    """
    reports = _reports(options)
    named = [replace(job, format=job.format or _format(job)) for job in jobs]
    with contextlib.ExitStack() as stack:
        journal = stack.enter_context(Journal(options.batch)) if options.batch is not None else None
        async with _service(options) as service:
            ids = list(identities(named, service.place))
            unsaved = [job for job, key in zip(named, ids, strict=True) if not _saved(journal, key)]
            await _say_price(unsaved, len(named), service, reports)
            work = [(job, key, _target(job, options.batch)) for job, key in zip(named, ids, strict=True)]
            return await _run(work, service, journal, options, reports)


async def fetch_all(task_ids: Sequence[str], output: Path | None, options: Options) -> int:
    """Fetch the pictures of tasks; the exit code.

    Raises:
        Misconfigured: the server does not know one of them.
    """
    reports = _reports(options)
    async with _service(options) as service:
        work = []
        for task_id in task_ids:
            task = await service.client.query(task_id)
            fields = task.param.get("input")
            prompt = fields.get("prompt") if isinstance(fields, dict) else None
            job = Job(prompt=prompt if isinstance(prompt, str) else task_id, out=output, task_id=task_id)
            work.append((job, task_id, _target(job, None)))
        return await _run(work, service, None, options, reports)


@asynccontextmanager
async def _service(options: Options) -> AsyncIterator[Service]:
    try:
        async with open_service(options.base_url, options.api_key) as service:
            yield service
    except ClientError as error:  # its sentence is in the terminal's language where the server wrote it
        raise Misconfigured(Text(en=str(error), zh=str(error))) from error


async def _run(
    work: Sequence[tuple[Job, str, Path]],
    service: Service,
    journal: Journal | None,
    options: Options,
    reports: Reports,
) -> int:
    progress = Progress(len(work))
    interrupted = asyncio.Event()
    line = ProgressLine(Console(stderr=True, quiet=options.quiet), progress, _what(work))

    def finished(outcome: Outcome) -> None:
        line.hide()
        reports.result(outcome)
        if progress.finished < progress.total and not interrupted.is_set():
            line.show()

    drawing = Drawing(
        service,
        journal=journal,
        parallel=options.parallel,
        timeout_seconds=options.timeout_seconds,
        to_stdout=options.to_stdout,
        finished=finished,
    )
    with line, _stopping(drawing, interrupted):
        outcomes = await drawing.run(work, progress)
    if options.to_stdout and outcomes[0].image is not None:
        sys.stdout.buffer.write(outcomes[0].image.data)
        sys.stdout.buffer.flush()
    if interrupted.is_set():
        reports.words("Interrupted.", "已中断。", style="bold yellow")
    reports.going_on(outcomes, service, options.batch, options.command, _server_options(options))
    await _say_end(outcomes, service, options, reports, time.monotonic() - progress.began)
    return INTERRUPTED if interrupted.is_set() else _exit_code(outcomes)


@contextlib.contextmanager
def _stopping(drawing: Drawing, interrupted: asyncio.Event) -> Iterator[None]:
    """Ctrl-C stops the drawing in good order; a second one ends the process on the spot."""
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if interrupted.is_set():
            os._exit(INTERRUPTED)
        interrupted.set()
        drawing.stop()

    numbers = (signal.SIGINT, signal.SIGTERM) if sys.platform != "win32" else ()
    for number in numbers:
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def _say_price(jobs: Sequence[Job], total: int, service: Service, reports: Reports) -> None:
    """What is about to be asked for, what it costs, and what there is."""
    models, balance = await asyncio.gather(_known(service.client.models), _known(service.client.balance))
    prices = [_price(job, models or []) for job in jobs]
    names = {_model_of(job, models or []) for job in jobs}
    facts: list[tuple[str, str]] = []
    if total > 1:
        left = f"{len(jobs)} of {total} pictures left" if len(jobs) < total else f"{total} pictures"
        facts.append((left, f"{total} 张图片，还剩 {len(jobs)} 张" if len(jobs) < total else f"{total} 张图片"))
    if len(names) == 1:
        facts.append((name := names.pop(), name))
    known = [price for price in prices if price is not None]
    if known and len(known) == len(prices):
        even = len(known) > 1 and len(set(known)) == 1
        sum_of = f"{len(known)} × {known[0]} = " if even else ""
        facts.append((words := f"{sum_of}{credits_words(sum(known))}", words))
    if balance is not None:
        facts.append((f"balance {balance.available:,}", f"余额 {balance.available:,}"))
    if facts and jobs:
        reports.words(" · ".join(en for en, _ in facts), " · ".join(zh for _, zh in facts), style="dim")
    if balance is not None and known and sum(known) > balance.available:
        hint = ""
        if service.data_dir is not None:
            hint = f": cavendish credits grant --account {COMMAND_ACCOUNT} 1000"
        reports.words(
            f"The balance does not cover {'that' if len(known) == 1 else 'all of them'}{hint}",
            f"余额不足{hint}",
            style="yellow",
        )


async def _say_end(
    outcomes: Sequence[Outcome], service: Service, options: Options, reports: Reports, seconds: float
) -> None:
    """The summary of several, and the balance."""
    kinds = Counter(outcome.kind for outcome in outcomes)
    charged = sum(o.task.credits_consumed for o in outcomes if o.task is not None and o.kind == "saved")
    facts: list[tuple[str, str]] = []
    if len(outcomes) > 1:
        counts = [(f"{kinds[kind]} {en}", f"{kinds[kind]} {zh}") for kind, en, zh in _KINDS if kinds[kind]]
        place = f" in {options.batch}{os.sep}" if options.batch is not None else ""
        facts.append((", ".join(en for en, _ in counts) + place, "，".join(zh for _, zh in counts) + place))
        facts.append((credits_words(charged), credits_words(charged)))
        facts.append((f"{seconds:.1f} s", f"{seconds:.1f} 秒"))
    try:
        balance = await _known(service.client.balance)
    except ClientError:
        balance = None  # what was to be done is done
    if balance is not None:
        held_en = f" ({balance.held:,} held)" if balance.held else ""
        held_zh = f"（冻结 {balance.held:,}）" if balance.held else ""
        facts.append((f"balance {balance.available:,}{held_en}", f"余额 {balance.available:,}{held_zh}"))
    if facts:
        style = "dim" if len(outcomes) == 1 else "bold"
        reports.words(" · ".join(en for en, _ in facts), " · ".join(zh for _, zh in facts), style=style)


async def _known(ask: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
    """What a server says that may lack the question: other servers of this API have no catalogue, or no balance."""
    try:
        return await ask()  # made only now: Ctrl-C just before would leave it unawaited, with a warning
    except (NotFound, UnexpectedAnswer, ServerError):
        return None


def _price(job: Job, models: Sequence[Model]) -> int | None:
    found = next((model for model in models if model.id == _model_of(job, models)), None)
    return found.price_of(job.resolution) if found is not None else None


def _model_of(job: Job, models: Sequence[Model]) -> str:
    """The full id of what a job asks for, as the catalogue has it, whatever the spelling."""
    asked = model_id(job.model, len(job.images))
    bare = _bare(asked)
    return next((model.id for model in models if _bare(model.id) == bare), asked)


def _bare(name: str) -> str:
    return name.lower().removeprefix("google/").replace("_", "-").replace("-", "")


def _target(job: Job, batch: Path | None) -> Path:
    """The file that a job's picture shall become; without an ending, it gets that of its format."""
    if batch is not None:
        return batch / (job.out or f"{job.line:03d}-{slug(job.prompt)}")
    if job.out is not None and str(job.out) != "-" and not job.out.is_dir():
        return job.out
    return (job.out or Path()) / slug(job.prompt)


def _format(job: Job) -> str | None:
    return format_of(job.out) if job.out is not None else None


def _saved(journal: Journal | None, identity: str) -> bool:
    return journal is not None and journal.picture(identity) is not None


def _server_options(options: Options) -> list[str]:
    """What a `fetch` needs to find the same server; the key is not shown."""
    url = ["--base-url", options.base_url] if options.base_url else []
    return url + (["--api-key", HIDDEN_KEY] if options.api_key else [])


def _what(work: Sequence[tuple[Job, str, Path]]) -> str:
    prompt = " ".join(work[0][0].prompt.split())
    return prompt if len(prompt) <= 40 else prompt[:39] + "…"


def _reports(options: Options) -> Reports:
    wanted = options.show is not False and not options.as_json and not options.to_stdout
    protocol = detect_here() if wanted and (options.show or options.batch is None) else None
    reports = Reports(_console(), as_json=options.as_json, quiet=options.quiet, protocol=protocol)
    if options.show and wanted and protocol is None:
        reports.words("This terminal shows no pictures.", "此终端不支持显示图片。", style="yellow")
    return reports


def _console() -> Console:
    return Console(stderr=True, highlight=False)


def _exit_code(outcomes: Sequence[Outcome]) -> int:
    kinds = {outcome.kind for outcome in outcomes}
    for kind, code in (("refused", ERROR), ("failed", FAILED), ("late", LATE)):
        if kind in kinds:
            return code
    return DONE
