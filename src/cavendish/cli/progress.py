"""The live line of `generate`, on standard error, and only where that is a terminal."""

import time
from collections import Counter
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from cavendish.cli.common import language
from cavendish.cli.drawing import Progress

_ORDER = ("generating", "queuing", "waiting", "creating")
_WORDS = (
    ("creating", "sending", "提交中"),
    ("waiting", "waiting", "排队中"),
    ("queuing", "queuing", "等待引擎"),
    ("generating", "drawing", "绘制中"),
    ("success", "downloading", "下载中"),
    ("fail", "failed", "失败"),
)


def word(state: str) -> str:
    """A state for the line, in the terminal's language."""
    for name, english, chinese in _WORDS:
        if name == state:
            return chinese if language() == "zh" else english
    return state


class ProgressLine:
    """Shows a Progress until the end of the block; nothing remains of it.

    Args:
        console: on standard error.
    """

    def __init__(self, console: Console, progress: Progress, what: str) -> None:
        self._progress = progress
        self._what = what
        self._spinner = Spinner("dots", style="cyan")
        self._live = Live(
            console=console,
            get_renderable=self._line,
            refresh_per_second=10,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._shown = console.is_terminal

    def __enter__(self) -> Self:
        if self._shown:
            self._live.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.hide()

    def hide(self) -> None:
        """Take it away, for what is to be printed now."""
        if self._shown and self._live.is_started:
            self._live.stop()

    def show(self) -> None:
        """Have it back."""
        if self._shown and not self._live.is_started:
            self._live.start(refresh=True)

    def _line(self) -> Table:
        progress = self._progress
        row = Table.grid(padding=(0, 1), pad_edge=False)
        seconds = Text(f"{time.monotonic() - progress.began:.1f} s", style="dim")
        if progress.total == 1:
            state = next(iter(progress.states.values()), "success" if progress.finished else "creating")
            row.add_row(self._spinner, Text(word(state), style="bold"), seconds, Text(self._what, style="dim"))
            return row
        finished = progress.finished
        bar = ProgressBar(
            total=progress.total, completed=finished, width=24, complete_style="cyan", finished_style="green"
        )
        row.add_row(self._spinner, bar, Text(f"{finished}/{progress.total}", style="bold"), seconds, self._counts())
        return row

    def _counts(self) -> Text:
        counts = Counter(self._progress.states.values())
        parts = [f"{counts[state]} {word(state)}" for state in _ORDER if counts[state]]
        text = Text(" · ".join(parts), style="dim")
        if self._progress.failed:
            text.append(f"{' · ' if parts else ''}{self._progress.failed} {word('fail')}", style="red")
        return text
