"""Request/answer pairs in JSON lines: read them, send them over HTTP, compare.

request  method, path; auth: "valid" (plenty of credits), "valid:N", null, or a literal header; json, body or body_hex;
         headers; private_urls: false for the server that refuses private addresses.
         In strings: {image:640x480.png} a served picture, {missing} a URL with nothing behind it,
         {data:8x8.png} a picture as data URI, {repeat:x:100} a hundred x.
answer   code (status and envelope), message, taskId (regex), says (all in the message), never_says (nowhere in the
         answer), header, data.
then     what the task comes to: state, format, pixels, charged, failCode, says (all in failMsg), never_says.
"""

import base64
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from tests import imagery
from tests.contract.world import PLENTY, Answer, Customer, World

_REPEAT = re.compile(r"\{repeat:(.+?):(\d+)\}")
_DATA = re.compile(r"\{data:(\d+)x(\d+)\.([a-z]+)\}")
_IMAGE = re.compile(r"\{image:(\d+x\d+\.[a-z]+)\}")


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line."""

    name: str
    request: dict[str, Any]
    answer: dict[str, Any]
    then: dict[str, Any] | None = None


def read_cases(name: str) -> list[Case]:
    """The cases of a file beside this one; their names are unique."""
    lines = (Path(__file__).parent / name).read_text(encoding="utf-8").splitlines()
    cases = [msgspec.json.decode(line, type=Case) for line in lines if line]
    assert len({case.name for case in cases}) == len(cases)
    return cases


async def run(case: Case, world: World) -> None:
    """Send the request and compare the answer and what follows."""
    customer, headers = await _caller(case.request.get("auth"), world)
    headers |= case.request.get("headers", {})
    body = _body(case.request, world)
    if body is not None:
        headers.setdefault("Content-Type", "application/json")
    server = world.allowing if case.request.get("private_urls", True) else world.refusing
    answer = await world.send(case.request["method"], case.request["path"], server=server, headers=headers, data=body)
    compare_answer(case.answer, answer)
    if case.then is not None:
        assert customer is not None
        await compare_end(case.then, world, customer, answer.body["data"]["taskId"])


def compare_answer(expected: Mapping[str, Any], answer: Answer) -> None:
    """What every answer owes, and what this one is expected to say."""
    assert answer.headers["content-type"] == "application/json"
    body = answer.body
    assert list(body) == ["code", "message", "data"]
    assert (answer.status, body["code"]) == (expected["code"], expected["code"]), body
    if body["code"] == 200:
        assert body["message"] == "success"
        assert isinstance(body["data"], dict)
    else:
        assert body["data"] is None
        assert body["message"]
    for key, check in _CHECKS.items():
        if key in expected:
            check(expected[key], answer)


async def compare_end(then: Mapping[str, Any], world: World, customer: Customer, task_id: str) -> None:
    """Wait for the task's end; compare state, charge, and the picture's own bytes."""
    unknown = set(then) - {"state", "format", "pixels", "charged", "failCode", "says", "never_says"}
    assert not unknown, "a check that is not known would never fail"
    data = await world.ended(customer, task_id)
    assert data["state"] == then["state"], data
    if "charged" in then:
        assert data["creditsConsumed"] == then["charged"]
        assert await world.balance(customer) == {"balance": customer.credits - then["charged"], "held": 0}
    if then["state"] == "fail":
        assert data["failCode"] == then["failCode"], data
        assert data["creditsConsumed"] == 0
        assert await world.balance(customer) == {"balance": customer.credits, "held": 0}
        assert all(words in data["failMsg"] for words in then.get("says", [])), data["failMsg"]
        assert not any(words in data["failMsg"] for words in then.get("never_says", [])), data["failMsg"]
        return
    picture = imagery.decoded(await world.download(data["resultUrls"][0]))
    if "format" in then:
        assert picture.format == then["format"].upper()
    if "pixels" in then:
        assert list(picture.size) == then["pixels"]


def _code(expected: int, answer: Answer) -> None:
    assert answer.status == expected


def _message(expected: str, answer: Answer) -> None:
    assert answer.message == expected


def _task_id(expected: str, answer: Answer) -> None:
    assert re.search(expected, answer.body["data"]["taskId"])


def _says(expected: list[str], answer: Answer) -> None:
    missing = [words for words in expected if words not in answer.message]
    assert not missing, answer.message


def _never_says(expected: list[str], answer: Answer) -> None:
    raw = answer.raw.decode() + repr(answer.headers)
    found = [words for words in expected if words in raw]
    assert not found, raw


def _header(expected: Mapping[str, str], answer: Answer) -> None:
    assert {name: answer.headers.get(name) for name in expected} == expected


def _data(expected: object, answer: Answer) -> None:
    assert answer.body["data"] == expected


_CHECKS: Mapping[str, Callable[[Any, Answer], None]] = {
    "code": _code,
    "message": _message,
    "taskId": _task_id,
    "says": _says,
    "never_says": _never_says,
    "header": _header,
    "data": _data,
}


def check_names(case: Case) -> None:
    """A misspelt word in a case would silently check nothing."""
    assert set(case.answer) <= set(_CHECKS)
    known = {"method", "path", "auth", "json", "body", "body_hex", "headers", "private_urls"}
    assert set(case.request) <= known


async def _caller(auth: str | None, world: World) -> tuple[Customer | None, dict[str, str]]:
    if auth is None:
        return None, {}
    word, _, credits = auth.partition(":")  # noqa: A001
    if word != "valid":
        return None, {"Authorization": auth}
    customer = await world.customer(int(credits) if credits else PLENTY)
    return customer, customer.headers


def _body(request: Mapping[str, Any], world: World) -> bytes | None:
    if "body_hex" in request:
        return bytes.fromhex(request["body_hex"])
    if "body" in request:
        return filled(request["body"], world).encode()
    if "json" in request:
        return filled(json.dumps(request["json"], ensure_ascii=False), world).encode()
    return None


def filled(text: str, world: World) -> str:
    """`text` with its placeholders replaced."""
    text = _REPEAT.sub(lambda match: match[1] * int(match[2]), text)
    text = _DATA.sub(lambda match: data_uri(int(match[1]), int(match[2]), match[3]), text)
    text = text.replace("{missing}", world.picture_url("missing"))
    return _IMAGE.sub(lambda match: world.picture_url(match[1]), text)


def data_uri(width: int, height: int, kind: str) -> str:
    """A picture as `data:image/…;base64,…`"""
    data = imagery.encoded(imagery.picture(width, height), kind)
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
