"""The simulator: a plain picture of exactly the size asked for, and outcomes on demand."""

import asyncio

import pytest

from cavendish.domain.errors import EngineError
from cavendish.engines.simulator import SimulatedCrash, Simulator, plain_png
from cavendish.ports import EngineImage, ImageRequest
from tests import imagery
from tests.contract.cases import read_cases


def request(prompt: str = "a red apple", width: int = 64, height: int = 48) -> ImageRequest:
    return ImageRequest(
        task_id="task_x_1_00000000",
        model="google/nano-banana",
        upstream_models=("x",),
        prompt=prompt,
        aspect_ratio="1:1",
        resolution="1k",
        width=width,
        height=height,
        output_format="png",
    )


async def generate(prompt: str, simulator: Simulator | None = None) -> EngineImage:
    return await (simulator or Simulator()).generate(request(prompt), lambda: None)


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (8, 8), (9, 1), (1344, 768), (848, 1264), (6336, 2688)])
def test_a_picture_has_exactly_the_size_asked_for(size: tuple[int, int]) -> None:
    picture = imagery.decoded(plain_png(*size, shade=5))

    assert (picture.format, picture.size) == ("PNG", size)
    assert picture.convert("RGB").getcolors() == [(size[0] * size[1], picture.convert("RGB").getpixel((0, 0)))]


def test_every_shade_is_a_colour_of_its_own() -> None:
    colours = {imagery.decoded(plain_png(2, 2, shade)).convert("RGB").getpixel((0, 0)) for shade in range(16)}

    assert len(colours) == 16


def test_pixels_of_the_catalogue_come_out_as_asked() -> None:
    sizes = {
        tuple(case.then["pixels"]) for case in read_cases("more_cases.jsonl") if case.then and "pixels" in case.then
    }
    for width, height in sizes:
        head = plain_png(width, height, 0)[16:24]
        assert (int.from_bytes(head[:4], "big"), int.from_bytes(head[4:], "big")) == (width, height)


async def test_the_same_prompt_gives_the_same_picture_also_in_another_process() -> None:
    first, second = await generate("a red apple"), await generate("a red apple", Simulator())

    assert first.data == second.data
    assert len({(await generate(f"prompt {number}")).data for number in range(50)}) > 5


async def test_started_is_called_once_before_the_picture_and_before_a_failure() -> None:
    calls: list[str] = []
    await Simulator().generate(request(), lambda: calls.append("picture"))
    with pytest.raises(EngineError):
        await Simulator().generate(request("[simulate:timeout]"), lambda: calls.append("failure"))

    assert calls == ["picture", "failure"]


@pytest.mark.parametrize("code", ["content_rejected", "no_image", "engine_busy", "engine_error", "timeout"])
@pytest.mark.parametrize("around", ["{}", "before {}", "{} after", "一只猫{}坐着", "[simulate:seconds=0] {}"])
async def test_a_marker_anywhere_in_the_prompt_decides_the_outcome(code: str, around: str) -> None:
    with pytest.raises(EngineError) as failed:
        await generate(around.replace("{}", f"[simulate:{code}]"))

    assert failed.value.code == code
    assert "Simulated" in failed.value.text.en
    assert "模拟" in failed.value.text.zh


async def test_a_crash_is_an_error_that_nobody_foresaw() -> None:
    with pytest.raises(SimulatedCrash):
        await generate("[simulate:crash]")


@pytest.mark.parametrize(
    "prompt",
    [
        "[simulate:]",
        "[simulate:unknown]",
        "[simulate",
        "simulate:timeout",
        "[SIMULATE:TIMEOUT]",
        "[simulate: timeout]",
        "[simulate:seconds=abc]",
        "[simulate:seconds=99999]",
        "[simulate:seconds=]",
        "[simulate:seconds=-1]",
    ],
)
async def test_what_is_no_marker_is_only_words(prompt: str) -> None:
    async with asyncio.timeout(5):
        assert (await generate(prompt)).data.startswith(b"\x89PNG")


async def test_seconds_make_one_picture_slow() -> None:
    slow = asyncio.create_task(generate("[simulate:seconds=30] a cat"))
    quick = await generate("a cat")

    assert quick.data.startswith(b"\x89PNG")
    assert not slow.done()
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)


async def test_latency_makes_every_picture_slow_unless_the_prompt_says_otherwise() -> None:
    simulator = Simulator(latency_seconds=30)
    slow = asyncio.create_task(generate("a cat", simulator))
    quick = await generate("[simulate:seconds=0] a cat", simulator)

    assert quick.data.startswith(b"\x89PNG")
    assert not slow.done()
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)


async def test_many_sizes_do_not_pile_up_in_memory() -> None:
    simulator = Simulator()
    for width in range(1, 300):
        await simulator.generate(request(width=width), lambda: None)

    assert len(simulator._pictures) <= 64
