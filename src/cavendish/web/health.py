"""Is the process alive; is it ready for traffic."""

from collections.abc import Awaitable, Callable
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response

from cavendish.web.answers import plain_json
from cavendish.web.shapes import Alive, Readiness

Check = Callable[[], Awaitable[bool]]


class Health:
    """GET /healthz and GET /readyz

    Args:
        checks: name -> whether that part is ready; all of them must be.
    """

    def __init__(self, checks: dict[str, Check]) -> None:
        self._checks = checks

    async def healthz(self, _request: Request) -> Response:
        """200 while the process serves at all."""
        return plain_json(Alive("ok"))

    async def readyz(self, _request: Request) -> Response:
        """200 when every part is ready, else 503; the body says which is not."""
        states = {name: await check() for name, check in self._checks.items()}
        ready = all(states.values())
        words: dict[str, Literal["ok", "not ready"]] = {
            n: "ok" if state else "not ready" for n, state in states.items()
        }
        return plain_json(Readiness("ok" if ready else "not ready", words), 200 if ready else 503)
