"""The embedded PostgreSQL, with real servers: who shares it, what a kill leaves, and who is kept out."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import asyncpg
import psutil
import pytest

from cavendish.domain.errors import Misconfigured
from cavendish.store import unprivileged
from cavendish.store.cluster import Way
from cavendish.store.embedded import EmbeddedServer

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user, which this is about")
in_ways_of_root = pytest.mark.parametrize("way", ["namespace", "account"])

# A user of the server in a process of its own: says when it has joined, and leaves when it is told to.
USER = """
import sys
from pathlib import Path
from cavendish.store.embedded import EmbeddedServer
with EmbeddedServer.start(Path(sys.argv[1])):
    print("joined", flush=True)
    sys.stdin.readline()
"""

FORKING_USER = """
import os, sys
from pathlib import Path
from cavendish.store.embedded import EmbeddedServer
with EmbeddedServer.start(Path(sys.argv[1])) as server:
    child = os.fork()
    if child == 0:
        server.close()
        os._exit(0)
    os.waitpid(child, 0)
    print("alive" if (Path(sys.argv[1]) / "postgres/cluster/postmaster.pid").exists() else "stopped")
"""

PLAIN_USER = """
import asyncio, os, sys
from pathlib import Path
import asyncpg
from cavendish.store.embedded import EmbeddedServer

async def ask(dsn):
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval("SELECT current_database()")
    finally:
        await connection.close()

with EmbeddedServer.start(Path(sys.argv[1])) as server:
    print(os.geteuid(), asyncio.run(ask(server.dsn)))
"""

# Becomes another user and tries every door; prints what it gets through.
STRANGER = """
import os, socket, sys
folder, uid = sys.argv[1], int(sys.argv[2])
os.setgroups([])
os.setgid(uid)
os.setuid(uid)

def connect():
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(folder + "/cluster/.s.PGSQL.5432")

doors = {
    "data folder": lambda: os.listdir(os.path.dirname(folder)),
    "folder": lambda: os.listdir(folder),
    "cluster": lambda: os.listdir(folder + "/cluster"),
    "password": lambda: open(folder + "/password").close(),
    "socket": connect,
    "memory": lambda: open("/proc/" + sys.argv[3] + "/mem", "rb").close(),
    "working folder": lambda: os.listdir("/proc/" + sys.argv[3] + "/cwd"),
    "signal": lambda: os.kill(int(sys.argv[3]), 0),
}
for name, door in doors.items():
    try:
        door()
    except PermissionError:
        continue
    print(name)
"""


def script(text: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", text, *map(str, arguments)]


def script_environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def run(command: list[str]) -> str:
    return subprocess.run(command, env=script_environment(), stdout=subprocess.PIPE, check=True, text=True).stdout


class User:
    """Another process that uses the server."""

    def __init__(self, data_dir: Path) -> None:
        self.process = subprocess.Popen(
            script(USER, data_dir),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=script_environment(),
            text=True,
        )

    def wait_until_joined(self) -> "User":
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "joined\n"
        return self

    def leave(self) -> None:
        self.process.communicate("leave\n")

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def bystander() -> subprocess.Popen[bytes]:
    """A process that has nothing to do with PostgreSQL, and ends when it reads a line."""
    return subprocess.Popen(script("import sys; sys.stdin.readline()"), stdin=subprocess.PIPE)


def links_in(folder: Path) -> list[Path]:
    return list(folder.glob("cavendish-*"))


def cluster_of(data_dir: Path) -> Path:
    return data_dir / "postgres" / "cluster"


def postmaster(data_dir: Path) -> int:
    return int((cluster_of(data_dir) / "postmaster.pid").read_text().split()[0])


def is_stopped(data_dir: Path) -> bool:
    """PostgreSQL removes these two as the last thing it does."""
    return not any((cluster_of(data_dir) / name).exists() for name in ("postmaster.pid", ".s.PGSQL.5432"))


async def ask(dsn: str, *statements: str) -> object:
    """The answer to the last statement."""
    connection = await asyncpg.connect(dsn)
    try:
        return cast("object", [await connection.fetchval(statement) for statement in statements][-1])
    finally:
        await connection.close()


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, as /srv or a container's volume is; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="cavendish-test-"))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data folder with a cluster, made once for the tests that do not care how."""
    folder = tmp_path_factory.mktemp("home") / "data"
    EmbeddedServer.start(folder).close()
    return folder


