"""`cavendish generate` and `cavendish fetch` as real processes: against a server, on their own, in a terminal."""

import asyncio
import base64
import contextlib
import io
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from cavendish.cli import app
from cavendish.cli.service import open_service
from cavendish.client import Client
from cavendish.client.headers import read_header
from cavendish.domain.errors import Misconfigured
from cavendish.engines.simulator import plain_png
from tests.harness import Running, cavendish, process, running, settings_for


class Desk:
    """A folder to work in, beside a running server."""

    def __init__(self, server: Running, key: str, folder: Path) -> None:
        self.server = server
        self.key = key
        self.folder = folder

    @property
    def environment(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("CAVENDISH_")}
        return ours | {"CAVENDISH_BASE_URL": self.server.url, "CAVENDISH_API_KEY": self.key, "LC_ALL": "C.UTF-8"}

    def start(self, *arguments: str, through: Sequence[str] = (), **options: Any) -> "subprocess.Popen[str]":
        piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(
            [*through, sys.executable, "-m", "cavendish", *arguments],
            cwd=self.folder,
            env=self.environment | options.pop("environment", {}),
            **{**piped, **options},
        )

    async def run(self, *arguments: str, code: int = 0, stdin: str = "", **options: Any) -> tuple[str, str]:
        """Standard output and error of a command that must end with `code`."""

        def wait() -> tuple[str, str]:
            with self.start(*arguments, **options) as command:
                output, words = command.communicate(stdin, timeout=60)
            assert command.returncode == code, words
            return output, words

        return await asyncio.to_thread(wait)

    async def tasks(self) -> int:
        return int((await self.server.parts.database.fetch("SELECT count(*) AS n FROM tasks"))[0]["n"])

    async def until_drawn(self, count: int = 1) -> None:
        """Wait until that many tasks are at the engine."""
        async with asyncio.timeout(30):
            while True:
                rows = await self.server.parts.database.fetch("SELECT FROM tasks WHERE state = 'generating'")
                if len(rows) >= count:
                    return
                await asyncio.sleep(0.02)


@pytest.fixture
async def desk(dsn: str, tmp_path: Path) -> AsyncIterator[Desk]:
    folder = tmp_path / "desk"
    folder.mkdir()
    async with running(settings_for(dsn, tmp_path / "data")) as server:
        yield Desk(server, await server.new_key(credits=100), folder)


async def test_a_prompt_becomes_a_file_with_the_price_before_and_the_balance_after(desk: Desk) -> None:
    output, words = await desk.run("generate", "A red apple", environment={"TERM": "xterm-kitty"})
    jpeg, _ = await desk.run(
        "generate", "A red apple", "-m", "pro", "--ratio", "16:9", "--resolution", "2k", "-n", "2", "-o", "out.jpg"
    )
    again, _ = await desk.run("generate", "x", "-o", "out.jpg", "--quiet")
    inside, _ = await desk.run("generate", "x", "-o", "new/folder/", "--quiet")

    assert output == "a-red-apple.png\n", "no picture where nobody looks"
    assert words.splitlines()[0] == "google/nano-banana · 3 credits · balance 100"
    assert re.fullmatch(r"✓ a-red-apple\.png  1024 × 1024 · PNG · \d+ B · \d+\.\d s · 3 credits", words.splitlines()[1])
    assert words.splitlines()[2:] == ["balance 97"]
    assert sorted(jpeg.split()) == ["out-2.jpg", "out.jpg"]
    assert again == "out-3.jpg\n"
    assert inside == "new/folder/x.png\n", "a slash at the end says that it is a folder, there or not"
    headers = [read_header((desk.folder / name).read_bytes()) for name in ("out.jpg", "out-2.jpg", "out-3.jpg")]
    assert headers == [("jpeg", 2752, 1536), ("jpeg", 2752, 1536), ("jpeg", 1024, 1024)]


async def test_input_images_come_from_the_disk_and_one_picture_may_go_to_standard_output(desk: Desk) -> None:
    (desk.folder / "photo.png").write_bytes(plain_png(40, 30, 2))

    def run() -> bytes:
        with self_start("generate", "-", "-i", "photo.png", "--ratio", "auto", "-o", "-") as command:
            return command.communicate(b"make it blue\n", timeout=60)[0]

    def self_start(*arguments: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "cavendish", *arguments],
            cwd=desk.folder,
            env=desk.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    picture = await asyncio.to_thread(run)
    rows = await desk.server.parts.database.fetch("SELECT model, param FROM tasks")

    assert read_header(picture) == ("png", 1184, 864)
    assert rows[0]["model"] == "google/nano-banana-edit"
    assert json.loads(rows[0]["param"])["input"]["prompt"].strip() == "make it blue"


