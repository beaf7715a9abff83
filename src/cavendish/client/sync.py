"""The client for ordinary programs."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar

import httpx

from cavendish.client.config import Config, images_of, wish_of
from cavendish.client.core import Watch
from cavendish.client.effects import Answer, Broken, Effect, Pause, Plan, Send, Tell, Work
from cavendish.client.image import Image
from cavendish.client.references import ImageSource
from cavendish.client.values import Balance, Model, Task, Upload
from cavendish.client.web import LIMITS, exchange, trusts_environment

T = TypeVar("T")


class Client:
    """Talks to a server of this API. Safe to share between threads; use it in a `with`, or call `close`.

    Args:
        base_url: such as `https://images.example.com`; default: `CAVENDISH_BASE_URL`.
        api_key: `sk-…`; default: `CAVENDISH_API_KEY`.
        timeout: seconds for a call with all its retries; `generate` and `wait` have their own.
        language: of the server's messages, such as `zh`.
        repeats_creates: whether the server makes one task of creates with the same `Idempotency-Key`. None: it is
            asked when that matters. True is for servers that you know to do so, False for those that do not.

    Raises:
        BadArgument: no base URL or no key, here and in the environment.

    Every method raises the errors of `cavendish.client.errors`.
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
        self._http = httpx.Client(limits=LIMITS, trust_env=trusts_environment(self._core.root))

    def generate(
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
        timeout: float | None = 600.0,
    ) -> Image:
        """A picture of the prompt: create, wait, download.

        Args:
            prompt: what to draw, 1 to 10,000 characters.
            model: an id, or `pro`, `edit`, `standard`; default: standard, or edit when there are images.
            images: URLs, paths, bytes or PIL images. What is local is uploaded, or sent along where servers have no
                Files.
            aspect_ratio: `1:1`, `16:9`, …, `auto`.
            resolution: `1k`, `2k`, `4k`; for Pro.
            output_format: `png` or `jpeg`.
            seed: another number, another variant.
            callback_url: is told when the task has ended.
            extra: further fields of `input`.
            idempotency_key: default: a fresh one. With a key of your own, a repeat after an error is the same task.
            timeout: seconds for all of it; None: for as long as it takes.

        Raises:
            TaskFailed: no picture; nothing was charged.
            TimedOut: the task goes on; its `task_id` is for `wait`.
        """
        wish, sources = wish_of(
            prompt, model, images, aspect_ratio, resolution, output_format, seed, callback_url, extra
        )
        return self._run(self._core.generate(wish, sources, idempotency_key, self._core.deadline(timeout)))

    def create(
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
        timeout: float = 180.0,
    ) -> str:
        """The id of a new task, without waiting for it. Arguments as for `generate`."""
        wish, sources = wish_of(
            prompt, model, images, aspect_ratio, resolution, output_format, seed, callback_url, extra
        )
        return self._run(self._core.create(wish, sources, idempotency_key, self._core.deadline(timeout)))

    def query(self, task_id: str) -> Task:
        """The task as it is now."""
        return self._run(self._core.query(task_id, self._core.deadline(self._timeout)))

    def wait(self, task_id: str, *, timeout: float | None = 600.0, on_state: Watch | None = None) -> Task:
        """The task once it has ended, as `success` or `fail`.

        Args:
            timeout: seconds; None: for as long as it takes.
            on_state: called with the task whenever its state was seen to change.

        Raises:
            TimedOut: it goes on.
        """
        return self._run(self._core.wait(task_id, self._core.deadline(timeout), on_state))

    def download(self, task: Task | str) -> Image:
        """The picture of a task that has ended, or of its id. Raises TaskFailed."""
        found = self.query(task) if isinstance(task, str) else task
        return self._run(self._core.download(found, self._core.deadline(self._timeout + 120.0)))

    def cancel(self, task_id: str) -> Task:
        """Give a task up: one that waits ends at once, one that is drawn as soon as its engine lets go."""
        return self._run(self._core.cancel(task_id, self._core.deadline(self._timeout)))

    def tasks(self, *, state: str | None = None, model: str | None = None, page_size: int = 50) -> Iterator[Task]:
        """All tasks of the account, newest first; pages are turned as you go."""
        cursor: str | None = None
        while True:
            page = self._run(self._core.page(state, model, page_size, cursor, self._core.deadline(self._timeout)))
            yield from page.tasks
            cursor = page.cursor
            if cursor is None:
                return

    def balance(self) -> Balance:
        """The account's credits."""
        return self._run(self._core.balance(self._core.deadline(self._timeout)))

    def models(self) -> list[Model]:
        """The catalogue, with prices."""
        return self._run(self._core.models(self._core.deadline(self._timeout)))

    def upload(self, image: ImageSource) -> Upload:
        """Store a local image at the server for a while; the upload works as an input image of several tasks.

        Raises:
            NotFound: the server has no Files.
        """
        return self._run(self._core.upload(image, self._core.deadline(self._timeout + 120.0)))

    def references(self, images: ImageSource | Sequence[ImageSource]) -> list[str]:
        """What `generate` makes of `images`, to be made once for several tasks, or kept for a repeat.

        Local images are uploaded; where the server has no Files, they become `data:` URIs. URLs stay what they are.
        """
        return self._run(self._core.references(images_of(images), self._core.deadline(self._timeout + 120.0)))

    def knows_idempotency_keys(self) -> bool:
        """Whether the server says that creates with the same `Idempotency-Key` are one task.

        Where it does not, a create whose fate is unknown must not be repeated, with whatever key.
        """
        return self._run(self._core.knows_keys(self._core.deadline(self._timeout)))

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, plan: Plan[T]) -> T:
        try:
            effect = next(plan)
            while True:
                try:
                    outcome = self._carry_out(effect)
                except BaseException as error:  # noqa: BLE001 - the plan raises it again, and can say what it began
                    effect = plan.throw(error)
                else:
                    effect = plan.send(outcome)
        except StopIteration as end:
            result: T = end.value
            return result

    def _carry_out(self, effect: Effect) -> object:
        match effect:
            case Send():
                outcome: Answer | Broken = exchange(self._http, effect)
                return outcome
            case Pause(seconds):
                time.sleep(seconds)
                return None
            case Work(call) | Tell(call):
                return call()
