"""A small world for contract tests: two servers over one database, customers with credits, and a host of pictures."""

import time
from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec

from tests import imagery
from tests.harness import Running
from tests.loopback import LoopbackServer, Visit

PLENTY = 1_000_000
TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "gif": "image/gif"}


class Customer(msgspec.Struct, frozen=True):
    """An account of its own with one key."""

    account: str
    key: str
    credits: int

    @property
    def headers(self) -> dict[str, str]:
        """The header that speaks for it."""
        return {"Authorization": f"Bearer {self.key}"}


class Answer(msgspec.Struct, frozen=True):
    """What came back over HTTP."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        """The envelope."""
        decoded: dict[str, Any] = msgspec.json.decode(self.raw)
        return decoded

    @property
    def message(self) -> str:
        """The envelope's sentence."""
        return str(self.body["message"])


class World:
    """`allowing` takes private URLs and works on tasks with the simulator; `refusing` takes none and only serves."""

    def __init__(self, dsn: str, allowing: Running, refusing: Running, pictures: LoopbackServer) -> None:
        self.dsn = dsn
        self.allowing = allowing
        self.refusing = refusing
        self._pictures = pictures

    def picture_url(self, name: str) -> str:
        """Where the picture `WIDTHxHEIGHT.FORMAT` is served; any other name is a 404 there."""
        return f"http://127.0.0.1:{self._pictures.port}/{name}"

    async def customer(self, credits: int = PLENTY) -> Customer:  # noqa: A002
        """A new account with exactly that many credits."""
        account = uuid4().hex
        return Customer(account, await self.allowing.new_key(account, credits), credits)

    async def send(self, method: str, path: str, *, server: Running | None = None, **kwargs: Any) -> Answer:
        """One request to `allowing`, unless told otherwise."""
        running = server or self.allowing
        async with running.client.request(method, running.url + path, **kwargs) as answer:
            return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, await answer.read())

    async def create(self, customer: Customer, body: object, **kwargs: Any) -> Answer:
        """A create with `body` as JSON."""
        headers = customer.headers | dict(kwargs.pop("headers", {})) | {"Content-Type": "application/json"}
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        data = BytesIO(raw)  # in pieces, as a large body should be
        return await self.send("POST", "/api/v1/tasks/create", headers=headers, data=data, **kwargs)

    async def task(self, customer: Customer, prompt: str, **fields: Any) -> str:
        """The id of a new task on google/nano-banana; fails the test when it is refused."""
        answer = await self.create(customer, {"model": "google/nano-banana", "input": {"prompt": prompt, **fields}})
        assert answer.status == 200, answer.raw
        return str(answer.body["data"]["taskId"])

    async def ended(self, customer: Customer, task_id: str) -> dict[str, Any]:
        """The task's data once it is final."""
        return await self.allowing.ended(customer.key, task_id)

    async def balance(self, customer: Customer) -> dict[str, int]:
        """What the balance endpoint shows."""
        answer = await self.send("GET", "/api/v1/user/balance", headers=customer.headers)
        data: dict[str, int] = answer.body["data"]
        return data

    async def download(self, url: str) -> bytes:
        """The bytes behind a result URL."""
        async with self.allowing.client.get(url) as answer:
            assert answer.status == 200, url
            return await answer.read()

    async def assert_nothing_is_lost(self, *, within_seconds: float = 20) -> None:
        """Every accepted task ends, and every account's totals add up and follow from its entries."""
        connection = await asyncpg.connect(self.dsn)
        try:
            deadline = time.monotonic() + within_seconds
            while left := await connection.fetch("SELECT id, state FROM tasks WHERE finished_at IS NULL"):
                assert time.monotonic() < deadline, f"{len(left)} tasks never ended, such as {left[0]}"
            wrong = await connection.fetch(
                "SELECT name FROM accounts WHERE available + held + charged <> granted OR held <> 0 OR available < 0"
            )
            assert not wrong
            accounts = [row["name"] for row in await connection.fetch("SELECT name FROM accounts")]
            tasks = await connection.fetchval("SELECT count(*) FROM tasks")
            holds = await connection.fetchval("SELECT count(*) FROM credit_entries WHERE kind = 'hold'")
            ends = await connection.fetchval("SELECT count(*) FROM credit_entries WHERE kind IN ('settle', 'release')")
        finally:
            await connection.close()
        assert tasks == holds == ends
        for account in accounts:
            _, proved = await self.allowing.parts.accounts.audit(account)
            assert proved, account


async def show_pictures(visit: Visit) -> None:
    """The script of a host whose paths say which picture is there: /640x480.png"""
    name, _, kind = visit.target.partition("?")[0].strip("/").rpartition(".")
    width, _, height = name.partition("x")
    if kind not in TYPES or not (width.isdecimal() and height.isdecimal()):
        await visit.answer(404, b"nothing here")
        return
    await visit.answer(200, _drawn(int(width), int(height), kind), {"Content-Type": TYPES[kind]})


@lru_cache(maxsize=32)
def _drawn(width: int, height: int, kind: str) -> bytes:
    return imagery.encoded(imagery.picture(width, height), kind)
