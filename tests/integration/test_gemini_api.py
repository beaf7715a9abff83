"""The whole way with Gemini: create, poll, download, against a scripted upstream; engines that step in; the start."""

import asyncio
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from cavendish.domain.errors import Misconfigured
from cavendish.settings import Settings, read_settings
from tests.google import Google, Step, answer, gives, google, image_part, picture, refuses, stays_silent
from tests.harness import Running, cavendish, process, running, settings_for
from tests.imagery import decoded, encoded, exif_orientation, jpeg, png
from tests.imagery import picture as drawing
from tests.loopback import loopback_server

KEY = "AIzaSy-the-only-key-0001"
SQUARE = png(1024, 1024)


def settings(dsn: str, folder: Path, upstream: Google, **more: str) -> Settings:
    return settings_for(
        dsn, folder, **{"ENGINE": "gemini", "GEMINI_KEYS": f"a:{KEY}", "GEMINI_BASE_URL": upstream.url} | more
    )


async def ended(server: Running, wanted: dict[str, Any], model: str = "google/nano-banana") -> dict[str, Any]:
    key = await server.new_key()
    task_id = await server.create(key, {"model": model, "input": {"prompt": "a red apple"} | wanted})
    return await server.ended(key, task_id)


async def downloaded(server: Running, data: dict[str, Any]) -> bytes:
    (url,) = data["resultUrls"]
    async with server.client.get(url) as response:
        assert response.status == 200
        return await response.read()


async def test_a_task_becomes_google_s_picture_byte_for_byte(dsn: str, tmp_path: Path) -> None:
    async with google(gives(picture(SQUARE))) as upstream, running(settings(dsn, tmp_path, upstream)) as server:
        data = await ended(server, {"image_size": "1:1"})
        image = await downloaded(server, data)

    assert (data["state"], data["creditsConsumed"]) == ("success", 3)
    assert image == SQUARE
    assert upstream.calls[0].key == KEY


async def test_a_picture_of_another_type_is_delivered_in_the_one_that_was_asked_for(dsn: str, tmp_path: Path) -> None:
    sent = jpeg(64, 48)
    async with (
        google(gives(picture(sent, "image/png"))) as upstream,
        running(settings(dsn, tmp_path, upstream)) as server,
    ):
        as_png = await downloaded(server, await ended(server, {"output_format": "png"}))

    assert as_png.startswith(b"\x89PNG")
    assert decoded(as_png).size == (64, 48)


async def test_pro_asks_for_the_resolution_and_the_ratio_in_google_s_words(dsn: str, tmp_path: Path) -> None:
    async with (
        google(afterwards=gives(picture(SQUARE))) as upstream,
        running(settings(dsn, tmp_path, upstream)) as server,
    ):
        wanted = {"image_input": [], "resolution": "4K", "aspect_ratio": "21:9"}
        data = await ended(server, wanted, "google/nano-banana-pro")

    assert data["state"] == "success"
    assert upstream.calls[0].model == "gemini-3-pro-image"
    assert upstream.calls[0].config["imageConfig"] == {"aspectRatio": "21:9", "imageSize": "4K"}


async def test_input_images_are_turned_upright_and_reach_google_in_order(dsn: str, tmp_path: Path) -> None:
    lying = encoded(drawing(64, 48), "jpeg", exif=exif_orientation(6))
    straight = png(20, 10)
    async with (
        google(afterwards=gives(picture(SQUARE))) as upstream,
        running(settings(dsn, tmp_path, upstream)) as server,
    ):
        images = [
            f"data:image/jpeg;base64,{b64encode(lying).decode()}",
            f"data:image/png;base64,{b64encode(straight).decode()}",
        ]
        data = await ended(server, {"image_urls": images, "image_size": "auto"}, "google/nano-banana-edit")
    first, second, words = upstream.calls[0].parts

    assert data["state"] == "success"
    turned = decoded(_bytes_of(first))
    assert (turned.size, turned.getexif().get(0x0112)) == ((48, 64), None)
    assert _bytes_of(second) == straight
    assert words == {"text": "a red apple"}
    assert "imageConfig" not in upstream.calls[0].config


