"""What the flows need from the world, as small Protocols named by that need.

Implementations live in `store`, `engines`, `images`, `blobs` and `outbound`; `wiring` joins them.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from cavendish.domain.callbacks import CallbackView, Delivery, Posted, Report
from cavendish.domain.credits import Balance
from cavendish.domain.engine_reports import EngineReport, SeenWorker, WorkerReport
from cavendish.domain.files import NewFile
from cavendish.domain.orders import (
    Accepted,
    Caller,
    NewTask,
    Outcome,
    Renewal,
    ReturnReason,
    TaskFilter,
    TaskPage,
    TaskView,
    Work,
)
from cavendish.domain.progress import Position
from cavendish.domain.tasks import AccountId, TaskId, TaskState
from cavendish.domain.text import Text
from cavendish.domain.usage import Usage

ImageFormat = Literal["png", "jpeg", "webp"]


class InputImage(msgspec.Struct, frozen=True):
    """One checked input image, upright, and what it is."""

    data: bytes
    format: ImageFormat
    width: int
    height: int


class ImageInfo(msgspec.Struct, frozen=True):
    """What the bytes themselves say they are; pixels after EXIF orientation is applied."""

    format: ImageFormat
    width: int
    height: int


class ImageRequest(msgspec.Struct, frozen=True):
    """What an engine is asked for. `width` x `height` are the contract's exact pixels (§7).

    `within_seconds`: how long the engine may take; None: as long as it likes. Whoever waits for others must end in
    time with a word for what it waited for; the worker's own limit, a little later, only says `timeout`.
    `patient`: that time begins with `started`, however long the wait for capacity before it.
    """

    task_id: str
    model: str
    upstream_models: tuple[str, ...]
    prompt: str
    aspect_ratio: str
    resolution: str
    width: int
    height: int
    output_format: Literal["png", "jpeg"]
    images: tuple[InputImage, ...] = ()
    seed: int | None = None
    within_seconds: float | None = None
    patient: bool = False


class EngineImage(msgspec.Struct, frozen=True):
    """What an engine gives back: encoded image bytes, whatever the format, and what all calls for it used upstream."""

    data: bytes
    note: str | None = None
    usage: Usage | None = None


class Engine(Protocol):
    """Makes a picture. Raises EngineError for every outcome that is not one, with what that used upstream,
    EngineUnavailable when it broke off and another attempt may help, and NoCapacity, to the patient only, when it has
    begun nothing and should not be waited for in a worker's slot.
    """

    @property
    def name(self) -> str:
        """The word of CAVENDISH_ENGINE."""

    async def generate(self, request: ImageRequest, started: Callable[[], None]) -> EngineImage:
        """Make one picture; call `started` once, when capacity was found and the work begins."""

    def report(self) -> EngineReport:
        """How it is now, for its operator; quick, and without a key in it."""

    async def aclose(self) -> None:
        """Let go of processes and connections."""


class Images(Protocol):
    """Looks at and converts image bytes, off the event loop."""

    async def probe(self, data: bytes) -> ImageInfo:
        """Check limits and header. Raises BadImage."""

    async def upright(self, data: bytes) -> tuple[bytes, ImageInfo]:
        """Check as `probe` does; the same bytes, or those of the picture turned as its EXIF says. Raises BadImage."""

    async def fitted(self, image: InputImage, formats: frozenset[ImageFormat], max_bytes: int) -> InputImage:
        """The same when it is of `formats` and at most `max_bytes`; else converted, or shrunk. Raises BadImage."""

    async def probe_file(self, path: Path) -> ImageInfo:
        """The same for a file on this machine, which is in memory only while it is looked at. Raises BadImage."""

    async def deliverable(self, data: bytes, output_format: Literal["png", "jpeg"]) -> tuple[bytes, ImageInfo]:
        """Decode fully; the same bytes when they already are of that format, else transcoded. Raises BadImage."""


class Fetcher(Protocol):
    """Gets an input image from a URL through the guarded outbound client."""

    async def fetch(self, url: str) -> bytes:
        """The body, within the caps of bytes and seconds. Raises BadImage, AddressRefused."""


class Incoming(Protocol):
    """An object that arrives in parts. Nobody sees it before it is kept; unless it is kept, it vanishes."""

    @property
    def path(self) -> Path:
        """Where all that was written lies on this machine, after `flush`."""

    async def write(self, part: bytes) -> None:
        """Append. Raises BlobsUnavailable."""

    async def flush(self) -> None:
        """Have everything at `path`. Raises BlobsUnavailable."""

    async def keep(self, name: str) -> None:
        """Make it the object `name`, and return only when it would survive a crash. Raises BlobsUnavailable."""


class Blobs(Protocol):
    """Durable objects by name."""

    def incoming(self) -> AbstractAsyncContextManager[Incoming]:
        """A new object to be written in parts. Raises BlobsUnavailable."""

    async def drop_abandoned(self) -> int:
        """Remove what processes that died left of incoming objects; how many. Raises BlobsUnavailable."""

    async def put(self, name: str, data: bytes) -> None:
        """Write, and return only when it would survive a crash. Raises BlobsUnavailable."""

    async def size(self, name: str) -> int:
        """Bytes of the object. Raises BlobMissing, BlobsUnavailable."""

    def read(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Stream bytes `start` (included) to `end` (excluded). Raises BlobMissing, BlobsUnavailable."""

    async def get(self, name: str) -> bytes:
        """The whole object. Raises BlobMissing, BlobsUnavailable."""

    async def delete(self, names: Sequence[str]) -> None:
        """Remove; names that do not exist are no error. Raises BlobsUnavailable."""


