"""What callers say about waiting: `?wait=` of a query, `Prefer: wait=` of a create, and hanging up."""

import re
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from cavendish.domain.errors import InvalidRequest, Problem
from cavendish.domain.text import Text, shortened
from cavendish.web.asgi import Receive, Scope

MAX_WAIT_SECONDS = 60

_SECONDS = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")
# Source: RFC 7240, sections 2 and 4.3.
_PREFER_WAIT = re.compile(rb"(?:^|,)\s*wait\s*=\s*(\"?)([0-9]{1,9})\1\s*(?=[,;]|$)", re.IGNORECASE)


def wait_of_query(query_string: bytes) -> float:
    """The seconds that `?wait=` asks for; 0 without it.

    Raises:
        InvalidRequest: it is no number from 0 to MAX_WAIT_SECONDS.
    """
    if b"wait" not in query_string:
        return 0.0
    asked = dict(parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)).get("wait")
    if asked is None:
        return 0.0
    seconds = float(asked) if _SECONDS.fullmatch(asked) is not None else -1.0
    if not 0 <= seconds <= MAX_WAIT_SECONDS:
        shown = shortened(asked)
        text = Text(
            en=f"must be a number of seconds from 0 to {MAX_WAIT_SECONDS}; got {shown}",
            zh=f"必须是 0 到 {MAX_WAIT_SECONDS} 之间的秒数；收到 {shown}",
        )
        raise InvalidRequest([Problem("wait", text)])
    return seconds


def preferred_wait(scope: Scope) -> int | None:
    """The whole seconds of `Prefer: wait=N`, at most MAX_WAIT_SECONDS; None when there is no such preference.

    What is not understood is passed over, as the RFC has it: a preference is never an error.
    """
    match = _PREFER_WAIT.search(b",".join(value for name, value in scope["headers"] if name == b"prefer"))
    return min(int(match[2]), MAX_WAIT_SECONDS) if match is not None else None


def hang_up(receive: Receive) -> Callable[[], Awaitable[None]]:
    """What returns when the caller has hung up. Only for requests whose body was read, or has none."""

    async def hung_up() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    return hung_up
