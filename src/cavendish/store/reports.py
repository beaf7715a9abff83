"""What each worker process says about itself and its engine: one row for each, the newest word only."""

import msgspec

from cavendish.domain.engine_reports import FORGET_SECONDS, SeenWorker, WorkerReport
from cavendish.store.database import Database
from cavendish.store.queries import load_queries

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(WorkerReport)


class PgReports:
    """Implements `ports.WorkerReports`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load_queries("reports")

    async def publish(self, process: str, report: WorkerReport) -> None:
        """The newest word of the process with that UUID."""
        await self._database.fetch(self._sql["publish"], process, _encoder.encode(report).decode())

    async def withdraw(self, process: str) -> None:
        """The process ends."""
        await self._database.fetch(self._sql["withdraw"], process)

    async def current(self) -> list[SeenWorker]:
        """Every process that was heard of lately, by worker name."""
        rows = await self._database.fetch(self._sql["current"], FORGET_SECONDS)
        return [SeenWorker(row["reported_ms"], row["silent_seconds"], _understood(row["report"])) for row in rows]

    async def drop_silent(self) -> None:
        """Forget processes that were not heard of for long."""
        await self._database.fetch(self._sql["drop_silent"], FORGET_SECONDS)


def _understood(report: str) -> WorkerReport | None:
    try:
        return _decoder.decode(report)
    except msgspec.ValidationError:
        return None  # a process of another version: that it lives is still worth showing
