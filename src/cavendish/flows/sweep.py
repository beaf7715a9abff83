"""Sweep: what dead workers left behind goes on its way again; what outlived its time is removed."""

import structlog

from cavendish.domain.errors import StoreUnavailable, Unavailable
from cavendish.domain.files import file_blob
from cavendish.domain.results import input_blob, result_blob
from cavendish.flows.work import INTERNAL
from cavendish.ports import Blobs, Clock, Files, LostWork, OldTasks, WorkerReports

log = structlog.get_logger("cavendish.sweeper")


class Sweeper:
    """Runs in every worker process; several at once do no harm.

    Args:
        interval_seconds: how often to look.
    """

    def __init__(self, *, lost: LostWork, reports: WorkerReports, clock: Clock, interval_seconds: float) -> None:
        self._lost = lost
        self._reports = reports
        self._clock = clock
        self._interval_seconds = interval_seconds

    async def run(self) -> None:
        """Sweep until canceled."""
        while True:
            try:
                await self.once()
            except StoreUnavailable as error:
                log.warning("nothing swept: the database does not answer", error=str(error))
            except Exception:
                log.exception("sweeping met an unforeseen error; it goes on")
            await self._clock.sleep(self._interval_seconds)

    async def once(self) -> None:
        """One pass: everything that is due now, in bounded statements."""
        while requeued := await self._lost.requeue_lost():
            log.warning("a worker died or went silent; its tasks wait again", tasks=requeued)
        while failed := await self._lost.fail_exhausted(INTERNAL):
            log.error("tasks lost their last attempt and failed", tasks=failed)
        await self._lost.drop_ended_leases()
        await self._reports.drop_silent()


class Retention:
    """Removes finished tasks with their images, and uploaded files, when their time is over. The ledger stays.

    Args:
        days: how long a finished task is kept; 0 keeps it for ever.
        interval_seconds: how often to look.
        pause_seconds: rest between two batches, so that claims and creates never wait behind them.
    """

    def __init__(
        self,
        *,
        old: OldTasks,
        files: Files,
        blobs: Blobs,
        clock: Clock,
        days: int,
        interval_seconds: float = 60.0,
        pause_seconds: float = 0.1,
    ) -> None:
        self._old = old
        self._files = files
        self._blobs = blobs
        self._clock = clock
        self._days = days
        self._interval_seconds = interval_seconds
        self._pause_seconds = pause_seconds

    async def run(self) -> None:
        """Remove until canceled."""
        while True:
            try:
                await self.once()
            except Unavailable as error:
                log.warning("nothing removed: a part does not answer", error=str(error))
            except Exception:
                log.exception("removing met an unforeseen error; it goes on")
            await self._clock.sleep(self._interval_seconds)

    async def once(self) -> int:
        """Everything that is due now; how many tasks were removed."""
        removed = 0
        while self._days > 0 and (batch := await self._old.outlived(self._days)):
            # Images first: a crash in between leaves a task to come back to, not an image that nothing knows of.
            await self._blobs.delete(
                [result_blob(name) for _, results, _ in batch for name in results]
                + [input_blob(name) for _, _, inputs in batch for name in inputs]
            )
            await self._old.remove_tasks([task_id for task_id, _, _ in batch])
            removed += len(batch)
            await self._clock.sleep(self._pause_seconds)
        while await self._old.remove_idempotency_keys():
            await self._clock.sleep(self._pause_seconds)
        while await self._old.fold_usage():
            await self._clock.sleep(self._pause_seconds)
        await self._remove_files()
        if removed:
            log.info("finished tasks and their images were removed", tasks=removed, retention_days=self._days)
        return removed

    async def _remove_files(self) -> None:
        removed = 0
        while names := await self._files.expired():
            await self._blobs.delete([file_blob(name) for name in names])
            await self._files.remove(names)
            removed += len(names)
            await self._clock.sleep(self._pause_seconds)
        abandoned = await self._blobs.drop_abandoned()
        if removed or abandoned:
            log.info("uploaded files were removed", files=removed, abandoned=abandoned)
