"""What the server answers, as values: tasks, balances, models, uploads."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from cavendish.client.errors import UnexpectedAnswer

ENDED = frozenset({"success", "fail"})
"""The states that never change."""


@dataclass(frozen=True)
class Task:
    """A task as the server shows it.

    Attributes:
        state: `waiting`, `queuing`, `generating`, `success` or `fail`.
        fail_code: on `fail`, the stable word; `fail_msg` the sentence.
        created_ms, completed_ms: Unix milliseconds.
        credits_consumed: what was charged: 0 unless `success`.
        param: the request's `model`, `callBackUrl` and `input`.
        raw: the answer's `data`, whole.
    """

    id: str
    model: str
    state: str
    result_urls: tuple[str, ...] = ()
    fail_code: str | None = None
    fail_msg: str | None = None
    created_ms: int | None = None
    completed_ms: int | None = None
    credits_consumed: int = 0
    param: Mapping[str, Any] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def ended(self) -> bool:
        """Whether the state is final."""
        return self.state in ENDED

    @property
    def seconds(self) -> float | None:
        """From create to complete."""
        if self.created_ms is None or self.completed_ms is None:
            return None
        return (self.completed_ms - self.created_ms) / 1000


@dataclass(frozen=True)
class Balance:
    """Credits: `available` can be spent, `held` is set aside for unfinished tasks."""

    available: int
    held: int = 0


@dataclass(frozen=True)
class Model:
    """A model of the catalogue. `prices`: credits by resolution; `input`: a JSON Schema of what it takes."""

    id: str
    description: Mapping[str, str]
    price: int
    prices: Mapping[str, int]
    input: Mapping[str, Any] = field(repr=False, default_factory=dict)

    def price_of(self, resolution: str | None) -> int:
        """Credits for one picture of that resolution; None is the model's first."""
        if resolution is None:
            return next(iter(self.prices.values()), self.price)
        return self.prices.get(resolution.lower(), self.price)


@dataclass(frozen=True)
class Upload:
    """An image that the server keeps for a while, private to the account; `url` works as an input image."""

    url: str
    bytes: int
    width: int
    height: int
    format: str
    expires_ms: int | None = None


@dataclass(frozen=True)
class TaskPage:
    """One page of a list; `cursor` leads to the next, None means that was all."""

    tasks: tuple[Task, ...]
    cursor: str | None


def read_task(data: Any) -> Task:
    """`data` of a query, or the body of a callback.

    Raises:
        UnexpectedAnswer: it is no task.
    """
    if not isinstance(data, dict) or not isinstance(data.get("taskId"), str) or not isinstance(data.get("state"), str):
        raise UnexpectedAnswer("the server's answer is not a task: it has no taskId or no state")
    return Task(
        id=data["taskId"],
        model=_text(data.get("model")) or "",
        state=data["state"],
        result_urls=_result_urls(data),
        fail_code=_text(data.get("failCode")) or None,
        fail_msg=_text(data.get("failMsg")) or None,
        created_ms=_number(data.get("createTime")),
        completed_ms=_number(data.get("completeTime")),
        credits_consumed=_number(data.get("creditsConsumed")) or 0,
        param=MappingProxyType(_parsed(data.get("param"))),
        raw=MappingProxyType(data),
    )


def _result_urls(data: Mapping[str, Any]) -> tuple[str, ...]:
    """From `resultUrls`, or where a server has none, from `resultJson`, which every server has."""
    urls = data.get("resultUrls") or _parsed(data.get("resultJson")).get("resultUrls") or ()
    return tuple(url for url in urls if isinstance(url, str)) if isinstance(urls, list | tuple) else ()


def read_balance(data: Any) -> Balance:
    """`data` of a balance. Raises UnexpectedAnswer."""
    if not isinstance(data, dict) or _number(data.get("balance")) is None:
        raise UnexpectedAnswer("the server's answer is not a balance")
    return Balance(_number(data["balance"]) or 0, _number(data.get("held")) or 0)


def read_models(data: Any) -> list[Model]:
    """`data` of the catalogue. Raises UnexpectedAnswer."""
    rows = data.get("models") if isinstance(data, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) and isinstance(row.get("id"), str) for row in rows):
        raise UnexpectedAnswer("the server's answer is not a list of models")
    return [
        Model(
            id=row["id"],
            description=MappingProxyType(row.get("description") or {}),
            price=_number(row.get("price")) or 0,
            prices=MappingProxyType(row.get("prices") or {}),
            input=MappingProxyType(row.get("input") or {}),
        )
        for row in rows
    ]


def read_upload(data: Any) -> Upload:
    """`data` of an upload. Raises UnexpectedAnswer."""
    if not isinstance(data, dict) or not isinstance(data.get("url"), str):
        raise UnexpectedAnswer("the server's answer to an upload has no url")
    return Upload(
        url=data["url"],
        bytes=_number(data.get("bytes")) or 0,
        width=_number(data.get("width")) or 0,
        height=_number(data.get("height")) or 0,
        format=_text(data.get("format")) or "",
        expires_ms=_number(data.get("expiresTime")),
    )


def read_page(data: Any) -> TaskPage:
    """`data` of a list. Raises UnexpectedAnswer."""
    rows = data.get("tasks") if isinstance(data, dict) else None
    if not isinstance(rows, list):
        raise UnexpectedAnswer("the server's answer is not a list of tasks")
    return TaskPage(tuple(read_task(row) for row in rows), _text(data.get("cursor")) or None)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _parsed(value: Any) -> dict[str, Any]:
    """An object that is sent as a JSON string; empty when it is none."""
    try:
        parsed = json.loads(value) if isinstance(value, str) and value else value
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
