"""Draw: claimed work becomes a durable image. No database here; the worker around it owns lease and outcome."""

import asyncio
import random
from collections.abc import Coroutine, Iterable
from typing import Any, Protocol

import msgspec
import structlog

from cavendish.domain.aspect import nearest_ratio
from cavendish.domain.catalog import Catalog, Model
from cavendish.domain.errors import AddressRefused, BadImage, BlobMissing, BlobsUnavailable, EngineError
from cavendish.domain.files import MAX_IMAGE_BYTES, file_blob, referred_file
from cavendish.domain.inputs import InputPolicy, TaskInput, is_inline, read_input
from cavendish.domain.orders import Success, Work
from cavendish.domain.results import RESULTS_PATH, Shelf, input_blob, is_name, result_blob
from cavendish.domain.retry import Backoff
from cavendish.domain.text import Text
from cavendish.domain.usage import Usage
from cavendish.flows.memory import ByteBudget, Share
from cavendish.ports import Blobs, Clock, Engine, EngineImage, Fetcher, ImageRequest, Images, InputImage

STORE_TRIES = 5
STORE_BACKOFF = Backoff(first_seconds=0.5, most_seconds=8.0)
"""Storing is tried for about 8 seconds before the attempt counts as a fault."""
STORING_SHARE = 0.1
MOST_STORING_SECONDS = 10.0
"""Of an attempt's time: a picture that may have cost money must not be lost because converting it took too long."""

INPUT_MEMORY_BYTES = 1024 * 1024 * 1024
"""Of input images in one worker process: they stay in memory while their task waits for the engine's capacity."""

log = structlog.get_logger("cavendish.draw")


class _Param(msgspec.Struct):
    """What `tasks.param` holds, as far as drawing needs it."""

    model: str
    input: dict[str, Any]


class Progress(Protocol):
    """What an attempt tells its worker while it goes on."""

    def __call__(self) -> None:
        """The engine begins."""

    def used(self, usage: Usage) -> None:
        """So much was used upstream, whatever comes of it."""


