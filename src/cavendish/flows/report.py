"""Report: a worker process says how it and its engine are, so that any process can show it."""

import asyncio
import uuid
from collections.abc import Callable

import structlog

from cavendish.domain.engine_reports import WorkerReport
from cavendish.domain.errors import StoreUnavailable
from cavendish.ports import Clock, WorkerReports

LOOK_SECONDS = 3.0
"""How often to look, and the most often that a change is written."""
SAME_SECONDS = 15.0
"""How often to repeat what did not change: the sign of life."""
FAREWELL_SECONDS = 2.0
"""How long the end of a process may take because of this; its row would be forgotten by itself."""

log = structlog.get_logger("cavendish.report")


class Reporter:
    """Runs in every worker process. Its trouble is never that of the work: it logs, and tries again.

    Args:
        look: what to say now.
    """

    def __init__(self, *, reports: WorkerReports, clock: Clock, look: Callable[[], WorkerReport]) -> None:
        self._reports = reports
        self._clock = clock
        self._look = look
        self._process = str(uuid.uuid4())
        self._told: WorkerReport | None = None
        self._told_at = 0.0
        self._in_trouble = False

    async def run(self) -> None:
        """Report until canceled."""
        while True:
            await self.once()
            await self._clock.sleep(LOOK_SECONDS)

    async def once(self) -> None:
        """Look, and tell what is new, or that all is as it was when that was not said for a while."""
        try:
            report = self._look()
            now = self._clock.monotonic()
            if report == self._told and now - self._told_at < SAME_SECONDS:
                return
            await self._reports.publish(self._process, report)
            self._told, self._told_at = report, now
            self._in_trouble = False
        except StoreUnavailable as error:
            self._trouble("the engine's state cannot be shown: the database does not answer", error=str(error))
        except Exception as error:  # noqa: BLE001 - what is only shown must not end what works
            self._trouble("the engine's state cannot be shown", exc_info=error)

    async def stop(self) -> None:
        """Say nothing more, and be forgotten."""
        try:
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self._reports.withdraw(self._process)
        except (StoreUnavailable, TimeoutError) as error:
            log.info("this process is shown for some minutes more: the database does not answer", error=str(error))

    def _trouble(self, event: str, **details: object) -> None:
        if not self._in_trouble:  # once, not every three seconds
            log.warning(event, **details)
        self._in_trouble = True
