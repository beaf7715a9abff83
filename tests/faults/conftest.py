"""The short form of every scenario runs with the suite; `make faults` runs longer ones and sums them up."""

import os
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.faults.audit import Tally
from tests.faults.proxy import Proxy, proxy_to

ROUNDS = "CAVENDISH_FAULTS_ROUNDS"

_tallies: pytest.StashKey[dict[str, Tally]] = pytest.StashKey()

Report = Callable[[Tally], None]


@pytest.fixture(scope="session")
def rounds() -> int:
    """How many times as long as the short form a scenario runs."""
    return int(os.environ.get(ROUNDS, "1"))


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Takes what an audit found, for the summary."""
    tallies = request.config.stash.setdefault(_tallies, {})
    name = request.node.name

    def add(tally: Tally) -> None:
        tallies[name] = tallies[name] + tally if name in tallies else tally

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """One line a scenario, when faults were asked for by name."""
    tallies = config.stash.get(_tallies, {})
    if ROUNDS not in os.environ or not tallies:
        return
    terminalreporter.section("faults")
    for name, tally in tallies.items():
        terminalreporter.write_line(
            f"{tally.accepted:6} accepted  {tally.success:6} success  {tally.fail:4} fail  "
            f"{tally.duplicates} duplicates  {tally.lost} lost  {name}"
        )


@pytest.fixture
async def proxy(dsn: str) -> AsyncIterator[Proxy]:
    """A way to the fresh database that can be broken."""
    with tempfile.TemporaryDirectory(prefix="cavendish-proxy-") as folder:
        async with proxy_to(dsn, Path(folder)) as opened:
            yield opened
