"""The proxy of the fault tests itself: it lets go of its connections, whatever they are doing."""

import asyncio
import tempfile
from pathlib import Path

import asyncpg
import pytest

from tests.faults.proxy import proxy_to


async def test_it_closes_although_a_connection_is_just_being_closed(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    closing = asyncio.Event()

    async def wait_closed(_writer: asyncio.StreamWriter) -> None:
        closing.set()
        await asyncio.Event().wait()

    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # a socket's path must be short
        async with asyncio.timeout(10), proxy_to(dsn, Path(folder)) as proxy:
            connection = await asyncpg.connect(proxy.dsn)
            monkeypatch.setattr(asyncio.StreamWriter, "wait_closed", wait_closed)
            connection.terminate()
            await closing.wait()
        assert not proxy._handlers
