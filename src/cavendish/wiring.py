"""The composition root: the only module that knows concrete classes and joins them."""

import asyncio
import importlib
import os
import socket
import tomllib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from cavendish import __version__
from cavendish.blobs.objects import ObjectBlobs
from cavendish.clock import SystemClock
from cavendish.domain.callbacks import Posted
from cavendish.domain.catalog import Catalog, build_catalog, merged
from cavendish.domain.engine_reports import WorkerReport
from cavendish.domain.errors import CavendishError, Misconfigured
from cavendish.domain.text import Text
from cavendish.engines.gemini.access import Access, read_keys, read_vertex
from cavendish.engines.illustrator.engine import Illustrator
from cavendish.engines.router import Router, read_fallbacks
from cavendish.engines.simulator import Simulator
from cavendish.flows.deliver import Deliverer
from cavendish.flows.draw import Draw
from cavendish.flows.files import Uploads
from cavendish.flows.report import Reporter
from cavendish.flows.submit import Submit
from cavendish.flows.sweep import Retention, Sweeper
from cavendish.flows.waiting import WaitingRoom
from cavendish.flows.work import Worker
from cavendish.images.service import PillowImages
from cavendish.ports import Engine, Fetcher
from cavendish.prompt_rules import prompt_rules
from cavendish.settings import EngineName, Settings
from cavendish.store.accounts import PgAccounts
from cavendish.store.announcements import Announcements
from cavendish.store.callbacks import PgCallbacks
from cavendish.store.database import Database
from cavendish.store.embedded import EmbeddedServer
from cavendish.store.files import PgFiles
from cavendish.store.listener import Listener
from cavendish.store.migrate import migrate
from cavendish.store.orders import PgTaskOrders
from cavendish.store.queue import PgWorkQueue
from cavendish.store.reports import PgReports
from cavendish.store.views import PgTaskViews
from cavendish.web.account import AccountEndpoints
from cavendish.web.admin import AdminEndpoints
from cavendish.web.app import App
from cavendish.web.auth import KeyRing
from cavendish.web.callbacks import CallbackEndpoints
from cavendish.web.events import TaskEvents
from cavendish.web.files import FileEndpoints
from cavendish.web.health import Check, Health
from cavendish.web.limits import CreateGate, QueryLimit
from cavendish.web.prompts import PromptHelp
from cavendish.web.reference import Reference
from cavendish.web.results import Results
from cavendish.web.task_lists import TaskLists
from cavendish.web.tasks import CreateTask, QueryTask

if TYPE_CHECKING:
    from cavendish.outbound.client import Outbound
    from cavendish.outbound.poster import CallbackPoster


CALLBACK_CONNECTIONS = 3
"""Database connections for callbacks alone, beside the pool of everything else."""
CALLBACK_LOOKUP_THREADS = 64


def load_catalog(override: Path | None) -> Catalog:
    """The catalogue of this version, with the operator's file on top.

    Raises:
        Misconfigured: the file cannot be read or says something impossible.
    """
    raw = tomllib.loads(files("cavendish").joinpath("catalog.toml").read_text(encoding="utf-8"))
    if override is not None:
        try:
            raw = merged(raw, tomllib.loads(override.read_text(encoding="utf-8")))
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise Misconfigured(
                Text(en=f"CAVENDISH_CATALOG_FILE: {error}", zh=f"CAVENDISH_CATALOG_FILE：{error}")
            ) from error
    return build_catalog(raw)


def gemini_accesses(settings: Settings) -> tuple[Access, ...]:
    """The ways to Gemini that the settings name. Raises Misconfigured."""
    base_url = settings.gemini_base_url
    accesses: tuple[Access, ...] = ()
    if settings.gemini_keys:
        accesses += read_keys(settings.gemini_keys, base_url)
    if settings.gemini_vertex_project:
        accesses += (read_vertex(settings.gemini_vertex_project, settings.gemini_vertex_location, base_url),)
    return accesses


def chosen_fallbacks(settings: Settings, catalog: Catalog) -> dict[str, str]:
    """Model id -> engine that steps in. Raises Misconfigured."""
    engines = set(get_args(EngineName))
    if not (settings.gemini_keys or settings.gemini_vertex_project):
        engines.discard("gemini")
    return read_fallbacks(settings.fallback or "", catalog, settings.engine, frozenset(engines))


@asynccontextmanager
async def open_database(settings: Settings, *, migrated: bool = True) -> AsyncIterator[Database]:
    """The database of the settings, the embedded one included, brought to this version's schema."""
    embedded = None
    dsn = settings.database_url
    if dsn is None:
        try:
            embedded = await asyncio.to_thread(EmbeddedServer.start, settings.data_dir.resolve())
        except (OSError, Misconfigured) as error:
            raise _unusable("CAVENDISH_DATA_DIR", error) from error
        dsn = embedded.dsn
    try:
        async with Database.open(dsn, max_connections=settings.database_connections) as database:
            if migrated:
                await migrate(database)
            yield database
    finally:
        if embedded is not None:
            await asyncio.to_thread(embedded.close)


