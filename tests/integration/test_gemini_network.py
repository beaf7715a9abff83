"""On the way to Google: certificates are checked, only the operator's proxy is used, and nothing is loaded early."""

import json
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from cavendish.engines.gemini.access import ApiKey
from cavendish.engines.gemini.answer import Refusal
from cavendish.engines.gemini.client import MAX_REFUSAL_BYTES, GeminiClient
from tests.google import PICTURE, JsonObject, envelope, gives_raw, google, picture
from tests.integration.test_gemini_engine import FLASH, ONE, drawn, failure, gemini, wanted
from tests.loopback import Visit, loopback_server


def context(authority: trustme.CA) -> ssl.SSLContext:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    return server


async def says_picture(visit: Visit) -> None:
    await visit.answer(200, json.dumps(picture()).encode(), {"Content-Type": "application/json"})


async def test_a_certificate_that_nobody_vouches_for_ends_the_task_before_a_key_is_sent() -> None:
    authority = trustme.CA()
    async with loopback_server(says_picture, tls=context(authority)) as server:
        async with gemini(f"https://127.0.0.1:{server.port}") as engine:
            error = await failure(engine)
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        async with gemini(f"https://127.0.0.1:{server.port}", tls=trusting) as engine:
            made = await drawn(engine)

    assert error.code == "engine_error"
    assert made.data == PICTURE
    assert len(server.visits) == 1


async def test_a_redirect_is_not_followed_because_the_key_would_go_along() -> None:
    async def elsewhere(visit: Visit) -> None:
        await visit.answer(307, b"", {"Location": f"{target.url}/v1beta/models/m:generateContent"})

    async with (
        google() as target,
        loopback_server(elsewhere) as server,
        gemini(f"http://127.0.0.1:{server.port}") as engine,
    ):
        error = await failure(engine)

    assert error.code == "engine_error"
    assert target.calls == []


async def test_the_environment_s_proxy_is_not_used_and_the_operator_s_is(monkeypatch: pytest.MonkeyPatch) -> None:
    async with loopback_server(says_picture) as proxy, google() as upstream:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with gemini(upstream) as engine:
            await drawn(engine)
        direct = len(upstream.calls), len(proxy.visits)
        async with gemini("http://google.example", proxy=f"http://127.0.0.1:{proxy.port}") as engine:
            made = await drawn(engine)

    assert direct == (1, 0)
    assert made.data == PICTURE
    assert proxy.visits[0].target.startswith("http://google.example/v1beta/models/")
    assert proxy.visits[0].headers["x-goog-api-key"] == ONE


@pytest.mark.parametrize(
    ("body", "decision", "seconds"),
    [
        (envelope(429, "RESOURCE_EXHAUSTED", "out of quota " * 80, retry_delay="47s"), "next_key", 47.0),
        (envelope(400, "INVALID_ARGUMENT", "not valid " * 80, reason="API_KEY_INVALID"), "next_key", None),
    ],
    ids=["429 whose wait comes last", "400 about the key"],
)
async def test_a_refusal_is_read_to_its_end_in_whatever_pieces_it_comes(
    body: JsonObject, decision: str, seconds: float | None
) -> None:
    said = json.dumps(body).encode()
    client = GeminiClient(silence_seconds=5.0)
    async with google(gives_raw(said, body["error"]["code"], piece=len(said) // 2)) as upstream:
        refusal = await client.call(ApiKey("a", 1, ONE, upstream.url), FLASH, wanted())
        await client.aclose()

    assert isinstance(refusal, Refusal)
    assert (refusal.verdict.decision, refusal.retry_seconds) == (decision, seconds)


async def test_a_refusal_without_end_is_read_no_further_than_it_needs() -> None:
    client = GeminiClient(silence_seconds=5.0)
    async with google(gives_raw(b"{" + b" " * 4 * MAX_REFUSAL_BYTES, 503, piece=MAX_REFUSAL_BYTES)) as upstream:
        refusal = await client.call(ApiKey("a", 1, ONE, upstream.url), FLASH, wanted())
        await client.aclose()

    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.verdict.code) == (503, "engine_busy")


def test_a_process_that_starts_loads_neither_an_http_client_nor_the_vendor_s_packages(tmp_path: Path) -> None:
    code = (
        "import sys, cavendish.wiring, cavendish.serving, cavendish.engines.gemini.engine;"
        "print([m for m in ('aiohttp', 'google', 'google.auth', 'google.genai', 'requests') if m in sys.modules])"
    )
    outcome = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert outcome.stdout.strip() == "[]"
