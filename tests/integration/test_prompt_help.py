"""Prompt help over HTTP and at the terminal."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness import Running, cavendish, running, settings_for

PATH = "/api/v1/prompts/improve"


@pytest.fixture
async def server(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(settings_for(dsn, tmp_path, QUERIES_PER_MINUTE="60"), with_worker=False) as opened:
        yield opened


async def test_a_prompt_is_read_and_improved(server: Running) -> None:
    key = await server.new_key(credits=0)

    status, body, _ = await server.call("POST", PATH, key=key, json={"prompt": " close-up of a red fox in the snow "})

    assert status == 200
    data = body["data"]
    assert list(data) == ["language", "kind", "parts", "missing", "added", "improved"]
    assert (data["language"], data["kind"]) == ("en", "create")
    assert data["parts"]["composition"] == ["close-up"]
    assert [m["part"] for m in data["missing"]] == ["style", "light", "quality"]
    assert data["missing"][0]["advice"].startswith("Name a style")
    assert data["improved"] == ", ".join(["close-up of a red fox in the snow", *data["added"]])


async def test_advice_speaks_the_language_that_the_caller_accepts(server: Running) -> None:
    key = await server.new_key()
    headers = {"Accept-Language": "zh-CN"}

    _, body, _ = await server.call("POST", PATH, key=key, json={"prompt": "a red fox"}, headers=headers)

    assert body["data"]["missing"][0]["advice"].startswith("指定风格")
    assert body["data"]["improved"].isascii()


async def test_a_model_that_needs_pictures_makes_it_an_edit(server: Running) -> None:
    key = await server.new_key()

    _, body, _ = await server.call("POST", PATH, key=key, json={"prompt": "a blue sky", "model": "nano_banana_edit"})

    assert body["data"]["kind"] == "edit"
    assert body["data"]["parts"]["change"] == ["a blue sky"]


async def test_a_very_long_prompt_is_read_too(server: Running) -> None:
    key = await server.new_key()

    status, body, _ = await server.call("POST", PATH, key=key, json={"prompt": "猫，" * 5_000})

    assert status == 200
    assert len(body["data"]["improved"]) <= 10_000


@pytest.mark.parametrize(
    ("sent", "code", "message"),
    [
        ({}, 422, "prompt: required: what to draw, in words"),
        ({"prompt": " \n"}, 422, "prompt: must not be blank"),
        (
            {"prompt": 7, "model": ["x"]},
            422,
            'prompt: must be a string; got 7; model: must be a string, or be left out; got ["x"]',
        ),
        ({"prompt": "x" * 10_001}, 422, "prompt: must be at most 10000 characters; got 10001"),
        ({"prompt": "x", "model": "google/nano-apple"}, 404, 'model: "google/nano-apple" is not known here'),
        ([], 422, "The body must be a JSON object"),
    ],
)
async def test_what_is_wrong_is_named(server: Running, sent: object, code: int, message: str) -> None:
    key = await server.new_key()

    status, body, _ = await server.call("POST", PATH, key=key, json=sent)

    assert (status, body["code"], body["data"]) == (code, code, None)
    assert body["message"].startswith(message)


async def test_it_needs_a_key_and_counts_as_a_query(server: Running) -> None:
    assert (await server.call("POST", PATH, json={"prompt": "a cat"}))[0] == 401
    assert (await server.call("GET", PATH))[0] == 404
    key = await server.new_key()

    statuses = [(await server.call("POST", PATH, key=key, json={"prompt": "a cat"}))[0] for _ in range(61)]

    assert statuses == [200] * 60 + [429]


def test_the_command_says_the_same_without_a_server() -> None:
    outcome = cavendish({"CAVENDISH_DATABASE_URL": "postgresql://nowhere.invalid/x"}, "prompt", "--json", "a red fox")

    assert outcome.returncode == 0, outcome.stderr
    assert json.loads(outcome.stdout)["parts"]["subject"] == ["a red fox"]


def test_the_command_prints_parts_and_the_better_prompt() -> None:
    outcome = cavendish({"LC_ALL": "zh_CN.UTF-8", "COLUMNS": "60"}, "prompt", "一只橘猫坐在窗台上看雨")

    lines = outcome.stdout.splitlines()
    assert lines[0].split() == ["✓", "主体", "一只橘猫坐在窗台上看雨"]
    assert lines[-1] == "一只橘猫坐在窗台上看雨，写实摄影风格，柔和的漫射光，浅景深，专业摄影"


@pytest.mark.parametrize(
    ("arguments", "last_line"),
    [
        (["--edit", "a", "blue", "sky"], "a blue sky, keep everything else unchanged"),
        (["кошка"], "Only English and Chinese prompts are improved; the advice above holds for any language."),
        (['a sign: "OPEN'], "Nothing was added: a quotation is not closed, or the prompt is as long as it may be."),
        (["remove it, keep the rest"], "Nothing is missing: send it as it is."),
    ],
)
def test_the_command_ends_with_what_to_send(arguments: list[str], last_line: str) -> None:
    outcome = cavendish({"LC_ALL": "C.UTF-8"}, "prompt", *arguments)

    assert outcome.stdout.splitlines()[-1] == last_line


def test_the_command_refuses_a_blank_prompt() -> None:
    outcome = cavendish({"LC_ALL": "C.UTF-8"}, "prompt", " ")

    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr == "cavendish: PROMPT: must not be blank\n"
