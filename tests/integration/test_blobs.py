"""Blob storage in a folder: what was put is there whole or not at all."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cavendish.blobs.objects import CHUNK_BYTES, ObjectBlobs
from cavendish.domain.errors import BlobMissing, BlobsUnavailable, CavendishError, Misconfigured
from cavendish.domain.results import input_blob, is_name, new_name, result_blob

DATA = bytes(range(256)) * (CHUNK_BYTES // 64)  # four chunks


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
def blobs(folder: Path) -> Iterator[ObjectBlobs]:
    opened = ObjectBlobs(f"file://{folder}")
    yield opened
    opened.close()


async def read(blobs: ObjectBlobs, name: str, start: int, end: int) -> bytes:
    return b"".join([chunk async for chunk in blobs.read(name, start, end)])


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("data", [b"", b"x", DATA], ids=["empty", "one byte", "one mebibyte"])
async def test_what_was_put_comes_back(blobs: ObjectBlobs, data: bytes) -> None:
    await blobs.put("results/ab/name.png", data)
    assert await blobs.get("results/ab/name.png") == data
    assert await blobs.size("results/ab/name.png") == len(data)


async def test_a_put_replaces_what_was_there(blobs: ObjectBlobs, folder: Path) -> None:
    await blobs.put("a/b", DATA)
    await blobs.put("a/b", b"new")
    assert await blobs.get("a/b") == b"new"
    assert files_in(folder) == {"a/b"}


async def test_another_process_finds_it_under_the_same_folder(blobs: ObjectBlobs, folder: Path) -> None:
    await blobs.put("a/b", DATA)
    other = ObjectBlobs(f"file://{folder}")
    assert await other.get("a/b") == DATA
    other.close()


@pytest.mark.parametrize(("start", "end"), [(0, 1), (10, 20), (0, len(DATA)), (len(DATA) - 1, len(DATA))])
async def test_a_range_is_read_exactly(blobs: ObjectBlobs, start: int, end: int) -> None:
    await blobs.put("a/b", DATA)
    assert await read(blobs, "a/b", start, end) == DATA[start:end]


async def test_a_large_object_is_streamed_in_bounded_chunks(blobs: ObjectBlobs) -> None:
    await blobs.put("a/b", DATA)
    sizes = [len(chunk) async for chunk in blobs.read("a/b", 0, len(DATA))]
    assert sum(sizes) == len(DATA)
    assert max(sizes) <= 2 * CHUNK_BYTES


async def test_what_is_not_there_is_missing(blobs: ObjectBlobs) -> None:
    await blobs.put("a/b", b"x")
    for name in ("a/c", "c/b", "a", "a/bb"):
        for asking in (blobs.get(name), blobs.size(name), read(blobs, name, 0, 1)):
            with pytest.raises(BlobMissing, match=name):
                await asking


async def test_what_was_deleted_is_missing_and_its_neighbours_are_not(blobs: ObjectBlobs, folder: Path) -> None:
    for name in ("a/1", "a/2", "b/1"):
        await blobs.put(name, DATA)
    await blobs.delete(["a/1", "nobody/knows", "b/1", "a/1"])
    assert files_in(folder) == {"a/2"}
    await blobs.delete([])
    assert await blobs.get("a/2") == DATA


async def test_many_puts_at_once_are_all_there(blobs: ObjectBlobs, folder: Path) -> None:
    names = [f"results/{i % 7}/{i}" for i in range(100)]
    await asyncio.gather(*(blobs.put(name, name.encode()) for name in names))
    assert await asyncio.gather(*map(blobs.get, names)) == [name.encode() for name in names]
    assert files_in(folder) == set(names)


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "..", "a\x00b"])
async def test_no_name_leads_out_of_the_folder(blobs: ObjectBlobs, folder: Path, name: str) -> None:
    (folder.parent / "evil").write_bytes(b"secret")
    before = files_in(folder.parent)
    for asking in (blobs.get(name), blobs.size(name), blobs.delete([name])):
        with pytest.raises((CavendishError, ValueError, TypeError)):
            await asking
    assert files_in(folder.parent) == before


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/{folder}/evil"])
async def test_nothing_is_put_outside_the_folder(blobs: ObjectBlobs, folder: Path, name: str) -> None:
    with pytest.raises((CavendishError, ValueError)):
        await blobs.put(name.format(folder=folder.parent), b"x")
    assert files_in(folder.parent) == set()


async def test_a_folder_that_was_removed_is_made_again(blobs: ObjectBlobs, folder: Path) -> None:
    await blobs.put("results/ab/one", DATA)
    shutil.rmtree(folder / "results")
    await blobs.put("results/ab/two", DATA)
    assert await blobs.get("results/ab/two") == DATA


def test_only_names_of_ours_would_ever_be_asked_for() -> None:
    ours = new_name("png")
    assert is_name(ours)
    wrong = [
        "",
        "..",
        f"../{ours}",
        f"{ours}/..",
        f"/{ours}",
        f"{ours}\n",
        ours.upper(),
        ours[:-4],
        f"{ours}#1",
        "%2e%2e",
    ]
    assert not any(map(is_name, wrong))
    assert result_blob(ours) == f"results/{ours[:2]}/{ours}"
    assert input_blob(ours) == f"inputs/{ours[:2]}/{ours}"


async def test_a_storage_that_cannot_be_written_to_is_unavailable(blobs: ObjectBlobs, folder: Path) -> None:
    (folder / "results").write_bytes(b"a file where a folder should be")
    with pytest.raises(BlobsUnavailable, match="results/ab/x"):
        await blobs.put("results/ab/x", DATA)
    assert files_in(folder) == {"results"}


@pytest.fixture
def tiny_folder(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    if not mounted:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_full_storage_is_unavailable_and_keeps_no_half_object(tiny_folder: Path) -> None:
    blobs = ObjectBlobs(f"file://{tiny_folder}")
    await blobs.put("a/small", b"x" * 1000)
    with pytest.raises(BlobsUnavailable, match="a/large"):
        await blobs.put("a/large", DATA)
    with pytest.raises(BlobMissing):
        await blobs.get("a/large")
    with pytest.raises(BlobsUnavailable):
        await blobs.put("a/small", DATA)
    assert await blobs.get("a/small") == b"x" * 1000
    assert files_in(tiny_folder) == {"a/small"}
    await blobs.put("a/next", b"y" * 1000)
    blobs.close()


async def test_a_folder_that_cannot_be_made_is_the_operator_s_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for url in (f"file://{tmp_path}/file/blobs", "ftp://somewhere/x"):
        with pytest.raises(Misconfigured, match="CAVENDISH_BLOBS_URL"):
            ObjectBlobs(url)


def test_a_new_folder_is_for_its_owner_only(blobs: ObjectBlobs, folder: Path) -> None:
    assert folder.stat().st_mode & 0o777 == 0o700


async def test_what_comes_in_parts_is_there_once_it_is_kept_and_not_before(blobs: ObjectBlobs, folder: Path) -> None:
    async with blobs.incoming() as incoming:
        for at in range(0, len(DATA), 1000):
            await incoming.write(DATA[at : at + 1000])
        await incoming.flush()
        assert incoming.path.read_bytes() == DATA
        with pytest.raises(BlobMissing):
            await blobs.size("files/ab/name.png")

        await incoming.keep("files/ab/name.png")

    assert await blobs.get("files/ab/name.png") == DATA
    assert files_in(folder) == {"files/ab/name.png"}


async def test_what_comes_in_parts_and_is_not_kept_vanishes(blobs: ObjectBlobs, folder: Path) -> None:
    async def break_off() -> None:
        async with blobs.incoming() as incoming:
            await incoming.write(DATA * 4)
            await incoming.flush()
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await break_off()

    assert files_in(folder) == set()


async def test_parts_that_the_disk_does_not_take_say_so(blobs: ObjectBlobs, folder: Path) -> None:
    async with blobs.incoming() as incoming:
        await incoming.write(b"x")
        shutil.rmtree(folder)
        with pytest.raises(BlobsUnavailable):
            await incoming.keep("files/ab/name.png")


async def test_what_a_process_that_died_left_of_an_upload_to_a_remote_store_goes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    blobs = ObjectBlobs("memory:///")
    died, others = tmp_path / "cavendish-upload-1.part", tmp_path / "download.part"
    for path in (died, others):
        path.write_bytes(DATA)
        os.utime(path, (0, 0))
    async with blobs.incoming() as living:
        await living.write(DATA)
        await living.flush()

        assert await blobs.drop_abandoned() == 1
        assert living.path.exists()
    assert files_in(tmp_path) == {others.name}
    blobs.close()


async def test_a_store_that_is_no_folder_gets_only_what_is_kept() -> None:
    blobs = ObjectBlobs("memory:///")
    async with blobs.incoming() as refused:
        await refused.write(DATA)
        await refused.flush()
    async with blobs.incoming() as incoming:
        await incoming.write(DATA)
        await incoming.keep("files/ab/name.png")

    assert await blobs.get("files/ab/name.png") == DATA
    assert not refused.path.exists()
    assert not incoming.path.exists()
    assert await blobs.drop_abandoned() == 0
    blobs.close()
