"""The client for programs with an event loop (asyncio)."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Self, TypeVar

import httpx

from cavendish.client.config import Config, images_of, wish_of
from cavendish.client.core import Watch
from cavendish.client.effects import Answer, Broken, Effect, Pause, Plan, Send, Tell, Work
from cavendish.client.image import Image
from cavendish.client.references import ImageSource
from cavendish.client.values import Balance, Model, Task, Upload
from cavendish.client.web import LIMITS, exchange_async, trusts_environment

T = TypeVar("T")


class AsyncClient:
    """`Client`, to be awaited. Use it in an `async with`, or call `aclose`; one for each event loop.

    Arguments and errors are those of `Client`.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 60.0,
        language: str | None = None,
        repeats_creates: bool | None = None,
    ) -> None:
        config = Config.read(base_url, api_key)
        self._core = config.core(language, repeats_creates)
        self._timeout = timeout
        self._http = httpx.AsyncClient(limits=LIMITS, trust_env=trusts_environment(self._core.root))

    async def generate(
        self,
        prompt: str,
        *,
        model: str | None = None,
        images: ImageSource | Sequence[ImageSource] = (),
        aspect_ratio: str | None = None,
        resolution: str | None = None,
        output_format: str | None = None,
        seed: int | None = None,
        callback_url: str | None = None,
        extra: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = 600.0,  # noqa: ASYNC109 - an end for all its requests
    ) -> Image:
        """A picture of the prompt: create, wait, download. Arguments and errors as for `Client.generate`."""
        wish, sources = wish_of(
            prompt, model, images, aspect_ratio, resolution, output_format, seed, callback_url, extra
        )
        return await self._run(self._core.generate(wish, sources, idempotency_key, self._core.deadline(timeout)))

    async def create(
        self,
        prompt: str,
        *,
        model: str | None = None,
        images: ImageSource | Sequence[ImageSource] = (),
        aspect_ratio: str | None = None,
        resolution: str | None = None,
        output_format: str | None = None,
        seed: int | None = None,
        callback_url: str | None = None,
        extra: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        timeout: float = 180.0,  # noqa: ASYNC109
    ) -> str:
        """The id of a new task, without waiting for it. Arguments as for `generate`."""
        wish, sources = wish_of(
            prompt, model, images, aspect_ratio, resolution, output_format, seed, callback_url, extra
        )
        return await self._run(self._core.create(wish, sources, idempotency_key, self._core.deadline(timeout)))

    async def query(self, task_id: str) -> Task:
        """The task as it is now."""
        return await self._run(self._core.query(task_id, self._core.deadline(self._timeout)))

    async def wait(
        self,
        task_id: str,
        *,
        timeout: float | None = 600.0,  # noqa: ASYNC109
        on_state: Watch | None = None,
    ) -> Task:
        """The task once it has ended, as `success` or `fail`.

        Args:
            timeout: seconds; None: for as long as it takes.
            on_state: called with the task whenever its state was seen to change.

        Raises:
            TimedOut: it goes on.
        """
        return await self._run(self._core.wait(task_id, self._core.deadline(timeout), on_state))

    async def download(self, task: Task | str) -> Image:
        """The picture of a task that has ended, or of its id. Raises TaskFailed."""
        found = await self.query(task) if isinstance(task, str) else task
        return await self._run(self._core.download(found, self._core.deadline(self._timeout + 120.0)))

    async def cancel(self, task_id: str) -> Task:
        """Give a task up: one that waits ends at once, one that is drawn as soon as its engine lets go."""
        return await self._run(self._core.cancel(task_id, self._core.deadline(self._timeout)))

    async def tasks(
        self, *, state: str | None = None, model: str | None = None, page_size: int = 50
    ) -> AsyncIterator[Task]:
        """All tasks of the account, newest first; pages are turned as you go."""
        cursor: str | None = None
        while True:
            page = await self._run(self._core.page(state, model, page_size, cursor, self._core.deadline(self._timeout)))
            for task in page.tasks:
                yield task
            cursor = page.cursor
            if cursor is None:
                return

    async def balance(self) -> Balance:
        """The account's credits."""
        return await self._run(self._core.balance(self._core.deadline(self._timeout)))

    async def models(self) -> list[Model]:
        """The catalogue, with prices."""
        return await self._run(self._core.models(self._core.deadline(self._timeout)))

    async def upload(self, image: ImageSource) -> Upload:
        """Store a local image at the server for a while; the upload works as an input image of several tasks.

        Raises:
            NotFound: the server has no Files.
        """
        return await self._run(self._core.upload(image, self._core.deadline(self._timeout + 120.0)))

    async def references(self, images: ImageSource | Sequence[ImageSource]) -> list[str]:
        """What `generate` makes of `images`, to be made once for several tasks, or kept for a repeat.

        Local images are uploaded; where the server has no Files, they become `data:` URIs. URLs stay what they are.
        """
        return await self._run(self._core.references(images_of(images), self._core.deadline(self._timeout + 120.0)))

    async def knows_idempotency_keys(self) -> bool:
        """Whether the server says that creates with the same `Idempotency-Key` are one task.

        Where it does not, a create whose fate is unknown must not be repeated, with whatever key.
        """
        return await self._run(self._core.knows_keys(self._core.deadline(self._timeout)))

    async def aclose(self) -> None:
        """Let go of connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _run(self, plan: Plan[T]) -> T:
        try:
            effect = next(plan)
            while True:
                try:
                    outcome = await self._carry_out(effect)
                except BaseException as error:  # noqa: BLE001 - the plan raises it again, and can say what it began
                    effect = plan.throw(error)
                else:
                    effect = plan.send(outcome)
        except StopIteration as end:
            result: T = end.value
            return result

    async def _carry_out(self, effect: Effect) -> object:
        match effect:
            case Send():
                outcome: Answer | Broken = await exchange_async(self._http, effect)
                return outcome
            case Pause(seconds):
                await asyncio.sleep(seconds)
                return None
            case Work(call):
                return await asyncio.to_thread(call)
            case Tell(call):
                return call()
