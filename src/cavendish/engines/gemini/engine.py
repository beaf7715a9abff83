"""The engine `gemini`: wait for capacity, call, judge by the table in `outcomes`, until there is a picture."""

import asyncio
import importlib
import random
import ssl
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import structlog

from cavendish.domain.engine_reports import EngineReport
from cavendish.domain.errors import EngineError, NoCapacity
from cavendish.domain.retry import Backoff
from cavendish.domain.usage import Usage, total
from cavendish.engines.gemini import outcomes
from cavendish.engines.gemini.access import Access, Vertex
from cavendish.engines.gemini.answer import Picture, Reading, Refusal
from cavendish.engines.gemini.inputs import InputLimits, fitted
from cavendish.engines.gemini.outcomes import Verdict
from cavendish.engines.gemini.request import most_images
from cavendish.engines.gemini.rotation import Away, Exhausted, Rotation, Seat
from cavendish.ports import Clock, EngineImage, ImageRequest, Images

if TYPE_CHECKING:
    from cavendish.engines.gemini.client import GeminiClient

RETRY_PAUSE = Backoff(first_seconds=1.0, most_seconds=15.0)

log = structlog.get_logger("cavendish.gemini")


class Gemini:
    """Implements `ports.Engine`.

    Args:
        accesses: at least one.
        requests_per_minute, parallel: of each Google project, in this process.
        silence_seconds: how long the upstream may say nothing.
        request_bytes: the most that one request may have, as base64.
        proxy: the operator's own, if the upstream is reached through one.
        retry_pause: between calls that may go better.
    """

    name = "gemini"

    def __init__(
        self,
        accesses: Sequence[Access],
        *,
        clock: Clock,
        images: Images,
        requests_per_minute: int,
        parallel: int,
        silence_seconds: float,
        request_bytes: int,
        proxy: str | None = None,
        tls: ssl.SSLContext | None = None,
        retry_pause: Backoff = RETRY_PAUSE,
    ) -> None:
        self._rotation = Rotation(accesses, clock, requests_per_minute=requests_per_minute, parallel=parallel)
        self._images = images
        self._limits = InputLimits(request_bytes, vertex=any(isinstance(access, Vertex) for access in accesses))
        self._silence_seconds = silence_seconds
        self._proxy = proxy
        self._tls = tls
        self._retry_pause = retry_pause
        self._client: GeminiClient | None = None

    async def generate(self, request: ImageRequest, started: Callable[[], None]) -> EngineImage:
        """A picture by the first of the request's upstream models that is there.

        Raises:
            EngineError: with the word and the sentence of the table, and what was used upstream all the same.
            NoCapacity: the models are ill and nothing was begun; only to the patient.
        """
        limit = asyncio.timeout(None if request.patient else request.within_seconds)
        attempt = _Attempt(request, started, limit)
        try:
            async with limit:
                return await self._drawn(attempt)
        except Away as error:
            raise NoCapacity(error.seconds) from None
        except TimeoutError:
            verdict = outcomes.STILL_SILENT if attempt.calling else (attempt.last or outcomes.STILL_WAITING)
        except Exhausted as error:
            # What the last call said is nearer to the truth than that there is nothing left to wait for.
            verdict = attempt.last if attempt.last and attempt.last.code != "engine_error" else error.verdict
        except _GivenUp as error:
            verdict = error.verdict
        raise EngineError(verdict.code, verdict.text, total(attempt.used))

    def report(self) -> EngineReport:
        """Projects, breakers and retired models."""
        return EngineReport(
            self.name,
            running=self._rotation.running,
            parallel=self._rotation.parallel,
            waiting=self._rotation.waiting,
            projects=self._rotation.projects(),
            breakers=self._rotation.breakers(),
            retired=self._rotation.retired(),
        )

    async def aclose(self) -> None:
        """Let go of connections."""
        self._rotation.close()
        if self._client is not None:
            await self._client.aclose()

    async def _drawn(self, attempt: "_Attempt") -> EngineImage:
        client = self._client or await self._open()
        request = await fitted(attempt.request, self._limits, self._images)
        models = _in_order(request)
        while True:
            seat = await self._rotation.acquire(
                models, attempt.left_seconds(), patient=attempt.waits_patiently, again=attempt.has_begun
            )
            refusal: Refusal | None = None
            try:
                attempt.begin()
                answer = await self._called(client, seat, request)
                attempt.calling = False  # and not when the deadline cuts the call off: then that is what it waited for
                if isinstance(answer, Reading):
                    attempt.count(answer)
                    if isinstance(answer.ended, Picture):
                        self._rotation.answered(seat)
                        return EngineImage(
                            answer.ended.data, note=f"Drawn by {seat.model} (Google Gemini)", usage=total(attempt.used)
                        )
                    verdict = answer.ended
                elif isinstance(answer, Refusal):
                    refusal, verdict = answer, answer.verdict
                else:
                    verdict = answer
                self._rotation.penalise(seat, verdict, refusal)
            finally:
                self._rotation.release(seat)
            log.info(
                "a call brought no picture",
                task_id=request.task_id, model=seat.model, key=seat.access.name, fail_code=verdict.code,
                decision=verdict.decision, status=refusal.status if refusal else None,
                said=refusal.said if refusal else None,
            )  # fmt: skip
            attempt.judge(verdict)
            if verdict.decision == "retry":
                seconds = self._pause_seconds(attempt, refusal)
                if seconds > attempt.left_seconds():
                    raise _GivenUp(verdict)
                await asyncio.sleep(seconds)

    async def _called(self, client: "GeminiClient", seat: Seat, request: ImageRequest) -> Reading | Refusal | Verdict:
        try:
            return await client.call(seat.access, seat.model, request)
        except outcomes.Failed as error:
            log.warning("a call failed on its way", fault=error.fault, detail=error.detail, task_id=request.task_id)
            return outcomes.FAULTS[error.fault]

    def _pause_seconds(self, attempt: "_Attempt", refusal: Refusal | None) -> float:
        seconds = self._retry_pause.wait_seconds(attempt.tries, random.random())  # noqa: S311 - jitter
        asked = refusal.retry_seconds if refusal is not None else None
        return max(seconds, asked or 0.0)

    async def _open(self) -> "GeminiClient":
        module = await asyncio.to_thread(importlib.import_module, "cavendish.engines.gemini.client")
        if self._client is None:
            self._client = module.GeminiClient(silence_seconds=self._silence_seconds, proxy=self._proxy, tls=self._tls)
        assert self._client is not None
        return self._client


