"""Run Cavendish for tests: inside the test's event loop, or as real processes that can be killed."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import uvicorn

from cavendish.domain.limits import KeyLimits
from cavendish.flows.deliver import Deliverer
from cavendish.flows.work import Worker
from cavendish.settings import Settings, read_settings
from cavendish.wiring import Parts, open_parts

UNLIMITED = KeyLimits(creates_per_minute=1_000_000, in_flight=1_000_000)
PROMPT_BODY = {"model": "google/nano-banana", "input": {"prompt": "a red apple"}}


def settings_for(dsn: str, data_dir: Path, **overrides: str) -> Settings:
    """Settings for a test: the simulator, private URLs allowed, unless overridden by NAME="value"."""
    variables = {
        "CAVENDISH_DATABASE_URL": dsn,
        "CAVENDISH_DATA_DIR": str(data_dir),
        "CAVENDISH_ENGINE": "simulator",
        "CAVENDISH_ALLOW_PRIVATE_URLS": "1",
    }
    return read_settings(variables | {f"CAVENDISH_{name}": value for name, value in overrides.items()})


class Running:
    """A server inside the test's event loop, with a client that is already authorised."""

    def __init__(self, parts: Parts, url: str, client: aiohttp.ClientSession, worker: Worker | None) -> None:
        self.parts = parts
        self.url = url
        self.client = client
        self.worker = worker

    async def new_key(
        self,
        account: str = "tester",
        credits: int = 1_000_000,  # noqa: A002
        limits: KeyLimits = UNLIMITED,
        *,
        operator: bool = False,
    ) -> str:
        """A key for `account`, which is made, with `credits`, when it is new."""
        account_id = await self.parts.accounts.ensure(account)
        if credits:
            await self.parts.accounts.grant(account, credits)
        return await self.parts.accounts.create_key(account_id, limits, operator=operator)

    async def call(
        self, method: str, path: str, *, key: str | None = None, **kwargs: Any
    ) -> tuple[int, dict[str, Any], Mapping[str, str]]:
        """(status, JSON body, headers)."""
        headers = dict(kwargs.pop("headers", {}))
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        async with self.client.request(method, self.url + path, headers=headers, **kwargs) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else {}, answer.headers

    async def create(self, key: str, body: Mapping[str, Any] = PROMPT_BODY, **kwargs: Any) -> str:
        """The id of a new task; fails the test when it is refused."""
        status, answer, _ = await self.call("POST", "/api/v1/tasks/create", key=key, json=body, **kwargs)
        assert status == 200, answer
        return str(answer["data"]["taskId"])

    async def ended(self, key: str, task_id: str, *, within_seconds: float = 20) -> dict[str, Any]:
        """The task's data, once its state is final."""
        return await until_ended(self.client, self.url, key, task_id, within_seconds=within_seconds)


async def until_ended(
    client: aiohttp.ClientSession, url: str, key: str, task_id: str, *, within_seconds: float = 20
) -> dict[str, Any]:
    """Poll a task until its state is final; its data."""
    deadline = time.monotonic() + within_seconds
    while True:
        headers = {"Authorization": f"Bearer {key}"}
        async with client.get(f"{url}/api/v1/tasks/query/{task_id}", headers=headers) as answer:
            body = await answer.json()
        assert answer.status == 200, body
        data: dict[str, Any] = body["data"]
        if data["state"] in ("success", "fail"):
            return data
        assert time.monotonic() < deadline, f"still {data['state']} after {within_seconds} s: {data}"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def running(settings: Settings, *, with_worker: bool = True) -> AsyncIterator[Running]:
    """The API, and a worker unless told otherwise, on a free port, in this event loop."""
    async with contextlib.AsyncExitStack() as stack:
        parts = await stack.enter_async_context(open_parts(settings))
        app = parts.app({})
        worker: Worker | None = None
        deliverer: Deliverer | None = None
        if with_worker:
            engine = parts.engine()
            stack.push_async_callback(engine.aclose)
            fetcher = parts.fetcher()
            stack.push_async_callback(fetcher.aclose)
            worker = parts.worker(engine, fetcher)
            deliverer = await stack.enter_async_context(parts.deliverer())
        await stack.enter_async_context(parts.listener.running())
        if worker is not None and deliverer is not None:
            working = asyncio.create_task(worker.run())
            stack.push_async_callback(asyncio.wait, [working])
            stack.push_async_callback(worker.stop, 0)
            delivering = asyncio.create_task(deliverer.run())
            stack.push_async_callback(asyncio.wait, [delivering])
            stack.push_async_callback(deliverer.stop, 0)
        url = await stack.enter_async_context(serving(app))
        client = await stack.enter_async_context(aiohttp.ClientSession())
        yield Running(parts, url, client, worker)


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """Any ASGI application on a free port, over real HTTP; its URL."""
    listening = socket.create_server(("127.0.0.1", 0))
    # As uvloop does for the real server; asyncio does not for a socket made this way, and each answer waits 40 ms.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(app, http="httptools", ws="none", lifespan="off", access_log=False, log_config=None)
    config.timeout_graceful_shutdown = 1
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        listening.close()


class Process:
    """A real `cavendish` process."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self.log = log

    def kill(self) -> None:
        """kill -9"""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def terminate(self, timeout_seconds: float = 30) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_seconds)

    def wait_for_line(self, event: str, *, within_seconds: float = 30) -> dict[str, Any]:
        """The first log line with that event."""
        deadline = time.monotonic() + within_seconds
        while time.monotonic() < deadline:
            for line in self.log.read_text(encoding="utf-8").splitlines():
                if line.startswith("{"):
                    fields: dict[str, Any] = json.loads(line)
                    if fields.get("event") == event:
                        return fields
            assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
            time.sleep(0.02)
        raise AssertionError(f"no line {event!r} within {within_seconds} s:\n{self.log.read_text(encoding='utf-8')}")


@contextmanager
def process(settings: Mapping[str, str], folder: Path, *arguments: str) -> Iterator[Process]:
    """`cavendish ARGUMENTS…` with JSON logs; killed at the end if it still runs.

    Args:
        settings: environment, e.g. {"CAVENDISH_ENGINE": "simulator"}.
        folder: where its log goes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{arguments[0]}-{time.monotonic_ns()}.log"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CAVENDISH_")}
    environment |= {"CAVENDISH_LOG_FORMAT": "json", **settings}
    with log.open("wb") as stream:
        popen = subprocess.Popen(
            [sys.executable, "-m", "cavendish", *arguments], env=environment, stdout=stream, stderr=stream
        )
    running_process = Process(popen, log)
    try:
        yield running_process
    finally:
        if popen.poll() is None:
            running_process.kill()


def cavendish(settings: Mapping[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CAVENDISH_")} | dict(settings)
    return subprocess.run(
        [sys.executable, "-m", "cavendish", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
