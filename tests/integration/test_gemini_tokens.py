"""Tokens for Vertex: one fetch for all who wait, an outage is no refusal, and a refused token is not used again."""

import asyncio
import threading
from collections.abc import Callable

import pytest
import requests
from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError

from cavendish.engines.gemini.access import Vertex
from cavendish.engines.gemini.answer import Reading, Refusal
from cavendish.engines.gemini.client import GeminiClient
from cavendish.engines.gemini.outcomes import Failed, Fault
from cavendish.engines.gemini.vertex import VertexTokens
from tests.google import gives, google, picture, refuses
from tests.integration.test_gemini_engine import FLASH, wanted


def raised(kind: Callable[..., Exception], text: str, **more: bool) -> Exception:
    """An error of google-auth's, whose constructors have no types."""
    return kind(text, **more)


class Fetched:
    """Credentials as google-auth has them: each refresh counts, and gives a token or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.token: str | None = None
        self.refreshes = 0
        self.error = error
        self.gate = threading.Event()
        self.gate.set()

    @property
    def valid(self) -> bool:
        return self.token is not None

    def refresh(self, request: object) -> None:
        self.gate.wait(10)
        self.refreshes += 1
        if self.error is not None:
            raise self.error
        self.token = f"token-{self.refreshes}"


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (raised(TransportError, "connection reset"), "unreachable"),
        (requests.ConnectionError("no route"), "unreachable"),
        (requests.Timeout("too slow"), "unreachable"),
        (raised(RefreshError, "503", retryable=True), "unreachable"),
        (raised(RefreshError, "invalid_grant"), "no_credentials"),
        (raised(GoogleAuthError, "revoked"), "no_credentials"),
    ],
    ids=str,
)
async def test_an_outage_of_the_token_endpoint_is_not_taken_for_a_refusal(error: Exception, fault: Fault) -> None:
    client = GeminiClient(silence_seconds=5.0, tokens=VertexTokens(credentials=Fetched(error)))
    async with google() as upstream:
        with pytest.raises(Failed) as caught:
            await client.call(Vertex("p", "global", upstream.url), FLASH, wanted())
        await client.aclose()

    assert caught.value.fault == fault
    assert upstream.calls == []


async def test_all_who_wait_share_one_fetch_and_one_who_leaves_takes_it_from_nobody() -> None:
    credentials = Fetched()
    credentials.gate.clear()
    tokens = VertexTokens(credentials=credentials)
    callers = [asyncio.create_task(tokens.headers()) for _ in range(8)]
    await asyncio.sleep(0)
    callers[0].cancel()
    await asyncio.gather(callers[0], return_exceptions=True)
    credentials.gate.set()

    assert await asyncio.gather(*callers[1:]) == [{"Authorization": "Bearer token-1"}] * 7
    assert credentials.refreshes == 1


async def test_all_who_wait_share_one_failure() -> None:
    credentials = Fetched(raised(TransportError, "no"))
    tokens = VertexTokens(credentials=credentials)
    answers = await asyncio.gather(*(tokens.headers() for _ in range(8)), return_exceptions=True)

    assert {type(answer).__name__ for answer in answers} == {"TokenUnreachable"}
    assert credentials.refreshes == 1


async def test_a_token_that_is_answered_with_401_is_not_used_again() -> None:
    client = GeminiClient(silence_seconds=5.0, tokens=VertexTokens(credentials=Fetched()))
    async with google(refuses(401, "UNAUTHENTICATED"), gives(picture()), gives(picture())) as upstream:
        access = Vertex("p", "global", upstream.url)
        refused = await client.call(access, FLASH, wanted())
        answers = [await client.call(access, FLASH, wanted()) for _ in range(2)]
        await client.aclose()

    assert isinstance(refused, Refusal)
    assert all(isinstance(answer, Reading) for answer in answers)
    assert [call.key for call in upstream.calls] == ["Bearer token-1", "Bearer token-2", "Bearer token-2"]
