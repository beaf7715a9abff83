"""Who may call next, with which key, for which upstream id: tasks wait here, in order, until some project has room."""

import asyncio
import random
from collections import deque
from collections.abc import Sequence

import msgspec
import structlog

from cavendish.domain.engine_reports import BreakerReport, KeyOut, ProjectReport, RetiredModel
from cavendish.domain.text import Text
from cavendish.engines.gemini import outcomes
from cavendish.engines.gemini.access import Access, Vertex
from cavendish.engines.gemini.answer import Refusal
from cavendish.engines.gemini.outcomes import Verdict
from cavendish.engines.gemini.quota import Project, UpstreamModel
from cavendish.ports import Clock

_SHORTEST_WAIT_SECONDS = 0.002
PATIENCE_SECONDS = 1.0
"""For longer than this nobody waits here for a model that is ill: its tasks would hold up those of other models."""
LOOK_SECONDS = 5.0
"""When to ask again while one call looks whether a model is well again."""

log = structlog.get_logger("cavendish.gemini")


class Exhausted(Exception):
    """There is no use in waiting: no key, no model, or no quota before the deadline."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.text.en)
        self.verdict = verdict


class Away(Exception):
    """What was asked for cannot be had for `seconds`; nothing else is in the way, so others may be served meanwhile."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"not for {seconds:.0f} s")
        self.seconds = seconds


class Seat(msgspec.Struct, frozen=True):
    """Leave to make one call. `probes`: it looks whether the model is well again."""

    project: Project
    access: Access
    model: str
    probes: bool = False


class _Wish(msgspec.Struct, frozen=True):
    """`until`: when waiting ends; a patient one waits on while there may be a seat within `within_seconds` from now."""

    models: tuple[str, ...]
    within_seconds: float
    until: float
    patient: bool


class _Waiter(msgspec.Struct, frozen=True):
    wish: _Wish
    future: "asyncio.Future[Seat]"


