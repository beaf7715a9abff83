"""Sweep: what dead workers left behind is found and brought on its way again."""

import structlog

from cavendish.domain.errors import StoreUnavailable
from cavendish.flows.work import INTERNAL
from cavendish.ports import Clock, LostWork

log = structlog.get_logger("cavendish.sweeper")


class Sweeper:
    """Runs in every worker process; several at once do no harm.

    Args:
        interval_seconds: how often to look.
    """

    def __init__(self, *, lost: LostWork, clock: Clock, interval_seconds: float) -> None:
        self._lost = lost
        self._clock = clock
        self._interval_seconds = interval_seconds

    async def run(self) -> None:
        """Sweep until canceled."""
        while True:
            try:
                await self.once()
            except StoreUnavailable as error:
                log.warning("nothing swept: the database does not answer", error=str(error))
            await self._clock.sleep(self._interval_seconds)

    async def once(self) -> None:
        """One pass: everything that is due now, in bounded statements."""
        while requeued := await self._lost.requeue_lost():
            log.warning("a worker died or went silent; its tasks wait again", tasks=requeued)
        while failed := await self._lost.fail_exhausted(INTERNAL):
            log.error("tasks lost their last attempt and failed", tasks=failed)
        await self._lost.drop_ended_leases()
