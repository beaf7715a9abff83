"""What one task cost upstream: tokens by direction and modality, and their price in whole micro-dollars.

Counts come from the upstream's own answers, never from a table of sizes. No floats: prices are whole micro-dollars
(a millionth of a dollar) per million tokens, and a task's cost is rounded once, at the end.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

PER_MILLION = 1_000_000
"""Tokens that a price is for; also micro-dollars in a dollar."""


HOURS_KEPT_DAYS = 62
"""How long usage is kept by the hour; after that, by the day (UTC)."""

UsageBy = Literal["model", "account", "day"]


class TokenPrices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an upstream model takes, in micro-dollars per million tokens. Fields as in `UpstreamTokens`.

    `cached_in`: input that the upstream had in its cache; None: no discount is known, text's price applies.
    """

    text_in: int
    image_in: int
    text_out: int
    image_out: int
    thought_out: int
    cached_in: int | None = None


class UpstreamTokens(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one upstream model counted for one task, over `calls` answers. No token is in two fields.

    Modalities other than image (text, and whatever else an upstream counts) are under `text_…`, drafts of thinking
    models under `thought_out`; `cached_in` is input of any modality that came from the upstream's cache.
    """

    upstream: str
    calls: int = 1
    text_in: int = 0
    image_in: int = 0
    cached_in: int = 0
    text_out: int = 0
    image_out: int = 0
    thought_out: int = 0

    def plus(self, other: "UpstreamTokens") -> "UpstreamTokens":
        """Both together; they must be of the same upstream model."""
        assert self.upstream == other.upstream
        return UpstreamTokens(
            self.upstream,
            self.calls + other.calls,
            self.text_in + other.text_in,
            self.image_in + other.image_in,
            self.cached_in + other.cached_in,
            self.text_out + other.text_out,
            self.image_out + other.image_out,
            self.thought_out + other.thought_out,
        )


class Usage(msgspec.Struct, frozen=True):
    """What a task used, one row for each upstream model that answered for it."""

    models: tuple[UpstreamTokens, ...]


class Spent(msgspec.Struct, frozen=True):
    """What a task has used so far, over all its attempts. `cost_micros` None: some model has no price."""

    usage: Usage
    cost_micros: int | None


def total(usages: Iterable[Usage | None]) -> Usage | None:
    """All calls of a task together, retries included; None when nothing was used."""
    rows: dict[str, UpstreamTokens] = {}
    for usage in usages:
        for row in usage.models if usage is not None else ():
            before = rows.get(row.upstream)
            rows[row.upstream] = row if before is None else before.plus(row)
    return Usage(tuple(rows.values())) if rows else None


def cost_micros(usage: Usage, prices: Mapping[str, TokenPrices]) -> int | None:
    """What `usage` cost in micro-dollars, rounded half up; None when a model that counted tokens has no price."""
    units = 0  # of a millionth of a micro-dollar
    for row in usage.models:
        price = prices.get(row.upstream)
        if price is None:
            return None
        units += (
            row.text_in * price.text_in
            + row.image_in * price.image_in
            + row.cached_in * (price.text_in if price.cached_in is None else price.cached_in)
            + row.text_out * price.text_out
            + row.image_out * price.image_out
            + row.thought_out * price.thought_out
        )
    return (units + PER_MILLION // 2) // PER_MILLION


def spend(before: Spent | None, usage: Usage | None, prices: Mapping[str, TokenPrices]) -> Spent | None:
    """What was spent before and now, all of it at `prices`."""
    together = total([before.usage if before is not None else None, usage])
    return Spent(together, cost_micros(together, prices)) if together is not None else None


class UsageTotals(msgspec.Struct, frozen=True):
    """Tasks that ended, of one model, account or day (`name`). `unpriced`: those whose cost is not in the sum."""

    name: str
    tasks: int = 0
    successes: int = 0
    credits: int = 0
    upstream_cost_micros: int = 0
    unpriced: int = 0

    def plus(self, other: "UsageTotals") -> "UsageTotals":
        """Both together, under this one's name."""
        return UsageTotals(
            self.name,
            self.tasks + other.tasks,
            self.successes + other.successes,
            self.credits + other.credits,
            self.upstream_cost_micros + other.upstream_cost_micros,
            self.unpriced + other.unpriced,
        )

    def margin_micros(self, credit_micros: int) -> int | None:
        """What the credits sold for less the upstream cost; None when either is not known.

        Args:
            credit_micros: micro-dollars that one credit sells for; 0: not known.
        """
        if credit_micros == 0 or self.unpriced:
            return None
        return self.credits * credit_micros - self.upstream_cost_micros


def whole_hours(since: datetime, until: datetime | None, now: datetime) -> tuple[datetime, datetime | None]:
    """The period as usage is kept: outward to whole hours, or to whole days (UTC) where hours are no longer kept."""
    hours_from = _floor(now.astimezone(UTC) - timedelta(days=HOURS_KEPT_DAYS), timedelta(days=1))

    def step(moment: datetime) -> timedelta:
        return timedelta(hours=1) if moment >= hours_from else timedelta(days=1)

    begin = _floor(since.astimezone(UTC), step(since))
    if until is None:
        return begin, None
    end = _floor(until.astimezone(UTC), step(until))
    return begin, end if end == until else end + step(until)


def _floor(moment: datetime, step: timedelta) -> datetime:
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (moment - midnight) // step * step
