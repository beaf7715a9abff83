"""What `generate` and `fetch` say: lines for people on standard error, results on standard output."""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from cavendish.cli.common import language, out
from cavendish.cli.drawing import Outcome
from cavendish.cli.service import Service
from cavendish.cli.terminal import Protocol, picture


class Reports:
    """Says it.

    Args:
        console: on standard error.
        protocol: how the terminal shows pictures; None: it does not.
    """

    def __init__(self, console: Console, *, as_json: bool, quiet: bool, protocol: Protocol | None) -> None:
        self._console = console
        self._json = as_json
        self._quiet = quiet
        self._protocol = protocol

    def words(self, en: str, zh: str, *, style: str = "") -> None:
        """A line for people."""
        if not self._quiet:
            self._console.print(Text(zh if language() == "zh" else en, style=style), soft_wrap=True)

    def result(self, outcome: Outcome) -> None:
        """One picture, or why there is none: its line, its file, and the picture itself."""
        if self._json:
            out(json.dumps(as_object(outcome), ensure_ascii=False))
        elif outcome.file is not None and outcome.kind in ("saved", "kept"):
            self._show(outcome)
            # One reader at one terminal needs the name once, and it is in the line that follows.
            if self._quiet or outcome.kind == "kept" or not (sys.stdout.isatty() and self._console.is_terminal):
                out(str(outcome.file))
        if outcome.kind == "saved":
            self._saved(outcome)
        elif outcome.kind in ("failed", "refused"):
            known = outcome.task_id is None or outcome.task_id in outcome.words
            task_id = "" if known else f"  {outcome.task_id}"
            words = _where(outcome) + outcome.words
            self._console.print(Text.assemble(("✗ ", "bold red"), (words, "red"), (task_id, "dim")), soft_wrap=True)

    def _saved(self, outcome: Outcome) -> None:
        if self._quiet or outcome.image is None or outcome.task is None:
            return
        image, task = outcome.image, outcome.task
        english = language() == "en"
        facts = [f"{image.width} × {image.height}", image.format.upper(), size(len(image.data))]
        if task.seconds is not None:
            facts.append(f"{task.seconds:.1f} s" if english else f"{task.seconds:.1f} 秒")
        facts.append(credits_words(task.credits_consumed))
        name = str(outcome.file) if outcome.file is not None else task.id
        self._console.print(
            Text.assemble(("✓ ", "bold green"), (name, "bold"), "  ", (" · ".join(facts), "dim")), soft_wrap=True
        )

    def _show(self, outcome: Outcome) -> None:
        if self._protocol is None or outcome.image is None:
            return
        sys.stdout.flush()
        sys.stdout.buffer.write(picture(outcome.image.data, outcome.image.format, self._protocol))
        sys.stdout.buffer.flush()

    def going_on(
        self, outcomes: Sequence[Outcome], service: Service, batch: Path | None, command: str, server: Sequence[str]
    ) -> None:
        """Which tasks go on without this command, and how to get their pictures.

        Args:
            command: how to run this again.
            server: the options that say which server it was.
        """
        going = [o for o in outcomes if o.kind in ("running", "late") and o.task_id is not None]
        if not going:
            return
        count = len(going)
        tasks = "1 task goes on" if count == 1 else f"{count} tasks go on"
        if service.data_dir is None:
            self.words(f"{tasks} at {service.url}.", f"{count} 个任务仍在 {service.url} 进行。", style="yellow")
        else:
            self.words(
                f"{tasks} as soon as a server runs on {service.data_dir}: `cavendish serve`, or this command.",
                f"{count} 个任务保存在 {service.data_dir}，有服务器在其上运行时会继续：`cavendish serve`，或以下命令。",
                style="yellow",
            )
        if batch is not None:
            self.words(
                "Run the same command again: it fetches them, goes on with the rest, and pays for nothing twice:",
                "再次运行同一命令：它会取回这些图片，继续其余部分，绝不重复付费：",
            )
            self.words(f"  {command}", f"  {command}", style="bold")
        else:
            self.words("To fetch:", "取回图片：")
            first = going[0].job.out  # one command line has one -o
            more = [*(["-o", str(first)] if first is not None else []), *server]
            ids = " \\\n    ".join(str(outcome.task_id) for outcome in going)
            line = f"  cavendish fetch {ids} {shlex.join(more)}".rstrip()
            self.words(line, line, style="bold")


def as_object(outcome: Outcome) -> dict[str, object]:
    """An outcome for scripts. The same names in every version; new ones may come."""
    task, image = outcome.task, outcome.image
    return {
        "prompt": outcome.job.prompt,
        "line": outcome.job.line or None,
        "outcome": outcome.kind,
        "taskId": outcome.task_id,
        "model": task.model if task is not None else None,
        "state": task.state if task is not None else None,
        "file": str(outcome.file) if outcome.file is not None else None,
        "width": image.width if image is not None else None,
        "height": image.height if image is not None else None,
        "format": image.format if image is not None else None,
        "bytes": len(image.data) if image is not None else None,
        "seconds": task.seconds if task is not None else None,
        "creditsConsumed": task.credits_consumed if task is not None else 0,
        "failCode": task.fail_code if task is not None else None,
        "message": outcome.words or None,
    }


def size(count: int) -> str:
    """Bytes for people."""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.0f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"


def credits_words(count: int) -> str:
    """`3 credits`, in the terminal's language."""
    if language() == "zh":
        return f"{count} 积分"
    return "1 credit" if count == 1 else f"{count:,} credits"


def _where(outcome: Outcome) -> str:
    if not outcome.job.line:
        return ""
    return f"line {outcome.job.line}: " if language() == "en" else f"第 {outcome.job.line} 行："
