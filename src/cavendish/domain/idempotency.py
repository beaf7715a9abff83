"""The same request again, or another one under the same key? Answered by what the first one asked for."""

import json
from collections.abc import Iterator
from typing import Any

from cavendish.domain.errors import InvalidRequest, Problem
from cavendish.domain.text import Text, shortened

HEADER = "Idempotency-Key"
MAX_CHARS = 255


def checked_key(raw: bytes) -> str:
    """The key as text.

    Raises:
        InvalidRequest: it is not 1 to 255 visible ASCII characters.
    """
    if not 1 <= len(raw) <= MAX_CHARS or any(not 0x21 <= byte <= 0x7E for byte in raw):
        shown = shortened(raw.decode("latin-1"))
        raise InvalidRequest(
            [
                Problem(
                    HEADER,
                    Text(
                        en=f"must be 1 to {MAX_CHARS} visible ASCII characters; got {shown}",
                        zh=f"必须是 1 到 {MAX_CHARS} 个可见 ASCII 字符；收到 {shown}",
                    ),
                )
            ]
        )
    return raw.decode("ascii")


def check_same(first: str, second: str) -> None:
    """Compare two requests, each as the JSON that `param` holds.

    Raises:
        InvalidRequest: they differ; names the fields.
    """
    if first == second:
        return
    fields = list(_differing(json.loads(first), json.loads(second), ""))
    if not fields:
        return  # the same values in another order
    listed = ", ".join(fields[:5])
    raise InvalidRequest(
        [
            Problem(
                HEADER,
                Text(
                    en=f"was used for another request within 24 hours; what differs: {listed}",
                    zh=f"24 小时内已用于另一个请求；不同的字段：{listed}",
                ),
            )
        ]
    )


def _differing(first: Any, second: Any, path: str) -> Iterator[str]:
    if isinstance(first, dict) and isinstance(second, dict):
        for name in sorted(first.keys() | second.keys()):
            inner = f"{path}.{name}" if path else name
            if name not in first or name not in second:
                yield inner[:100]
            else:
                yield from _differing(first[name], second[name], inner)
    elif first != second or type(first) is not type(second):
        yield path[:100]
