"""From an HTTP answer to `data`, or to the error that its code means."""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from cavendish.client.effects import Answer
from cavendish.client.errors import (
    ApiError,
    InsufficientCredits,
    InvalidRequest,
    NotFound,
    RateLimited,
    ServerError,
    Unauthorized,
    UnexpectedAnswer,
)
from cavendish.client.retry import retry_after

ERRORS: Mapping[int, type[ApiError]] = MappingProxyType(
    {
        400: InvalidRequest,
        401: Unauthorized,
        402: InsufficientCredits,
        403: Unauthorized,
        404: NotFound,
        413: InvalidRequest,
        422: InvalidRequest,
        429: RateLimited,
    }
)
"""400, 403 and 413 are not among this API's codes; proxies and other servers send them."""
_SHOWN_CHARS = 200


def read_answer(answer: Answer, now: Callable[[], float]) -> Any:
    """The envelope's `data`.

    Some servers send every answer with the HTTP status 200, so the envelope's `code` decides where there is one.

    Args:
        now: Unix seconds, for a `Retry-After` with a date.

    Raises:
        ApiError: the class that its code means.
    """
    envelope = _envelope(answer.body)
    code = envelope.get("code") if envelope is not None else None
    if not isinstance(code, int) or isinstance(code, bool):
        code = answer.status
        if envelope is None and 200 <= code < 300:
            raise UnexpectedAnswer(
                f"the answer is not this API's (HTTP {code}, {answer.headers.get('content-type', 'no content type')}): "
                f"{_start(answer.body)}; check the base URL",
                code,
            )
    if code == 200:
        return envelope.get("data") if envelope is not None else None
    said = envelope.get("message", envelope.get("msg")) if envelope is not None else None
    message = said if isinstance(said, str) and said else f"HTTP {answer.status}: {_start(answer.body)}"
    if code in (301, 302, 303, 307, 308):
        message = f"the server sends elsewhere, to {answer.headers.get('location', 'nowhere')}: use that as base URL"
    kind = ServerError if code >= 500 else ERRORS.get(code, UnexpectedAnswer)
    raise kind(message, code, retry_after(answer.headers.get("retry-after"), now))


def _envelope(body: bytes) -> dict[str, Any] | None:
    try:
        decoded = json.loads(body)
    except ValueError:
        return None
    return decoded if isinstance(decoded, dict) else None


def _start(body: bytes) -> str:
    text = " ".join(body[: _SHOWN_CHARS * 4].decode("utf-8", "replace").split())[:_SHOWN_CHARS]
    return text or "an empty body"
