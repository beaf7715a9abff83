"""What a batch has done, beside its pictures, so that a second run fetches and never pays twice.

One JSON object a line, only ever appended, each on the disk before the step that it announces:

begun    key      before a create is sent: whatever becomes of it, its repeat has the same Idempotency-Key
created  taskId   the server accepted it
saved    file     the picture is on the disk
failed   failCode the task ended without one, and nothing was charged: the next run tries anew
"""

import json
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from cavendish.domain.errors import Misconfigured
from cavendish.domain.text import Text

NAME = "cavendish-journal.jsonl"
KEY_SECONDS = 24 * 3600 - 600
"""How long a server remembers an Idempotency-Key, less a little."""


@dataclass(frozen=True)
class Entry:
    """How far a job has come."""

    key: str | None = None
    references: tuple[str, ...] | None = None
    begun_at: float = 0.0
    task_id: str | None = None
    file: str | None = None

    def unsure(self, now: float) -> bool:
        """Whether a create was sent so long ago, with an unknown outcome, that its key may be forgotten."""
        return self.key is not None and self.task_id is None and now - self.begun_at > KEY_SECONDS


class Journal:
    """The journal of a folder, held by one process at a time.

    Raises:
        Misconfigured: another process holds it, or it cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / NAME
        self._entries: dict[str, Entry] = {}
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+", encoding="utf-8")
            self._lock()
            self._read()
        except OSError as error:
            self._close()
            raise Misconfigured(Text(en=f"{self.path}: {error}", zh=f"{self.path}：{error}")) from error
        except Misconfigured:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def entry(self, identity: str) -> Entry:
        """How far that job has come."""
        return self._entries.get(identity, Entry())

    def picture(self, identity: str) -> Path | None:
        """The job's picture, if it was saved and still is there."""
        name = self.entry(identity).file
        path = self.folder / name if name is not None else None
        return path if path is not None and path.exists() else None

    def begin(self, identity: str, key: str, references: tuple[str, ...]) -> None:
        """A create is about to be sent."""
        # Inline images are long, and the same in every run; what an upload gave is another each time.
        kept = references if not all(r[:5].lower() == "data:" for r in references) else None
        self._write(identity, "begun", key=key, at=time.time(), references=kept)

    def created(self, identity: str, task_id: str) -> None:
        """The server accepted it."""
        self._write(identity, "created", taskId=task_id)

    def saved(self, identity: str, file: Path) -> None:
        """The picture is on the disk."""
        name = file.relative_to(self.folder) if file.is_relative_to(self.folder) else file.resolve()
        self._write(identity, "saved", file=str(name))

    def failed(self, identity: str, fail_code: str) -> None:
        """It ended without a picture."""
        self._write(identity, "failed", failCode=fail_code)

    def _write(self, identity: str, event: str, **more: Any) -> None:
        assert self._file is not None, "entered"
        line = {"job": identity, "event": event, **{name: value for name, value in more.items() if value is not None}}
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._apply(line)

    def _read(self) -> None:
        assert self._file is not None
        self._file.seek(0)
        text = self._file.read()
        for line in text.split("\n"):  # not splitlines: JSON may have other separators within a line
            try:
                self._apply(json.loads(line))
            except (ValueError, KeyError, TypeError):
                continue  # cut off when its writer died; what it announced had not begun
        if text and not text.endswith("\n"):
            self._file.write("\n")

    def _apply(self, line: dict[str, Any]) -> None:
        identity = str(line["job"])
        entry = self._entries.get(identity, Entry())
        match line["event"]:
            case "begun":
                kept = line.get("references")
                references = tuple(kept) if kept is not None else None
                entry = Entry(str(line["key"]), references, float(line["at"]))
            case "created":
                entry = replace(entry, task_id=str(line["taskId"]))
            case "saved":
                entry = replace(entry, file=str(line["file"]))
            case "failed":
                entry = Entry()
            case _:
                pass
        self._entries[identity] = entry

    def _lock(self) -> None:
        try:
            import fcntl
        except ImportError:  # Windows: two runs at once are then the user's own care
            return
        assert self._file is not None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Misconfigured(
                Text(
                    en=f"{self.path} is in use: another run fills this folder; wait for it, or choose another -o",
                    zh=f"{self.path} 正被使用：另一个任务正在写入该文件夹；请等待其结束，或用 -o 另选文件夹",
                )
            ) from None

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