class _GivenUp(Exception):
    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.code)
        self.verdict = verdict


class _Attempt:
    """What became of one task so far."""

    def __init__(self, request: ImageRequest, started: Callable[[], None], limit: asyncio.Timeout) -> None:
        self.request = request
        self.has_begun = False
        self.tries = 0
        self.calling = False
        self.last: Verdict | None = None
        self.used: list[Usage] = []
        self._started = started
        self._limit = limit

    @property
    def waits_patiently(self) -> bool:
        """Whether its time has not begun yet."""
        return self.request.patient and not self.has_begun

    def left_seconds(self) -> float:
        """Of its time; all of it before the first call of a patient one."""
        if self.waits_patiently:
            within = self.request.within_seconds
            return float("inf") if within is None else within
        until = self._limit.when()
        return float("inf") if until is None else until - asyncio.get_running_loop().time()

    def begin(self) -> None:
        """A call begins; the first one begins the time of a patient request."""
        self.calling = True
        if self.has_begun:
            return
        if self.waits_patiently and self.request.within_seconds is not None:
            self._limit.reschedule(asyncio.get_running_loop().time() + self.request.within_seconds)
        self.has_begun = True
        self._started()

    def count(self, reading: Reading) -> None:
        """An answer came; drafts and refusals cost, too."""
        if reading.used is not None:
            self.used.append(Usage((reading.used,)))

    def judge(self, verdict: Verdict) -> None:
        """Go on, or not. Raises _GivenUp."""
        if verdict.penalty != "none":  # what an answer lacked says nothing about what the next call waits for
            self.last = verdict
        if verdict.decision == "retry":
            self.tries += 1
            if self.tries >= verdict.most_tries:
                raise _GivenUp(verdict)
        elif verdict.decision == "give_up":
            raise _GivenUp(verdict)


def _in_order(request: ImageRequest) -> tuple[str, ...]:
    """The catalogue's upstream ids, those first that take so many input images."""
    count = len(request.images)
    return tuple(sorted(request.upstream_models, key=lambda upstream: count > most_images(upstream)))
