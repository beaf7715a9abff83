"""The command line, as real processes: names, options, output, and exit codes that scripts rely on."""

import json
import re
import shlex
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cavendish.settings import SETTINGS
from tests.harness import PROMPT_BODY, Process, cavendish, process

KEY = re.compile(r"sk-[A-Za-z0-9]{40}")


class Home(NamedTuple):
    """A data folder with its embedded database, and where logs go."""

    folder: Path

    @property
    def settings(self) -> dict[str, str]:
        return {
            "CAVENDISH_DATA_DIR": str(self.folder / "data"),
            "CAVENDISH_ENGINE": "simulator",
            "CAVENDISH_LOG_FORMAT": "text",
            "LC_ALL": "C.UTF-8",
        }

    def run(self, *arguments: str) -> str:
        """Run a command that must succeed; its standard output."""
        done = cavendish(self.settings, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def serving(self, *options: str) -> Iterator[tuple[Process, str]]:
        """A running `serve`, and its URL; stopped in good order at the end, for its database must not outlive it."""
        with process(self.settings, self.folder, "serve", "--port", "0", *options) as server:
            yield server, found_in_log(server, r"url=(http://\S+)")
            if server.process.poll() is None:
                assert server.terminate() == 0


def found_in_log(running: Process, pattern: str, *, within_seconds: float = 30) -> str:
    """The first match of `pattern` in what a process says."""
    deadline = time.monotonic() + within_seconds
    while time.monotonic() < deadline:
        match = re.search(pattern, running.log.read_text(encoding="utf-8"))
        if match is not None:
            return match[match.lastindex or 0]
        assert running.process.poll() is None, running.log.read_text(encoding="utf-8")
        time.sleep(0.02)
    raise AssertionError(running.log.read_text(encoding="utf-8"))


def call(url: str, key: str, body: object = None) -> dict[str, Any]:
    """GET, or POST of `body`, through the standard library; the answer's data."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=20) as answer:
        decoded: dict[str, Any] = json.load(answer)["data"]
        return decoded


def until_success(url: str, key: str, task_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while (data := call(f"{url}/api/v1/tasks/query/{task_id}", key))["state"] != "success":
        assert time.monotonic() < deadline, data
        time.sleep(0.02)
    return data


def until_refused(url: str, key: str) -> int:
    """Ask for two seconds at most; the status of the refusal."""
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        try:
            call(url, key)
        except urllib.error.HTTPError as refusal:
            refusal.close()
            return refusal.code
    raise AssertionError("the key still opens after two seconds")


def totals(shown: str) -> dict[str, int]:
    """What `credits show` says."""
    return {name: int(number) for name, number in (line.split() for line in shown.splitlines())}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home where nothing runs."""
    made = Home(tmp_path_factory.mktemp("home"))
    made.run("migrate")
    return made


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, str, str]]:
    """A home, its running server's URL, and the log of the first start."""
    made = Home(tmp_path_factory.mktemp("served"))
    with made.serving() as (server, url):
        found_in_log(server, r"--data .*\n")
        yield made, url, server.log.read_text(encoding="utf-8")
        assert server.terminate() == 0


def test_the_first_start_prints_a_key_once_and_a_curl_line_that_works(served: tuple[Home, str, str]) -> None:
    _, url, log = served
    keys = set(KEY.findall(log))
    assert len(keys) == 1
    key = keys.pop()
    line = log[log.index("curl ") :].replace("\\\n", " ").split("\n\n")[0]
    words = shlex.split(line)
    options = dict(zip(words[1::2], words[2::2], strict=False))
    headers = [value for name, value in zip(words[1::2], words[2::2], strict=False) if name == "--header"]
    sent = urllib.request.Request(
        options["--url"],
        options["--data"].encode(),
        dict(header.split(": ", 1) for header in headers),
        method=options["--request"],
    )
    with urllib.request.urlopen(sent, timeout=20) as answer:
        created = json.load(answer)

    assert options["--url"] == f"{url}/api/v1/tasks/create"
    assert f"Authorization: Bearer {key}" in headers
    assert created["code"] == 200
    assert until_success(url, key, created["data"]["taskId"])["creditsConsumed"] == 3


