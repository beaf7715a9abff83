"""The vendor's own client against the scripted upstream: what it asks there is what we ask, and it reads the answers.

So the upstream speaks the true form, and our requests have it; and the way to Vertex, with real google-auth.
"""

import asyncio
import json
import warnings
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.genai import errors, types

from cavendish.clock import SystemClock
from cavendish.domain.errors import EngineError
from cavendish.engines.gemini.access import Vertex
from cavendish.engines.gemini.engine import Gemini
from cavendish.images.service import PillowImages
from cavendish.ports import InputImage
from google import genai
from tests.google import PICTURE, Google, answer, gives, google, refuses
from tests.imagery import png
from tests.integration.test_gemini_engine import ONE, drawn, failure, gemini, wanted

IMAGE = png(30, 20)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What the vendor's package warns of is not ours to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


async def ask_as_the_vendor(upstream: Google, model: str, config: types.GenerateContentConfig, *images: bytes) -> Any:
    """One call through `google-genai`."""
    client = genai.Client(
        api_key=ONE,
        http_options=types.HttpOptions(
            base_url=upstream.url, api_version="v1beta", retry_options=types.HttpRetryOptions(attempts=1)
        ),
    )
    parts = [types.Part.from_bytes(data=image, mime_type="image/png") for image in images]
    contents: Any = types.Content(role="user", parts=[*parts, types.Part.from_text(text="a red apple")])
    try:
        return await client.aio.models.generate_content(model=model, contents=contents, config=config)
    finally:
        await client.aio.aclose()


@pytest.mark.parametrize("ratio", ["16:9", "auto"])
@pytest.mark.parametrize(
    ("model", "resolution", "size"),
    [("gemini-2.5-flash-image", "1k", None), ("gemini-3-pro-image", "4k", "4K")],
)
async def test_we_ask_exactly_what_the_vendor_s_client_asks(
    model: str, resolution: str, size: str | None, ratio: str
) -> None:
    config = types.GenerateContentConfig(
        response_modalities=["TEXT", "IMAGE"],
        image_config=types.ImageConfig(aspect_ratio=None if ratio == "auto" else ratio, image_size=size),
        seed=7,
    )
    images = (InputImage(IMAGE, "png", 30, 20),)
    async with google() as upstream, gemini(upstream) as engine:
        await ask_as_the_vendor(upstream, model, config, IMAGE)
        await drawn(
            engine, wanted(upstream_models=(model,), resolution=resolution, aspect_ratio=ratio, images=images, seed=7)
        )
    theirs, ours = upstream.calls

    assert (ours.path, ours.key) == (theirs.path, theirs.key)
    assert _bare(ours.body) == _bare(theirs.body)


async def test_the_vendor_s_client_reads_the_scripted_answers_as_we_do() -> None:
    async with google() as upstream:
        read = await ask_as_the_vendor(upstream, "gemini-2.5-flash-image", types.GenerateContentConfig())
    candidate = read.candidates[0]

    assert [part.inline_data.data for part in candidate.content.parts if part.inline_data] == [PICTURE]
    assert candidate.finish_reason is types.FinishReason.STOP
    assert read.usage_metadata.candidates_tokens_details[0].modality is types.MediaModality.IMAGE


async def test_the_vendor_s_client_reads_the_scripted_refusals_as_we_do() -> None:
    refusal = refuses(429, "RESOURCE_EXHAUSTED", "quota", retry_delay="7s")
    async with google(gives(answer(reason="IMAGE_SAFETY")), refusal) as upstream:
        rejected = await ask_as_the_vendor(upstream, "gemini-2.5-flash-image", types.GenerateContentConfig())
        with pytest.raises(errors.ClientError) as caught:
            await ask_as_the_vendor(upstream, "gemini-2.5-flash-image", types.GenerateContentConfig())

    assert rejected.candidates[0].finish_reason is types.FinishReason.IMAGE_SAFETY
    assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")
    assert caught.value.details["error"]["details"][0]["retryDelay"] == "7s"


def _bare(value: Any) -> Any:
    """In one spelling where Google takes several: names, base64, and what is empty or absent."""
    if isinstance(value, dict):
        if "mime_type" in value:
            value = {"mimeType": value["mime_type"], "data": value["data"]}
        if "data" in value:
            value = value | {"data": urlsafe_b64decode(value["data"].replace("+", "-").replace("/", "_"))}
        return {name: _bare(inner) for name, inner in value.items() if inner not in ({}, None)}
    return [_bare(inner) for inner in value] if isinstance(value, list) else value


# Vertex.


class TokenServer:
    """Gives access tokens to whoever shows a signed assertion, and counts them."""

    def __init__(self) -> None:
        self.given = 0
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        assert str(form["grant_type"]).endswith("jwt-bearer")
        self.given += 1
        return web.json_response({"access_token": f"token-{self.given}", "expires_in": 3600, "token_type": "Bearer"})


@pytest.fixture
async def tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A token endpoint, and application default credentials that lead there."""
    server = TokenServer()
    app = web.Application()
    app.router.add_post("/token", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/token"
    secret = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "project_id": "my-project",
        "private_key_id": "k1",
        "private_key": secret.decode(),
        "client_email": "robot@my-project.iam.gserviceaccount.com",
        "token_uri": server.url,
    }
    file = tmp_path / "account.json"
    file.write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    yield server
    await runner.cleanup()


def vertex(upstream: Google) -> Gemini:
    return Gemini(
        [Vertex("my-project", "us-east1", upstream.url)],
        clock=SystemClock(),
        images=PillowImages(),
        requests_per_minute=100,
        parallel=4,
        silence_seconds=5,
        request_bytes=100_000_000,
    )


async def test_vertex_is_asked_with_one_token_for_many_calls(
    tokens: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_QUOTA_PROJECT", "who-pays")
    async with google() as upstream:
        engine = vertex(upstream)
        made = await asyncio.gather(*(drawn(engine) for _ in range(3)))
        report = engine.report()
        await engine.aclose()

    assert [image.data for image in made] == [PICTURE] * 3
    assert tokens.given == 1
    assert {call.key for call in upstream.calls} == {"Bearer token-1"}
    assert {call.request.headers["x-goog-user-project"] for call in upstream.calls} == {"who-pays"}
    assert upstream.calls[0].path == (
        "/v1beta1/projects/my-project/locations/us-east1/publishers/google/models/gemini-2.5-flash-image:generateContent"
    )
    assert [project.project for project in report.projects] == ["vertex:my-project"]


async def test_vertex_without_credentials_fails_its_tasks_with_a_word_for_the_operator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    async with google() as upstream:
        engine = vertex(upstream)
        error: EngineError = await failure(engine)
        await engine.aclose()

    assert error.code == "engine_error"
    assert "tell its operator" in error.text.en
    assert upstream.calls == []
