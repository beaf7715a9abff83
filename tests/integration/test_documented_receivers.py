"""The receivers that the documents show take a real callback, and nothing that was tampered with."""

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from cavendish.domain.callbacks import signed_headers
from tests.harness import PROMPT_BODY, Running, running, settings_for

DOCS = Path(__file__).parents[2] / "docs"
NODE = shutil.which("node")


@contextmanager
def receiver(document: str, language: str, folder: Path, secret: str, port: int) -> Iterator[Path]:
    """The program of that language in the document, running; where its output goes."""
    found = re.findall(
        rf"^```{language}\n(.*?)^```", (DOCS / document).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert len(found) == 1
    program = folder / {"python": "receiver.py", "js": "receiver.cjs"}[language]
    program.write_text(found[0], encoding="utf-8")
    output = folder / "receiver.log"
    with output.open("wb") as stream:
        running_program = subprocess.Popen(
            [sys.executable if language == "python" else str(NODE), str(program)],
            env=os.environ | {"WEBHOOK_SECRET": secret, "PORT": str(port)},
            stdout=stream,
            stderr=stream,
        )
    try:
        yield output
    finally:
        running_program.kill()
        running_program.wait()


async def listens(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


async def attempt_statuses(server: Running, task_id: str, count: int) -> list[int]:
    async with asyncio.timeout(20):
        while True:
            rows = await server.parts.database.fetch(
                "SELECT status FROM callback_attempts WHERE task_id = $1 ORDER BY id", task_id
            )
            if len(rows) >= count:
                return [row["status"] for row in rows]
            await asyncio.sleep(0.02)


async def status_of(client: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]) -> int:
    async with client.post(url, data=body, headers=headers) as answer:
        return answer.status


@pytest.mark.parametrize("document", ["callbacks.md", "callbacks.zh-CN.md"])
@pytest.mark.parametrize(
    "language",
    ["python", pytest.param("js", marks=pytest.mark.skipif(NODE is None, reason="node is not installed"))],
)
async def test_a_documented_receiver_verifies_what_arrives(
    dsn: str, tmp_path: Path, document: str, language: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    url = f"http://127.0.0.1:{port}/"
    async with running(settings_for(dsn, tmp_path)) as server:
        key = await server.new_key()
        _, answer, _ = await server.call("GET", "/api/v1/webhook/secret", key=key)
        secret = answer["data"]["secret"]
        with receiver(document, language, tmp_path, secret, port) as output:
            await listens(port)
            task_id = await server.create(key, {**PROMPT_BODY, "callBackUrl": url})
            statuses = await attempt_statuses(server, task_id, 1)
            await server.call("POST", f"/api/v1/tasks/callbacks/{task_id}/redeliver", key=key)
            statuses = await attempt_statuses(server, task_id, 2)
            now = server.parts.clock.now_ms() // 1000
            body = b'{"taskId":"task_y","state":"success","resultUrls":[]}'
            good = signed_headers(body, webhook_id="msg_1", unix_seconds=now, secrets=[secret])
            old = signed_headers(body, webhook_id="msg_2", unix_seconds=now - 3600, secrets=[secret])
            rotated = signed_headers(
                body, webhook_id="msg_3", unix_seconds=now, secrets=["whsec_" + "AAAA" * 8, secret]
            )
            tried = [
                await status_of(server.client, url, body, rotated),
                await status_of(server.client, url, body.replace(b"task_y", b"task_z"), good),
                await status_of(server.client, url, body, old),
                await status_of(server.client, url, body, {"Content-Type": "application/json"}),
            ]
            printed = output.read_text(encoding="utf-8")

    assert statuses == [204, 204]
    assert tried == [204, 401, 401, 401]
    assert printed.count(task_id + " success") == 1, printed
    assert "task_z" not in printed