async def test_one_bad_input_image_fails_the_task_and_is_named_and_google_is_not_asked(
    dsn: str, tmp_path: Path
) -> None:
    async def says_no(visit: Any) -> None:
        await visit.answer(404, b"gone")

    async with (
        google() as upstream,
        running(settings(dsn, tmp_path, upstream)) as server,
        loopback_server(says_no) as shop,
    ):
        good = f"data:image/png;base64,{b64encode(png()).decode()}"
        images = [good, f"http://127.0.0.1:{shop.port}/a.png"]
        data = await ended(server, {"image_urls": images}, "google/nano-banana-edit")

    assert (data["state"], data["failCode"], data["creditsConsumed"]) == ("fail", "bad_input_image", 0)
    assert data["failMsg"].startswith("Input image 2 cannot be used")
    assert upstream.calls == []


FAILURES: dict[str, tuple[Step, str]] = {
    "safety": (gives(answer(reason="IMAGE_SAFETY")), "content_rejected"),
    "wrong key": (refuses(403, "PERMISSION_DENIED", f"Consumer 'api_key:{KEY}' has been suspended"), "engine_error"),
    "no quota": (refuses(429, "RESOURCE_EXHAUSTED", retry_delay="900s"), "engine_busy"),
    "our mistake": (refuses(400, "INVALID_ARGUMENT"), "engine_error"),
    "a half picture": (gives(picture(SQUARE[:5000])), "engine_error"),
}


@pytest.mark.parametrize("case", FAILURES.values(), ids=FAILURES.keys())
async def test_a_failure_has_its_word_costs_nothing_and_shows_no_key(
    case: tuple[Step, str], dsn: str, tmp_path: Path
) -> None:
    step, code = case
    async with google(afterwards=step) as upstream, running(settings(dsn, tmp_path, upstream)) as server:
        key = await server.new_key(credits=10)
        data = await server.ended(key, await server.create(key))
        _, balance, _ = await server.call("GET", "/api/v1/user/balance", key=key)

    assert (data["state"], data["failCode"]) == ("fail", code)
    assert balance["data"] == {"balance": 10, "held": 0}
    assert KEY not in json.dumps(data)
    assert upstream.url not in json.dumps(data)


async def test_a_silent_upstream_is_a_timeout_within_the_task_s_deadline(dsn: str, tmp_path: Path) -> None:
    limits = {"TASK_DEADLINE_SECONDS": "2"}
    async with (
        google(afterwards=stays_silent()) as upstream,
        running(settings(dsn, tmp_path, upstream, **limits)) as server,
    ):
        data = await ended(server, {})

    assert (data["state"], data["failCode"]) == ("fail", "timeout")
    assert "lower resolution" in data["failMsg"]