def _unusable(variable: str, error: OSError | CavendishError) -> Misconfigured:
    text = error.text if isinstance(error, CavendishError) else Text(en=str(error), zh=str(error))
    en, zh = (" · ".join(sentence.splitlines()) for sentence in (text.en, text.zh))
    return Misconfigured(Text(en=f"{variable}: {en}", zh=f"{variable}：{zh}"))


class LazyFetcher:
    """Implements `ports.Fetcher`. The HTTP client takes half a second to import, so only the first URL brings it."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._outbound: Outbound | None = None

    async def fetch(self, url: str) -> bytes:
        """The body behind `url`. Raises BadImage, AddressRefused."""
        module = await asyncio.to_thread(importlib.import_module, "cavendish.outbound")
        if self._outbound is None:
            self._outbound = module.Outbound(allow_private=self._allow_private)
        data: bytes = await module.ImageFetcher(self._outbound).fetch(url)
        return data

    async def aclose(self) -> None:
        """Let go of connections."""
        if self._outbound is not None:
            await self._outbound.aclose()


class LazyPoster:
    """Implements `ports.Poster`, with the HTTP client brought by the first callback."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._outbound: Outbound | None = None
        self._poster: CallbackPoster | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Posted:
        """One attempt."""
        poster = self._poster or await self._open()
        return await poster.post(url, body, headers)

    async def _open(self) -> "CallbackPoster":
        module = await asyncio.to_thread(importlib.import_module, "cavendish.outbound")
        if self._poster is None:
            # Connections and look-ups of its own: what hangs here is in nobody else's way.
            self._outbound = module.Outbound(
                allow_private=self._settings.allow_private_urls,
                resolver=module.SystemResolver(CALLBACK_LOOKUP_THREADS),
                max_connections=self._settings.callback_slots,
                per_host=self._settings.callback_slots_per_host,
            )
            self._poster = module.CallbackPoster(self._outbound)
        assert self._poster is not None
        return self._poster

    async def aclose(self) -> None:
        """Let go of connections."""
        if self._outbound is not None:
            await self._outbound.aclose()


