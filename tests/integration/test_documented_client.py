"""What the documents show of the client and the command line runs as it stands there."""

import asyncio
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.harness import running, settings_for

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^<!-- run -->\n```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(document: str) -> list[tuple[str, str]]:
    """(language, code) of every block that is marked to be run."""
    return BLOCK.findall((DOCS / document).read_text(encoding="utf-8"))


@pytest.mark.parametrize("document", ["client", "command-line"])
def test_both_languages_show_the_same_code(document: str) -> None:
    assert blocks(f"{document}.md") == blocks(f"{document}.zh-CN.md") != []


@pytest.mark.parametrize("document", ["client.md", "command-line.md"])
async def test_every_marked_block_runs(dsn: str, tmp_path: Path, document: str) -> None:
    folder = tmp_path / "desk"
    folder.mkdir()
    programs = tmp_path / "bin"
    programs.mkdir()
    shown = programs / "cavendish"
    shown.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cavendish "$@"\n', encoding="utf-8")
    shown.chmod(0o755)
    photo = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(photo, "JPEG")
    (folder / "photo.jpg").write_bytes(photo.getvalue())
    async with running(settings_for(dsn, tmp_path / "data")) as server:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CAVENDISH_")}
        environment |= {
            "CAVENDISH_BASE_URL": server.url,
            "CAVENDISH_API_KEY": await server.new_key(),
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        }
        for language, code in blocks(document):
            command = {"python": [sys.executable, "-c", code], "sh": ["sh", "-euc", code]}[language]
            done = await asyncio.to_thread(
                subprocess.run, command, cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{code}\n{done.stdout}{done.stderr}"
        tasks = await server.parts.database.fetch("SELECT state FROM tasks")

    made = {path.name for path in folder.rglob("*.*g")}
    expected = {
        "client.md": (5, {"cat.png", "drawing.png"}),
        "command-line.md": (11, {"drawing.png", "lighthouse.jpg", "lighthouse-4.jpg", "cat.png", "a-red-apple.png"}),
    }[document]
    assert [row["state"] for row in tasks] == ["success"] * expected[0]
    assert expected[1] <= made
