"""Submit: a request body becomes a durable task with its price held."""

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from cavendish.domain.catalog import Catalog, Model
from cavendish.domain.errors import BadImage, CavendishError, InvalidRequest, Problem, StoreUnavailable
from cavendish.domain.files import FileUse, referred_file, unusable_file
from cavendish.domain.inputs import InputPolicy, TaskInput, images_field, is_inline, read_input
from cavendish.domain.orders import Accepted, Caller, NewTask
from cavendish.domain.results import RESULTS_PATH, input_blob, new_name
from cavendish.domain.text import Text, shortened
from cavendish.domain.urls import check_url
from cavendish.ports import Blobs, Files, Images, TaskOrders

MAX_LOOKED_AT = 20
_INLINE_AT_ONCE = 4


class Submit:
    """Checks a create and writes it.

    Args:
        public_url: the prefix of result URLs; None: what the create request itself was sent to.
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        orders: TaskOrders,
        blobs: Blobs,
        images: Images,
        files: Files,
        public_url: str | None,
        allow_private_urls: bool,
    ) -> None:
        self._catalog = catalog
        self._orders = orders
        self._blobs = blobs
        self._images = images
        self._files = files
        self._public_url = public_url.rstrip("/") if public_url else None
        self._allow_private_urls = allow_private_urls
        self._inline = asyncio.Semaphore(_INLINE_AT_ONCE)
        self._encoder = msgspec.json.Encoder()

    async def __call__(
        self, caller: Caller, body: Mapping[str, Any], origin: str, idempotency_key: str | None = None
    ) -> Accepted:
        """Create a task, or find the one that the same request made before.

        Args:
            body: the decoded JSON object.
            origin: scheme and host that the request was sent to.

        Raises:
            InvalidRequest: with every wrong field.
            NotFound: the model is unknown.
            Unauthorized, RateLimited, InsufficientCredits, StoreUnavailable, BlobsUnavailable
        """
        public_url = self._public_url or origin
        problems: list[Problem] = []
        model_id = body.get("model")
        if not isinstance(model_id, str):
            problems.append(
                _required(
                    "model", model_id, "a model id such as google/nano-banana", "模型 id，例如 google/nano-banana"
                )
            )
        raw_input = body.get("input")
        if not isinstance(raw_input, dict):
            problems.append(
                _required("input", raw_input, 'an object such as {"prompt": "…"}', '对象，例如 {"prompt": "…"}')
            )
        callback_url = self._callback_url(body, problems)
        if not isinstance(model_id, str) or not isinstance(raw_input, dict):
            raise InvalidRequest(problems)
        model = self._catalog.find(model_id)
        try:
            task_input = read_input(model, raw_input, InputPolicy(self._allow_private_urls, public_url + RESULTS_PATH))
        except InvalidRequest as error:
            task_input = None
            problems += error.problems
        if problems or task_input is None:
            raise InvalidRequest([*problems, *await self._file_problems(caller, model, raw_input)])
        has_inline = any(map(is_inline, task_input.images))
        shown, inline = (
            await self._store_inline(images_field(model, raw_input), raw_input, task_input)
            if has_inline
            else (raw_input, ())
        )
        order = NewTask(
            account_id=caller.account_id,
            key_id=caller.key_id,
            model=model.id,
            upstream=model.row.upstream[0],
            param=self._param(model.id, callback_url, shown),
            callback_url=callback_url,
            public_url=public_url,
            price=model.price(task_input.resolution),
            input_blobs=inline,
            idempotency_key=idempotency_key,
            files=tuple(_file_uses(images_field(model, raw_input), task_input.images)) if task_input.images else (),
        )
        used = False
        try:
            accepted = await self._orders.create(order)
            used = not accepted.replayed
        except (StoreUnavailable, asyncio.CancelledError):
            used = True  # it may have been written: the answer got lost, not necessarily the task
            raise
        finally:
            if inline and not used:
                await self._blobs.delete([input_blob(name) for name in inline])
        return accepted

    def _callback_url(self, body: Mapping[str, Any], problems: list[Problem]) -> str | None:
        if "callBackUrl" not in body and "callback_url" not in body:
            return None
        sent = [field for field in ("callBackUrl", "callback_url") if body.get(field) not in (None, "")]
        if not sent:
            return None
        field = sent[0]
        url = body[field]
        if len(sent) == 2 and body["callback_url"] != url:
            problems.append(
                Problem(
                    field,
                    Text(
                        en="differs from callback_url; they mean the same, so send one of them",
                        zh="与 callback_url 不同；两者含义相同，请只发送其中一个",
                    ),
                )
            )
            return None
        if not isinstance(url, str):
            problems.append(_required(field, url, "a URL", "URL"))
            return None
        refusal = check_url(url, allow_private=self._allow_private_urls)
        if refusal is not None:
            problems.append(Problem(field, refusal))
        return url

    async def _file_problems(self, caller: Caller, model: Model, raw: Mapping[str, Any]) -> list[Problem]:
        """References to files that the caller cannot use, for a create that is refused anyway: all is said at once.

        One that has no other fault is checked by the store, together with what it writes.
        """
        field = images_field(model, raw)
        references = raw.get(field)
        if not isinstance(references, list):
            return []
        uses = list(_file_uses(field, references))[:MAX_LOOKED_AT]
        living = await self._files.living(caller.account_id, [use.name for use in uses]) if uses else frozenset()
        return [unusable_file(use) for use in uses if use.name not in living]

    def _param(self, model_id: str, callback_url: str | None, shown: Mapping[str, Any]) -> str:
        param: dict[str, Any] = {"model": model_id}
        if callback_url is not None:
            param["callBackUrl"] = callback_url
        param["input"] = shown
        return self._encoder.encode(param).decode()

    async def _store_inline(
        self, field: str, raw: Mapping[str, Any], task_input: TaskInput
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Inline image bytes go to blob storage, and out of what is stored and shown of the request."""
        stored: list[str] = []
        shown: list[str] = []
        try:
            for index, reference in enumerate(task_input.images):
                if not is_inline(reference):
                    shown.append(reference)
                    continue
                async with self._inline:  # bounds how many decoded images are in memory
                    name, described = await self._store_one(f"input.{field}[{index}]", reference)
                stored.append(name)
                shown.append(f"{reference.partition(',')[0]},…({described})")
        except CavendishError:
            await self._blobs.delete([input_blob(name) for name in stored])
            raise
        fields = {key: value for key, value in raw.items() if value is not None}
        for name in ("image_input", "image_urls"):
            if name in fields:
                fields[name] = shown
        return fields, tuple(stored)

    async def _store_one(self, path: str, reference: str) -> tuple[str, str]:
        encoded = reference.partition(",")[2]
        try:
            data = await asyncio.to_thread(base64.b64decode, encoded, validate=True)
            info = await self._images.probe(data)
        except (binascii.Error, ValueError) as error:
            raise InvalidRequest(
                [
                    Problem(
                        path,
                        Text(
                            en=f"is not valid base64 after the comma: {error}",
                            zh=f"逗号之后不是有效的 base64：{error}",
                        ),
                    )
                ]
            ) from None
        except BadImage as error:
            raise InvalidRequest([Problem(path, error.text)]) from None
        name = new_name(info.format)
        await self._blobs.put(input_blob(name), data)
        return name, f"{len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()[:16]}"


def _file_uses(field: str, references: Sequence[object]) -> Iterator[FileUse]:
    for index, reference in enumerate(references):
        name = referred_file(reference) if isinstance(reference, str) else None
        if name is not None:
            yield FileUse(f"input.{field}[{index}]", name)


def _required(field: str, value: object, en: str, zh: str) -> Problem:
    if value is None:
        return Problem(field, Text(en=f"required: {en}", zh=f"必填：{zh}"))
    return Problem(field, Text(en=f"must be {en}; got {shortened(value)}", zh=f"必须是{zh}；收到 {shortened(value)}"))
