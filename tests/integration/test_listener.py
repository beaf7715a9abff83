"""Notifications reach whoever subscribed, and a broken connection is made anew."""

import asyncio
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from cavendish.store import listener as module
from cavendish.store.database import Database
from cavendish.store.embedded import EmbeddedServer
from cavendish.store.listener import Listener
from tests.conftest import execute


class Heard:
    """A subscriber that can be waited for."""

    def __init__(self) -> None:
        self.payloads: asyncio.Queue[str] = asyncio.Queue()

    def __call__(self, payload: str) -> None:
        self.payloads.put_nowait(payload)

    async def next(self) -> str:
        async with asyncio.timeout(20):
            return await self.payloads.get()


async def notify(database: Database, channel: str, payload: str) -> None:
    await database.fetch("SELECT pg_notify($1, $2)", channel, payload)


async def end_listening_connections(dsn: str) -> None:
    admin = await asyncpg.connect(dsn)
    try:
        await admin.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'cavendish-listener'"
        )
    finally:
        await admin.close()


async def test_a_notification_reaches_every_subscriber_of_its_channel_and_no_other(
    dsn: str, database: Database
) -> None:
    listener = Listener(dsn)
    first, second, other = Heard(), Heard(), Heard()
    for channel, heard in (("news", first), ("news", second), ("sports", other)):
        listener.subscribe(channel, heard)
    async with listener.running():
        assert [await heard.next() for heard in (first, second, other)] == ["", "", ""]
        await notify(database, "news", "hello")
        await notify(database, "news", "你好")
        for heard in (first, second):
            assert [await heard.next(), await heard.next()] == ["hello", "你好"]
        await notify(database, "sports", "goal")
        assert await other.next() == "goal"
        assert other.payloads.empty()


async def test_everybody_is_woken_once_when_listening_begins(dsn: str) -> None:
    listener, heard = Listener(dsn), Heard()
    listener.subscribe("news", heard)
    async with listener.running():
        assert await heard.next() == ""
        assert heard.payloads.empty()


async def test_a_broken_connection_is_made_anew_and_everybody_is_woken(
    dsn: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PING_SECONDS", 0.02)
    monkeypatch.setattr(module, "RECONNECT_SECONDS", 0.01)
    listener, heard = Listener(dsn), Heard()
    listener.subscribe("news", heard)
    async with listener.running():
        assert await heard.next() == ""
        for _ in range(3):
            await end_listening_connections(dsn)
            assert await heard.next() == ""
        await notify(database, "news", "still here")
        assert await heard.next() == "still here"


async def test_the_end_of_a_connection_is_noticed_at_once(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PING_SECONDS", 3600.0)
    monkeypatch.setattr(module, "RECONNECT_SECONDS", 0.01)
    listener, heard = Listener(dsn), Heard()
    listener.subscribe("news", heard)
    async with listener.running():
        assert await heard.next() == ""
        await end_listening_connections(dsn)
        async with asyncio.timeout(1):
            assert await heard.payloads.get() == ""


async def test_the_end_comes_although_the_connection_breaks_in_the_same_moment(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[asyncpg.Connection] = []

    async def connect(*args: Any, **options: Any) -> asyncpg.Connection:
        made.append(await asyncpg.connect(*args, **options))
        return made[-1]

    monkeypatch.setattr(module, "asyncpg", SimpleNamespace(connect=connect))
    listener, heard = Listener(dsn), Heard()
    listener.subscribe("news", heard)
    async with asyncio.timeout(10):
        async with listener.running():
            assert await heard.next() == ""
            broken = asyncio.Event()
            made[0].add_termination_listener(lambda _connection: broken.set())
            made[0].terminate()
            await broken.wait()  # the listener is told in the same turn of the loop, and has not acted on it yet
    assert len(made) == 1


async def test_nobody_listens_after_the_end(dsn: str, database: Database) -> None:
    listener, heard = Listener(dsn), Heard()
    listener.subscribe("news", heard)
    async with listener.running():
        assert await heard.next() == ""
    await notify(database, "news", "too late")
    rows = await database.fetch("SELECT FROM pg_stat_activity WHERE application_name = 'cavendish-listener'")
    assert rows == []
    assert heard.payloads.empty()


async def test_a_database_that_was_away_for_a_restore_is_listened_to_again(
    postgres: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RECONNECT_SECONDS", 0.01)
    listener, heard = Listener(postgres.dsn_for("test_restored")), Heard()
    listener.subscribe("news", heard)
    async with listener.running():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await heard.payloads.get()
        await execute(postgres.dsn, "CREATE DATABASE test_restored")
        try:
            async with asyncio.timeout(2):
                assert await heard.payloads.get() == ""
        finally:
            await execute(postgres.dsn, "DROP DATABASE test_restored WITH (FORCE)")
