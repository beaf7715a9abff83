"""The code blocks of a document, and a way to run them one after another as a reader would."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
SERVER = "http://127.0.0.1:8787"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

MAKE = """#!/bin/sh
# Stands in for make: a test that ran `make test` would never end, and installing is not what is tested here.
set -eu
grep -q "^$1:" "{root}/Makefile" || {{ echo "there is no target $1" >&2; exit 2; }}
case "$1" in
demo) exec "{python}" "{root}/scripts/demo.py" ;;
*) echo "make $1: the target exists" ;;
esac
"""


class Block(msgspec.Struct, frozen=True):
    """A fenced block: its language and its text."""

    language: str
    text: str


def blocks_of(document: str) -> list[Block]:
    """All blocks of a document, named by its path from the root."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return [Block(match[1], match[2]) for match in _BLOCK.finditer(text)]


async def run_blocks(
    document: str, folder: Path, *, url: str, environment: Mapping[str, str], replacing: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Run every sh and python block in one shell, as someone does who follows the page.

    Args:
        url: stands in for the address that the documents name.
        replacing: other words that a reader puts something of their own for.

    Returns:
        Each block that was run with what it printed on standard output.
    """
    programs = folder / "bin"
    programs.mkdir(parents=True)
    _program(programs / "make", MAKE.format(root=ROOT, python=sys.executable))
    _program(programs / "cavendish", f'#!/bin/sh\nexec "{sys.executable}" -m cavendish "$@"\n')
    _program(programs / "python3", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    shown = [block for block in blocks_of(document) if block.language in ("sh", "python")]
    script = ["set -euo pipefail"]
    for number, block in enumerate(shown):
        text = block.text.replace(SERVER, url)
        for word, instead in replacing.items():
            text = text.replace(word, instead)
        if block.language == "python":
            (folder / f"block{number}.py").write_text(text, encoding="utf-8")
            text = f"python3 block{number}.py\n"
        # A query needs the id that the answer before it gave, which a reader copies.
        task_id = f"TASK_ID=$(grep -o 'task_[a-z0-9.-]*_[0-9]*_[0-9a-f]*' {number}.out | head -1 || true)"
        script.append(f"{{\n{text}}} > {number}.out\nif grep -q taskId {number}.out; then {task_id}; fi")
    outcome = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        "\n".join(script),
        cwd=folder,
        env={**os.environ, **environment, "PATH": f"{programs}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    _, said = await outcome.communicate()
    outputs = [folder / f"{number}.out" for number in range(len(shown))]
    printed = [path.read_text(encoding="utf-8") if path.exists() else "was not reached" for path in outputs]
    assert outcome.returncode == 0, f"{said.decode()}\n{list(zip(shown, printed, strict=True))}"
    return [(block.text, text) for block, text in zip(shown, printed, strict=True)]


def _program(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