class Draw:
    """Makes one task's picture and stores it."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        engine: Engine,
        images: Images,
        fetcher: Fetcher,
        blobs: Blobs,
        clock: Clock,
        deadline_seconds: float | None = None,
        input_memory_bytes: int = INPUT_MEMORY_BYTES,
    ) -> None:
        """`deadline_seconds`: how long the worker lets the engine take from its start; it is told to end before that.
        As long may fetching the input images take.
        """
        self._catalog = catalog
        self._engine = engine
        self._images = images
        self._fetcher = fetcher
        self._blobs = blobs
        self._clock = clock
        self._deadline_seconds = deadline_seconds
        self._memory = ByteBudget(input_memory_bytes)
        self._decoder = msgspec.json.Decoder(_Param)
        self._shelf = Shelf()

    async def __call__(self, work: Work, progress: Progress) -> Success:
        """Fetch inputs, call the engine, check and store what came back.

        Args:
            progress: called once, when the engine begins, and told what the engine used.

        Raises:
            EngineError: the task's outcome is a failure with that code.
            BlobsUnavailable: the storage did not take the picture; another attempt may work.
        """
        param = self._decoder.decode(work.param)
        model = self._catalog.find(param.model)
        # Addresses were judged at create and are judged again when connecting; here only the meaning is read.
        wanted = read_input(model, param.input, InputPolicy(True, work.public_url + RESULTS_PATH))
        # As much as the images may have; what they do have is known only when they are here.
        async with self._memory.taken(len(wanted.images) * MAX_IMAGE_BYTES) as memory:
            made = await self._made(work, model, wanted, progress, memory)
        if made.usage is not None:
            progress.used(made.usage)
        try:
            data, info = await self._images.deliverable(made.data, wanted.output_format)
        except BadImage as error:
            raise EngineError(
                "engine_error",
                Text(
                    en=f"The engine returned bytes that are not a usable image: {error.text.en}",
                    zh=f"引擎返回的数据不是可用的图片：{error.text.zh}",
                ),
            ) from error
        name = self._shelf.new_name(wanted.output_format)
        await self._store(result_blob(name), data)
        return Success(name, info.width, info.height, made.note)

    async def _made(
        self, work: Work, model: Model, wanted: TaskInput, progress: Progress, memory: Share
    ) -> EngineImage:
        async with asyncio.timeout(self._deadline_seconds):
            inputs = await self._inputs(work, wanted)
        memory.shrink(sum(len(image.data) for image in inputs))
        ratio = wanted.aspect_ratio
        if ratio == "auto":
            choices = [r for r in model.row.ratios if r != "auto"]
            ratio = nearest_ratio(inputs[0].width, inputs[0].height, choices) if inputs else "1:1"
        width, height = model.size(wanted.resolution, ratio)
        request = ImageRequest(
            task_id=work.id,
            model=model.id,
            upstream_models=model.row.upstream,
            prompt=wanted.prompt,
            aspect_ratio=wanted.aspect_ratio,
            resolution=wanted.resolution,
            width=width,
            height=height,
            output_format=wanted.output_format,
            images=inputs,
            seed=wanted.seed,
            within_seconds=self._within_seconds(),
            patient=True,
        )
        try:
            return await self._engine.generate(request, progress)
        except EngineError as error:
            if error.usage is not None:
                progress.used(error.usage)
            raise

    def _within_seconds(self) -> float | None:
        """What the engine may take, with some time kept for checking, converting and storing its picture."""
        if self._deadline_seconds is None:
            return None
        kept = min(MOST_STORING_SECONDS, self._deadline_seconds * STORING_SHARE)
        return self._deadline_seconds - kept

    async def _store(self, name: str, data: bytes) -> None:
        """A picture that is made, and may have cost money upstream, is worth some patience with a storage outage."""
        for failures in range(1, STORE_TRIES):
            try:
                return await self._blobs.put(name, data)
            except BlobsUnavailable as error:
                log.warning("the picture could not be stored yet", blob=name, error=str(error))
                await self._clock.sleep(STORE_BACKOFF.wait_seconds(failures, random.random()))  # noqa: S311 - jitter
        return await self._blobs.put(name, data)

    async def _inputs(self, work: Work, wanted: TaskInput) -> tuple[InputImage, ...]:
        if not wanted.images:
            return ()
        inline = iter(work.input_blobs)
        sources = [(reference, next(inline, None) if is_inline(reference) else None) for reference in wanted.images]
        return tuple(await _all(self._input(work, i, reference, blob) for i, (reference, blob) in enumerate(sources)))

    async def _input(self, work: Work, index: int, reference: str, blob: str | None) -> InputImage:
        own = work.public_url + RESULTS_PATH
        try:
            if blob is not None:
                data = await self._blobs.get(input_blob(blob))
            elif reference.startswith(own) and is_name(reference.removeprefix(own)):
                data = await self._blobs.get(result_blob(reference.removeprefix(own)))
            elif (file := referred_file(reference)) is not None:  # its account's own: checked at create
                data = await self._blobs.get(file_blob(file))
            else:
                data = await self._fetcher.fetch(reference)
            data, info = await self._images.upright(data)
        except (BadImage, AddressRefused, BlobMissing) as error:
            raise EngineError(
                "bad_input_image",
                Text(
                    en=f"Input image {index + 1} cannot be used: {error.text.en}",
                    zh=f"第 {index + 1} 张输入图片无法使用：{error.text.zh}",
                ),
            ) from error
        return InputImage(data, info.format, info.width, info.height)


async def _all(coroutines: Iterable[Coroutine[Any, Any, InputImage]]) -> list[InputImage]:
    """All results in order; at the first failure the others are canceled and that failure is raised."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
