"""Input images are in memory while their task waits for the engine: a worker fetches only what it has room for."""

import asyncio
import json
from pathlib import Path

from cavendish.blobs.objects import ObjectBlobs
from cavendish.clock import SystemClock
from cavendish.domain.files import MAX_IMAGE_BYTES
from cavendish.domain.orders import Success, Work
from cavendish.domain.tasks import AccountId, TaskId
from cavendish.domain.usage import Usage
from cavendish.flows.draw import Draw
from cavendish.images.service import PillowImages
from cavendish.ports import EngineImage
from cavendish.testing import Blocked, ScriptedEngine
from cavendish.wiring import load_catalog
from tests.imagery import png


class Addresses:
    """Gives the same picture for every URL and remembers which were asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        return png()


class Silent:
    """A worker that does not care."""

    def __call__(self) -> None: ...

    def used(self, usage: Usage) -> None: ...


def work(task_id: str, *images: str) -> Work:
    given = {"prompt": "a cat"} | ({"image_urls": list(images)} if images else {})
    param = json.dumps({"model": "google/nano-banana-edit" if images else "google/nano-banana", "input": given})
    return Work(TaskId(task_id), AccountId(1), "token", 1, 0, "google/nano-banana", param, "http://pictures.test", ())


async def test_input_images_are_fetched_when_there_is_room_and_tasks_without_any_do_not_wait(tmp_path: Path) -> None:
    first, second = Blocked(EngineImage(png())), Blocked(EngineImage(png()))
    engine = ScriptedEngine(first, second, afterwards=EngineImage(png()))
    images, blobs, fetcher = PillowImages(), ObjectBlobs(f"file://{tmp_path}"), Addresses()
    draw = Draw(
        catalog=load_catalog(None),
        engine=engine,
        images=images,
        fetcher=fetcher,
        blobs=blobs,
        clock=SystemClock(),
        deadline_seconds=60,
        input_memory_bytes=2 * MAX_IMAGE_BYTES,
    )
    one = asyncio.create_task(draw(work("1", "http://a.test/1.png", "http://a.test/2.png"), Silent()))
    await engine.until_called(1)
    two = asyncio.create_task(draw(work("2", "http://a.test/3.png", "http://a.test/4.png"), Silent()))
    three = asyncio.create_task(draw(work("3"), Silent()))
    await engine.until_called(2)
    assert engine.requests[1].task_id == "3"
    assert sorted(fetcher.asked) == ["http://a.test/1.png", "http://a.test/2.png"]
    first.release()
    second.release()
    made = await asyncio.gather(one, two, three)
    images.close()
    blobs.close()

    assert all(isinstance(one, Success) for one in made)
    assert len(fetcher.asked) == 4