class Parts:
    """One process's objects, joined."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database
        self.clock = SystemClock()
        self.catalog = load_catalog(settings.catalog_file)
        self.gemini_accesses = gemini_accesses(settings)
        self.fallbacks = chosen_fallbacks(settings, self.catalog)
        self.accounts = PgAccounts(database)
        self.announcements = Announcements(database, self.clock)
        self.reports = PgReports(database)
        self.queue = PgWorkQueue(database, self.announcements)
        self.views = PgTaskViews(database)
        self.waiting = WaitingRoom(self.views, self.announcements)
        self.listener = Listener(database.dsn)
        self.listener.subscribe("cavendish_watched", self.announcements.watched)
        self.blobs = ObjectBlobs(settings.blobs_url or f"file://{settings.data_dir.resolve() / 'blobs'}")
        self.images = PillowImages()
        self.files = PgFiles(
            database,
            retention_hours=settings.upload_retention_hours,
            account_bytes=settings.upload_account_megabytes * 1_000_000,
        )

    def engine(self) -> Engine:
        """The engine of the settings, and those that step in for it."""
        first = self._engine(self.settings.engine)
        if not self.fallbacks:
            return first
        others = {name: self._engine(name) for name in set(self.fallbacks.values())}
        return Router(first, {model: others[name] for model, name in self.fallbacks.items()})

    def served(self) -> dict[str, str]:
        """Which engine serves which model, for the line that is logged at the start."""
        first = self.settings.engine
        return {
            model.id: f"{first}, else {self.fallbacks[model.id]}" if model.id in self.fallbacks else first
            for model in self.catalog.models
        }

    def _engine(self, name: str) -> Engine:
        settings = self.settings
        if name == "simulator":
            return Simulator(settings.simulator_latency_seconds)
        if name == "gemini":
            return self._gemini()
        return Illustrator(processes=settings.illustrator_processes)

    def _gemini(self) -> Engine:
        from cavendish.engines.gemini.engine import Gemini

        settings = self.settings
        return Gemini(
            self.gemini_accesses,
            clock=self.clock,
            images=self.images,
            requests_per_minute=settings.gemini_requests_per_minute,
            parallel=settings.gemini_parallel_calls,
            silence_seconds=settings.gemini_silence_seconds,
            request_bytes=settings.gemini_request_megabytes * 1_000_000,
            proxy=settings.gemini_proxy,
        )

    def fetcher(self) -> "LazyFetcher":
        """What gets input images from URLs."""
        return LazyFetcher(allow_private=self.settings.allow_private_urls)

    def app(self, checks: dict[str, Check]) -> App:
        """The HTTP application."""
        settings = self.settings
        keys = KeyRing(self.accounts, self.clock)
        self.listener.subscribe("cavendish_keys", keys.forget)
        submit = Submit(
            catalog=self.catalog,
            orders=PgTaskOrders(self.database, self.clock),
            blobs=self.blobs,
            images=self.images,
            files=self.files,
            public_url=settings.public_url,
            allow_private_urls=settings.allow_private_urls,
        )
        self.listener.subscribe("cavendish_tasks", self.waiting.told)
        views = self.views
        query_limit = QueryLimit(self.clock, settings.queries_per_minute)
        return App(
            create=CreateTask(keys, submit, CreateGate(self.clock), self.waiting),
            query=QueryTask(keys, views, query_limit, self.waiting),
            events=TaskEvents(keys, self.waiting, query_limit),
            lists=TaskLists(keys=keys, views=views, cancels=self.queue, catalog=self.catalog, limit=query_limit),
            callbacks=CallbackEndpoints(
                keys=keys, callbacks=PgCallbacks(self.database), views=views, limit=query_limit
            ),
            results=Results(self.blobs),
            files=FileEndpoints(
                keys=keys,
                uploads=Uploads(files=self.files, blobs=self.blobs, images=self.images, public_url=settings.public_url),
                blobs=self.blobs,
                limit=query_limit,
            ),
            account=AccountEndpoints(keys, self.accounts, self.catalog),
            admin=AdminEndpoints(keys=keys, reports=self.reports, limit=query_limit),
            prompts=PromptHelp(keys=keys, rules=prompt_rules(), catalog=self.catalog, limit=query_limit),
            health=Health({"database": self.database.answers, **checks}),
            reference=Reference(self.catalog),
        )

    def worker(self, engine: Engine, fetcher: Fetcher) -> Worker:
        """This process's worker, woken by notifications."""
        settings = self.settings
        draw = Draw(
            catalog=self.catalog,
            engine=engine,
            images=self.images,
            fetcher=fetcher,
            blobs=self.blobs,
            clock=self.clock,
            deadline_seconds=settings.task_deadline_seconds,
        )
        worker = Worker(
            queue=self.queue,
            draw=draw,
            blobs=self.blobs,
            clock=self.clock,
            name=f"{socket.gethostname()}:{os.getpid()}",
            slots=settings.worker_slots,
            lease_ttl_seconds=settings.lease_ttl_seconds,
            task_deadline_seconds=settings.task_deadline_seconds,
            prices=self.catalog.upstream_prices,
        )
        self.listener.subscribe("cavendish_waiting", worker.wake)
        self.listener.subscribe("cavendish_cancel", worker.cancel)
        return worker

    def reporter(self, worker: Worker, engine: Engine) -> Reporter:
        """What says how this process's worker and engine are."""
        started_ms = self.clock.now_ms()

        def look() -> WorkerReport:
            return WorkerReport(
                worker=worker.name,
                version=__version__,
                started_ms=started_ms,
                slots=worker.slots,
                held=worker.held,
                engine=engine.report(),
            )

        return Reporter(reports=self.reports, clock=self.clock, look=look)

    @asynccontextmanager
    async def deliverer(self) -> AsyncIterator[Deliverer]:
        """This process's deliverer, with database connections of its own, woken by notifications."""
        settings = self.settings
        poster = LazyPoster(settings)
        try:
            async with Database.open(self.database.dsn, max_connections=CALLBACK_CONNECTIONS) as database:
                deliverer = Deliverer(
                    queue=PgCallbacks(database),
                    poster=poster,
                    clock=self.clock,
                    slots=settings.callback_slots,
                    per_host=settings.callback_slots_per_host,
                )
                self.listener.subscribe("cavendish_callbacks", deliverer.wake)
                yield deliverer
        finally:
            await poster.aclose()

    def sweeper(self) -> Sweeper:
        """This process's sweeper."""
        interval = min(5.0, self.settings.lease_ttl_seconds / 3)
        return Sweeper(lost=self.queue, reports=self.reports, clock=self.clock, interval_seconds=interval)

    def retention(self) -> Retention:
        """This process's remover of what outlived its time."""
        return Retention(
            old=self.queue,
            files=self.files,
            blobs=self.blobs,
            clock=self.clock,
            days=self.settings.retention_days,
        )

    def close(self) -> None:
        """Let go of waiting callers and of threads."""
        self.waiting.close()
        self.images.close()
        self.blobs.close()


@asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[Parts]:
    """Everything that a serving or working process needs."""
    gemini_accesses(settings)  # what can be wrong in the settings is said before a database is started
    chosen_fallbacks(settings, load_catalog(settings.catalog_file))
    async with open_database(settings) as database:
        parts = Parts(settings, database)
        try:
            yield parts
        finally:
            parts.close()
