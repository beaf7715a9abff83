"""The second peer: a BentoML service with a task. Served by `bentoml serve bento:Studio`."""

import asyncio
from typing import Any

import bentoml
from body import Create, is_key
from starlette.datastructures import Headers
from starlette.responses import JSONResponse


class CheckedKey:
    """Refuses a caller without the key."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass on what carries the key."""
        if scope["type"] == "http" and not is_key(Headers(scope=scope).get("authorization")):
            message = "Send your API key in the header: Authorization: Bearer …"
            await JSONResponse({"code": 401, "message": message, "data": None}, 401)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


@bentoml.service(workers=1, logging={"access": {"enabled": False}}, metrics={"enabled": False})
class Studio:
    """One task, which does nothing."""

    @bentoml.task(route="/api/v1/tasks/create")
    async def create(self, body: Create, /) -> str:
        """What a submitted task runs, in this process."""
        await asyncio.sleep(0)
        return body.model


Studio.add_asgi_middleware(CheckedKey)