class Clock(Protocol):
    """Time, so that tests can own it."""

    def now_ms(self) -> int:
        """Unix milliseconds."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never backwards."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class TaskOrders(Protocol):
    """Accepts new tasks."""

    async def create(self, order: NewTask) -> Accepted:
        """Task, hold, idempotency key and enqueue, durable together.

        Raises Unauthorized, InvalidRequest, RateLimited, InsufficientCredits, StoreUnavailable.
        """


class Files(Protocol):
    """Uploaded files as rows. All raise StoreUnavailable."""

    async def check_room(self, account_id: AccountId) -> None:
        """Let an upload begin. Raises RateLimited when the account is known to be full."""

    async def keep(self, file: NewFile) -> int:
        """Write `file` down; when it expires, in Unix ms. Raises RateLimited when the account has no room for it."""

    async def living(self, account_id: AccountId, names: Sequence[str]) -> frozenset[str]:
        """Those of the files that are the account's and have not expired."""

    async def expired(self) -> list[str]:
        """Some files whose time is over and that no unfinished task uses."""

    async def remove(self, names: Sequence[str]) -> None:
        """Forget files and give their accounts the room back."""


class TaskViews(Protocol):
    """Shows tasks to their owners."""

    async def find(self, task_id: TaskId) -> TaskView | None:
        """The task, whoever's it is. Raises StoreUnavailable."""

    async def list(self, account_id: AccountId, wanted: TaskFilter, limit: int, cursor: str | None) -> TaskPage:
        """The account's tasks, newest first. Raises InvalidRequest (the cursor), StoreUnavailable."""

    async def positions(self, task_ids: Sequence[TaskId]) -> Mapping[TaskId, Position]:
        """How far these tasks have come, those that exist. Raises StoreUnavailable."""


class Watching(Protocol):
    """Tells the processes that move tasks that somebody waits."""

    async def watch(self, *, moves: bool) -> None:
        """Have them announce what ends, or everything that moves, for half a minute. Raises StoreUnavailable."""


class TaskCancels(Protocol):
    """Gives tasks up for their owners."""

    async def cancel(self, account_id: AccountId, task_id: TaskId) -> TaskState | None:
        """End a waiting task, or have the worker of a held one told; the state before. Raises StoreUnavailable."""