class Rotation:
    """All projects of one process.

    Args:
        accesses: keys and Vertex; those of one project share its quota.
        requests_per_minute, parallel: of each project, in this process.
    """

    def __init__(self, accesses: Sequence[Access], clock: Clock, *, requests_per_minute: int, parallel: int) -> None:
        by_label: dict[str, list[Access]] = {}
        for access in accesses:
            label = f"vertex:{access.project}" if isinstance(access, Vertex) else access.project
            by_label.setdefault(label, []).append(access)
        self._projects = [
            Project(label, keys, requests_per_minute=requests_per_minute, parallel=parallel)
            for label, keys in by_label.items()
        ]
        self._clock = clock
        self._models: dict[tuple[str, str], UpstreamModel] = {}  # by place and upstream id
        self._waiters: deque[_Waiter] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """Tasks that wait for capacity."""
        return len(self._waiters)

    @property
    def running(self) -> int:
        """Calls under way."""
        return sum(project.running for project in self._projects)

    @property
    def parallel(self) -> int:
        """Calls that may be under way."""
        return sum(project.parallel for project in self._projects)

    async def acquire(
        self, models: tuple[str, ...], within_seconds: float, *, patient: bool = False, again: bool = False
    ) -> Seat:
        """Leave to call the first of `models` that is there, once some project has room.

        Args:
            patient: wait as long as it takes, if only there may be room within that time, looked at from any moment.
            again: it had its turn before, and goes to the head of the line.

        Raises:
            Exhausted: no key or no model is left, or there can be no room within `within_seconds`.
            Away: to the patient: what they ask for is ill, and others need not wait for it with them.
        """
        wish = _Wish(models, within_seconds, self._clock.monotonic() + within_seconds, patient)
        if not self._waiters or again:
            seat, _ = self._seat(wish)
            if seat is not None:
                return seat
        waiter = _Waiter(wish, asyncio.get_running_loop().create_future())
        if again:
            self._waiters.appendleft(waiter)
        else:
            self._waiters.append(waiter)
        self._serve()
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if waiter.future.done() and not waiter.future.cancelled() and waiter.future.exception() is None:
                self.release(waiter.future.result())
            raise
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def release(self, seat: Seat) -> None:
        """The call ended, however it did; first say how, then release."""
        self._vacate(seat)
        self._serve()

    def answered(self, seat: Seat) -> None:
        """The upstream answered as it should."""
        self._model(seat.project, seat.model).answered()
        if seat.project.answered(seat.access):
            self._tell_accepted(seat)

    def penalise(self, seat: Seat, verdict: Verdict, refusal: Refusal | None) -> None:
        """Remember what an event says about the quota, the key, the upstream id or the upstream."""
        now = self._clock.monotonic()
        status = refusal.status if refusal else None
        said = refusal.said if refusal else None
        if refusal is not None and verdict.penalty != "key" and seat.project.accepted(seat.access):
            self._tell_accepted(seat)
        match verdict.penalty:
            case "none":
                self.answered(seat)
            case "quota":
                daily_of = seat.model if refusal is not None and refusal.daily else None
                seconds = seat.project.limited(
                    now,
                    wait_seconds=refusal.retry_seconds if refusal else None,
                    daily_of=daily_of,
                    roll=random.random(),  # noqa: S311 - jitter
                )
                log.warning(
                    "a project is out of quota and rests",
                    project=seat.project.label, model=seat.model, seconds=round(seconds, 1), said=said,
                )  # fmt: skip
            case "key":
                reason = _why_refused(status)
                if seat.project.refuse(seat.access, now, reason):
                    log.error(
                        "a key was refused and leaves the rotation", key=seat.access.name, status=status, said=said
                    )
            case "model":
                if self._model(seat.project, seat.model).retire(now):
                    log.error(
                        "an upstream model is gone: the next one is used",
                        model=seat.model, place=seat.project.place, said=said,
                    )  # fmt: skip
            case "upstream":
                if self._model(seat.project, seat.model).failed(now):
                    log.error(
                        "the upstream fails again and again and is left alone",
                        model=seat.model, place=seat.project.place, status=status,
                    )  # fmt: skip

    def _tell_accepted(self, seat: Seat) -> None:
        log.info("a key is accepted again", key=seat.access.name)

    def projects(self) -> tuple[ProjectReport, ...]:
        """For the operator."""
        now = self._clock.monotonic()
        return tuple(
            ProjectReport(
                project=project.label,
                requests=project.requests(now),
                requests_per_minute=project.requests_per_minute,
                running=project.running,
                parallel=project.parallel,
                cooling_until_ms=self._ms(project.cool_until) if project.cool_until > now else None,
                keys_usable=len(project.usable(now)),
                keys_out=tuple(KeyOut(key.hint, out.reason) for key, out in project.refused.items()),
            )
            for project in self._projects
        )

    def breakers(self) -> tuple[BreakerReport, ...]:
        """For the operator."""
        now = self._clock.monotonic()
        return tuple(
            BreakerReport(
                guards=self._named(place, name),
                state=model.state(now),
                failures=model.failures,
                until_ms=self._ms(model.open_until) if model.open_until > now else None,
            )
            for (place, name), model in self._models.items()
        )

    def retired(self) -> tuple[RetiredModel, ...]:
        """For the operator."""
        now = self._clock.monotonic()
        return tuple(
            RetiredModel(self._named(place, name), self._ms(model.gone_since))
            for (place, name), model in self._models.items()
            if model.gone(now)
        )

    def close(self) -> None:
        """Wake nobody any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _ms(self, monotonic: float) -> int:
        return self._clock.now_ms() + round((monotonic - self._clock.monotonic()) * 1000)

    def _model(self, project: Project, name: str) -> UpstreamModel:
        return self._models.setdefault((project.place, name), UpstreamModel())

    def _named(self, place: str, model: str) -> str:
        """For the operator: with its place only where there are several."""
        return model if len({project.place for project in self._projects}) == 1 else f"{model} ({place})"

    def _first_there(self, project: Project, models: tuple[str, ...], now: float) -> str | None:
        return next((name for name in models if not self._model(project, name).gone(now)), None)

    def _vacate(self, seat: Seat) -> None:
        seat.project.end(seat.access)
        if seat.probes:
            self._model(seat.project, seat.model).end_probe()

    def _serve(self) -> None:
        """Give out what there is, first come, first served, and be back when time alone brings more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._clock.monotonic()
        soonest: float | None = None
        stuck: set[tuple[tuple[str, ...], bool]] = set()
        for waiter in list(self._waiters):
            wish = waiter.wish
            if (wish.models, wish.patient) in stuck and (wish.patient or wish.until > (soonest or now)):
                continue  # whoever asked for the same before got nothing, either
            try:
                seat, at = self._seat(wish)
            except (Exhausted, Away) as error:
                self._waiters.remove(waiter)
                if not waiter.future.done():
                    waiter.future.set_exception(error)
                continue
            if seat is None:
                stuck.add((wish.models, wish.patient))
                if at is not None:
                    soonest = at if soonest is None else min(soonest, at)
                continue
            self._waiters.remove(waiter)
            if waiter.future.done():  # its task has gone away
                self._vacate(seat)
            else:
                waiter.future.set_result(seat)
        if soonest is not None and self._waiters:
            wait = max(_SHORTEST_WAIT_SECONDS, soonest - now)
            self._timer = asyncio.get_running_loop().call_later(wait, self._serve)

    def _seat(self, wish: _Wish) -> tuple[Seat | None, float | None]:
        """A seat now, or when time alone may bring one (None: when a call ends).

        Raises:
            Exhausted: neither will be in time.
            Away: the models are ill, wherever they are.
        """
        now = self._clock.monotonic()
        until = now + wish.within_seconds if wish.patient else wish.until
        there = [
            (project, name)
            for project in self._projects
            if (name := self._first_there(project, wish.models, now)) is not None
        ]
        if not there:
            raise Exhausted(outcomes.NO_MODEL_LEFT)
        ways = [(project, name, self._way_at(project, name, now)) for project, name in there if project.hopeful(now)]
        if not ways:
            raise Exhausted(outcomes.NO_KEY_LEFT)
        free = [(project, name) for project, name, at in ways if at is not None and at <= now]
        if free:
            project, name = min(free, key=lambda way: (way[0].running / way[0].parallel, way[0].requests(now)))
            probes = self._model(project, name).begin(now)
            return Seat(project, project.begin(now), name, probes), None
        later = [at for *_, at in ways if at is not None]
        soonest = min(later, default=None)
        if len(later) == len(ways) and soonest is not None and soonest > until:  # else a call that ends may make room
            raise Exhausted(outcomes.STILL_WAITING)
        if wish.patient:
            well_at = min(self._well_at(project, name, now) for project, name, _ in ways)
            if well_at > now + PATIENCE_SECONDS:
                raise Away(well_at - now)
        return None, soonest

    def _well_at(self, project: Project, name: str, now: float) -> float:
        """When the model itself may be called, whatever others wait for."""
        at = self._model(project, name).free_at(now)
        return max(now + LOOK_SECONDS if at is None else at, project.rests_until(name))

    def _way_at(self, project: Project, name: str, now: float) -> float | None:
        """When a call of `name` by `project` may begin: `now`, a later time, or None when a call has to end first."""
        quota_at, well_at = project.free_at(now, name), self._model(project, name).free_at(now)
        return None if quota_at is None or well_at is None else max(quota_at, well_at)


def _why_refused(status: int | None) -> Text:
    if status is None:
        return Text(en="no credentials could be had", zh="无法获得凭证")
    return Text(en=f"answered with {status}", zh=f"上游返回 {status}")
