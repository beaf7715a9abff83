"""The embedded PostgreSQL: a server on a data folder, shared by the processes that use it, stopped by the last.

Nobody supervises it. Each user holds a shared lock for its life, so a killed one leaves by itself; a server that no
user is left to stop (the last was killed) is found and used by the next start. `cluster` describes the files.
"""

import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psutil

from cavendish.domain.errors import Misconfigured
from cavendish.domain.text import Text
from cavendish.store import cluster
from cavendish.store.cluster import PORT, ROLE, Home, Way

_POLL_SECONDS = 0.01
_LEAVE_SECONDS = 60.0
_ADDRESS_LIMIT_BYTES = 103  # of a socket's path: macOS allows 103, Linux 107

# The protocol's StartupMessage, version 3.0. The answer begins with R (prove who you are) or E (go away).
_WORDS = f"user\0{ROLE}\0database\0{ROLE}\0\0".encode()
_HELLO = struct.pack("!II", 8 + len(_WORDS), 3 << 16) + _WORDS


class EmbeddedServer:
    """One user's handle on the server of a data folder. Blocking: use it before the event loop, or in a thread."""

    def __init__(self, home: Home) -> None:
        """Not for callers: `start` makes handles."""
        self._home = home
        self._pid = os.getpid()
        self._lock = _FileLock(home, "lock")
        self._users = _FileLock(home, "users")
        self._link_folder: Path | None = None
        self._socket_folder = str(home.cluster)
        self._password = ""
        self._closed = False

    @classmethod
    def start(cls, data_dir: Path, *, timeout_seconds: float = 30.0) -> Self:
        """Join the running server of `data_dir`, or start one, making folder and cluster as needed.

        Raises Misconfigured, with PostgreSQL's last words, when there is no server after `timeout_seconds`. A server
        that is still recovering by then is not interrupted: a later start joins it.
        """
        return cls._start(data_dir, timeout_seconds, ("namespace", "account"))

    @classmethod
    def _start(cls, data_dir: Path, timeout_seconds: float, ways: Sequence[Way]) -> Self:
        if sys.platform not in {"linux", "darwin"}:
            raise Misconfigured(
                Text(
                    en="The embedded PostgreSQL runs on Linux and macOS only. "
                    "Set CAVENDISH_DATABASE_URL to a PostgreSQL of your own.",
                    zh="内嵌 PostgreSQL 仅支持 Linux 和 macOS。请将 CAVENDISH_DATABASE_URL 指向您自己的 PostgreSQL。",
                )
            )
        deadline = time.monotonic() + timeout_seconds
        home = Home(data_dir.resolve())
        try:
            home.prepare()
            handle = cls(home)
            try:
                handle._enter(deadline, ways)
            except (Misconfigured, OSError):
                handle._let_go()
                raise
            except BaseException:  # Ctrl-C: leave nothing behind
                handle._leave(seconds=0.0)
                raise
        except OSError as error:
            raise home.failure("cannot be used", "无法使用", str(error)) from error
        return handle

    @property
    def dsn(self) -> str:
        """The URL of the database `cavendish`, for asyncpg. A secret: it holds the password."""
        return self.dsn_for(ROLE)

    def dsn_for(self, database: str) -> str:
        """The URL of another database of this server. A secret: it holds the password."""
        host = quote(self._socket_folder)
        return f"postgresql://{ROLE}:{self._password}@/{quote(database, safe='')}?host={host}&port={PORT}"

    def close(self) -> None:
        """Leave. The last user stops the server (connections are cut, everything is written) and waits up to 60 s.

        Harmless when repeated, and in a forked child, which never was a user.
        """
        if not self._closed:
            self._closed = True
            self._leave(seconds=_LEAVE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _enter(self, deadline: float, ways: Sequence[Way]) -> None:
        """Become a user of a server that answers."""
        if not self._lock.exclusive(deadline):
            raise self._home.failure(
                "is being started or stopped by another process, which did not finish in time",
                "正由另一个进程启动或停止，且未在限定时间内完成",
            )
        if self._home.cluster.exists() and not self._home.password.exists():
            raise self._home.failure(
                "cannot be used: its file `password` is missing. Restore it from a copy of the folder",
                "无法使用：缺少其中的 password 文件。请从该文件夹的备份中恢复",
                "",
            )
        self._users.shared()
        self._link_if_needed()
        self._run_until_ready(deadline, ways)
        self._password = self._home.password.read_text(encoding="ascii").strip()
        self._lock.unlock()

    def _run_until_ready(self, deadline: float, ways: Sequence[Way]) -> None:
        """Wait for the server to answer, and start it as soon as no older one is in the way."""
        child: subprocess.Popen[bytes] | None = None
        while not self._answers():
            if child is None:
                child = self._start_if_none_lives(deadline, ways)
            elif child.poll() is not None:
                raise self._home.failure("stopped while it was starting", "在启动过程中退出")
            if time.monotonic() > deadline:
                raise self._home.failure(
                    "does not answer yet. If it is recovering from a crash, give it a moment and start again",
                    "尚未应答。如果它正在进行崩溃恢复，请稍候再重新启动",
                )
            time.sleep(_POLL_SECONDS)

    def _start_if_none_lives(self, deadline: float, ways: Sequence[Way]) -> subprocess.Popen[bytes] | None:
        """Start the server, unless any process of an older one is still there (shutting down, say)."""
        lock = _FileLock(self._home, "server")
        try:
            if not lock.exclusive():
                return None
            lock.shared()
            pid, _ = self._pid_file()
            if pid is not None and self._may_be_postmaster(pid):
                return None  # in its last moment, or started by hand: it does not hold our lock
            programs = cluster.find_programs(self._home, ways)
            if not self._home.cluster.exists():
                cluster.create(self._home, programs, lock.descriptor, deadline)
            child = cluster.launch(self._home, programs, lock.descriptor, unrelated_pid=pid)
            # Somebody must wait for a child, or its zombie keeps the pid; it may well outlive this handle.
            threading.Thread(target=child.wait, name="embedded-postgresql-reaper", daemon=True).start()
            return child
        finally:
            lock.close()

    def _answers(self) -> bool:
        """Whether the server takes connections now: it says so, and asks for a password when one is begun.

        A socket that merely connects proves little: one that was just told to stop, or killed, still does.
        """
        if self._pid_file()[1] != "ready":
            return False
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1.0)
            try:
                client.connect(f"{self._socket_folder}/.s.PGSQL.{PORT}")
                client.sendall(_HELLO)
                return client.recv(1) == b"R"
            except OSError:
                return False

    def _pid_file(self) -> tuple[int | None, str]:
        """The postmaster's pid and its status ("starting", "ready", "stopping"), as it wrote them."""
        try:
            lines = (self._home.cluster / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
            return int(lines[0]), lines[7].strip() if len(lines) > 7 else ""
        except (FileNotFoundError, ValueError, IndexError):
            return None, ""

    def _may_be_postmaster(self, pid: int) -> bool:
        """Whether `pid`, as postmaster.pid gives it, can be our server: the number may have passed to a stranger."""
        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE or process.name() != "postgres":
                return False
            return Path(process.cwd()).samefile(self._home.cluster)
        except psutil.AccessDenied:
            return True
        except (psutil.NoSuchProcess, OSError):
            return False

    def _link_if_needed(self) -> None:
        """Reach a socket whose path is too long for an address, or unfit for a URL, through a short private link."""
        if _addressable(self._socket_folder):
            return
        place = tempfile.gettempdir() if _addressable(f"{tempfile.gettempdir()}/cavendish-12345678/s") else "/tmp"  # noqa: S108
        self._link_folder = Path(tempfile.mkdtemp(prefix="cavendish-", dir=place))
        link = self._link_folder / "s"
        link.symlink_to(self._home.cluster)
        self._socket_folder = str(link)

    def _leave(self, seconds: float) -> None:
        """Stop using the server; stop it when nobody else uses it, and wait at most `seconds` for that."""
        try:
            deadline = time.monotonic() + seconds
            # Behind the lock nobody can join between our question and our signal.
            ours = os.getpid() == self._pid and self._lock.exclusive(deadline)
            if ours and self._users.exclusive():
                self._stop(deadline)
        finally:
            self._let_go()

    def _stop(self, deadline: float) -> None:
        """Ask the server to stop, and wait until the last of its processes is gone."""
        living = _FileLock(self._home, "server")
        try:
            if living.exclusive():
                return
            pid, _ = self._pid_file()
            if pid is None or not self._may_be_postmaster(pid):
                return
            os.kill(pid, signal.SIGINT)  # "fast": cuts connections, writes everything, ends
            living.exclusive(deadline)
        except OSError:  # it went by itself
            return
        finally:
            living.close()

    def _let_go(self) -> None:
        """Close what this handle holds, without a look at the server."""
        self._closed = True
        ours = os.getpid() == self._pid
        for lock in (self._users, self._lock):
            lock.close(unlock=ours)
        if self._link_folder is not None and ours:
            shutil.rmtree(self._link_folder, ignore_errors=True)


class _FileLock:
    """A flock(2) lock. Each instance opens the file anew, so that two in one process exclude each other too."""

    def __init__(self, home: Home, name: str) -> None:
        self.descriptor = home.open_private(home.folder / name, os.O_RDWR)

    def shared(self) -> None:
        """Share it (waits; nobody holds ours exclusively without the lock `lock`)."""
        import fcntl  # not on Windows

        fcntl.flock(self.descriptor, fcntl.LOCK_SH)

    def exclusive(self, deadline: float = 0.0) -> bool:
        """Try until `deadline` (monotonic; at least once) to be the only holder. A shared hold is lost in trying."""
        import fcntl

        while True:
            try:
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(_POLL_SECONDS)
            else:
                return True

    def unlock(self) -> None:
        """Let others have it."""
        import fcntl

        fcntl.flock(self.descriptor, fcntl.LOCK_UN)

    def close(self, *, unlock: bool = False) -> None:
        """Close it. A forked child shares the hold: `unlock` ends it for both, without it the other's goes on."""
        if self.descriptor >= 0:
            if unlock:
                self.unlock()
            os.close(self.descriptor)
            self.descriptor = -1


def _addressable(folder: str) -> bool:
    """Whether a socket in `folder` can be named in an address and in a URL (where a comma separates hosts)."""
    try:
        return len(f"{folder}/.s.PGSQL.{PORT}".encode()) <= _ADDRESS_LIMIT_BYTES and "," not in folder
    except UnicodeEncodeError:
        return False
