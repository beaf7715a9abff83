"""Files that stay after a power cut, once the call that wrote them returned.

Blocking, and on strings: thousands of small files a second pass here, in threads, and each `Path` would cost as much as
a system call.
"""

import contextlib
import os
import threading
from collections.abc import Sequence

_NEW = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_SYNC
"""Each write returns when its bytes are on the disk: one call where write and fsync would be two, and in a thread each
call is a wait for the interpreter."""


class DurableFolder:
    """Writes files below `root`, which exists."""

    def __init__(self, root: str) -> None:
        self._root = root.rstrip("/")
        self._syncs: dict[str, _FolderSync] = {}

    def path(self, name: str) -> str:
        """Where the file `name` (with slashes) lies. Raises ValueError for a name that leads out of the root."""
        if name.startswith("/") or "\\" in name or ".." in name.split("/"):
            raise ValueError(f"not a blob's name: {name}")
        return f"{self._root}/{name}"

    def write(self, files: Sequence[tuple[str, bytes]]) -> list[OSError | None]:
        """Write files, each a path and its bytes; one that was there stays as it was until the new one is whole.

        One writer a name. Not obstore's `put`, which on a folder calls no fsync: it would return before the image is
        safe. And a new one not by way of a temporary name: a blob's name is random and told to nobody before this
        returned, and a rename costs the file system a second entry in its journal.

        Returns:
            For each file None, or why there is no new one; then what was there is as it was, or is replaced and may not
            stay.
        """
        results: list[OSError | None] = [None] * len(files)
        to_sync: dict[str, list[tuple[int, bool]]] = {}
        for i, (path, data) in enumerate(files):
            try:
                is_new = self._write(path, data)
            except OSError as error:
                results[i] = error
            else:
                to_sync.setdefault(os.path.dirname(path), []).append((i, is_new))
        for folder, written in to_sync.items():
            try:
                self._sync(folder)
            except OSError as error:
                for i, is_new in written:
                    results[i] = error
                    if is_new:
                        with contextlib.suppress(OSError):  # a disk that refuses this, too, must not fail the others
                            _unlink(files[i][0])  # its name may not stay, and nobody will know of it
        return results

    def settle(self, temporary: str, path: str) -> None:
        """Give a whole file, below the root as well, its name.

        Raises:
            OSError
        """
        folder = os.path.dirname(path)
        self._make(folder)
        fsync(temporary)
        os.rename(temporary, path)
        try:
            self._sync(folder)
        except OSError:
            _unlink(path)  # nobody will know of it
            raise

    def _write(self, path: str, data: bytes) -> bool:
        """Have the bytes on the disk; the name is not yet. Whether it is a new one."""
        try:
            descriptor = os.open(path, _NEW | os.O_EXCL, 0o600)
        except FileNotFoundError:  # its folder is new, or was removed behind our back
            self._make(os.path.dirname(path))
            descriptor = os.open(path, _NEW | os.O_EXCL, 0o600)
        except FileExistsError:
            folder, _, name = path.rpartition("/")
            self._replace(f"{folder}/.{name}.part", path, data)
            return False
        try:
            _fill(descriptor, data)
        except OSError:
            _unlink(path)  # half of it is worth nothing and fills the disk
            raise
        return True

    def _replace(self, temporary: str, path: str, data: bytes) -> None:
        try:
            _fill(os.open(temporary, _NEW | os.O_TRUNC, 0o600), data)
            os.rename(temporary, path)
        except OSError:
            _unlink(temporary)
            raise

    def _make(self, folder: str) -> None:
        if not os.path.isdir(folder):
            self._syncs.pop(folder, None)
            os.makedirs(folder, exist_ok=True, mode=0o700)

    def _sync(self, folder: str) -> None:
        sync = self._syncs.get(folder)
        if sync is None:
            sync = self._syncs.setdefault(folder, _FolderSync(folder, up_to=self._root))
        sync()


class _FolderSync:
    """Has the names in a folder stay after a power cut. Threads that ask while it is under way share the next one."""

    def __init__(self, folder: str, *, up_to: str) -> None:
        self._folder = folder
        self._above = _parents(folder, up_to)
        self._counting, self._syncing = threading.Lock(), threading.Lock()
        self._asked = self._done = 0
        self._failed: OSError | None = None

    def __call__(self) -> None:
        with self._counting:
            self._asked += 1
            mine = self._asked
        with self._syncing:
            if self._done >= mine:  # the one before us began after we asked
                if self._failed is not None:  # a kernel says once that names were lost: it goes for all of them
                    raise self._failed
                return
            with self._counting:
                self._done = self._asked
            try:
                fsync(self._folder)
                while self._above:  # the folder's own name must stay, too; once is enough
                    fsync(self._above[-1])
                    self._above.pop()
                self._failed = None
            except OSError as error:
                self._failed = error
                raise


def _parents(folder: str, up_to: str) -> list[str]:
    """The folders above `folder`, the outermost (`up_to`) first."""
    above: list[str] = []
    while folder != up_to:
        folder = folder.rpartition("/")[0]
        above.insert(0, folder or "/")
    return above


def _fill(descriptor: int, data: bytes) -> None:
    """Write it all, and close."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def append(path: str, data: bytes) -> None:
    """Write at the end of a file, which is made when it is not there. Not durable yet. Raises OSError."""
    _fill(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_APPEND, 0o600), data)


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def fsync(path: str) -> None:
    """Have a file, or the names in a folder, on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
