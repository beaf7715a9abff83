"""Every code block of the quick starts is run, in order, against a live server."""

import json
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from tests.documents.blocks import blocks_of, run_blocks
from tests.harness import Running, running, settings_for

RUN = frozenset({"sh", "python"})
SHOWN = frozenset({"json", ""})
"""What a page shows as an answer: held against the real ones below."""


def environment_for(server: Running, dsn: str, folder: Path, key: str) -> dict[str, str]:
    return {
        "CAVENDISH_DATABASE_URL": dsn,
        "CAVENDISH_DATA_DIR": str(folder / "data"),
        "CAVENDISH_ENGINE": "simulator",
        "CAVENDISH_BASE_URL": server.url,
        "CAVENDISH_API_KEY": key,
        "KEY": key,
    }


@pytest.mark.parametrize("document", ["docs/quick-start.md", "docs/quick-start.zh-CN.md"])
async def test_the_quick_start_works_as_it_is_written(document: str, dsn: str, tmp_path: Path) -> None:
    assert {block.language for block in blocks_of(document)} == RUN
    async with running(settings_for(dsn, tmp_path)) as server:
        key = await server.new_key()
        environment = environment_for(server, dsn, tmp_path, key)

        printed = await run_blocks(document, tmp_path / "here", url=server.url, environment=environment, replacing={})

    answers = [json.loads(text) for _, text in printed if text.startswith('{"code"')]
    assert [(answer["code"], answer["data"]["state"]) for answer in answers] == [(200, "success")] * 2
    sizes = {path.name: Image.open(BytesIO(path.read_bytes())).size for path in (tmp_path / "here").glob("*.png")}
    assert sizes == {"cat.png": (1344, 768), "lighthouse.png": (1344, 768), "fox.png": (2048, 2048)}


@pytest.mark.parametrize("document", ["README.md", "README.zh-CN.md"])
async def test_the_readme_works_as_it_is_written(document: str, dsn: str, tmp_path: Path) -> None:
    assert {block.language for block in blocks_of(document)} <= RUN | SHOWN
    async with running(settings_for(dsn, tmp_path)) as server:
        key = await server.new_key()
        mine = await server.ended(key, await server.create(key))
        spare = await server.new_key("spare")

        # What a reader has beside them.
        (tmp_path / "here").mkdir()
        Image.new("RGB", (320, 240), "teal").save(tmp_path / "here" / "photo.jpg")
        (tmp_path / "here" / "prompts.txt").write_text("a red fox\na bowl of ramen\n", encoding="utf-8")

        printed = await run_blocks(
            document,
            tmp_path / "here",
            url=server.url,
            environment=environment_for(server, dsn, tmp_path, key),
            replacing={
                "https://example.com/your-image.png": mine["resultUrls"][0],
                "https://your-domain.com/api/callback": f"{server.url}/healthz",
                "sk-Grc8cErp": spare[:11],
                '"sk-…"': f'"{key}"',
            },
        )

    answers = [json.loads(text) for _, text in printed if text.startswith('{"code"')]
    assert len(answers) >= 4
    assert {answer["code"] for answer in answers} == {200}
    keys = {frozenset(answer["data"]) for answer in answers}
    shown = [json.loads(block.text)["data"] for block in blocks_of(document) if block.language == "json"]
    assert shown
    assert {frozenset(data) for data in shown} <= keys, "an answer on the page has other fields than the real one"
