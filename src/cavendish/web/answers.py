"""Answers: the one envelope, and the one table from our errors to a status."""

import json
import secrets
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec
import structlog
from starlette.responses import Response

from cavendish.domain.errors import (
    CavendishError,
    InsufficientCredits,
    InvalidRequest,
    NotFound,
    RateLimited,
    RequestError,
    Unauthorized,
)
from cavendish.domain.text import Language, Text
from cavendish.web.asgi import Headers, Scope, Send, header

log = structlog.get_logger("cavendish.web")

STATUS_OF: Mapping[type[RequestError], int] = MappingProxyType(
    {
        Unauthorized: 401,
        InsufficientCredits: 402,
        NotFound: 404,
        InvalidRequest: 422,
        RateLimited: 429,
    }
)
"""Everything else that is raised is our fault: 500."""

_JSON_HEADERS: Headers = ((b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff"))
_encode = msgspec.json.Encoder().encode


class AnswerResponse(Response):
    """An Answer for Starlette's routes."""

    def __init__(self, answer: "Answer") -> None:
        super().__init__(answer.body, answer.status)
        self.raw_headers = [*answer.headers, (b"content-length", str(len(answer.body)).encode())]


def plain_json(value: object, status: int = 200) -> Response:
    """JSON without the envelope, for what is not under /api/v1."""
    response = Response(_encode(value), status)
    response.raw_headers = [*_JSON_HEADERS, (b"content-length", str(len(response.body)).encode())]
    return response


class Answer(msgspec.Struct, frozen=True):
    """A complete HTTP answer."""

    status: int
    headers: Headers
    body: bytes


def language_of(scope: Scope) -> Language:
    """Chinese when the caller's first choice is Chinese, else English."""
    return preferred_language(header(scope, b"accept-language"))


def preferred_language(accepted: bytes | None) -> Language:
    """What a header `accept-language` asks for."""
    return "zh" if accepted is not None and accepted.strip()[:2].lower() == b"zh" else "en"


def success(data: object, extra: Headers = ()) -> Answer:
    """200 with `data` in the envelope."""
    return Answer(200, (*_JSON_HEADERS, *extra), _encode({"code": 200, "message": "success", "data": data}))


def failure(error: CavendishError, language: Language) -> Answer:
    """The answer to an error that the caller caused."""
    status = next((code for kind, code in STATUS_OF.items() if isinstance(error, kind)), 500)
    assert status != 500, "our own faults go through `fault`"
    extra: Headers = ()
    if isinstance(error, RateLimited):
        seconds = str(error.retry_after_seconds).encode()
        extra = ((b"retry-after", seconds), *_rate_limit(error))
    elif isinstance(error, Unauthorized):
        extra = ((b"www-authenticate", b'Bearer realm="cavendish"'),)
    return _envelope(status, error.text.say(language), extra)


def _rate_limit(error: RateLimited) -> Headers:
    """Source: draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4."""
    policy = error.policy
    window = f";w={policy.window_seconds}" if policy.window_seconds is not None else ""
    return (
        (b"ratelimit-policy", f'"{policy.name}";q={policy.quota}{window}'.encode()),
        (b"ratelimit", f'"{policy.name}";r=0;t={error.retry_after_seconds}'.encode()),
    )


def fault(error: Exception, language: Language, path: str) -> Answer:
    """The answer to our own fault: an id to quote, and everything else in the log only."""
    fault_id = secrets.token_hex(6)
    log.error("a request failed", fault_id=fault_id, path=path[:200], exc_info=error)
    text = Text(
        en=f"The server failed. A create may be sent again with the same Idempotency-Key: it never counts twice. "
        f"Tell the operator this id: {fault_id}",
        zh=f"服务器出错。创建请求可用相同的 Idempotency-Key 重发，绝不会重复计费。请将此编号告知管理员：{fault_id}",
    )
    return _envelope(500, text.say(language), ())


def not_found(path: str, language: Language, allow: Iterable[str] = ()) -> Answer:
    """404 for a path or method that we do not have; `allow` names the methods that the path has."""
    shown = json.dumps(path[:100], ensure_ascii=False)
    methods = ", ".join(allow)
    if methods:
        text = Text(en=f"{shown} answers {methods} only", zh=f"{shown} 只接受 {methods}")
        return _envelope(404, text.say(language), ((b"allow", methods.encode()),))
    text = Text(en=f"There is nothing at {shown}", zh=f"{shown} 不存在")
    return _envelope(404, text.say(language), ())


def _envelope(status: int, message: str, extra: Headers) -> Answer:
    body = _encode({"code": status, "message": message, "data": None})
    return Answer(status, (*_JSON_HEADERS, *extra), body)


async def send_answer(send: Send, answer: Answer, *, with_body: bool = True) -> None:
    """Send a complete answer over ASGI."""
    length = (b"content-length", str(len(answer.body)).encode())
    start: dict[str, Any] = {"type": "http.response.start", "status": answer.status}
    # A 304 has no body, yet a length of 0 would say that the whole representation is empty (RFC 9110, 8.6).
    start["headers"] = list(answer.headers) if answer.status == 304 else [*answer.headers, length]
    await send(start)
    await send({"type": "http.response.body", "body": answer.body if with_body else b""})