def test_beside_a_running_server_a_new_key_works_at_once_and_no_more_once_revoked(
    served: tuple[Home, str, str],
) -> None:
    home, url, _ = served
    key = home.run("keys", "create", "--account", "bob", "--credits", "7").strip()
    assert call(f"{url}/api/v1/user/balance", key) == {"balance": 7, "held": 0}
    home.run("credits", "grant", "--account", "bob", "5")
    assert call(f"{url}/api/v1/user/balance", key) == {"balance": 12, "held": 0}
    home.run("keys", "revoke", key[:11])
    assert until_refused(f"{url}/api/v1/user/balance", key) == 401


def test_a_second_start_on_the_same_folder_prints_no_key(served: tuple[Home, str, str]) -> None:
    home, _, _ = served
    with home.serving("--no-worker") as (second, url):
        with urllib.request.urlopen(f"{url}/readyz", timeout=20) as answer:
            assert json.load(answer)["status"] == "ok"
        assert second.terminate() == 0

    assert not KEY.search(second.log.read_text(encoding="utf-8"))


def test_a_port_in_use_is_one_clear_line(served: tuple[Home, str, str]) -> None:
    home, _, _ = served
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = cavendish(home.settings, "serve", "--port", str(port))

    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert f"127.0.0.1:{port}" in line
    assert "--port" in line


def test_without_a_worker_tasks_wait_until_a_worker_process_comes(tmp_path: Path) -> None:
    home = Home(tmp_path)
    key = home.run("keys", "create", "--account", "alice", "--credits", "10").strip()
    with home.serving("--no-worker") as (server, url):
        task_id = call(f"{url}/api/v1/tasks/create", key, PROMPT_BODY)["taskId"]
        assert call(f"{url}/api/v1/tasks/query/{task_id}", key)["state"] == "waiting"
        assert call(f"{url}/api/v1/user/balance", key) == {"balance": 7, "held": 3}
        with process(home.settings, home.folder, "worker") as worker:
            result = until_success(url, key, task_id)
            assert worker.terminate() == 0
        with urllib.request.urlopen(result["resultUrls"][0], timeout=20) as picture:
            assert picture.read(4) == b"\x89PNG"
        assert server.terminate() == 0
    assert totals(home.run("credits", "show", "--account", "alice")) == {
        "available": 7,
        "held": 0,
        "charged": 3,
        "granted": 10,
    }
    assert not KEY.search(server.log.read_text(encoding="utf-8")), "there is a key: none is made at the start"


def test_when_nothing_runs_accounts_are_managed_all_the_same(home: Home) -> None:
    made = cavendish(home.settings, "keys", "create", "--account", "alice", "--credits", "10", "--expires-in", "30")
    assert made.returncode == 0
    assert KEY.fullmatch(made.stdout.removesuffix("\n")), "standard output is the key alone"
    assert "alice" in made.stderr
    assert made.stdout.strip() not in made.stderr
    assert home.run("credits", "grant", "--account", "alice", "5").strip() == "15"
    assert totals(home.run("credits", "show", "--account", "alice")) == {
        "available": 15,
        "held": 0,
        "charged": 0,
        "granted": 15,
    }
    listed = home.run("keys", "list")
    assert made.stdout[:11] in listed
    assert "alice" in listed
    assert made.stdout.strip() not in listed
    revoked = cavendish(home.settings, "keys", "revoke", made.stdout[:11])
    assert (revoked.returncode, revoked.stdout) == (0, "")
    assert made.stdout[:11] in revoked.stderr


