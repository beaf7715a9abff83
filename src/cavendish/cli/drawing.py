"""Jobs become pictures on the disk: create, wait, download, save, some at a time; and what a stop leaves behind."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cavendish.cli.common import language
from cavendish.cli.files import save_new
from cavendish.cli.jobs import Job
from cavendish.cli.journal import Entry, Journal
from cavendish.cli.service import Service
from cavendish.client import ClientError, Image, Task, TimedOut
from cavendish.client.requests import new_idempotency_key

LAST_CREATES_SECONDS = 5.0
"""How long an interrupted run lets creates that were sent come back with their task ids."""

Kind = Literal["saved", "kept", "failed", "refused", "late", "running", "skipped"]
"""saved · kept: saved by an earlier run · failed: the task · refused: an error · late: goes on after the time-out ·
running: goes on after Ctrl-C · skipped: never begun."""


@dataclass(frozen=True)
class Outcome:
    """What became of a job. `words`: why there is no picture."""

    job: Job
    kind: Kind
    task_id: str | None = None
    task: Task | None = None
    image: Image | None = None
    file: Path | None = None
    words: str = ""


@dataclass
class Progress:
    """What the progress line shows; written by the drawing, read by the line."""

    total: int
    began: float = field(default_factory=time.monotonic)
    states: dict[int, str] = field(default_factory=dict)
    done: int = 0
    failed: int = 0
    left: int = 0

    @property
    def finished(self) -> int:
        """Jobs that nothing is done about any more."""
        return self.done + self.failed + self.left


class Drawing:
    """Draws jobs.

    Args:
        folder: where names of files that are not absolute begin.
        journal: of a batch; None: nothing is written down.
        parallel: how many jobs at once.
        timeout_seconds: for each task, from its create on.
        to_stdout: pictures are not saved.
        finished: called with each outcome, when it comes.
    """

    def __init__(
        self,
        service: Service,
        *,
        journal: Journal | None,
        parallel: int,
        timeout_seconds: float,
        to_stdout: bool,
        finished: Callable[[Outcome], None],
    ) -> None:
        self._service = service
        self._journal = journal
        self._parallel = parallel
        self._timeout_seconds = timeout_seconds
        self._to_stdout = to_stdout
        self._finished = finished
        self._references: dict[tuple[str, ...], asyncio.Task[list[str]]] = {}
        self._running: list[asyncio.Task[Outcome]] = []
        self._stopped = False

    def stop(self) -> None:
        """Begin nothing more, and stop waiting: what was created goes on without us."""
        self._stopped = True
        for running in self._running:
            running.cancel()

    async def run(self, jobs: Sequence[tuple[Job, str, Path]], progress: Progress) -> list[Outcome]:
        """Draw them; the outcomes, in the jobs' order.

        Args:
            jobs: each with its identity and the file that it shall become.
        """
        slots = asyncio.Semaphore(self._parallel)

        async def one(number: int, job: Job, identity: str, wanted: Path) -> Outcome:
            outcome = Outcome(job, "skipped")
            try:
                async with slots:
                    if not self._stopped:
                        outcome = await self._draw(job, identity, wanted, lambda task: told(number, task))
            except asyncio.CancelledError:
                if not self._stopped:
                    raise
            progress.states.pop(number, None)
            progress.done += outcome.kind in ("saved", "kept")
            progress.failed += outcome.kind in ("failed", "refused")
            progress.left += outcome.kind in ("late", "running", "skipped")
            self._finished(outcome)
            return outcome

        def told(number: int, task: Task | None) -> None:
            progress.states[number] = task.state if task is not None else "creating"

        self._running = [asyncio.create_task(one(number, *job)) for number, job in enumerate(jobs)]
        return list(await asyncio.gather(*self._running))

    async def _draw(self, job: Job, identity: str, wanted: Path, told: Callable[[Task | None], None]) -> Outcome:
        entry = self._journal.entry(identity) if self._journal is not None else Entry()
        if self._journal is not None and (file := self._journal.picture(identity)) is not None:
            return Outcome(job, "kept", entry.task_id, file=file)
        if await self._unsure(entry):
            return Outcome(job, "refused", words=_unsure(self._journal))
        task_id = entry.task_id or job.task_id
        try:
            told(None)
            if task_id is None:
                task_id = await self._create(job, identity, entry)
            return await self._finish(job, identity, wanted, task_id, told)
        except TimedOut as error:
            going = error.task_id or task_id
            fate_unknown = not going and error.idempotency_key is not None
            words = f"{error}. {_fate_unknown(self._journal)}" if fate_unknown else str(error)
            return Outcome(job, "late" if going else "refused", going, words=words)
        except ClientError as error:
            fate_unknown = error.task_id is None and task_id is None and error.idempotency_key is not None
            words = f"{error}. {_fate_unknown(self._journal)}" if fate_unknown else str(error)
            return Outcome(job, "refused", error.task_id or task_id, words=words)
        except _Stopped as stopped:
            return Outcome(job, "running", stopped.task_id)
        except asyncio.CancelledError:
            if not self._stopped:
                raise
            return Outcome(job, "running" if task_id else "skipped", task_id)

    async def _unsure(self, entry: Entry) -> bool:
        """Whether sending it again might be a second charge: an earlier create's fate is unknown, and so is its key."""
        if entry.key is None or entry.task_id is not None:
            return False
        return entry.unsure(time.time()) or not await self._service.client.knows_idempotency_keys()

    async def _create(self, job: Job, identity: str, entry: Entry) -> str:
        key = entry.key or new_idempotency_key()
        references = list(entry.references) if entry.references is not None else await self._uploaded(job)
        if self._journal is not None:
            self._journal.begin(identity, key, tuple(references))
        creating = asyncio.create_task(
            self._service.client.create(**job.wish(), images=references, idempotency_key=key)
        )
        try:
            task_id = await asyncio.shield(creating)
        except asyncio.CancelledError:
            # It is on its way, and may be paid for: its id is worth a moment.
            done, _ = await asyncio.wait([creating], timeout=LAST_CREATES_SECONDS)
            if not done or creating.exception() is not None:
                creating.cancel()
                raise
            if self._journal is not None:
                self._journal.created(identity, creating.result())
            raise _Stopped(creating.result()) from None
        except ClientError as error:
            if self._journal is not None and error.idempotency_key is None and entry.key is None:
                # Certainly not accepted, and never sent before: nothing is open. A refusal of a repeat would not say
                # what became of the first.
                self._journal.failed(identity, "refused")
            raise
        if self._journal is not None:
            self._journal.created(identity, task_id)
        return task_id

    async def _uploaded(self, job: Job) -> list[str]:
        """References to the job's images; the same images are uploaded once for all jobs."""
        if not job.images:
            return []
        if job.images not in self._references:
            self._references[job.images] = asyncio.create_task(self._service.client.references(job.images))
        return await asyncio.shield(self._references[job.images])

    async def _finish(
        self, job: Job, identity: str, wanted: Path, task_id: str, told: Callable[[Task | None], None]
    ) -> Outcome:
        task = await self._service.client.wait(task_id, timeout=self._timeout_seconds, on_state=told)
        if task.state == "fail":
            if self._journal is not None:
                self._journal.failed(identity, task.fail_code or "internal")
            return Outcome(job, "failed", task_id, task, words=f"{task.fail_code}: {task.fail_msg}")
        image = await self._service.download(task)
        if self._to_stdout:
            return Outcome(job, "saved", task_id, task, image)
        try:
            file = await asyncio.to_thread(save_new, image.data, wanted, image.format)
        except OSError as error:
            return Outcome(job, "refused", task_id, task, words=f"{wanted}: {error.strerror or error}")
        if self._journal is not None:
            self._journal.saved(identity, file)
        return Outcome(job, "saved", task_id, task, image, file)


class _Stopped(Exception):
    """Interrupted while the create was under way; the server accepted it."""

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id)
        self.task_id = task_id


def _unsure(journal: Journal | None) -> str:
    path = journal.path if journal is not None else ""
    if language() == "zh":
        return (
            "之前已发送，但不知是否被接受，而服务器不支持（或已忘记）其 Idempotency-Key，再次发送可能重复付费；"
            f"若仍要发送，请删除 {path} 中的对应行"
        )
    return (
        "was sent before, whether it was accepted is not known, and the server does not know its Idempotency-Key (any "
        f"more): sending it again might pay twice. If you want that, remove its line from {path}"
    )


def _fate_unknown(journal: Journal | None) -> str:
    if journal is not None:
        if language() == "zh":
            return "不知是否已被接受；再次运行同一命令会查明"
        return "Whether it was accepted is not known; the same command finds out when it is run again"
    if language() == "zh":
        return "不知是否已被接受：再次生成之前，请先查看任务列表"
    return "Whether it was accepted is not known: look at the list of tasks before you generate it again"
