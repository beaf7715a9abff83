"""What was used in a period: tasks, credits and upstream cost, summed by model, account or day."""

from datetime import datetime

from cavendish.domain.usage import UsageBy, UsageTotals
from cavendish.store.database import Database
from cavendish.store.queries import load_queries


class PgUsage:
    """Reads the totals that the finishing transactions keep."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load_queries("usage")

    async def totals(self, since: datetime, until: datetime | None, by: UsageBy) -> list[UsageTotals]:
        """Of tasks that ended from `since` up to, not including, `until` (None: now); ordered by name."""
        rows = await self._database.fetch(self._sql["totals"], since, until, by)
        return [UsageTotals(**dict(row)) for row in rows]