async def test_scripts_get_one_object_a_picture_and_an_exit_code(desk: Desk) -> None:
    output, _ = await desk.run("generate", "a cat", "--json")
    failed, words = await desk.run("generate", "[simulate:content_rejected] x", "--json", code=3)
    late, told = await desk.run("generate", "[simulate:seconds=9] slow", "--timeout", "1", code=4)
    poor = await desk.server.new_key("poor", 2)
    _, refused = await desk.run("generate", "x", environment={"CAVENDISH_API_KEY": poor}, code=1)
    saved = json.loads(output)

    assert (saved["outcome"], saved["state"], saved["creditsConsumed"]) == ("saved", "success", 3)
    assert (saved["width"], saved["height"], saved["format"]) == (1024, 1024, "png")
    assert (desk.folder / saved["file"]).stat().st_size == saved["bytes"]
    assert json.loads(failed)["failCode"] == "content_rejected"
    assert "✗ content_rejected: Simulated" in words
    assert late == ""
    assert re.search(r"1 task goes on at http\S+\.\nTo fetch:\n  cavendish fetch task_", told)
    assert "积分不足" in refused


async def test_a_batch_that_is_run_again_fetches_and_never_pays_twice(desk: Desk) -> None:
    prompts = "# mine\na red apple\na red apple\n\n[simulate:engine_busy] never\n" + json.dumps(
        {"prompt": "猫", "model": "pro", "out": "cat.png"}
    )
    (desk.folder / "prompts.txt").write_text(prompts, encoding="utf-8")
    command = ("generate", "--prompts", "prompts.txt", "-o", "pics", "--parallel", "2")
    first, words = await desk.run(*command, code=3)
    assert await desk.tasks() == 4

    journal = desk.folder / "pics" / "cavendish-journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    cat = next(line["job"] for line in lines if line.get("file") == "cat.png")
    apple = next(line["job"] for line in lines if line.get("file") == "002-a-red-apple.png")
    # As if the machine had gone down: for one after its create was sent, for another before its picture was saved.
    kept = [
        line
        for line in lines
        if not (line["job"] == cat and line["event"] != "begun")
        and not (line["job"] == apple and line["event"] == "saved")
    ]
    journal.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
    (desk.folder / "pics" / "cat.png").unlink()
    second, again = await desk.run(*command, code=3)

    assert sorted(first.split()) == ["pics/002-a-red-apple.png", "pics/003-a-red-apple.png", "pics/cat.png"]
    assert words.splitlines()[0] == "4 pictures · 17 credits · balance 100"
    assert "3 saved, 1 failed in pics/ · 14 credits" in words.splitlines()[-1]
    assert "✗ line 5: engine_busy" in words
    assert await desk.tasks() == 5, "the failed one was free, and is tried anew; nothing else"
    assert "pics/cat.png" in second.split()
    assert "2 saved, 1 there already, 1 failed in pics/" in again.splitlines()[-1]
    assert again.splitlines()[-1].endswith("balance 86")


async def test_prompts_may_come_from_standard_input_with_variants_of_each(desk: Desk) -> None:
    output, _ = await desk.run("generate", "--prompts", "-", "-n", "2", "-o", "pics", "--json", stdin="one\ntwo\n")

    files = sorted(json.loads(line)["file"] for line in output.splitlines())
    assert files == ["pics/001-one-2.png", "pics/001-one.png", "pics/002-two-2.png", "pics/002-two.png"]
    assert await desk.tasks() == 4


