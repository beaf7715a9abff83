"""The engine over real HTTP against a scripted upstream: what it asks, what it makes of answers, where it goes."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import structlog

from cavendish.clock import SystemClock
from cavendish.domain.errors import EngineError, NoCapacity
from cavendish.domain.retry import Backoff
from cavendish.engines.gemini.access import ApiKey, read_keys
from cavendish.engines.gemini.engine import Gemini
from cavendish.images.service import PillowImages
from cavendish.ports import EngineImage, ImageRequest, InputImage
from tests.google import (
    OTHER_PICTURE,
    PICTURE,
    Google,
    Step,
    answer,
    blocked,
    gives,
    gives_raw,
    google,
    hangs_up,
    image_part,
    picture,
    refuses,
    stays_silent,
    used_tokens,
)
from tests.imagery import jpeg, png

SECRETS = ("AIzaSy-first-key-0001", "AIzaSy-second-key-0002", "AIzaSy-third-key-0003")
ONE, TWO, THREE = SECRETS
FLASH, FLASH_NEXT = "gemini-2.5-flash-image", "gemini-3.1-flash-image"
AT_ONCE = Backoff(first_seconds=0.001, most_seconds=0.002)


def wanted(prompt: str = "a red apple", **more: Any) -> ImageRequest:
    request = ImageRequest(
        task_id="task_1",
        model="google/nano-banana",
        upstream_models=(FLASH, FLASH_NEXT),
        prompt=prompt,
        aspect_ratio="16:9",
        resolution="1k",
        width=1344,
        height=768,
        output_format="png",
        within_seconds=20.0,
    )
    return msgspec.structs.replace(request, **more)


def input_image(data: bytes | None = None) -> InputImage:
    return InputImage(data or png(20, 10), "png", 20, 10)


@asynccontextmanager
async def gemini(upstream: Google | str, keys: str = f"a:{ONE}", **options: Any) -> AsyncIterator[Gemini]:
    """The engine with quick retries."""
    url = upstream if isinstance(upstream, str) else upstream.url
    images = PillowImages()
    engine = Gemini(
        read_keys(keys, url),
        clock=SystemClock(),
        images=images,
        retry_pause=AT_ONCE,
        **{
            "requests_per_minute": 1000,
            "parallel": 8,
            "silence_seconds": 5.0,
            "request_bytes": 100_000_000,
            **options,
        },
    )
    try:
        yield engine
    finally:
        await engine.aclose()
        images.close()


async def drawn(engine: Gemini, request: ImageRequest | None = None) -> EngineImage:
    return await engine.generate(request or wanted(), lambda: None)


async def failure(engine: Gemini, request: ImageRequest | None = None) -> EngineError:
    with pytest.raises(EngineError) as caught:
        await drawn(engine, request)
    assert not any(secret in f"{caught.value.text} {caught.value.text.zh}" for secret in SECRETS)
    assert "http" not in caught.value.text.en
    return caught.value


# What is asked.


async def test_a_prompt_becomes_a_picture_whose_bytes_are_untouched() -> None:
    async with google() as upstream, gemini(upstream) as engine:
        made = await drawn(engine, wanted('一只橘猫 \x01 "quoted" \\ 🐈', seed=2**40 + 7))
    (call,) = upstream.calls

    assert made.data == PICTURE
    assert made.note == f"Drawn by {FLASH} (Google Gemini)"
    assert (call.model, call.key) == (FLASH, ONE)
    assert call.parts == [{"text": '一只橘猫 \x01 "quoted" \\ 🐈'}]
    assert call.config == {
        "responseModalities": ["TEXT", "IMAGE"],
        "imageConfig": {"aspectRatio": "16:9"},
        "seed": 7,
    }


async def test_input_images_go_out_byte_for_byte_before_the_prompt() -> None:
    images = (input_image(png(300, 200)), InputImage(jpeg(30, 20), "jpeg", 30, 20))
    async with google() as upstream, gemini(upstream) as engine:
        await drawn(engine, wanted("\x01", images=images))
    (call,) = upstream.calls

    assert call.parts == [image_part(images[0].data), image_part(images[1].data, "image/jpeg"), {"text": "\x01"}]


@pytest.mark.parametrize(("resolution", "size"), [("1k", "1K"), ("2k", "2K"), ("4k", "4K")])
async def test_the_size_is_sent_in_upper_case_to_the_third_generation(resolution: str, size: str) -> None:
    async with google() as upstream, gemini(upstream) as engine:
        await drawn(engine, wanted(upstream_models=("gemini-3-pro-image",), resolution=resolution, aspect_ratio="auto"))

    assert upstream.calls[0].config["imageConfig"] == {"imageSize": size}


async def test_auto_on_the_second_generation_leaves_the_picture_s_settings_away() -> None:
    async with google() as upstream, gemini(upstream) as engine:
        await drawn(engine, wanted(aspect_ratio="auto"))

    assert "imageConfig" not in upstream.calls[0].config


async def test_more_images_than_the_first_upstream_model_takes_go_to_one_that_takes_them() -> None:
    async with google() as upstream, gemini(upstream) as engine:
        await drawn(engine, wanted(images=(input_image(),) * 3))
        await drawn(engine, wanted(images=(input_image(),) * 4))

    assert [call.model for call in upstream.calls] == [FLASH, FLASH_NEXT]


# What is made of an answer.


async def test_drafts_are_passed_over_and_the_first_picture_of_any_candidate_is_taken() -> None:
    body = answer({"text": "thinking", "thought": True}, image_part(OTHER_PICTURE, thought=True))
    body["candidates"].append(
        answer({"text": "done"}, image_part(PICTURE, thoughtSignature="A" * 300_000))["candidates"][0]
    )
    async with google(gives(body)) as upstream, gemini(upstream) as engine:
        made = await drawn(engine)

    assert made.data == PICTURE


async def test_a_picture_of_another_type_than_announced_is_taken_for_what_it_is() -> None:
    async with google(gives(picture(OTHER_PICTURE, "image/png"))) as upstream, gemini(upstream) as engine:
        made = await drawn(engine)

    assert made.data == OTHER_PICTURE


@pytest.mark.parametrize("piece", [0, 1, 7, 1000])
async def test_an_answer_may_come_in_pieces_of_any_length(piece: int) -> None:
    step = gives_raw(json.dumps(picture(), indent=1).encode(), piece=piece)
    async with google(step) as upstream, gemini(upstream) as engine:
        made = await drawn(engine)

    assert made.data == PICTURE


async def test_what_was_used_is_told_by_modality_over_all_calls_also_of_a_failure() -> None:
    nothing = answer({"text": "I would rather not."}, usage=used_tokens(10, 258, 5, thoughts=70))
    nothing["usageMetadata"]["candidatesTokensDetails"] = [{"modality": "TEXT", "tokenCount": 5}]
    async with google(gives(nothing), afterwards=gives(picture())) as upstream, gemini(upstream) as engine:
        made = await drawn(engine)
    async with google(afterwards=gives(nothing)) as upstream, gemini(upstream) as engine:
        error = await failure(engine)

    assert made.usage is not None
    (row,) = made.usage.models
    assert (row.upstream, row.calls, row.text_in, row.image_in) == (FLASH, 2, 20, 258)
    assert (row.text_out, row.image_out, row.thought_out) == (5, 1290, 70)
    assert error.usage is not None
    assert error.usage.models[0].calls == 3


Case = tuple[Step, str, int]
WHOLE = json.dumps(picture()).encode()

FAILURES: dict[str, Case] = {
    "safety": (gives(answer(reason="IMAGE_SAFETY")), "content_rejected", 1),
    "safety with a picture": (gives(answer(image_part(PICTURE), reason="IMAGE_SAFETY")), "content_rejected", 1),
    "blocked prompt": (gives(blocked("PROHIBITED_CONTENT")), "content_rejected", 1),
    "a block reason of tomorrow": (gives(blocked("NEW_REASON")), "content_rejected", 1),
    "words only": (gives(answer({"text": "I cannot draw that, but …"})), "no_image", 3),
    "only drafts": (gives(answer(image_part(PICTURE, thought=True))), "no_image", 3),
    "no image": (gives(answer(reason="NO_IMAGE")), "no_image", 3),
    "too long": (gives(answer(reason="MAX_TOKENS")), "no_image", 2),
    "a finish reason of tomorrow": (gives(answer(reason="NEW_REASON")), "no_image", 3),
    "no candidate": (gives({"usageMetadata": {}}), "no_image", 3),
    "an empty object": (gives({}), "no_image", 3),
    "400": (refuses(400, "INVALID_ARGUMENT", "aspect"), "engine_error", 1),
    "413": (gives_raw(b"<html>413</html>", 413), "bad_input_image", 1),
    "500": (refuses(500, "INTERNAL"), "engine_error", 4),
    "502 of a gateway": (gives_raw(b"<html>Bad gateway</html>", 502), "engine_error", 4),
    "503": (refuses(503, "UNAVAILABLE", "The model is overloaded."), "engine_busy", 4),
    "504": (refuses(504, "DEADLINE_EXCEEDED"), "timeout", 2),
    "a redirect": (gives_raw(b"", 302), "engine_error", 1),
    "not JSON": (gives_raw(b"<html>hello</html>"), "engine_error", 4),
    "JSON of another form": (gives_raw(b'{"candidates": "none"}'), "engine_error", 4),
    "truncated JSON": (gives_raw(WHOLE[:-40]), "engine_error", 4),
    "truncated in the picture": (gives_raw(WHOLE[:300]), "engine_error", 4),
    "wrong base64": (gives_raw(WHOLE.replace(b'"data": "iVBOR', b'"data": "iV*OR')), "engine_error", 4),
    "not an image": (gives(picture(b"GIF89a, honestly")), "engine_error", 4),
    "hangs up at once": (hangs_up(), "engine_error", 4),
    "hangs up in the middle": (hangs_up(WHOLE[:300]), "engine_error", 4),
}  # fmt: skip


@pytest.mark.parametrize("case", FAILURES.values(), ids=FAILURES.keys())
async def test_whatever_goes_wrong_has_its_word_and_its_number_of_tries(case: Case) -> None:
    step, code, calls = case
    async with google(afterwards=step) as upstream, gemini(upstream) as engine:
        error = await failure(engine)

    assert (error.code, len(upstream.calls)) == (code, calls)


RECOVERABLE = [name for name, (_, _, calls) in FAILURES.items() if calls > 1]


@pytest.mark.parametrize("name", RECOVERABLE)
async def test_what_is_tried_again_may_succeed(name: str) -> None:
    async with google(FAILURES[name][0]) as upstream, gemini(upstream) as engine:
        made = await drawn(engine)

    assert made.data == PICTURE
    assert len(upstream.calls) == 2


@pytest.mark.parametrize("after", [b"", b'{"candidates": [{"content"'], ids=["at once", "in the middle"])
async def test_silence_is_given_up_tried_once_more_and_then_a_timeout(after: bytes) -> None:
    async with google(afterwards=stays_silent(after)) as upstream, gemini(upstream, silence_seconds=0.1) as engine:
        error = await failure(engine)

    assert (error.code, len(upstream.calls)) == ("timeout", 2)


async def test_what_the_model_said_instead_of_drawing_is_passed_on() -> None:
    said = answer({"text": "Which cat\n do you mean?"})
    async with google(afterwards=gives(said)) as upstream, gemini(upstream) as engine:
        error = await failure(engine)

    assert 'It said: "Which cat do you mean?"' in error.text.en
    assert "Which cat do you mean?" in error.text.zh


async def test_nobody_at_the_address_is_an_engine_error() -> None:
    async with google() as upstream:
        url = upstream.url
    async with gemini(url) as engine:
        error = await failure(engine)

    assert error.code == "engine_error"


# Where it goes next.


async def test_a_refused_key_leaves_the_rotation_with_one_line_that_does_not_show_it(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    async def only_two(call: Any) -> Any:
        refusal = refuses(403, "PERMISSION_DENIED", f"Consumer 'api_key:{call.key}' has been suspended.")
        return await (gives(picture()) if call.key == TWO else refusal)(call)

    async with google(afterwards=only_two) as upstream, gemini(upstream, f"a:{ONE},a:{TWO},b:{THREE}") as engine:
        for _ in range(6):
            await drawn(engine)
        (a, b) = engine.report().projects
    refused = [line for line in lines() if line["event"] == "a key was refused and leaves the rotation"]

    assert sorted(call.key for call in upstream.calls) == sorted([ONE, THREE, *[TWO] * 6])
    assert sorted(line["key"] for line in refused) == ["a #1 (…0001)", "b #1 (…0003)"]
    assert not any(secret in repr(lines()) for secret in SECRETS)
    assert (a.keys_usable, b.keys_usable) == (1, 0)
    assert [out.key for out in (*a.keys_out, *b.keys_out)] == ["…0001", "…0003"]


@pytest.mark.parametrize(
    "step",
    [refuses(401, "UNAUTHENTICATED"), refuses(400, "INVALID_ARGUMENT", "API key not valid.", reason="API_KEY_INVALID")],
    ids=["401", "400"],
)
async def test_without_a_key_that_works_tasks_fail_at_once_and_nobody_is_asked_again(step: Step) -> None:
    async with google(afterwards=step) as upstream, gemini(upstream, f"a:{ONE},b:{TWO}") as engine:
        errors = [await failure(engine) for _ in range(3)]

    assert {error.code for error in errors} == {"engine_error"}
    assert "tell its operator" in errors[0].text.en
    assert len(upstream.calls) == 2


async def test_a_retired_model_is_remembered_and_the_next_one_used() -> None:
    async def only_next(call: Any) -> Any:
        return await (gives(picture()) if call.model == FLASH_NEXT else refuses(404, "NOT_FOUND"))(call)

    async with google(afterwards=only_next) as upstream, gemini(upstream) as engine:
        first = await drawn(engine)
        await drawn(engine)
        report = engine.report()

    assert [call.model for call in upstream.calls] == [FLASH, FLASH_NEXT, FLASH_NEXT]
    assert FLASH_NEXT in (first.note or "")
    assert upstream.calls[1].config["imageConfig"] == {"aspectRatio": "16:9", "imageSize": "1K"}
    assert [retired.upstream for retired in report.retired] == [FLASH]


async def test_when_all_upstream_models_are_gone_the_caller_is_told_to_choose_another() -> None:
    async with google(afterwards=refuses(404, "NOT_FOUND")) as upstream, gemini(upstream) as engine:
        errors = [await failure(engine), await failure(engine)]

    assert [error.code for error in errors] == ["engine_error", "engine_error"]
    assert "choose another model" in errors[1].text.en
    assert len(upstream.calls) == 2


async def test_a_project_without_quota_rests_and_the_other_one_works() -> None:
    async def a_is_out(call: Any) -> Any:
        out = refuses(429, "RESOURCE_EXHAUSTED", "quota", retry_delay="1800s")
        return await (out if call.key in (ONE, TWO) else gives(picture()))(call)

    async with google(afterwards=a_is_out) as upstream, gemini(upstream, f"a:{ONE},a:{TWO},b:{THREE}") as engine:
        for _ in range(4):
            await drawn(engine)
        (a, b) = engine.report().projects

    assert [call.key for call in upstream.calls].count(THREE) == 4
    assert len(upstream.calls) == 5, "the second key of the same project is not tried: it has the same quota"
    assert a.cooling_until_ms is not None
    assert b.cooling_until_ms is None


async def test_after_a_429_the_task_waits_and_then_succeeds() -> None:
    async with google(refuses(429, "RESOURCE_EXHAUSTED", retry_delay="0.1s")) as upstream, gemini(upstream) as engine:
        made = await drawn(engine)

    assert made.data == PICTURE
    assert len(upstream.calls) == 2


async def test_a_quota_that_comes_back_after_the_deadline_is_busy_at_once() -> None:
    out = refuses(429, "RESOURCE_EXHAUSTED", "quota", headers={"Retry-After": "600"})
    async with google(afterwards=out) as upstream, gemini(upstream) as engine:
        errors = [await failure(engine), await failure(engine)]

    assert [error.code for error in errors] == ["engine_busy", "engine_busy"]
    assert len(upstream.calls) == 1


async def test_the_deadline_ends_a_wait_for_quota_as_busy_and_a_silent_call_as_timeout() -> None:
    first = gives(picture())
    async with google(first, afterwards=stays_silent()) as upstream, gemini(upstream, parallel=1) as engine:
        await drawn(engine)  # everything is loaded, and the times below are those of the engine alone
        in_call = asyncio.create_task(failure(engine, wanted(within_seconds=0.8)))
        await upstream.until_called(2)
        begun: list[str] = []
        with pytest.raises(EngineError) as waited:
            await engine.generate(wanted(within_seconds=0.1), lambda: begun.append("started"))
        called = await in_call

    assert (waited.value.code, begun) == ("engine_busy", [])
    assert called.code == "timeout"


async def test_an_answer_without_a_picture_does_not_hide_that_there_was_no_quota_for_the_next_call() -> None:
    async with google(gives(answer())) as upstream, gemini(upstream, requests_per_minute=1) as engine:
        error = await failure(engine)

    assert error.code == "engine_busy"
    assert error.usage is not None
    assert len(upstream.calls) == 1


async def test_the_time_of_a_patient_request_begins_with_its_first_call() -> None:
    free = asyncio.Event()

    async def held(call: Any) -> Any:
        await free.wait()
        return await gives(picture())(call)

    async with google(gives(picture()), held) as upstream, gemini(upstream, parallel=1) as engine:
        await drawn(engine)
        first = asyncio.create_task(drawn(engine))
        await upstream.until_called(2)
        patient = asyncio.create_task(drawn(engine, wanted(within_seconds=0.3, patient=True)))
        await asyncio.wait({patient}, timeout=0.5)
        free.set()
        made = [await first, await patient]
        silent = await failure(engine, wanted(within_seconds=0.0, patient=True))

    assert [one.data for one in made] == [PICTURE] * 2
    assert silent.code == "timeout"


async def test_a_patient_request_for_a_model_that_is_ill_is_sent_away_before_anything_begins() -> None:
    begun: list[str] = []
    async with google(afterwards=refuses(500, "INTERNAL")) as upstream, gemini(upstream) as engine:
        for _ in range(2):
            await failure(engine, wanted(within_seconds=1.0))
        calls = len(upstream.calls)
        with pytest.raises(NoCapacity) as caught:
            await engine.generate(wanted(patient=True), lambda: begun.append("started"))

    assert (len(upstream.calls), begun) == (calls, [])
    assert 1 < caught.value.seconds <= 10


async def test_no_more_calls_are_under_way_than_a_project_may_have_and_all_get_their_turn() -> None:
    async def slow(call: Any) -> Any:
        await asyncio.sleep(0.01)
        return await gives(picture())(call)

    async with (
        google(afterwards=slow) as upstream,
        gemini(upstream, f"a:{ONE},a:{TWO},b:{THREE}", parallel=2) as engine,
    ):
        made = await asyncio.gather(*(drawn(engine) for _ in range(24)))
        report = engine.report()

    assert len(made) == 24
    assert upstream.most_under_way == 4
    assert {call.key for call in upstream.calls} == set(SECRETS)
    assert (report.running, report.waiting, report.parallel) == (0, 0, 4)


async def test_a_task_that_goes_away_gives_its_place_back() -> None:
    async with google(stays_silent(), stays_silent()) as upstream, gemini(upstream, parallel=1) as engine:
        first, second = (asyncio.create_task(drawn(engine)) for _ in range(2))
        await upstream.until_called(1)
        second.cancel()
        first.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        third = asyncio.create_task(drawn(engine))
        await upstream.until_called(2)
        third.cancel()
        await asyncio.gather(third, return_exceptions=True)
        made = await drawn(engine)

    assert made.data == PICTURE


async def test_an_upstream_that_fails_again_and_again_is_left_alone() -> None:
    async with google(afterwards=refuses(500, "INTERNAL")) as upstream, gemini(upstream) as engine:
        for _ in range(3):
            await failure(engine, wanted(within_seconds=8.0))
        (breaker, *_) = engine.report().breakers

    assert len(upstream.calls) == 5, "four for the first task, one for the second, none while the breaker is open"
    assert (breaker.guards, breaker.state, breaker.failures) == (FLASH, "open", 5)


async def test_no_key_is_in_any_line_or_report(lines: Callable[[], list[dict[str, Any]]]) -> None:
    for step in (refuses(401), refuses(500), hangs_up(), gives_raw(b"x"), refuses(429, retry_delay="900s")):
        async with google(afterwards=step) as upstream, gemini(upstream, f"a:{ONE},{TWO}") as engine:
            error = await failure(engine)
            shown = f"{engine.report()!r} {error!r} {error.__cause__!r} {error.__context__!r}"
            assert not any(secret in shown for secret in SECRETS)

    assert len(lines()) > 5
    assert not any(secret in repr(lines()) for secret in SECRETS)
    assert ONE not in repr(ApiKey("a", 1, ONE))


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Any:
    """Everything that was logged, by us and by libraries."""
    captured = structlog.testing.LogCapture()
    before = structlog.get_config()
    structlog.configure(processors=[captured], cache_logger_on_first_use=False)
    with caplog.at_level(logging.DEBUG):
        yield lambda: [*captured.entries, *({"event": record.getMessage()} for record in caplog.records)]
    structlog.configure(**before)
