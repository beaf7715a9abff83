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
FSYNC_THREADS = 16


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
                Text(en=f"CAVENDISH_BLOBS_URL cannot be used: {error}", zh=f"CAVENDISH_BLOBS_URL 无法使用：{error}")
            ) from error
        self._fsyncs = ThreadPoolExecutor(FSYNC_THREADS, thread_name_prefix="fsync")

    async def put(self, name: str, data: bytes) -> None:
        """Write, and return only when the object would survive a power cut.

        Raises:
            BlobsUnavailable: the storage is full, away, or refuses.
        """
        with _translated(name):
            await obstore.put_async(self._store, name, data, use_multipart=False)
            if self._folder is not None:
                path = self._folder / name
                await asyncio.get_running_loop().run_in_executor(self._fsyncs, _fsync, path, self._folder)

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

    def close(self) -> None:
        """Let go of the threads."""
        self._fsyncs.shutdown(wait=True)


def _fsync(path: Path, root: Path) -> None:
    """Make the file, and the folder entries that lead to it, durable (obstore writes without fsync)."""
    _fsync_one(path)
    for folder in path.parents:
        _fsync_one(folder)
        if folder == root:
            break


def _fsync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
