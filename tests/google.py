"""A scripted upstream on loopback that speaks the wire format of Google's `generateContent`, over real HTTP.

It is strict where Google is: an unknown path, field, ratio or size is answered as Google does, so that a request that
passes here has the true form. That the form is true is shown by the vendor's own client, which passes, too.
"""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiohttp import web

from tests.imagery import jpeg, png

JsonObject = dict[str, Any]
Step = Callable[["Call"], Awaitable[web.StreamResponse]]

RATIOS = {"1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9"}
TURNS = 20
PICTURE = png(32, 32)
OTHER_PICTURE = jpeg(32, 32)


class Call:
    """One request as it came."""

    def __init__(self, request: web.Request, body: JsonObject) -> None:
        self.request = request
        self.path = request.path
        self.model = request.match_info["model"]
        self.key: str = request.headers.get("x-goog-api-key") or request.headers.get("Authorization") or ""
        self.body = body

    @property
    def config(self) -> JsonObject:
        """`generationConfig`."""
        config: JsonObject = self.body.get("generationConfig", {})
        return config

    @property
    def parts(self) -> list[JsonObject]:
        """Of the only content."""
        parts: list[JsonObject] = self.body["contents"][0]["parts"]
        return parts


class Google:
    """Plays one step for each call, then `afterwards` for ever."""

    def __init__(self, *script: Step, afterwards: Step | None = None) -> None:
        self._script = iter(script)
        self._afterwards = afterwards or gives(picture())
        self._came = asyncio.Condition()
        self.calls: list[Call] = []
        self.most_under_way = 0
        self._under_way = 0
        self.url = ""

    async def until_called(self, times: int) -> None:
        """Wait for the call of that number."""
        async with self._came:
            await self._came.wait_for(lambda: len(self.calls) >= times)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One call."""
        body = json.loads(await request.read())
        call = Call(request, body)
        wrong = wrong_field(call)
        if wrong is not None:
            return web.json_response(envelope(400, "INVALID_ARGUMENT", wrong), status=400)
        self.calls.append(call)
        self._under_way += 1
        self.most_under_way = max(self.most_under_way, self._under_way)
        try:
            async with self._came:
                self._came.notify_all()
            return await next(self._script, self._afterwards)(call)
        finally:
            self._under_way -= 1


@asynccontextmanager
async def google(*script: Step, afterwards: Step | None = None) -> AsyncIterator[Google]:
    """The upstream for the length of the block."""
    subject = Google(*script, afterwards=afterwards)
    app = web.Application(client_max_size=2**30)
    app.router.add_post("/v1beta/models/{model}:generateContent", subject.handle)
    vertex = "/{version}/projects/{project}/locations/{location}/publishers/google/models/{model}:generateContent"
    app.router.add_post(vertex, subject.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    subject.url = f"http://127.0.0.1:{port}"
    try:
        yield subject
    finally:
        await runner.cleanup()


def gives(body: JsonObject, status: int = 200, headers: dict[str, str] | None = None) -> Step:
    """An answer with its length."""

    async def step(_: Call) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return step


def gives_raw(body: bytes, status: int = 200, *, piece: int = 0) -> Step:
    """These bytes; with `piece`, chunked in pieces of that length."""

    async def step(call: Call) -> web.StreamResponse:
        if not piece:
            return web.Response(body=body, status=status, content_type="application/json")
        response = web.StreamResponse(status=status, headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(call.request)
        for at in range(0, len(body), piece):
            await response.write(body[at : at + piece])
            for _ in range(TURNS):  # the reader, in the same event loop, gets its turn between two pieces
                await asyncio.sleep(0)
        await response.write_eof()
        return response

    return step


def hangs_up(after: bytes = b"") -> Step:
    """Closes the connection, having promised more than it sent."""

    async def step(call: Call) -> web.StreamResponse:
        transport = call.request.transport
        assert transport is not None
        if after:
            response = web.StreamResponse(headers={"Content-Length": str(len(after) + 1000)})
            await response.prepare(call.request)
            await response.write(after)
        transport.close()
        return web.Response()

    return step


def stays_silent(after: bytes = b"") -> Step:
    """Says nothing (more) for ever."""

    async def step(call: Call) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100000"})
        if after:
            await response.prepare(call.request)
            await response.write(after)
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return response

    return step


def refuses(status: int, word: str = "UNKNOWN", message: str = "no", **more: Any) -> Step:
    """An error envelope; `retry_delay="7s"` adds a RetryInfo, `headers` goes into the head."""
    headers = more.pop("headers", None)
    return gives(envelope(status, word, message, **more), status, headers)


def envelope(
    code: int,
    status: str,
    message: str,
    *,
    retry_delay: str | None = None,
    reason: str | None = None,
    quota_id: str | None = None,
) -> JsonObject:
    """Google's error, as its JSON says it."""
    details: list[JsonObject] = []
    if reason is not None:
        info = {
            "reason": reason,
            "domain": "googleapis.com",
            "metadata": {"service": "generativelanguage.googleapis.com"},
        }
        details.append({"@type": "type.googleapis.com/google.rpc.ErrorInfo", **info})
    if quota_id is not None:
        violation = {"quotaMetric": "generativelanguage.googleapis.com/generate_requests", "quotaId": quota_id}
        details.append({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]})
    if retry_delay is not None:
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": retry_delay})
    error: JsonObject = {"code": code, "message": message, "status": status}
    return {"error": error | ({"details": details} if details else {})}


