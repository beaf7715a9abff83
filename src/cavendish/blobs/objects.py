"""Blob storage by URL: a folder, S3, GCS or Azure through one interface, durable when `put` returns."""

import asyncio
import contextlib
import os
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, ObjectStore, from_url

from cavendish.blobs.durable import DurableFolder, append
from cavendish.domain.errors import BlobMissing, BlobsUnavailable, Misconfigured
from cavendish.domain.text import Text
from cavendish.group_commit import GroupCommit

CHUNK_BYTES = 256 * 1024
WRITE_THREADS = 8
WRITE_BATCH = 16
SMALL_BYTES = 1024 * 1024
"""Small files are written by one thread at a go: handing one over costs more than writing it."""
INCOMING_FOLDER = ".incoming"
INCOMING_PREFIX, INCOMING_SUFFIX = "cavendish-upload-", ".part"
"""Of an incoming object in the temporary folder of this machine, which others use too."""
BUFFER_BYTES = 1024 * 1024
"""What an incoming object gathers in memory before it goes to the disk."""
ABANDONED_SECONDS = 3600.0
"""After so long without a byte, an incoming object's process is dead: a living one gives up far sooner."""


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        raise BlobMissing(Text(en=f"blob storage has no {name}", zh=f"存储中没有 {name}")) from error
    except (BaseError, OSError) as error:
        raise BlobsUnavailable(
            Text(en=f"blob storage failed at {name}: {error}", zh=f"存储操作 {name} 失败：{error}")
        ) from error


@contextmanager
def _writing(name: str) -> Iterator[None]:
    """As `_translated`, but a folder that went away while we wrote is no missing object."""
    with _translated(name):
        try:
            yield
        except FileNotFoundError as error:
            raise OSError(f"the folder of {name} is gone") from error


def storage_overloaded(waiting: int) -> BlobsUnavailable:
    """The error for a write beyond so many that wait already."""
    return BlobsUnavailable(
        Text(
            en=f"{waiting} writes wait for the storage already; it is too slow for this load",
            zh=f"已有 {waiting} 个写入在等待存储；存储跟不上当前负载",
        )
    )


