"""The client as a distribution of its own: built, installed and used without the server's files."""

import asyncio
import json
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import httpx
import pytest

import cavendish
from cavendish.client import __version__
from tests.harness import running, settings_for

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "src" / "cavendish" / "client"

PROGRAM = """
import json, sys
import cavendish.client
with cavendish.client.Client() as client:
    image = client.generate("a red apple", aspect_ratio="16:9")
    print(json.dumps({
        "file": cavendish.client.__file__,
        "size": image.size,
        "tasks": [task.id for task in client.tasks()],
        "task": image.task.id,
        "loaded": sorted(name for name in sys.modules if name.partition(".")[0] in ("cavendish", "PIL", "msgspec")),
    }))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of `cavendish-client`, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), "clients/python"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


def test_it_holds_the_files_of_the_client_and_no_others(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
        metadata = next(archive.read(name) for name in archive.namelist() if name.endswith("/METADATA")).decode()
    ours = {
        f"cavendish/client/{path.relative_to(CLIENT).as_posix()}": path.read_bytes()
        for path in CLIENT.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert held == ours
    assert "cavendish/client/py.typed" in held
    assert [line for line in metadata.splitlines() if line.startswith("Requires-Dist")] == [
        "Requires-Dist: httpx>=0.28"
    ]


def test_both_distributions_have_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert __version__ == cavendish.__version__ == project["version"]
    assert "httpx>=0.28" in project["dependencies"]


async def test_installed_alone_it_generates_against_a_running_server(wheel: Path, dsn: str, tmp_path: Path) -> None:
    target = tmp_path / "alone"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    done = await asyncio.to_thread(subprocess.run, [*install, str(wheel)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (target / "cavendish" / "__init__.py").exists()
    libraries = Path(httpx.__file__).parents[1]
    async with running(settings_for(dsn, tmp_path / "data")) as server:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("CAVENDISH_", "PYTHON"))
        }
        environment |= {
            "PYTHONPATH": f"{target}{os.pathsep}{libraries}",  # with -S, no .pth file leads to the server's source
            "CAVENDISH_BASE_URL": server.url,
            "CAVENDISH_API_KEY": await server.new_key(),
        }
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-S", "-c", PROGRAM],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            cwd=tmp_path,
        )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)

    assert Path(said["file"]).is_relative_to(target)
    assert (said["size"], said["tasks"]) == ([1344, 768], [said["task"]])
    assert {name for name in said["loaded"] if not name.startswith("cavendish.client")} == {"cavendish"}
