"""The reference is held against a live server, by somebody else's tool."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from cavendish.web.openapi_routes import ROUTES
from tests.harness import running, settings_for

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


async def test_schemathesis_finds_nothing(dsn: str, tmp_path: Path) -> None:
    async with running(settings_for(dsn, tmp_path, QUERIES_PER_MINUTE="1000000")) as server:
        key = await server.new_key(credits=10**9, operator=True)
        task_id = await server.create(key)
        result = await server.ended(key, task_id)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "from schemathesis.cli import schemathesis; schemathesis()",
            "--config-file",
            str(HERE / "schemathesis.toml"),
            "run",
            "--include-path-regex=.",
            f"{server.url}/openapi.json",
            "--header",
            f"Authorization: Bearer {key}",
            "--no-color",
            cwd=tmp_path,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.reference.hooks", "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        printed = (await process.communicate())[0].decode()

    assert result["state"] == "success"
    assert process.returncode == 0, printed
    assert f"Tested: {len(ROUTES)}" in printed
