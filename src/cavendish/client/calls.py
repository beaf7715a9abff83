"""One request, repeated for as long as that makes sense and is safe."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from cavendish.client.answers import read_answer
from cavendish.client.effects import Answer, Broken, Pause, Plan, Send, send
from cavendish.client.errors import (
    ApiError,
    BadArgument,
    ClientError,
    ConnectionFailed,
    RateLimited,
    ServerError,
    TimedOut,
)
from cavendish.client.retry import ATTEMPTS, Deadline, backoff
from cavendish.client.version import __version__

CALL_SECONDS = 30.0
Error = TypeVar("Error", bound=ClientError)


class Calls:
    """Plans for single requests to one server. Remembers what the server was found to be able to do.

    Args:
        base_url: of the server; `/api/v1` at its end may be there or not.
        language: of the server's messages, such as `zh`; None: the server's choice.
        repeats_creates: whether the server knows `Idempotency-Key`; None: ask it when it matters.
        clock, now, roll: monotonic seconds, Unix seconds, chance in [0, 1); for tests.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None,
        *,
        language: str | None = None,
        repeats_creates: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        roll: Callable[[], float] = random.random,
    ) -> None:
        self.root = _root(base_url)
        self.clock = clock
        self.now = now
        self.roll = roll
        self.headers = {"accept": "application/json", "user-agent": f"cavendish-client/{__version__}"}
        if language is not None:
            self.headers["accept-language"] = language
        if api_key is not None:
            self.headers["authorization"] = f"Bearer {_checked_key(api_key)}"
        self._repeats_creates = repeats_creates
        self.has_files: bool | None = None
        self.waits: bool | None = None

    def deadline(self, seconds: float | None) -> Deadline:
        """That many seconds from now."""
        return Deadline(seconds, self.clock)

    def call(
        self,
        method: Literal["GET", "POST"],
        path: str,
        deadline: Deadline,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = CALL_SECONDS,
        patient: bool = False,
    ) -> Plan[Any]:
        """`data` of the answer to a request under `/api/v1`. Arguments as for `exchange`. Raises ClientError."""
        all_headers = {**self.headers, **({"content-type": "application/json"} if body is not None else {})}
        all_headers.update(headers or {})
        request = Send(method, f"{self.root}/api/v1{path}", all_headers, body, seconds)
        answer = yield from self.exchange(request, deadline, patient=patient)
        return read_answer(answer, self.now)

    def exchange(self, request: Send, deadline: Deadline, *, patient: bool) -> Plan[Answer]:
        """Send until there is an answer that another attempt would not change.

        Args:
            patient: go on until the deadline; else give up after some attempts, unless the server says when to come.

        Raises:
            ConnectionFailed, TimedOut, RateLimited, ServerError: the last thing that stood in the way.
        """
        failures = 0
        key = None  # of a create that may have been accepted
        while True:
            if deadline.over():
                raise _keyed(TimedOut(f"no answer within {deadline.seconds:g} s: {_shown(request)}"), key)
            outcome = yield from send(_within(request, deadline))
            if isinstance(outcome, Broken):
                error: ConnectionFailed | TimedOut | RateLimited | ServerError = _failure(request, outcome)
                unsure = outcome.sent
                hint = None
            else:
                passing = self._passing(outcome)
                if passing is None:
                    return outcome
                error, unsure = passing, passing.code not in (429, 503)
                hint = passing.retry_after_seconds or None  # "at once", again and again, would be a flood
            failures += 1
            if unsure:
                key = request.headers.get("idempotency-key")
            pause = hint if hint is not None else backoff(failures, self.roll())
            if (hint is None and not patient and failures >= ATTEMPTS) or pause >= deadline.left():
                raise _keyed(error, key)
            if key is not None and not (yield from self.knows_keys(deadline)):
                raise _keyed(error, key)
            yield Pause(pause)

    def _passing(self, answer: Answer) -> RateLimited | ServerError | None:
        """The error of an answer that may be another one soon."""
        if 200 <= answer.status < 300 and not answer.headers.get("content-type", "").startswith("application/json"):
            return None  # a picture
        try:
            read_answer(answer, self.now)
        except (RateLimited, ServerError) as error:
            return error
        except ApiError:
            return None
        return None

    def knows_keys(self, deadline: Deadline) -> Plan[bool]:
        """Whether the server says that it knows `Idempotency-Key`, so that a repeated create is one task."""
        for failures in range(1, ATTEMPTS + 1):
            if self._repeats_creates is not None:
                return self._repeats_creates
            url = f"{self.root}/openapi.json"
            outcome = yield from send(_within(Send("GET", url, self.headers, None, 10.0), deadline))
            if isinstance(outcome, Answer) and outcome.status < 500 and outcome.status != 429:
                found = outcome.status == 200 and b"idempotency-key" in outcome.body.lower()
                self._repeats_creates = found
                return found
            pause = backoff(failures, self.roll())
            if pause >= deadline.left():
                break
            yield Pause(pause)
        return False


def _root(base_url: str) -> str:
    root = base_url.strip().rstrip("/").removesuffix("/api/v1")
    parts = urlsplit(root)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadArgument(
            f"base_url: must be an http or https URL such as https://images.example.com; got {base_url!r}"
        )
    if parts.username is not None or parts.query or parts.fragment:
        raise BadArgument("base_url: must have no user name, query or fragment")
    return root


def _checked_key(key: str) -> str:
    text = key.strip()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise BadArgument("api_key: must be visible ASCII characters, as the server printed it")
    return text


def _within(request: Send, deadline: Deadline) -> Send:
    return replace(request, seconds=max(0.001, min(request.seconds, deadline.left())))


def _failure(request: Send, broken: Broken) -> ConnectionFailed | TimedOut:
    kind = TimedOut if broken.slow else ConnectionFailed
    return kind(f"{_shown(request)}: {broken.reason}")


def _keyed(error: Error, key: str | None) -> Error:
    error.idempotency_key = key
    return error


def _shown(request: Send) -> str:
    parts = urlsplit(request.url)
    return f"{request.method} {parts.scheme}://{parts.netloc}{parts.path}"
