"""On the way to Google: certificates are checked, only the operator's proxy is used, and nothing is loaded early."""

import json
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from tests.google import PICTURE, google, picture
from tests.integration.test_gemini_engine import ONE, drawn, failure, gemini
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


def test_a_process_that_starts_loads_neither_an_http_client_nor_the_vendor_s_packages(tmp_path: Path) -> None:
    code = (
        "import sys, cavendish.wiring, cavendish.serving, cavendish.engines.gemini.engine;"
        "print([m for m in ('aiohttp', 'google', 'google.auth', 'google.genai', 'requests') if m in sys.modules])"
    )
    outcome = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert outcome.stdout.strip() == "[]"
