"""What the application itself costs for a create and a query: everything between the server and the database.

    .venv/bin/python bench/app_path.py

The ASGI application with a store that answers at once, called in a loop: headers, key, limits, JSON, validation and
answer, in microseconds of processor time; the quickest of several rounds. Under real load each costs two to three times
as much, because other code has emptied the processor's caches in between.
"""

import asyncio
import gc
import time
from inspect import signature
from types import SimpleNamespace
from typing import Any

from cavendish.clock import SystemClock
from cavendish.domain.orders import Accepted, Caller, NewTask, TaskView
from cavendish.domain.tasks import AccountId, KeyId, TaskId
from cavendish.flows.submit import Submit
from cavendish.web.app import App
from cavendish.web.auth import KeyRing
from cavendish.web.limits import CreateGate, QueryLimit
from cavendish.web.tasks import CREATE_PATH, QUERY_PATH, CreateTask, QueryTask
from cavendish.wiring import load_catalog

CALLS, ROUNDS = 5_000, 7
TASK_ID = TaskId("task_gemini-2.5-flash-image_1766304530229_cf4dafd2")
PARAM = '{"model":"google/nano-banana","input":{"prompt":"an orange cat on a windowsill watching the rain"}}'
HEADERS = [
    (b"host", b"127.0.0.1:8787"),
    (b"authorization", b"Bearer sk-0123456789012345678901234567890123456789"),
    (b"content-type", b"application/json"),
]
TASK = TaskView(
    TASK_ID, AccountId(1), "google/nano-banana", "success", PARAM, "http://127.0.0.1:8787",
    ("9f86d081884c7d659a2feaa0c55ad015.png",), None, None, 3, 1766304530229, 1766304530999, None, 1,
)  # fmt: skip


class Store:
    """Answers at once."""

    async def find_key(self, _digest: bytes) -> tuple[Caller, None]:
        """Everybody has a key."""
        return Caller(KeyId(1), AccountId(1), "bench"), None

    async def create(self, _order: NewTask) -> Accepted:
        """Everything is accepted."""
        return Accepted(TASK_ID)

    async def find(self, _task_id: TaskId) -> TaskView:
        """Every task is there."""
        return TASK


def application() -> App:
    """The application with nothing behind it."""
    clock, store = SystemClock(), Store()
    keys = KeyRing(store, clock)
    nothing: Any = SimpleNamespace()
    submit = Submit(
        catalog=load_catalog(None), orders=store, blobs=nothing, images=nothing, files=nothing, public_url=None,
        allow_private_urls=False,
    )  # fmt: skip
    rest: Any = type("Rest", (), {"__getattr__": lambda _self, _name: _unused})()
    parts = dict.fromkeys(signature(App).parameters, rest)
    parts["create"] = CreateTask(keys, submit, CreateGate(clock), nothing)
    views: Any = store
    parts["query"] = QueryTask(keys, views, QueryLimit(clock, 10**9), nothing)
    return App(**parts)


async def _unused(_request: object) -> Any:
    raise AssertionError("only the hot endpoints are called")


async def calls(app: App, method: str, path: str, body: bytes) -> None:
    """As the server would make them."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(_message: object) -> None:
        pass

    for _ in range(CALLS):
        scope = {"type": "http", "method": method, "path": path, "query_string": b"", "scheme": "http"}
        await app({**scope, "headers": list(HEADERS)}, receive, send)


def main() -> None:
    """One line for each endpoint."""
    app = application()
    gc.freeze()
    for name, method, path, body in (
        ("create", "POST", CREATE_PATH, PARAM.encode()),
        ("query", "GET", QUERY_PATH + TASK_ID, b""),
    ):
        rounds = []
        for _ in range(ROUNDS):
            began = time.process_time()
            asyncio.run(calls(app, method, path, body))
            rounds.append((time.process_time() - began) / CALLS * 1e6)
        print(f"{name}: {min(rounds):.1f} µs")


if __name__ == "__main__":
    main()