async def test_a_started_server_answers_as_owner_of_its_database(data_dir: Path) -> None:
    with EmbeddedServer.start(data_dir) as server:
        assert await ask(server.dsn, "SELECT current_user || '/' || current_database()") == "cavendish/cavendish"
        owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'cavendish'"
        assert await ask(server.dsn, owner) == "cavendish"
        assert await ask(server.dsn, "SHOW data_checksums") == "on"
        assert await ask(server.dsn, "SHOW listen_addresses") == ""


async def test_another_database_of_the_server_has_its_own_url(data_dir: Path) -> None:
    with EmbeddedServer.start(data_dir) as server:
        assert await ask(server.dsn, 'CREATE DATABASE "a/b"') is None
        assert await ask(server.dsn_for("a/b"), "SELECT current_database()") == "a/b"


def test_closing_the_only_handle_stops_the_server(data_dir: Path) -> None:
    server = EmbeddedServer.start(data_dir)
    process = psutil.Process(postmaster(data_dir))
    server.close()
    server.close()
    assert is_stopped(data_dir)
    process.wait(timeout=10)  # raises if it lives on


async def test_what_was_written_is_there_after_a_restart(data_dir: Path) -> None:
    with EmbeddedServer.start(data_dir) as server:
        await ask(server.dsn, "CREATE TABLE kept AS SELECT 42 AS value")
    with EmbeddedServer.start(data_dir) as server:
        assert await ask(server.dsn, "SELECT value FROM kept") == 42


async def test_the_first_of_two_handles_in_one_process_leaves_the_server_to_the_other(data_dir: Path) -> None:
    first = EmbeddedServer.start(data_dir)
    with EmbeddedServer.start(data_dir) as second:
        first.close()
        assert await ask(second.dsn, "SELECT 1") == 1
    assert is_stopped(data_dir)


async def test_the_first_of_two_processes_leaves_the_server_to_the_other(data_dir: Path) -> None:
    user = User(data_dir).wait_until_joined()
    pid = postmaster(data_dir)
    with EmbeddedServer.start(data_dir) as server:
        user.leave()
        assert postmaster(data_dir) == pid
        assert await ask(server.dsn, "SELECT 1") == 1
    assert is_stopped(data_dir)


def test_the_last_of_two_processes_stops_a_server_that_it_did_not_start(data_dir: Path) -> None:
    server = EmbeddedServer.start(data_dir)
    user = User(data_dir).wait_until_joined()
    server.close()
    assert not is_stopped(data_dir)
    user.leave()
    assert is_stopped(data_dir)


def test_a_forked_child_that_closes_takes_nothing_from_its_parent(data_dir: Path) -> None:
    assert run(script(FORKING_USER, data_dir)) == "alive\n"
    assert is_stopped(data_dir)


async def test_two_processes_that_meet_on_a_new_folder_share_one_server(tmp_path: Path) -> None:
    user = User(tmp_path)
    with EmbeddedServer.start(tmp_path) as server:
        user.wait_until_joined()
        assert await ask(server.dsn, "SELECT 1") == 1
        user.leave()
        assert not is_stopped(tmp_path)
    assert is_stopped(tmp_path)


async def test_a_start_after_a_kill_finds_the_running_server_and_its_close_stops_it(data_dir: Path) -> None:
    user = User(data_dir).wait_until_joined()
    pid = postmaster(data_dir)
    user.kill()
    with EmbeddedServer.start(data_dir) as server:
        assert postmaster(data_dir) == pid
        assert await ask(server.dsn, "SELECT 1") == 1
    assert is_stopped(data_dir)


async def test_a_start_waits_for_a_server_that_is_still_stopping(data_dir: Path) -> None:
    user = User(data_dir).wait_until_joined()
    pid = postmaster(data_dir)
    user.kill()
    os.kill(pid, signal.SIGINT)
    with EmbeddedServer.start(data_dir) as server:
        assert await ask(server.dsn, "SELECT 1") == 1


async def test_a_killed_postmaster_is_replaced_and_committed_rows_are_there(data_dir: Path) -> None:
    with EmbeddedServer.start(data_dir) as before:
        await ask(before.dsn, "CREATE TABLE survivor AS SELECT 7 AS value")
        killed = psutil.Process(postmaster(data_dir))
        killed.kill()
        killed.wait()
        with EmbeddedServer.start(data_dir) as after:
            assert postmaster(data_dir) != killed.pid
            assert await ask(after.dsn, "SELECT value FROM survivor") == 7
    assert is_stopped(data_dir)


async def test_a_pid_file_whose_number_passed_to_another_program_blocks_nothing(data_dir: Path) -> None:
    with EmbeddedServer.start(data_dir):
        lines = (cluster_of(data_dir) / "postmaster.pid").read_text().splitlines()
        user = psutil.Process(postmaster(data_dir))
        user.kill()
        user.wait()
    stranger = bystander()
    try:
        for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
            (cluster_of(data_dir) / name).write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        with EmbeddedServer.start(data_dir) as server:
            assert await ask(server.dsn, "SELECT 1") == 1
        assert stranger.poll() is None
    finally:
        stranger.communicate(b"\n")