def test_an_expiry_is_listed(served: tuple[Home, str, str]) -> None:
    home, _, _ = served
    key = home.run("keys", "create", "--account", "eve", "--expires-in", "1").strip()
    line = next(line for line in home.run("keys", "list").splitlines() if key[:11] in line)

    assert len(set(re.findall(r"\d{4}-\d{2}-\d{2}", line))) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["credits", "show", "--account", "nobody"], "nobody"),
        (["credits", "grant", "--account", "nobody", "5"], "nobody"),
        (["credits", "grant", "--account", "default", "9999999999999999"], "1000000000000"),
        (["keys", "revoke", "sk-nobody"], "keys list"),
        (["keys", "create", "--account", " alice"], "account name"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line_and_exit_code_1(
    served: tuple[Home, str, str], arguments: list[str], says: str
) -> None:
    done = cavendish(served[0].settings, *arguments)

    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("cavendish: ")
    assert says in line


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["serve", "--port", "70000"],
        ["keys", "create"],
        ["keys", "create", "--account", "a", "--credits", "-1"],
        ["keys", "create", "--account", "a", "--expires-in", "0"],
        ["credits", "grant", "--account", "a", "0"],
        ["credits", "grant", "5"],
        ["keys", "revoke"],
    ],
)
def test_a_wrong_command_line_does_nothing_and_exits_with_2(arguments: list[str], tmp_path: Path) -> None:
    done = cavendish(Home(tmp_path).settings, *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr
    assert not (tmp_path / "data").exists()


WRONG: Mapping[str, list[str]] = {
    "ENGINE": ["magic"],
    "ALLOW_PRIVATE_URLS": ["yes"],
    "WORKER_SLOTS": ["0", "many"],
    "LEASE_TTL_SECONDS": ["nan"],
    "DATABASE_URL": ["mysql://root:hunter2@localhost/x", "postgresql://["],
    "BLOBS_URL": ["ftp://hunter2@a.example"],
    "PUBLIC_URL": ["example.com"],
    "LOG_FORMAT": ["xml"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_setting_stops_the_start_with_one_line_that_names_it(name: str, value: str, tmp_path: Path) -> None:
    done = cavendish(Home(tmp_path).settings | {f"CAVENDISH_{name}": value}, "serve", "--port", "0")

    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert f"CAVENDISH_{name}" in line
    assert "hunter2" not in line
    assert not (tmp_path / "data").exists(), "nothing was begun"


@pytest.mark.parametrize(
    ("name", "value"), [("CATALOG_FILE", "/nowhere/catalog.toml"), ("BLOBS_URL", "file:///proc/nowhere")]
)
def test_a_setting_that_leads_nowhere_stops_the_start_with_one_line_that_names_it(
    home: Home, name: str, value: str
) -> None:
    done = cavendish(home.settings | {f"CAVENDISH_{name}": value}, "serve", "--port", "0")

    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert f"CAVENDISH_{name}" in line
    assert "nowhere" in line


def test_keys_are_listed_with_the_whole_name_of_their_account_whatever_it_is(served: tuple[Home, str, str]) -> None:
    home, _, _ = served
    names = ["[/x]", "[bold]", "[red]alice", "x" * 100, "长" * 100]
    for name in names:
        home.run("keys", "create", "--account", name)
    rows = [line.split("│") for line in home.run("keys", "list").splitlines() if line.startswith("│")]
    shown = "".join(row[2].strip() for row in rows)

    assert not [name for name in names if name not in shown]


@pytest.mark.parametrize("arguments", [["show", "--account", "a\udcff"], ["grant", "--account", "a\udcff", "5"]])
def test_a_name_that_is_no_text_is_one_clear_line(served: tuple[Home, str, str], arguments: list[str]) -> None:
    done = cavendish(served[0].settings, "credits", *arguments)

    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)


def test_too_short_a_prefix_revokes_nothing_even_when_there_is_one_key_only(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with home.serving("--no-worker") as (server, url):
        key = found_in_log(server, KEY.pattern)
        for prefix in ("", "s", "sk-"):
            assert cavendish(home.settings, "keys", "revoke", prefix).returncode == 1
        assert call(f"{url}/api/v1/user/balance", key)["balance"] > 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATA_DIR", "/proc/nowhere"),
        ("DATA_DIR", "/etc/passwd"),
        ("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/x"),
    ],
)
def test_a_place_that_cannot_be_used_is_told_by_the_name_of_its_setting(tmp_path: Path, name: str, value: str) -> None:
    done = cavendish(Home(tmp_path).settings | {f"CAVENDISH_{name}": value}, "serve", "--port", "0")

    assert done.returncode == 1
    assert f"CAVENDISH_{name}" in done.stderr.splitlines()[0]
    assert "Traceback" not in done.stderr


def test_settings_names_every_setting_with_its_default() -> None:
    done = cavendish({"LC_ALL": "C.UTF-8", "COLUMNS": "60"}, "settings")

    assert done.returncode == 0
    assert re.findall(r"^CAVENDISH_\w+", done.stdout, re.MULTILINE) == [setting.variable for setting in SETTINGS]
    assert all(setting.default in done.stdout for setting in SETTINGS if setting.default)


def test_words_follow_the_locale(tmp_path: Path) -> None:
    settings = Home(tmp_path).settings | {"LC_ALL": "zh_CN.UTF-8", "CAVENDISH_ENGINE": "magic"}
    done = cavendish(settings, "serve", "--port", "0")

    assert done.returncode == 1
    assert "CAVENDISH_ENGINE" in done.stderr
    assert re.search(r"[\u4e00-\u9fff]", done.stderr)


def test_version_is_the_packages_own() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", cavendish({}, "version").stdout)
