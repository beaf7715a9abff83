"""For operators: how the engines of all worker processes are."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from cavendish.domain.engine_reports import SeenWorker
from cavendish.ports import WorkerReports
from cavendish.web.answers import AnswerResponse, success
from cavendish.web.auth import KeyRing
from cavendish.web.limits import QueryLimit

ENGINES_PATH = "/api/v1/admin/engines"


class AdminEndpoints:
    """GET /api/v1/admin/engines, with an operator key."""

    def __init__(self, *, keys: KeyRing, reports: WorkerReports, limit: QueryLimit) -> None:
        self._keys = keys
        self._reports = reports
        self._limit = limit

    async def engines(self, request: Request) -> Response:
        """What each worker process said last about itself and its engine.

        Raises:
            Unauthorized: no key, or an ordinary one.
        """
        caller = await self._keys.operator(request.scope)
        self._limit.count(caller.key_id)
        workers = [shown(worker) for worker in await self._reports.current()]
        return AnswerResponse(success({"workers": workers}, ((b"cache-control", b"no-store"),)))


def shown(seen: SeenWorker) -> dict[str, Any]:
    """A worker as the wire shows it; of one whose words are not understood, only that it lives."""
    said: dict[str, Any] = msgspec.to_builtins(seen.said) if seen.said is not None else {"worker": None, "engine": None}
    return {**said, "reportedMs": seen.reported_ms, "silentSeconds": seen.silent_seconds}