async def test_a_cluster_left_half_made_is_made_anew(tmp_path: Path) -> None:
    unfinished = tmp_path / "postgres" / "cluster.new"
    (unfinished / "base").mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    (tmp_path / "postgres" / "password").write_text("")
    with EmbeddedServer.start(tmp_path) as server:
        assert await ask(server.dsn, "SELECT 1") == 1
    assert not unfinished.exists()


async def test_a_folder_too_deep_for_a_socket_address_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A folder of our own with a short path: the link's address has to fit, too.
    with tempfile.TemporaryDirectory(prefix="cavendish-") as short:
        monkeypatch.setattr(tempfile, "tempdir", short)
        with EmbeddedServer.start(tmp_path / "deep, and odd" / ("d" * 60) / ("e" * 60)) as server:
            (link,) = links_in(Path(short))
            assert stat.S_IMODE(link.stat().st_mode) == 0o700
            assert await ask(server.dsn, "SELECT 1") == 1
        assert links_in(Path(short)) == []


async def test_postgresql_words_in_the_environment_do_not_reach_the_server_or_its_url(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "6543")
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("LC_ALL", "xx_XX.UTF-8")
    with EmbeddedServer.start(data_dir) as server:
        assert await ask(server.dsn, "SHOW port") == "5432"


def test_an_overgrown_log_is_emptied_at_a_start(data_dir: Path) -> None:
    log = data_dir / "postgres" / "log"
    os.truncate(log, 11 * 1024 * 1024)
    EmbeddedServer.start(data_dir).close()
    assert 0 < log.stat().st_size < 100_000


def test_a_server_that_cannot_start_is_reported_with_its_folder_and_its_words(data_dir: Path) -> None:
    configuration = cluster_of(data_dir) / "postgresql.auto.conf"
    before = configuration.read_text()
    try:
        configuration.write_text("no_such_setting = 1\n")
        with pytest.raises(Misconfigured) as caught:
            EmbeddedServer.start(data_dir)
    finally:
        configuration.write_text(before)
    for sentence in (caught.value.text.en, caught.value.text.zh):
        assert str(data_dir) in sentence
        assert 'unrecognized configuration parameter "no_such_setting"' in sentence


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="file"):
        EmbeddedServer.start(tmp_path / "file" / "data")


def test_a_lost_password_is_reported_and_starts_nothing(data_dir: Path) -> None:
    password = data_dir / "postgres" / "password"
    aside = password.rename(password.with_name("aside"))
    try:
        with pytest.raises(Misconfigured, match="password"):
            EmbeddedServer.start(data_dir)
        assert is_stopped(data_dir)
    finally:
        aside.rename(password)


async def test_without_the_password_even_the_same_user_is_refused(data_dir: Path) -> None:
    with EmbeddedServer.start(data_dir):
        host = str(cluster_of(data_dir))
        for password in ("", "wrong"):
            with pytest.raises(asyncpg.InvalidPasswordError):
                await asyncpg.connect(host=host, user="cavendish", database="cavendish", password=password)


def test_no_permission_outside_the_folder_changes_and_all_inside_is_private() -> None:
    with open_folder() as outside:
        data = outside / "existing"
        data.mkdir(mode=0o755)
        around = [data, *data.resolve().parents]

        def modes() -> list[tuple[int, int, int]]:
            return [(now.st_mode, now.st_uid, now.st_gid) for now in (path.stat() for path in around)]

        before = modes()
        with EmbeddedServer.start(data):
            assert modes() == before
            ours = [data / "postgres", *(data / "postgres").iterdir(), cluster_of(data) / ".s.PGSQL.5432"]
            assert {path.name: path.stat().st_mode & 0o077 for path in ours} == {path.name: 0 for path in ours}
        assert modes() == before


def test_a_folder_that_we_make_is_private(data_dir: Path) -> None:
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700


async def test_folders_opened_by_a_copy_or_a_volume_mount_are_closed_again(data_dir: Path) -> None:
    for folder in (data_dir / "postgres", cluster_of(data_dir)):
        folder.chmod(0o2775)
    with EmbeddedServer.start(data_dir) as server:
        assert await ask(server.dsn, "SELECT 1") == 1
        assert stat.S_IMODE(cluster_of(data_dir).stat().st_mode) == 0o700


