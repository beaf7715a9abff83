"""Which engine serves which model, and which one steps in for it. Nobody steps in unless the operator said so."""

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType

import msgspec
import structlog

from cavendish.domain.catalog import Catalog
from cavendish.domain.engine_reports import EngineReport
from cavendish.domain.errors import EngineError, Misconfigured, NotFound, another_may_serve
from cavendish.domain.text import Text
from cavendish.domain.usage import Usage, total
from cavendish.ports import Engine, EngineImage, ImageRequest

FIRST_SHARE = 0.6
"""Of a task's time for the first engine, when another may have to draw in what is left."""
_GRACE_SECONDS = 0.5
_GRACE_SHARE = 0.05
"""An engine that minds its time gets so much of the task's time, at most half a second, to end by itself, with the
better word. It is less than what is kept for storing, so that nothing that was used is lost to the worker's limit."""

log = structlog.get_logger("cavendish.router")


class Router:
    """Implements `ports.Engine`: one engine for all models, and a second one for some.

    Args:
        first: serves every model.
        fallbacks: model id -> the engine that draws when the first one is busy, broken or too slow. Never when it
            refused the content or could not read an input image: that answer stands.
    """

    def __init__(self, first: Engine, fallbacks: Mapping[str, Engine]) -> None:
        self._first = first
        self._fallbacks = MappingProxyType(dict(fallbacks))

    @property
    def name(self) -> str:
        """The first engine's."""
        return self._first.name

    async def generate(self, request: ImageRequest, started: Callable[[], None]) -> EngineImage:
        """A picture by the first engine, else by the one named for this model; the note says which.

        Raises:
            EngineError: the first engine's when nobody may step in, else the second's.
        """
        second = self._fallbacks.get(request.model)
        if second is None:
            return await self._first.generate(request, started)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        grace = min(_GRACE_SECONDS, (request.within_seconds or float("inf")) * _GRACE_SHARE)
        once = _Once(started)
        try:
            return await _within(self._first, _shared(request), once, grace)
        except EngineError as error:
            if not another_may_serve(error.code):
                raise
            code, used = error.code, error.usage
        log.warning(
            "another engine steps in", task_id=request.task_id, first=self._first.name, second=second.name, because=code
        )
        left = None if request.within_seconds is None else max(0.0, request.within_seconds - (loop.time() - begun))
        try:
            request = msgspec.structs.replace(request, within_seconds=left, patient=False)
            made = await _within(second, request, once, grace)
        except EngineError as error:
            raise EngineError(error.code, error.text, total((used, error.usage))) from error
        return _noted(made, second.name, self._first.name, used)

    def report(self) -> EngineReport:
        """Its engines, each with the models that it serves."""
        behind = [self._first.report()]
        by_engine: dict[int, tuple[Engine, list[str]]] = {}
        for model, engine in self._fallbacks.items():
            by_engine.setdefault(id(engine), (engine, []))[1].append(model)
        behind += [
            msgspec.structs.replace(engine.report(), models=tuple(models)) for engine, models in by_engine.values()
        ]
        return EngineReport("router", engines=tuple(behind))

    async def aclose(self) -> None:
        """Let go of all engines."""
        for engine in {id(engine): engine for engine in (self._first, *self._fallbacks.values())}.values():
            await engine.aclose()


def read_fallbacks(value: str, catalog: Catalog, first: str, engines: frozenset[str]) -> dict[str, str]:
    """CAVENDISH_FALLBACK, `model=engine` separated by commas, as model id -> engine's word.

    Raises:
        Misconfigured: an entry that names no model or no engine, or the engine that serves the model anyway.
    """
    chosen: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in value.split(","))):
        name, _, engine = (part.strip() for part in entry.partition("="))
        try:
            model = catalog.find(name).id
        except NotFound as error:
            raise _wrong(error.text.en, error.text.zh) from error
        if engine not in engines:
            known = ", ".join(sorted(engines))
            raise _wrong(f"{model}: expected one of {known} after the =", f"{model}：等号后应为 {known} 之一")
        if engine == first:
            raise _wrong(f"{model}: {engine} serves it already", f"{model}：该模型本来就由 {engine} 提供")
        if model in chosen:
            raise _wrong(f"{model} is named twice", f"{model} 出现了两次")
        chosen[model] = engine
    return chosen


class _Once:
    """Calls through the first time only: the work of a task begins once, whichever engine ends it."""

    def __init__(self, started: Callable[[], None]) -> None:
        self._started: Callable[[], None] | None = started

    def __call__(self) -> None:
        started, self._started = self._started, None
        if started is not None:
            started()


def _shared(request: ImageRequest) -> ImageRequest:
    """What the first engine is asked for. Nobody is patient where another may step in."""
    within = None if request.within_seconds is None else request.within_seconds * FIRST_SHARE
    return msgspec.structs.replace(request, within_seconds=within, patient=False)


async def _within(
    engine: Engine, request: ImageRequest, started: Callable[[], None], grace_seconds: float
) -> EngineImage:
    """The engine's picture; one that does not mind its time is stopped."""
    most = None if request.within_seconds is None else request.within_seconds + grace_seconds
    try:
        async with asyncio.timeout(most):
            return await engine.generate(request, started)
    except TimeoutError:
        raise EngineError("timeout", Text(en=f"{engine.name} took too long", zh=f"{engine.name} 用时过长")) from None


def _noted(made: EngineImage, second: str, first: str, used: Usage | None) -> EngineImage:
    note = f"Drawn by {second} in place of {first}"
    if made.note:
        note = f"{note}. {made.note}"
    return msgspec.structs.replace(made, note=note, usage=total((used, made.usage)))


def _wrong(en: str, zh: str) -> Misconfigured:
    return Misconfigured(Text(en=f"CAVENDISH_FALLBACK: {en}", zh=f"CAVENDISH_FALLBACK：{zh}"))