class WorkQueue(Protocol):
    """What a worker needs: a lease, work, and a fenced way to end it. All raise StoreUnavailable."""

    async def begin_lease(self, worker: str, ttl_seconds: float) -> str:
        """A fresh token."""

    async def renew_lease(self, token: str, ttl_seconds: float) -> Renewal:
        """One more term, and what the lease holds. Raises LeaseLost when the last term is over."""

    async def end_lease(self, token: str) -> None:
        """The holder leaves, holding nothing."""

    async def claim(self, token: str, limit: int, without: Sequence[str] = ()) -> list[Work]:
        """Up to `limit` waiting tasks in fair order, of no model in `without`; none when the lease is over."""

    async def held(self, token: str) -> list[Work]:
        """Everything that the lease holds, also what was claimed by an answer that got lost."""

    async def mark_generating(self, work: Work) -> None:
        """The engine has started; no error if the task moved on meanwhile."""

    async def finish(self, outcome: Outcome) -> None:
        """End the task with settle or release, one transaction. Raises LeaseLost, and then nothing was changed."""

    async def give_back(self, token: str, works: Sequence[Work], reason: ReturnReason) -> None:
        """The tasks wait again, those still held under `token`."""


class LostWork(Protocol):
    """What the sweeper needs. All raise StoreUnavailable."""

    async def requeue_lost(self) -> int:
        """Tasks of ended leases wait again; how many."""

    async def fail_exhausted(self, text: Text) -> int:
        """Tasks whose last attempt was lost fail as `internal`; how many."""

    async def drop_ended_leases(self) -> None:
        """Forget ended leases that hold nothing."""


class WorkerReports(Protocol):
    """What worker processes say about themselves, for whoever asks any process. All raise StoreUnavailable."""

    async def publish(self, process: str, report: WorkerReport) -> None:
        """The newest word of the process with that UUID."""

    async def withdraw(self, process: str) -> None:
        """The process ends."""

    async def current(self) -> list[SeenWorker]:
        """Every process that was heard of lately."""

    async def drop_silent(self) -> None:
        """Forget processes that were not heard of for long."""


class OldTasks(Protocol):
    """What retention needs. All raise StoreUnavailable."""

    async def outlived(self, days: int) -> list[tuple[TaskId, tuple[str, ...], tuple[str, ...]]]:
        """Some tasks that ended more than `days` ago: id, names of result images, names of inline input images."""

    async def remove_tasks(self, ids: Sequence[TaskId]) -> None:
        """Remove ended tasks; the ledger keeps their entries."""

    async def remove_idempotency_keys(self) -> int:
        """Forget some keys whose 24 hours are over; how many."""

    async def fold_usage(self) -> int:
        """Fold hours of usage from long ago into days, some of them; how many."""


class Poster(Protocol):
    """Sends callbacks through the guarded outbound client."""

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Posted:
        """One attempt. Whatever the receiver does is a value, never an exception."""


class CallbackQueue(Protocol):
    """What a deliverer needs. All raise StoreUnavailable."""

    async def due(
        self, *, slow: bool, limit: int, after: datetime | None
    ) -> tuple[list[tuple[TaskId, str]], datetime | None]:
        """Tasks and hosts of callbacks whose time has come: first attempts, or those that had trouble before.

        `after`: where the last look ended; with it comes where this one did. None: the next begins at the start.
        """

    async def claim(self, task_ids: Sequence[TaskId], lease_seconds: float) -> list[Delivery]:
        """Those that nobody took meanwhile; due again after `lease_seconds`."""

    async def postpone(self, waits: Sequence[tuple[TaskId, float]]) -> None:
        """Have callbacks wait that many seconds, and longer each time, without an attempt."""

    async def record(self, report: Report) -> None:
        """What became of an attempt; it counts only while its claim is the newest."""


class Callbacks(Protocol):
    """Callbacks for their owners. All raise StoreUnavailable."""

    async def find(self, task_id: TaskId) -> CallbackView | None:
        """The callback of a task that has a URL, whoever's it is."""

    async def redeliver(self, account_id: AccountId, task_id: TaskId) -> bool:
        """Queue an ended task's callback once more; False when there is nothing to deliver."""

    async def secret(self, account_id: AccountId) -> str:
        """What signs the account's callbacks."""

    async def rotate_secret(self, account_id: AccountId) -> str:
        """A new secret; the one before it signs along for 24 hours."""


class Accounts(Protocol):
    """Balances of callers."""

    async def balance(self, account_id: AccountId) -> Balance:
        """The account's totals. Raises StoreUnavailable."""


class KeyLookup(Protocol):
    """Finds whom a key speaks for."""

    async def find_key(self, digest: bytes) -> tuple[Caller, float | None] | None:
        """Caller and seconds until the key expires (None: never), by SHA-256 of the key's text."""