def account(*names: str) -> pwd.struct_passwd:
    """The first of these accounts that the machine has."""
    return next(entry for name in names for entry in pwd.getpwall() if entry.pw_name == name)


def start_in(way: Way, data_dir: Path) -> EmbeddedServer:
    try:
        return EmbeddedServer._start(data_dir, 30.0, (way,))
    except Misconfigured as error:
        if "Operation not permitted" in error.text.en:
            pytest.skip(f"this machine refuses root's way {way!r}: {error}")
        raise


@as_root
@in_ways_of_root
async def test_root_runs_a_server_that_no_other_local_user_can_reach(way: Way) -> None:
    runs_as = account("postgres", "nobody").pw_uid if way == "account" else 0
    with open_folder() as folder, start_in(way, folder) as server:
        assert await ask(server.dsn, "SELECT 1") == 1
        assert cluster_of(folder).stat().st_uid == runs_as
        pid = postmaster(folder)
        assert psutil.Process(pid).uids().real == runs_as
        nobody, server_account = account("nobody").pw_uid, runs_as or account("postgres", "daemon", "bin").pw_uid
        assert run(script(STRANGER, folder / "postgres", nobody + 1, pid)) == "data folder\n"
        # Even the account that the server runs as gets to it by signals only.
        signals = "signal\n" if way == "account" else ""
        assert run(script(STRANGER, folder / "postgres", server_account, pid)) == "data folder\n" + signals


@as_root
async def test_a_cluster_follows_when_root_has_to_run_it_another_way(tmp_path: Path) -> None:
    ways: tuple[Way, ...] = ("namespace", "account", "namespace")
    for number, way in enumerate(ways):
        with start_in(way, tmp_path) as server:
            await ask(server.dsn, "CREATE TABLE IF NOT EXISTS turns (n int)", f"INSERT INTO turns VALUES ({number})")
            assert await ask(server.dsn, "SELECT count(*) FROM turns") == number + 1


@as_root
def test_an_account_reaches_programs_that_lie_where_only_root_may_enter(tmp_path: Path) -> None:
    with open_folder() as folder:
        private = folder / "home of root"
        private.mkdir(mode=0o700)
        program = shutil.copy(shutil.which("sh") or "/bin/sh", private / "sh")
        plain = account("nobody")
        become = [sys.executable, "-I", "-S", unprivileged.__file__, "account", str(plain.pw_uid), str(plain.pw_gid)]
        # PostgreSQL asks access(2) about its own program. (A shell's `test -x` would ask in another way.)
        ask_access = "import os, sys; print(os.geteuid(), os.access(sys.argv[1], os.R_OK | os.X_OK))"
        said = run([*become, str(private), sys.executable, "-I", "-S", "-c", ask_access, str(program)])
    assert said == f"{plain.pw_uid} True\n"


@as_root
def test_root_without_a_way_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="plain user, or set CAVENDISH_DATABASE_URL"):
        EmbeddedServer._start(tmp_path, 30.0, ())


@pytest.fixture(scope="module")
def plain_folder() -> Iterator[Path]:
    """A folder in which a plain user has a cluster; all that is below it is that user's."""
    with open_folder() as folder:
        os.chown(folder, account("nobody").pw_uid, account("nobody").pw_gid)
        yield folder


def run_as_plain_user(folder: Path) -> str:
    """The answer of PLAIN_USER, run on the folder as an account that is not root, wherever the interpreter lives."""
    plain = account("nobody")
    # The launcher leaves it one right, to read past permissions: the interpreter may lie in root's home.
    become = [sys.executable, "-I", "-S", unprivileged.__file__, "account", str(plain.pw_uid), str(plain.pw_gid)]
    return run([*become, str(folder), *script(PLAIN_USER, folder / "data")])


def owners(folder: Path) -> set[int]:
    return {path.lstat().st_uid for path in folder.rglob("*")}


@as_root
def test_a_plain_user_needs_nothing_of_root(plain_folder: Path) -> None:
    plain = account("nobody").pw_uid
    assert run_as_plain_user(plain_folder) == f"{plain} cavendish\n"
    assert owners(plain_folder) == {plain}


@as_root
async def test_root_on_a_plain_users_folder_leaves_it_usable_for_that_user(plain_folder: Path) -> None:
    run_as_plain_user(plain_folder)
    (plain_folder / "data" / "postgres" / "log").unlink()
    with start_in("account", plain_folder / "data") as server:
        assert await ask(server.dsn, "SELECT 1") == 1
    plain = account("nobody").pw_uid
    assert owners(plain_folder) == {plain}
    assert run_as_plain_user(plain_folder) == f"{plain} cavendish\n"