def image_part(data: bytes, mime: str = "image/png", **more: Any) -> JsonObject:
    """A part with a picture."""
    return {"inlineData": {"mimeType": mime, "data": b64encode(data).decode()}, **more}


def answer(*parts: JsonObject, reason: str | None = "STOP", usage: JsonObject | None = None) -> JsonObject:
    """An answer with one candidate."""
    candidate: JsonObject = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if not parts:
        del candidate["content"]
    if reason is not None:
        candidate["finishReason"] = reason
    used = usage if usage is not None else used_tokens()
    return {
        "candidates": [candidate],
        "usageMetadata": used,
        "modelVersion": "gemini-2.5-flash-image",
        "responseId": "x1",
    }


def picture(data: bytes = PICTURE, mime: str = "image/png") -> JsonObject:
    """An answer with a picture, and the words that come with one."""
    return answer({"text": 'Here is your picture: "a\\b".'}, image_part(data, mime))


def blocked(reason: str) -> JsonObject:
    """An answer to a prompt that was refused."""
    return {"promptFeedback": {"blockReason": reason}, "usageMetadata": {"promptTokenCount": 7, "totalTokenCount": 7}}


def used_tokens(text_in: int = 10, image_in: int = 0, image_out: int = 1290, thoughts: int = 0) -> JsonObject:
    """`usageMetadata`."""
    prompt = [{"modality": "TEXT", "tokenCount": text_in}]
    if image_in:
        prompt.append({"modality": "IMAGE", "tokenCount": image_in})
    used: JsonObject = {
        "promptTokenCount": text_in + image_in,
        "candidatesTokenCount": image_out,
        "totalTokenCount": text_in + image_in + image_out + thoughts,
        "promptTokensDetails": prompt,
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": image_out}],
    }
    return used | ({"thoughtsTokenCount": thoughts} if thoughts else {})


def wrong_field(call: Call) -> str | None:
    """What Google would say about the request, as far as pictures go; None when it is fine."""
    known = {
        "": {"contents", "generationConfig", "safetySettings"},
        "generation_config": {"responseModalities", "imageConfig", "seed", "temperature", "candidateCount"},
        "generation_config.image_config": {"aspectRatio", "imageSize"},
    }
    config = call.config
    image = config.get("imageConfig", {})
    for where, fields in (("", call.body), ("generation_config", config), ("generation_config.image_config", image)):
        for name in fields.keys() - known[where]:
            return f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}': Cannot find field."
    for part in call.parts:  # either spelling of a name is fine, as everywhere where JSON stands for protocol buffers
        data = part.get("inlineData")
        if part.keys() - {"text", "inlineData"} or (
            data is not None and data.keys() not in ({"mimeType", "data"}, {"mime_type", "data"})
        ):
            return "Invalid JSON payload received. Unknown name in part: Cannot find field."
    if "aspectRatio" in image and image["aspectRatio"] not in RATIOS:
        return f"aspect_ratio must be one of {sorted(RATIOS)}"
    if "imageSize" in image and (call.model.startswith("gemini-2") or image["imageSize"] not in {"1K", "2K", "4K"}):
        return "image_size is not supported by this model, or not one of 1K, 2K, 4K"
    if not set(config.get("responseModalities", [])) <= {"TEXT", "IMAGE"}:
        return "response_modalities: unknown"
    return None
