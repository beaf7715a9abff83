"""One picture from words and one edit of it, by Google itself: `make live-gemini`. Costs some cents.

Reads CAVENDISH_GEMINI_KEYS (and the other CAVENDISH_GEMINI_… settings), or GEMINI_API_KEY, or GOOGLE_API_KEY. Without
any of them, and without a Vertex project, it says that it was skipped and ends well. The pictures land in demo/.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

import msgspec

from cavendish.clock import SystemClock
from cavendish.domain.catalog import Catalog
from cavendish.domain.errors import CavendishError
from cavendish.engines.gemini.engine import Gemini
from cavendish.images.service import PillowImages
from cavendish.ports import EngineImage, ImageRequest, InputImage
from cavendish.settings import Settings, read_settings
from cavendish.wiring import gemini_accesses, load_catalog

FOLDER = Path("demo")
MODEL = "google/nano-banana"


def found_settings() -> Settings | None:
    """The settings, with a key from the names that Google's own tools use; None when there is none."""
    variables = dict(os.environ)
    if not (variables.get("CAVENDISH_GEMINI_KEYS") or variables.get("CAVENDISH_GEMINI_VERTEX_PROJECT")):
        key = variables.get("GEMINI_API_KEY") or variables.get("GOOGLE_API_KEY")
        if not key:
            return None
        variables["CAVENDISH_GEMINI_KEYS"] = f"live:{key}"
    return read_settings(variables)


async def main(settings: Settings) -> None:
    """Both pictures, each checked as a worker would check it."""
    FOLDER.mkdir(exist_ok=True)  # noqa: ASYNC240 - nothing else runs yet
    images = PillowImages()
    engine = Gemini(
        gemini_accesses(settings),
        clock=SystemClock(),
        images=images,
        requests_per_minute=settings.gemini_requests_per_minute,
        parallel=settings.gemini_parallel_calls,
        silence_seconds=settings.gemini_silence_seconds,
        request_bytes=settings.gemini_request_megabytes * 1_000_000,
        proxy=settings.gemini_proxy,
    )
    catalog = load_catalog(settings.catalog_file)
    try:
        first = request(catalog, "a photo of an orange cat on a windowsill, watching the rain")
        drawn = await picture(engine, images, first, FOLDER / "live-text.png")
        info = await images.probe(drawn.data)
        inputs = (InputImage(drawn.data, info.format, info.width, info.height),)
        edit = msgspec.structs.replace(request(catalog, "make it a watercolour; keep the cat"), images=inputs)
        await picture(engine, images, edit, FOLDER / "live-edit.png")
    finally:
        await engine.aclose()
        images.close()


def request(catalog: Catalog, prompt: str) -> ImageRequest:
    """A square picture."""
    model = catalog.find(MODEL)
    width, height = model.size("1k", "1:1")
    return ImageRequest(
        "live", model.id, model.row.upstream, prompt, "1:1", "1k", width, height, "png", within_seconds=300
    )


async def picture(engine: Gemini, images: PillowImages, wanted: ImageRequest, file: Path) -> EngineImage:
    """One picture, written to `file`."""
    begun = time.monotonic()
    made = await engine.generate(wanted, lambda: None)
    data, info = await images.deliverable(made.data, "png")
    await asyncio.to_thread(file.write_bytes, data)
    print(f"{file}: {info.width} x {info.height}, {len(data)} bytes, {time.monotonic() - begun:.1f} s. {made.note}")
    print(f"  used: {msgspec.json.encode(made.usage).decode()}")
    expected = (wanted.width, wanted.height)
    if (info.width, info.height) != expected:
        print(f"  note: the contract says {expected[0]} x {expected[1]} (section 7)")
    return made


if __name__ == "__main__":
    try:
        live = found_settings()
        if live is None:
            print("live-gemini: skipped, because there is no key: set CAVENDISH_GEMINI_KEYS or GEMINI_API_KEY")
            sys.exit(0)
        asyncio.run(main(live))
    except CavendishError as error:
        print(f"live-gemini: {error.text.en}", file=sys.stderr)
        sys.exit(1)
