"""The illustrator as an engine: real processes, real pictures, and what happens when things go wrong."""

import asyncio
import contextlib
import io
import os
import signal
from collections.abc import AsyncIterator

import psutil
import pytest
import pytest_asyncio
from PIL import Image

from cavendish.domain.errors import EngineError, EngineUnavailable
from cavendish.engines.illustrator import engine as module
from cavendish.engines.illustrator.engine import Illustrator
from cavendish.ports import ImageRequest, InputImage


def request(prompt: str, *images: InputImage, width: int = 160, height: int = 120) -> ImageRequest:
    return ImageRequest(
        task_id="t", model="google/nano-banana", upstream_models=(), prompt=prompt, aspect_ratio="4:3",
        resolution="1k", width=width, height=height, output_format="png", images=images,
    )  # fmt: skip


def photo(color: str, size: tuple[int, int] = (90, 160)) -> InputImage:
    out = io.BytesIO()
    picture = Image.new("RGB", size, color)
    picture.paste("#ffffff", (size[0] // 3, size[1] // 4, size[0] // 2, size[1] // 2))
    picture.save(out, "JPEG")
    return InputImage(data=out.getvalue(), format="jpeg", width=size[0], height=size[1])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine() -> AsyncIterator[Illustrator]:
    illustrator = Illustrator(processes=1)
    yield illustrator
    await illustrator.aclose()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def drawing_processes() -> set[int]:
    """The children of this process that a pool has spawned."""
    found = set()
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
            if "spawn_main" in " ".join(child.cmdline()):
                found.add(child.pid)
    return found


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_it_draws_and_says_what_it_is(engine: Illustrator) -> None:
    starts: list[int] = []
    made = await engine.generate(request("一只猫在草地上"), lambda: starts.append(1))
    assert (opened(made.data).format, opened(made.data).size, opened(made.data).mode) == ("PNG", (160, 120), "RGB")
    assert starts == [1]
    assert made.note is not None
    assert "procedural" in made.note
    assert engine.name == "illustrator"


async def test_the_processes_draw_what_this_process_would_draw(engine: Illustrator) -> None:
    one = await engine.generate(request("a boat at dusk"), lambda: None)
    two = await engine.generate(request("a boat at dusk"), lambda: None)
    assert one.data == two.data


async def test_an_input_image_is_edited_to_the_asked_pixels(engine: Illustrator) -> None:
    made = await engine.generate(request("变成摇头娃娃", photo("#c04030")), lambda: None)
    found = opened(made.data).convert("RGB")
    assert found.size == (160, 120)
    assert made.note is not None
    assert "摇头娃娃" in made.note
    middle = found.getpixel((60, 90))
    assert isinstance(middle, tuple)
    assert middle[0] > middle[2] + 40


async def test_treatments_differ_and_can_be_seen(engine: Illustrator) -> None:
    pictures = set()
    for words in (
        "make it lovely",
        "pixel art",
        "pencil sketch",
        "水墨",
        "black and white",
        "old photo",
        "水彩",
        "油画",
    ):
        made = await engine.generate(request(words, photo("#3060c0")), lambda: None)
        pictures.add(made.data)
    assert len(pictures) == 8


async def test_eight_images_become_a_collage(engine: Illustrator) -> None:
    colors = ("#c04030", "#30a050", "#3060c0", "#d0b030", "#8040a0", "#30b0b0", "#b06030", "#606060")
    made = await engine.generate(request("collage", *(photo(color) for color in colors)), lambda: None)
    assert opened(made.data).size == (160, 120)
    assert "collage" in (made.note or "")


async def test_bytes_that_are_no_image_are_refused(engine: Illustrator) -> None:
    broken = InputImage(data=photo("#c04030").data[:200], format="jpeg", width=90, height=160)
    with pytest.raises(EngineError) as caught:
        await engine.generate(request("a cat", photo("#ffffff"), broken), lambda: None)
    assert caught.value.code == "bad_input_image"
    assert "2" in caught.value.text.en
    assert "2" in caught.value.text.zh


async def test_a_second_picture_starts_only_when_a_process_is_free(engine: Illustrator) -> None:
    first, second = asyncio.Event(), asyncio.Event()
    large = asyncio.create_task(engine.generate(request("a cat", width=900, height=900), first.set))
    await first.wait()
    small = asyncio.create_task(engine.generate(request("a dog"), second.set))
    for _ in range(10):
        await asyncio.sleep(0)
    assert large.done() or not second.is_set()
    await asyncio.gather(large, small)
    assert second.is_set()


async def test_a_caller_that_goes_away_leaves_the_engine_working(engine: Illustrator) -> None:
    started = asyncio.Event()
    gone = asyncio.create_task(engine.generate(request("a horse", width=900, height=900), started.set))
    await started.wait()
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    waiting = asyncio.create_task(engine.generate(request("a bird"), lambda: None))
    made = await waiting
    assert opened(made.data).size == (160, 120)


async def test_a_killed_process_is_a_fault_that_is_tried_again_and_the_next_picture_is_drawn() -> None:
    before = drawing_processes()
    illustrator = Illustrator(processes=1)
    try:
        await illustrator.generate(request("a cat"), lambda: None)
        mine = drawing_processes() - before
        assert len(mine) == 1
        started = asyncio.Event()
        dying = asyncio.create_task(illustrator.generate(request("a dragon", width=1500, height=1500), started.set))
        await started.wait()
        for pid in mine:
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(EngineUnavailable):  # which the worker takes for a fault, and tries again
            await dying
        made = await illustrator.generate(request("a cat"), lambda: None)
        assert opened(made.data).size == (160, 120)
    finally:
        await illustrator.aclose()


async def test_processes_that_are_worn_out_are_replaced_while_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PICTURES_PER_PROCESS", 3)
    before = drawing_processes()
    seen: set[int] = set()
    illustrator = Illustrator(processes=2)
    try:
        async with asyncio.timeout(60):
            for drawing in asyncio.as_completed(
                [illustrator.generate(request("a cat", width=64, height=48), lambda: None) for _ in range(12)]
            ):
                assert opened((await drawing).data).size == (64, 48)
                seen |= drawing_processes() - before
    finally:
        await illustrator.aclose()
    assert len(seen) >= 4, "twelve pictures, three for each process"
    assert drawing_processes() <= before


async def test_after_aclose_nothing_is_left_and_nothing_starts() -> None:
    before = drawing_processes()
    illustrator = Illustrator(processes=1)
    await illustrator.generate(request("a cat"), lambda: None)
    assert drawing_processes() - before
    await illustrator.aclose()
    assert drawing_processes() - before == set()
    with pytest.raises(EngineError):
        await illustrator.generate(request("a cat"), lambda: None)