async def test_a_task_waits_as_queuing_until_there_is_capacity(dsn: str, tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def slow(call: Any) -> Any:
        await go_on.wait()
        return await gives(picture(SQUARE))(call)

    limits = {"GEMINI_PARALLEL_CALLS": "1"}
    async with google(afterwards=slow) as upstream, running(settings(dsn, tmp_path, upstream, **limits)) as server:
        key = await server.new_key()
        tasks = [await server.create(key) for _ in range(2)]
        await upstream.until_called(1)
        states = [""]
        while states != ["generating", "queuing"]:  # the test's time limit is what ends this if it never is
            states = sorted([await _state(server, key, task) for task in tasks])
            assert "success" not in states
        go_on.set()
        outcomes = {(await server.ended(key, task))["state"] for task in tasks}

    assert outcomes == {"success"}


# Engines that step in.


@pytest.mark.parametrize("step", [refuses(429, retry_delay="900s"), refuses(401)], ids=["busy", "no key"])
async def test_the_named_engine_steps_in_when_google_is_in_trouble(step: Step, dsn: str, tmp_path: Path) -> None:
    more = {"FALLBACK": "nano-banana=simulator", "TASK_DEADLINE_SECONDS": "5"}
    async with google(afterwards=step) as upstream, running(settings(dsn, tmp_path, upstream, **more)) as server:
        data = await ended(server, {})
        other = await ended(server, {"image_input": []}, "google/nano-banana-pro")

    assert (data["state"], data["creditsConsumed"]) == ("success", 3)
    assert other["state"] == "fail", "nobody was named for this model"


async def test_nobody_steps_in_for_a_picture_that_was_rejected(dsn: str, tmp_path: Path) -> None:
    step, more = gives(answer(reason="IMAGE_SAFETY")), {"FALLBACK": "nano-banana=simulator"}
    async with google(afterwards=step) as upstream, running(settings(dsn, tmp_path, upstream, **more)) as server:
        data = await ended(server, {})

    assert (data["state"], data["failCode"]) == ("fail", "content_rejected")


# Settings and the start.


@pytest.mark.parametrize(
    ("variables", "engine"),
    [
        ({}, "illustrator"),
        ({"GEMINI_KEYS": KEY}, "gemini"),
        ({"GEMINI_VERTEX_PROJECT": "my-project"}, "gemini"),
        ({"GEMINI_KEYS": KEY, "ENGINE": "simulator"}, "simulator"),
    ],
)
def test_a_credential_makes_gemini_the_engine_unless_one_was_chosen(variables: dict[str, str], engine: str) -> None:
    read = read_settings({f"CAVENDISH_{name}": value for name, value in variables.items()})

    assert read.engine == engine
    assert KEY not in repr(read)


def test_gemini_without_a_credential_is_refused() -> None:
    with pytest.raises(Misconfigured, match="CAVENDISH_GEMINI_KEYS or CAVENDISH_GEMINI_VERTEX_PROJECT"):
        read_settings({"CAVENDISH_ENGINE": "gemini"})


@pytest.mark.parametrize(
    ("variable", "value", "rule"),
    [
        ("GEMINI_KEYS", "a:short", "entry 1: the key after the colon"),
        ("GEMINI_KEYS", f"a:{KEY},b c:{KEY}x", "entry 2: the project's label"),
        ("GEMINI_KEYS", f"a:{KEY},b:{KEY}", "entry 2: this key is already"),
        ("GEMINI_VERTEX_PROJECT", "My Project", "expected lower-case letters"),
        ("FALLBACK", "google/nano-banana=crayons", "expected one of illustrator, simulator after the ="),
        ("FALLBACK", "google/nano-banana", "expected one of"),
        ("FALLBACK", "banana=simulator", "is not known here"),
        ("FALLBACK", "nano-banana=illustrator", "illustrator serves it already"),
    ],
)  # fmt: skip
async def test_a_wrong_value_stops_the_start_with_a_line_that_names_the_rule_and_no_key(
    variable: str, value: str, rule: str, dsn: str, tmp_path: Path
) -> None:
    wrong = settings_for(dsn, tmp_path, ENGINE="illustrator", **{variable: value})
    with pytest.raises(Misconfigured) as caught:
        async with running(wrong):
            pass

    assert f"CAVENDISH_{variable}: " in caught.value.text.en
    assert rule in caught.value.text.en
    assert "\n" not in caught.value.text.en
    assert KEY not in f"{caught.value.text.en} {caught.value.text.zh}"
    assert "short" not in caught.value.text.en.replace("too short", "")


async def test_the_start_says_which_engine_serves_which_model_and_loads_nothing_that_it_does_not_need(
    dsn: str, tmp_path: Path
) -> None:
    variables = {
        "CAVENDISH_DATABASE_URL": dsn,
        "CAVENDISH_DATA_DIR": str(tmp_path / "data"),
        "CAVENDISH_GEMINI_KEYS": f"a:{KEY}",
        "CAVENDISH_FALLBACK": "nano-banana-edit=illustrator",
    }
    with process(variables, tmp_path, "worker") as worker:
        line = await asyncio.to_thread(worker.wait_for_line, "working")
        assert await asyncio.to_thread(worker.terminate) == 0
        log = worker.log.read_text(encoding="utf-8")

    assert line["engine"] == "gemini"
    assert line["models"] == {
        "google/nano-banana": "gemini",
        "google/nano-banana-pro": "gemini",
        "google/nano-banana-edit": "gemini, else illustrator",
    }
    assert KEY not in log


def test_the_program_s_one_line_for_a_wrong_key_does_not_show_it(tmp_path: Path) -> None:
    outcome = cavendish(
        {"CAVENDISH_DATA_DIR": str(tmp_path / "data"), "CAVENDISH_GEMINI_KEYS": "a b:verysecret"}, "worker"
    )

    assert outcome.returncode != 0
    assert "CAVENDISH_GEMINI_KEYS: entry 1" in outcome.stderr
    assert "verysecret" not in outcome.stderr + outcome.stdout


def _bytes_of(part: dict[str, Any]) -> bytes:
    from base64 import b64decode

    assert image_part(b"").keys() == part.keys()
    return b64decode(part["inlineData"]["data"])


async def _state(server: Running, key: str, task_id: str) -> str:
    _, body, _ = await server.call("GET", f"/api/v1/tasks/query/{task_id}", key=key)
    return str(body["data"]["state"])
