"""Looks at and converts images in a few threads of its own, so that the event loop never waits for pixels."""

import asyncio
import warnings
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, TypeVar

from cavendish.images import prepare, probe, transcode
from cavendish.ports import ImageFormat, ImageInfo, InputImage

_T = TypeVar("_T")

REMEMBERED_BYTES = 64 * 1024
REMEMBERED_IMAGES = 64


class PillowImages:
    """`ports.Images` with Pillow, which lets go of the interpreter lock while it decodes and encodes.

    `threads`: how many images are worked on at once. Each may need 200 MB and more for its pixels (see `limits`), so
    this is what bounds memory; further ones wait as encoded bytes.
    """

    def __init__(self, threads: int = 2) -> None:
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="images")
        self._remembered: OrderedDict[tuple[bytes, str], tuple[bytes, ImageInfo]] = OrderedDict()
        # What Pillow has to say about odd images goes to their sender as BadImage or is of no interest; on stderr it
        # helps nobody. Once for the process, because warnings.catch_warnings is not safe in threads.
        warnings.filterwarnings("ignore", module=r"PIL\.")

    async def probe(self, data: bytes) -> ImageInfo:
        """What `data` is: a whole PNG, JPEG or WebP still image, at most 30 MB and 50 megapixels. Raises BadImage."""
        return await self._run(lambda: probe.probe(data))

    async def upright(self, data: bytes) -> tuple[bytes, ImageInfo]:
        """Check as `probe` does; the same bytes, or those of the picture turned as its EXIF says. Raises BadImage."""
        return await self._run(lambda: prepare.upright(data))

    async def fitted(self, image: InputImage, formats: frozenset[ImageFormat], max_bytes: int) -> InputImage:
        """The same when it is of `formats` and at most `max_bytes`; else converted, or shrunk. Raises BadImage."""
        return await self._run(lambda: prepare.fitted(image, formats, max_bytes))

    async def probe_file(self, path: Path) -> ImageInfo:
        """What the file at `path` is. Only as many files as there are threads are in memory. Raises BadImage."""
        return await self._run(lambda: probe.probe(path.read_bytes()))

    async def deliverable(self, data: bytes, output_format: Literal["png", "jpeg"]) -> tuple[bytes, ImageInfo]:
        """Decode fully; the same bytes when they already are of that format, else transcoded. Raises BadImage.

        The answers for a few small images are remembered: the same bytes decode to the same picture, and an engine
        that repeats itself, as the simulator does, is not worth decoding a thousand times a second.
        """
        if len(data) > REMEMBERED_BYTES:
            return await self._run(lambda: transcode.deliverable(data, output_format))
        key = (data, output_format)
        answer = self._remembered.get(key)
        if answer is None:
            answer = await self._run(lambda: transcode.deliverable(data, output_format))
            self._remembered[key] = answer
            while len(self._remembered) > REMEMBERED_IMAGES:
                self._remembered.popitem(last=False)
        return answer

    def close(self) -> None:
        """Take no more work, and let go of the threads when what they do now is done."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)
