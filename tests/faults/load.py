"""Customers of an API that breaks: they repeat each create under its Idempotency-Key until it is accepted."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.faults.cluster import PATIENCE_SECONDS

BODIES: tuple[dict[str, Any], ...] = (
    {"model": "google/nano-banana", "input": {}},
    {"model": "google/nano-banana", "input": {"image_size": "16:9"}},
    {"model": "google/nano-banana", "input": {"output_format": "jpeg"}},
    {"model": "google/nano-banana-pro", "input": {"image_input": [], "aspect_ratio": "21:9", "output_format": "jpg"}},
    {"model": "google/nano-banana", "input": {"prompt": "[simulate:content_rejected]"}},
)
RETRY_SECONDS = 0.05
POLL_SECONDS = 0.1
AT_ONCE = 24


class Load:
    """What was ordered, what was answered, and what its customers saw last."""

    def __init__(
        self, urls: Callable[[], Sequence[str]], keys: Sequence[str], client: aiohttp.ClientSession, seed: int
    ) -> None:
        self.urls = urls
        self.keys = keys
        self.client = client
        self.answered: dict[tuple[str, str], set[str]] = {}
        """(API key, idempotency key) -> every task id that was answered with 200."""
        self.last_seen: dict[str, dict[str, Any]] = {}
        """Task id -> its final data, as its customer read it."""
        self._random = random.Random(seed)
        self._ordered = 0
        self._room = asyncio.Semaphore(AT_ONCE)

    @property
    def accepted(self) -> int:
        """How many orders were answered with an id."""
        return len(self.answered)

    def owner(self, task_id: str) -> str:
        """The API key that `task_id` was made with."""
        return next(key for (key, _), ids in self.answered.items() if task_id in ids)

    async def create(self, prompt: str = "a red apple", **body: Any) -> str:
        """One order, repeated until it is accepted; the task's id. Every fourth is sent twice at the same moment."""
        number = self._ordered
        self._ordered += 1
        key = self.keys[number % len(self.keys)]
        request = {"model": "google/nano-banana", **body, "input": {"prompt": prompt, **body.get("input", {})}}
        copies = 2 if number % 4 == 0 else 1
        answers = await asyncio.gather(*(self._accepted(key, f"order-{number}", request) for _ in range(copies)))
        return answers[0]

    async def create_many(self, count: int, prompt: str = "a red apple") -> list[str]:
        """Several orders at the same time; their ids."""
        return list(await asyncio.gather(*(self.create(prompt) for _ in range(count))))

    async def customers(self, orders: int) -> None:
        """Order pictures of all kinds, a few at once, and wait for each to come to its end."""
        bodies = [self._random.choice(BODIES) for _ in range(orders)]
        await asyncio.gather(*(self._customer(body) for body in bodies))

    async def _customer(self, body: dict[str, Any]) -> None:
        async with self._room:
            task_id = await self.create(**body)
            self.last_seen[task_id] = await self.ended(task_id)

    async def ended(self, task_id: str) -> dict[str, Any]:
        """Poll a task until its state is final; its data."""
        path = f"/api/v1/tasks/query/{task_id}"
        key = self.owner(task_id)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            answer = await self._request("GET", path, key)
            if answer is not None and answer["data"]["state"] in ("success", "fail"):
                return dict(answer["data"])
            assert time.monotonic() < deadline, f"{task_id} did not end within {PATIENCE_SECONDS:g} s: {answer}"
            await asyncio.sleep(POLL_SECONDS)

    async def _accepted(self, key: str, idempotency_key: str, body: dict[str, Any]) -> str:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            answer = await self._request(
                "POST", "/api/v1/tasks/create", key, json=body, headers={"Idempotency-Key": idempotency_key}
            )
            if answer is not None:
                task_id = str(answer["data"]["taskId"])
                self.answered.setdefault((key, idempotency_key), set()).add(task_id)
                return task_id
            assert time.monotonic() < deadline, f"{idempotency_key} was not accepted within {PATIENCE_SECONDS:g} s"
            await asyncio.sleep(RETRY_SECONDS)

    async def _request(
        self, method: str, path: str, key: str, *, headers: dict[str, str] | None = None, **kwargs: Any
    ) -> dict[str, Any] | None:
        """The answer to a request at any living API; None when there is none, or our fault was admitted."""
        urls = self.urls()
        if not urls:
            return None
        url = self._random.choice(urls) + path
        try:
            async with self.client.request(
                method, url, headers={"Authorization": f"Bearer {key}", **(headers or {})}, **kwargs
            ) as answer:
                body: dict[str, Any] = await answer.json()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None
        assert answer.status in (200, 500), f"a fault of ours must be told as 500, not as {answer.status}: {body}"
        return body if answer.status == 200 else None


@asynccontextmanager
async def load_on(urls: Callable[[], Sequence[str]], keys: Sequence[str], *, seed: int = 1) -> AsyncIterator[Load]:
    """Customers with these keys at whatever API answers at the moment."""
    timeout = aiohttp.ClientTimeout(total=12)
    async with aiohttp.ClientSession(timeout=timeout) as client:
        yield Load(urls, keys, client, seed)
