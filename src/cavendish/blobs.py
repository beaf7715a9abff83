"""Blob storage by URL: a folder, S3, GCS or Azure through one interface, durable when `put` returns."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, ObjectStore, from_url

from cavendish.domain.errors import BlobMissing, BlobsUnavailable, Misconfigured
from cavendish.domain.text import Text

CHUNK_BYTES = 256 * 1024
WRITE_THREADS = 16


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
        self._durable_folders: set[Path] = set()

    async def put(self, name: str, data: bytes) -> None:
        """Write, and return only when the object would survive a power cut.

        Raises:
            BlobsUnavailable: the storage is full, away, or refuses.
        """
        with _translated(name):
            if self._folder is None:
                await obstore.put_async(self._store, name, data)
            else:
                path = self._folder / name
                if ".." in path.parts or Path(name).is_absolute():
                    raise ValueError(f"not a blob's name: {name}")
                try:
                    await asyncio.get_running_loop().run_in_executor(self._writers, self._write, path, data)
                except FileNotFoundError as error:  # the folder went away while we wrote: not for `get` to explain
                    raise OSError(f"the folder of {name} is gone") from error

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

    def _write(self, path: Path, data: bytes) -> None:
        """Write a file that stays after a power cut.

        Not obstore's `put`, which on a folder calls no fsync: it would return before the image is safe. And not by way
        of a temporary name: a blob's name is random and told to nobody before `put` returned, and a rename costs the
        file system a second entry in its journal.
        """
        folder = path.parent
        if not folder.is_dir():  # new, or removed behind our back
            self._durable_folders.discard(folder)
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb", buffering=0) as file:  # noqa: PTH123 - a descriptor, not a path
                view = memoryview(data)
                while view:
                    view = view[file.write(view) :]
                os.fsync(descriptor)
        except OSError:
            path.unlink(missing_ok=True)  # half of it is worth nothing and fills the disk
            self._durable_folders.discard(folder)
            raise
        _fsync(folder)
        if folder not in self._durable_folders:
            assert self._folder is not None
            for above in folder.parents:  # the folder's own name must stay, too
                _fsync(above)
                if above == self._folder:
                    break
            self._durable_folders.add(folder)

    def close(self) -> None:
        """Let go of the threads."""
        self._writers.shutdown(wait=True)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
