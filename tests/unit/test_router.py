"""Engines that step in: only when somebody said so, and only where the first one was at fault."""

import asyncio

import msgspec
import pytest

from cavendish.domain.errors import EngineError, FailCode, Misconfigured
from cavendish.domain.text import Text
from cavendish.domain.usage import UpstreamTokens, Usage
from cavendish.engines.router import FIRST_SHARE, Router, read_fallbacks
from cavendish.ports import EngineImage, ImageRequest
from cavendish.testing import Blocked, ScriptedEngine
from cavendish.wiring import load_catalog

PICTURE = EngineImage(b"picture", note="A drawing")
REQUEST = ImageRequest("task_1", "google/nano-banana", ("g",), "a cat", "1:1", "1k", 1024, 1024, "png")


def error(code: FailCode, calls: int = 0) -> EngineError:
    usage = Usage((UpstreamTokens("g", calls=calls),)) if calls else None
    return EngineError(code, Text(en=f"because {code}", zh=f"因为 {code}"), usage)


@pytest.mark.parametrize("code", ["engine_busy", "engine_error", "timeout"])
async def test_the_second_engine_draws_when_the_first_was_at_fault_and_the_note_says_so(code: FailCode) -> None:
    first, second = ScriptedEngine(error(code, calls=2)), ScriptedEngine(PICTURE)
    begun: list[str] = []
    made = await Router(first, {REQUEST.model: second}).generate(REQUEST, lambda: begun.append("begun"))

    assert made.data == b"picture"
    assert made.note == "Drawn by scripted in place of scripted. A drawing"
    assert made.usage == Usage((UpstreamTokens("g", calls=2),)), "what the first one used is not forgotten"
    assert begun == ["begun"]


@pytest.mark.parametrize("code", ["content_rejected", "bad_input_image", "no_image", "canceled", "internal"])
async def test_nobody_steps_in_where_the_answer_stands(code: FailCode) -> None:
    second = ScriptedEngine()
    with pytest.raises(EngineError) as caught:
        await Router(ScriptedEngine(error(code)), {REQUEST.model: second}).generate(REQUEST, lambda: None)

    assert caught.value.code == code
    assert second.requests == []


async def test_nobody_steps_in_for_a_model_for_which_nobody_was_named() -> None:
    second = ScriptedEngine()
    other = msgspec.structs.replace(REQUEST, model="google/nano-banana-pro")
    with pytest.raises(EngineError):
        await Router(ScriptedEngine(error("engine_busy")), {REQUEST.model: second}).generate(other, lambda: None)

    assert second.requests == []


async def test_the_time_is_shared_and_a_first_engine_that_hangs_is_stopped() -> None:
    hanging, second = ScriptedEngine(Blocked(PICTURE)), ScriptedEngine(PICTURE)
    made = await Router(hanging, {REQUEST.model: second}).generate(
        msgspec.structs.replace(REQUEST, within_seconds=0.01), lambda: None
    )

    assert made.data == b"picture"
    assert hanging.canceled == 1
    assert hanging.requests[0].within_seconds == pytest.approx(0.01 * FIRST_SHARE)
    assert second.requests[0].within_seconds is not None


async def test_when_both_fail_the_second_s_word_is_told_with_what_both_used() -> None:
    router = Router(ScriptedEngine(error("timeout", 1)), {REQUEST.model: ScriptedEngine(error("no_image", 2))})
    with pytest.raises(EngineError) as caught:
        await router.generate(REQUEST, lambda: None)

    assert caught.value.code == "no_image"
    assert caught.value.usage == Usage((UpstreamTokens("g", calls=3),))


async def test_a_second_engine_that_hangs_is_stopped_and_what_the_first_one_used_is_told() -> None:
    hanging = ScriptedEngine(Blocked(PICTURE))
    router = Router(ScriptedEngine(error("engine_error", 1)), {REQUEST.model: hanging})
    with pytest.raises(EngineError) as caught:
        async with asyncio.timeout(5):  # the worker's own limit, which knows nothing of what was used
            await router.generate(msgspec.structs.replace(REQUEST, within_seconds=0.05), lambda: None)

    assert caught.value.code == "timeout"
    assert caught.value.usage == Usage((UpstreamTokens("g", calls=1),))
    assert hanging.canceled == 1


async def test_where_another_may_step_in_nobody_waits_for_capacity_without_end() -> None:
    first, second = ScriptedEngine(error("engine_busy")), ScriptedEngine(PICTURE)
    patient = msgspec.structs.replace(REQUEST, within_seconds=10.0, patient=True)
    await Router(first, {REQUEST.model: second}).generate(patient, lambda: None)

    assert [first.requests[0].patient, second.requests[0].patient] == [False, False]


async def test_each_engine_is_reported_with_its_models_and_closed_once() -> None:
    first, second = ScriptedEngine(), ScriptedEngine()
    router = Router(first, {"a": second, "b": second})
    report = router.report()
    await router.aclose()

    assert [(engine.name, engine.models) for engine in report.engines] == [("scripted", ()), ("scripted", ("a", "b"))]
    assert (first.closed, second.closed) == (True, True)


ENGINES = frozenset({"illustrator", "simulator"})


def test_fallbacks_are_read_by_any_spelling_of_the_model() -> None:
    catalog = load_catalog(None)
    chosen = read_fallbacks(" nano_banana = simulator, google/nano-banana-pro=illustrator,", catalog, "gemini", ENGINES)

    assert chosen == {"google/nano-banana": "simulator", "google/nano-banana-pro": "illustrator"}
    assert read_fallbacks("", catalog, "gemini", ENGINES) == {}


@pytest.mark.parametrize("value", ["nano-banana", "nano-banana=", "nano-banana=x", "x=simulator", "nano-banana=gemini"])
def test_a_fallback_that_means_nothing_is_refused(value: str) -> None:
    with pytest.raises(Misconfigured, match="CAVENDISH_FALLBACK: "):
        read_fallbacks(value, load_catalog(None), "gemini", ENGINES)


def test_a_model_named_twice_is_refused() -> None:
    with pytest.raises(Misconfigured, match="named twice"):
        read_fallbacks("nano-banana=simulator,nanobanana=illustrator", load_catalog(None), "gemini", ENGINES)
