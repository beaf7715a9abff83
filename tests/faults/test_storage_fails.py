"""Pictures cannot be written: their tasks wait until they can be, or fail; never a success without its picture."""

import asyncio
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.audit import audit
from tests.faults.cluster import Cluster, cluster_on, start, until
from tests.faults.conftest import Report
from tests.faults.load import Load, load_on

ORDERS = 6
LARGE_JPEG = {"image_input": [], "resolution": "2k", "output_format": "jpg"}
LARGE_BYTES = 100_000
"""A simulated picture of that kind has more, and what else a worker writes (its log) in these tests has less."""
FAILED_WRITE = "the picture could not be stored yet"

Act = Callable[[], object]


async def test_pictures_wait_while_their_folder_is_broken(
    dsn: str, tmp_path: Path, rounds: int, report: Report
) -> None:
    async with cluster_on(dsn, tmp_path) as cluster:
        await start(cluster.api(), cluster.worker())
        async with load_on(cluster.urls, await cluster.keys()) as load:
            results, away = cluster.blobs / "results", cluster.blobs / "results-away"

            def break_it() -> None:
                results.rename(away)
                results.write_bytes(b"not a folder")

            def mend_it() -> None:
                results.unlink()
                away.rename(results)

            await cluster.until_state({"success"}, await load.create())
            await _breaks_and_is_mended(cluster, load, break_it, mend_it, rounds)
            if rounds > 1:
                await _stays_broken(cluster, load, break_it, mend_it)
            report(await audit(cluster, load))


async def test_pictures_wait_while_the_disk_is_full(dsn: str, tmp_path: Path, rounds: int, report: Report) -> None:
    async with cluster_on(dsn, tmp_path) as cluster:
        with _small_disk(cluster.blobs, size_kb=64 * 1024):
            await start(cluster.api(), cluster.worker())
            async with load_on(cluster.urls, await cluster.keys()) as load:
                ballast = cluster.blobs / "ballast"
                await _breaks_and_is_mended(cluster, load, lambda: _fill(ballast), ballast.unlink, rounds)
                if rounds > 1:
                    await _stays_broken(cluster, load, lambda: _fill(ballast), ballast.unlink)
                report(await audit(cluster, load))
                assert _strays(cluster) == [], "what could not be written whole was not removed"


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process can be set on Linux only")
async def test_pictures_wait_while_every_write_is_cut_short(
    dsn: str, tmp_path: Path, rounds: int, report: Report
) -> None:
    async with cluster_on(dsn, tmp_path) as cluster:
        worker = cluster.worker()
        await start(cluster.api(), worker)
        async with load_on(cluster.urls, await cluster.keys()) as load:
            pid = worker.process.process.pid
            _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)

            def limit(to_bytes: int) -> Act:
                return lambda: resource.prlimit(pid, resource.RLIMIT_FSIZE, (to_bytes, most))

            await _breaks_and_is_mended(cluster, load, limit(LARGE_BYTES), limit(most), rounds)
            assert worker.process.log.stat().st_size < LARGE_BYTES, "the limit met the log too: this test shows little"
            report(await audit(cluster, load))
            assert _strays(cluster) == [], "what could not be written whole was not removed"


async def _create(load: Load) -> list[str]:
    orders = [load.create(model="google/nano-banana-pro", input=LARGE_JPEG) for _ in range(ORDERS)]
    return list(await asyncio.gather(*orders))


def _failed_writes(cluster: Cluster) -> int:
    return sum(member.count(FAILED_WRITE) for member in cluster.members)


async def _breaks_and_is_mended(cluster: Cluster, load: Load, break_it: Act, mend_it: Act, times: int) -> None:
    """Nothing succeeds while the storage is broken, everything does when it is mended in time."""
    for _ in range(times):
        await cluster.until_state({"success"}, *await _create(load))
        break_it()
        before = _failed_writes(cluster)
        ids = await _create(load)
        due = before + ORDERS
        await until(lambda due=due: _failed_writes(cluster) >= due, "writes to a broken storage do not fail")
        assert "success" not in await cluster.states(*ids), "success without a picture"
        mend_it()
        await cluster.until_state({"success"}, *ids)


async def _stays_broken(cluster: Cluster, load: Load, break_it: Act, mend_it: Act) -> None:
    """Attempts are limited: what nobody mends ends as a failure, and what comes afterwards succeeds."""
    break_it()
    await cluster.until_state({"fail"}, *await _create(load))
    mend_it()
    await cluster.until_state({"success"}, *await _create(load))


def _strays(cluster: Cluster) -> list[str]:
    """Files beside the pictures of tasks: parts of what could not be written."""
    return [path.name for path in cluster.blobs.rglob("*") if path.is_file() and path.suffix not in (".png", ".jpeg")]


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(64 * 1024))
            except OSError:
                return


@contextmanager
def _small_disk(folder: Path, size_kb: int) -> Iterator[None]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "cavendish-test", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