class ObjectBlobs:
    """Implements `ports.Blobs` over obstore.

    Args:
        url: `file:///folder`, `s3://bucket/prefix`, `gs://…`, `az://…`; credentials come from the environment, as the
            vendor's own tools read them.

    Raises:
        Misconfigured: the URL is of no kind that we know, or the folder cannot be made.
    """

    def __init__(self, url: str) -> None:
        try:
            if url.startswith("file://"):
                self._folder: Path | None = Path(url.removeprefix("file://"))
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._store: ObjectStore = LocalStore(prefix=self._folder)
            else:
                self._folder = None
                self._store = from_url(url)
        except (BaseError, OSError, ValueError) as error:
            raise Misconfigured(
                Text(
                    en=f"CAVENDISH_BLOBS_URL (or CAVENDISH_DATA_DIR, when that is not set) cannot be used: {error}",
                    zh=f"CAVENDISH_BLOBS_URL（未设置时为 CAVENDISH_DATA_DIR）无法使用：{error}",
                )
            ) from error
        self._writers = ThreadPoolExecutor(WRITE_THREADS, thread_name_prefix="blobs")
        self._durable = DurableFolder(str(self._folder)) if self._folder is not None else None
        self._puts: GroupCommit[tuple[str, bytes], None] = GroupCommit(
            self._write, max_batch=WRITE_BATCH, flushers=WRITE_THREADS, overload=storage_overloaded
        )

    async def put(self, name: str, data: bytes) -> None:
        """Write, and return only when the object would survive a power cut.

        Raises:
            BlobsUnavailable: the storage is full, away, or refuses.
        """
        with _writing(name):
            if self._durable is None:
                await obstore.put_async(self._store, name, data)
            else:
                file = (self._durable.path(name), data)
                if len(data) <= SMALL_BYTES:
                    await self._puts(file)
                else:
                    (error,) = await self._write([file])
                    if error is not None:
                        raise error

    @asynccontextmanager
    async def incoming(self) -> AsyncIterator["IncomingObject"]:
        """A new object to be written in parts; it vanishes at the end of the block unless it was kept.

        On a folder, the parts go where the object will stay, so that keeping it moves a name and no bytes. Otherwise
        they go to a temporary file of this machine, since the storage should see nothing of what is refused.

        Raises:
            BlobsUnavailable: no space, no permission.
        """
        loop = asyncio.get_running_loop()
        with _translated(INCOMING_FOLDER):
            path = await loop.run_in_executor(self._writers, self._new_incoming)
        try:
            yield IncomingObject(path, self._writers, self._keep)
        finally:
            await asyncio.shield(loop.run_in_executor(self._writers, lambda: path.unlink(missing_ok=True)))

    async def drop_abandoned(self) -> int:
        """Remove what processes that died left of incoming objects; how many.

        Raises:
            BlobsUnavailable
        """
        with _translated(INCOMING_FOLDER):
            return await asyncio.get_running_loop().run_in_executor(self._writers, self._drop_abandoned)

    async def size(self, name: str) -> int:
        """Bytes of the object.

        Raises:
            BlobMissing, BlobsUnavailable
        """
        with _translated(name):
            return (await obstore.head_async(self._store, name))["size"]

    async def read(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Stream bytes `start` (included) to `end` (excluded) in bounded chunks.

        Raises:
            BlobMissing, BlobsUnavailable
        """
        with _translated(name):
            result = await obstore.get_async(self._store, name, options={"range": (start, end)})
            async for chunk in result.stream(min_chunk_size=CHUNK_BYTES):
                yield bytes(chunk)

    async def get(self, name: str) -> bytes:
        """The whole object.

        Raises:
            BlobMissing, BlobsUnavailable
        """
        with _translated(name):
            result = await obstore.get_async(self._store, name)
            return bytes(await result.bytes_async())

    async def delete(self, names: Sequence[str]) -> None:
        """Remove objects; names that do not exist are no error.

        Raises:
            BlobsUnavailable
        """
        for name in names:
            try:
                with _translated(name):
                    await obstore.delete_async(self._store, name)
            except BlobMissing:
                continue

    async def _write(self, files: Sequence[tuple[str, bytes]]) -> Sequence[Exception | None]:
        assert self._durable is not None
        return await asyncio.get_running_loop().run_in_executor(self._writers, self._durable.write, files)

    def _new_incoming(self) -> Path:
        if self._folder is None:
            descriptor, name = tempfile.mkstemp(prefix=INCOMING_PREFIX, suffix=INCOMING_SUFFIX)
            os.close(descriptor)
            return Path(name)
        folder = self._folder / INCOMING_FOLDER
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder / f"{secrets.token_hex(16)}.part"

    async def _keep(self, temporary: Path, name: str) -> None:
        if self._durable is None:
            with _translated(name):
                await obstore.put_async(self._store, name, temporary)
            return
        with _writing(name):
            path, settle = self._durable.path(name), self._durable.settle
            await asyncio.get_running_loop().run_in_executor(self._writers, settle, str(temporary), path)

    def _drop_abandoned(self) -> int:
        dropped = 0
        if self._folder is None:
            parts = Path(tempfile.gettempdir()).glob(f"{INCOMING_PREFIX}*{INCOMING_SUFFIX}")
        else:
            parts = (self._folder / INCOMING_FOLDER).glob("*")
        for part in parts:
            # Its owner, or another sweeper, was faster; or it is of another user of the temporary folder.
            with contextlib.suppress(FileNotFoundError, PermissionError):
                if time.time() - part.stat().st_mtime > ABANDONED_SECONDS:
                    part.unlink()
                    dropped += 1
        return dropped

    def close(self) -> None:
        """Let go of the threads."""
        self._writers.shutdown(wait=True)


class IncomingObject:
    """Implements `ports.Incoming` over a file of this machine."""

    def __init__(
        self, path: Path, writers: ThreadPoolExecutor, keep: Callable[[Path, str], Coroutine[None, None, None]]
    ) -> None:
        self.path = path
        self._writers = writers
        self._keep = keep
        self._buffer = bytearray()

    async def write(self, part: bytes) -> None:
        """Append.

        Raises:
            BlobsUnavailable: the disk is full or away.
        """
        self._buffer += part
        if len(self._buffer) >= BUFFER_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Have everything at `path`.

        Raises:
            BlobsUnavailable: the disk is full or away.
        """
        data, self._buffer = bytes(self._buffer), bytearray()
        with _writing(self.path.name):
            await asyncio.get_running_loop().run_in_executor(self._writers, append, str(self.path), data)

    async def keep(self, name: str) -> None:
        """Make it the object `name`, durably.

        Raises:
            BlobsUnavailable: the storage is full, away, or refuses.
        """
        await self.flush()
        await self._keep(self.path, name)