async def test_ctrl_c_says_which_tasks_go_on_and_fetch_brings_them(desk: Desk) -> None:
    ours = ("--base-url", desk.server.url, f"--api-key={desk.key}")
    nowhere = {"CAVENDISH_BASE_URL": "", "CAVENDISH_API_KEY": ""}
    command = await asyncio.to_thread(
        desk.start, "generate", "[simulate:seconds=1.5] boat", "-n", "2", "-o", "boat.png", *ours, environment=nowhere
    )
    with command:
        await desk.until_drawn(2)
        command.send_signal(signal.SIGINT)
        output, words = await asyncio.to_thread(command.communicate, None, 30)
    told = words[words.index("  cavendish fetch ") :].splitlines()[:2]
    fetch = shlex.split(" ".join(line.removesuffix("\\") for line in told))
    fetched, _ = await desk.run(*(desk.key if word == "sk-..." else word for word in fetch[1:]), environment=nowhere)

    assert command.returncode == 130
    assert output == ""
    assert "Interrupted.\n2 tasks go on at " in words
    assert desk.key not in words, "a terminal's scrollback, or a log, is no place for it"
    assert fetch[:2] == ["cavendish", "fetch"]
    assert fetch[4:] == ["-o", "boat.png", "--base-url", desk.server.url, "--api-key", "sk-..."]
    assert sorted(fetched.split()) == ["boat-2.png", "boat.png"]
    assert await desk.tasks() == 2


async def test_ctrl_c_in_a_batch_leads_to_the_same_command_again(desk: Desk) -> None:
    (desk.folder / "prompts.txt").write_text(
        "[simulate:seconds=1.5] one\n[simulate:seconds=1.5] two\nthree\n", encoding="utf-8"
    )
    arguments = ("generate", "--prompts", "prompts.txt", "-o", "pics", "--parallel", "2", "--api-key", desk.key)
    command = await asyncio.to_thread(desk.start, *arguments)
    with command:
        await desk.until_drawn(2)
        command.send_signal(signal.SIGINT)
        _, words = await asyncio.to_thread(command.communicate, None, 30)
    output, _ = await desk.run(*arguments)

    assert command.returncode == 130
    assert words.splitlines()[-2].endswith("generate --prompts prompts.txt -o pics --parallel 2 --api-key sk-...")
    assert words.splitlines()[-1].startswith("2 going on, 1 not begun in pics/ · 0 credits")
    assert sorted(output.split()) == ["pics/001-one.png", "pics/002-two.png", "pics/003-three.png"]
    assert await desk.tasks() == 3


# Makes standard input the terminal that Ctrl-C and /dev/tty mean, then runs its arguments. (A `preexec_fn` would do it
# in a fork of this process, where another thread may have held a lock: such a child waits for ever.)
TAKE_THE_TERMINAL = [
    sys.executable,
    "-c",
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])",
]


def in_terminal(desk: Desk, arguments: list[str], environment: Mapping[str, str], attributes: bytes = b"") -> bytes:
    """Everything that a command writes to a terminal, which answers with `attributes` when it is asked for them."""
    ours, theirs = pty.openpty()
    try:
        command = desk.start(
            *arguments,
            through=TAKE_THE_TERMINAL,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            environment={"COLUMNS": "100", "LINES": "30", **environment},
            start_new_session=True,
        )
        os.close(theirs)
        written = b""
        with command:
            while True:
                try:
                    piece = os.read(ours, 65536)
                except OSError:  # Linux: nobody holds the other side any more
                    break
                if not piece:
                    break
                written += piece
                if b"\x1b[c" in piece and attributes:
                    os.write(ours, attributes)
            assert command.wait(60) == 0, written
        return written
    finally:
        os.close(ours)


async def test_a_terminal_sees_a_live_line_and_the_picture(desk: Desk) -> None:
    environment = {"TERM": "xterm-kitty", "TERM_PROGRAM": ""}
    arguments = ["generate", "[simulate:seconds=0.8] a boat"]
    written = await asyncio.to_thread(in_terminal, desk, arguments, environment)
    image = b"".join(re.findall(rb"\x1b_G[^;]*;([^\x1b]*)\x1b\\", written))
    shown = Image.open(io.BytesIO(base64.b64decode(image)))
    text = re.sub(rb"\x1b_G.*?\x1b\\|\x1b\[[\d;?]*[A-Za-z]", b"", written, flags=re.DOTALL).decode()

    assert shown.size == (1024, 1024)
    line = re.findall(r"\S+ (?:waiting|queuing|drawing) \d\.\d s \[simulate:seconds=0\.8\] a boat", text)
    assert line, text
    assert text.count("a-boat.png") == 1, "said once, where one person sees both streams"
    assert written.rindex(b"[simulate") < written.index(b"\x1b_G"), "the line has gone when the picture comes"
    assert written.count(b"\x1b[?25l") == written.count(b"\x1b[?25h"), "the cursor is back"
    assert text.rstrip().endswith("balance 97")


