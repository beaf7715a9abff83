"""One world, on a database of its own, for each module of contract tests."""

from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
import structlog

from cavendish.store.embedded import EmbeddedServer
from tests.conftest import TEMPLATE, execute
from tests.contract.world import World, show_pictures
from tests.harness import running, settings_for
from tests.loopback import loopback_server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(postgres: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """Servers, customers and pictures, for the length of a module."""
    name = f"contract_{uuid4().hex}"
    await execute(postgres.dsn, f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}"')
    dsn = postgres.dsn_for(name)
    folder = tmp_path_factory.mktemp("contract")
    try:
        async with AsyncExitStack() as stack:
            allowing = await stack.enter_async_context(running(settings_for(dsn, folder)))
            refusing = await stack.enter_async_context(
                running(settings_for(dsn, folder, ALLOW_PRIVATE_URLS="0"), with_worker=False)
            )
            pictures = await stack.enter_async_context(loopback_server(show_pictures))
            yield World(dsn, allowing, refusing, pictures)
    finally:
        await execute(postgres.dsn, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="module")
def journal() -> Iterator[list[MutableMapping[str, Any]]]:
    """Every log line of the module, as fields."""
    with structlog.testing.capture_logs() as lines:
        yield lines
