"""A JSON body becomes an object, or a refusal that says what is wrong with it."""

from typing import Any

import msgspec

from cavendish.domain.errors import InvalidRequest, Problem
from cavendish.domain.text import Text, shortened

BODY_LIMIT_BYTES = 1024 * 1024
MAX_DEPTH = 64


def json_object(body: bytes) -> dict[str, Any]:
    """The object that `body` is.

    Raises:
        InvalidRequest: it is not JSON, nested too deeply, or not an object.
    """
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise _problem(f"The body is not JSON: {reason}", f"请求体不是有效的 JSON：{reason}") from None
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _deeper_than(decoded, MAX_DEPTH):
        raise _problem(
            f"The body is nested too deeply: at most {MAX_DEPTH} levels", f"请求体嵌套过深：最多 {MAX_DEPTH} 层"
        )
    if not isinstance(decoded, dict):
        raise _problem(
            f"The body must be a JSON object; got {shortened(decoded)}",
            f"请求体必须是 JSON 对象；收到 {shortened(decoded)}",
        )
    return decoded


def _deeper_than(value: object, limit: int) -> bool:
    """Whether arrays and objects nest deeper than `limit`; without recursion, which is what a deep body attacks."""
    level: list[object] = [value]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            if isinstance(outer, list | dict)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return any(isinstance(inner, list | dict) for inner in level)


def _problem(en: str, zh: str) -> InvalidRequest:
    return InvalidRequest([Problem("", Text(en=en, zh=zh))])