async def test_a_terminal_that_says_it_knows_sixel_gets_sixels(desk: Desk) -> None:
    environment = {"TERM": "xterm-256color", "TERM_PROGRAM": ""}
    written = await asyncio.to_thread(in_terminal, desk, ["generate", "a boat"], environment, b"\x1b[?62;4;22c")

    assert written.count(b"\x1b[c") == 1
    assert b'\x1bP0;1q"1;1;480;480' in written
    assert b"22c" not in written, "the answer is not echoed"
    assert b"a-boat.png" in written


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ("CAVENDISH_BASE_URL", "http://127.0.0.1:1", "no API key for .*set CAVENDISH_API_KEY"),
        ("CAVENDISH_API_KEY", "sk-x", "no server that it is for: set CAVENDISH_BASE_URL"),
    ],
)
async def test_half_of_an_address_and_key_is_explained(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, why: str
) -> None:
    monkeypatch.delenv("CAVENDISH_BASE_URL", raising=False)
    monkeypatch.delenv("CAVENDISH_API_KEY", raising=False)
    monkeypatch.setenv(variable, value)
    with pytest.raises(Misconfigured, match=why):
        async with open_service(None, None):
            pass


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["x", "-o", "a.jpg", "--format", "png"], "contradict"),
        (["x", "--prompts", "y"], "give a prompt, or"),
        ([], "give a prompt, or"),
        (["x", "-n", "2", "-o", "-"], "one picture"),
        (["--prompts", "y", "-o", "-"], "one picture"),
        (["x", "-o", "-", "--json"], "the picture or --json"),
    ],
)
def test_what_contradicts_itself_is_wrong_usage(arguments: list[str], why: str) -> None:
    outcome = CliRunner().invoke(app, ["generate", *arguments])

    assert outcome.exit_code == 2
    assert why in " ".join(outcome.output.split())


def test_without_a_server_it_starts_one_for_the_call_and_disturbs_none(tmp_path: Path) -> None:
    settings = {
        "CAVENDISH_DATA_DIR": str(tmp_path / "data"),
        "CAVENDISH_ENGINE": "simulator",
        "LC_ALL": "C.UTF-8",
    }
    debug = {"CAVENDISH_LOG_LEVEL": "debug"}
    postmaster = tmp_path / "data" / "postgres" / "cluster" / "postmaster.pid"
    photo = tmp_path / "photo.png"
    photo.write_bytes(plain_png(40, 30, 2))

    alone = cavendish(settings, "generate", "make it blue", "-i", str(photo), "-o", str(tmp_path / "one.png"))
    assert alone.returncode == 0, alone.stderr
    assert alone.stdout == f"{tmp_path / 'one.png'}\n"
    assert alone.stderr.splitlines()[-1] == "balance 997"
    assert not postmaster.exists(), "the database stopped with it"
    assert (tmp_path / "data" / "command-line.key").stat().st_mode & 0o777 == 0o600

    with process(settings | debug, tmp_path, "serve", "--port", "0") as server:
        url = server.wait_for_line("serving")["url"]
        deadline = time.monotonic() + 30
        while not (keys := re.findall(r"sk-\w{40}", server.log.read_text(encoding="utf-8"))):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with Client(url, keys[0]) as client:
            slow = client.create("[simulate:seconds=3] slow")
            beside = cavendish(settings, "generate", "b", "-o", str(tmp_path / "two.png"), "--json")
            assert beside.returncode == 0, beside.stderr
            assert beside.stderr.splitlines()[-1] == "balance 994"
            assert client.wait(slow).state == "success"
        lines = [json.loads(line) for line in server.log.read_text(encoding="utf-8").splitlines() if line[:1] == "{"]
        drawn = {line["task_id"] for line in lines if line["event"] == "task done"}
        assert drawn == {slow, json.loads(beside.stdout)["taskId"]}, "the server's own worker drew both"
        assert server.terminate() == 0

    with contextlib.suppress(FileNotFoundError):
        pytest.fail(f"PostgreSQL still runs: {postmaster.read_text(encoding='utf-8')}")
