"""Files that must stay after a power cut: what is written when, and what a failure leaves."""

import os
import shutil
import threading
from collections import Counter
from pathlib import Path

import pytest

from cavendish.blobs import durable
from cavendish.blobs.durable import DurableFolder


class Disk:
    """Counts what is made durable, and can hold or refuse it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.synced: Counter[str] = Counter()
        self.refused: set[str] = set()
        self.held = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def fsync(self, path: str) -> None:
        name = os.path.relpath(path, self.root)
        self.synced[name] += 1
        self.held.set()
        assert self.go_on.wait(20)
        if name in self.refused:
            raise OSError(5, "Input/output error", path)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    root = tmp_path / "root"
    root.mkdir()
    disk = Disk(root)
    monkeypatch.setattr(durable, "fsync", disk.fsync)
    return disk


@pytest.fixture
def folder(disk: Disk) -> DurableFolder:
    return DurableFolder(str(disk.root))


def write(folder: DurableFolder, path: str, data: bytes) -> None:
    """One file, or the error that kept it from being there."""
    (error,) = folder.write([(path, data)])
    if error is not None:
        raise error


def test_a_folder_and_the_way_to_it_are_durable_the_way_only_once(disk: Disk, folder: DurableFolder) -> None:
    for name in ("first", "second"):
        write(folder, f"{disk.root}/a/b/{name}", b"x")
    assert disk.synced == {"a/b": 2, "a": 1, ".": 1}
    assert (disk.root / "a/b/second").read_bytes() == b"x"
    assert (disk.root / "a/b/second").stat().st_mode & 0o777 == 0o600


def test_a_folder_that_was_removed_is_made_durable_anew_with_the_way_to_it(disk: Disk, folder: DurableFolder) -> None:
    write(folder, f"{disk.root}/a/first", b"x")
    shutil.rmtree(disk.root / "a")
    write(folder, f"{disk.root}/a/second", b"x")
    assert disk.synced == {"a": 2, ".": 2}


def test_those_who_write_while_a_folder_is_made_durable_share_the_next_time(disk: Disk, folder: DurableFolder) -> None:
    write(folder, f"{disk.root}/a/zero", b"x")
    disk.synced.clear()
    disk.held.clear()
    disk.go_on.clear()
    threads = [threading.Thread(target=folder.write, args=([(f"{disk.root}/a/{name}", b"x")],)) for name in "123456"]
    threads[0].start()
    assert disk.held.wait(20)
    for thread in threads[1:]:
        thread.start()
    sync = folder._syncs[f"{disk.root}/a"]
    while sync._asked < 7:
        threading.Event().wait(0.001)
    disk.go_on.set()
    for thread in threads:
        thread.join(20)
    assert disk.synced == {"a": 2}
    assert len(list((disk.root / "a").iterdir())) == 7


def test_a_write_that_cannot_be_made_durable_leaves_nothing_and_the_next_one_tries_again(
    disk: Disk, folder: DurableFolder
) -> None:
    disk.refused.add("a")
    with pytest.raises(OSError, match="Input/output"):
        write(folder, f"{disk.root}/a/first", b"x")
    assert list((disk.root / "a").iterdir()) == []
    disk.refused.clear()
    write(folder, f"{disk.root}/a/first", b"y")
    assert (disk.root / "a/first").read_bytes() == b"y"
    assert disk.synced == {"a": 2, ".": 1}


def test_files_that_are_written_together_share_the_sync_of_their_folder(disk: Disk, folder: DurableFolder) -> None:
    names = ["a/1", "b/1", "a/2", "a/3"]
    assert folder.write([(f"{disk.root}/{name}", name.encode()) for name in names]) == [None] * 4
    assert disk.synced == {"a": 1, "b": 1, ".": 2}
    assert [(disk.root / name).read_text() for name in names] == names


def test_one_that_fails_takes_only_those_along_whose_folder_failed(disk: Disk, folder: DurableFolder) -> None:
    (disk.root / "c").write_bytes(b"a file where a folder should be")
    disk.refused.add("b")
    results = folder.write([(f"{disk.root}/{name}", b"x") for name in ("a/1", "b/1", "c/1", "b/2", "a/2")])
    assert [type(result).__name__ for result in results] == [
        "NoneType",
        "OSError",
        "NotADirectoryError",
        "OSError",
        "NoneType",
    ]
    assert sorted(str(path.relative_to(disk.root)) for path in disk.root.rglob("*/*")) == ["a/1", "a/2"]


def test_the_bytes_are_on_the_disk_when_a_write_returned(
    disk: Disk, folder: DurableFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: dict[str, int] = {}
    real = os.open

    def watched(path: str, flags: int, mode: int = 0o777) -> int:
        opened[Path(path).name] = flags
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", watched)
    write(folder, f"{disk.root}/a/first", b"new")
    write(folder, f"{disk.root}/a/first", b"another")
    assert {name: bool(flags & os.O_SYNC) for name, flags in opened.items()} == {"first": True, ".first.part": True}


def test_what_was_there_stays_when_its_replacement_cannot_be_written(
    disk: Disk, folder: DurableFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, f"{disk.root}/a/first", b"old")

    def full(_descriptor: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        write(folder, f"{disk.root}/a/first", b"new")
    assert [(path.name, path.read_bytes()) for path in (disk.root / "a").iterdir()] == [("first", b"old")]


def test_a_replacement_whose_name_may_not_stay_takes_nothing_away(disk: Disk, folder: DurableFolder) -> None:
    write(folder, f"{disk.root}/a/first", b"old")
    disk.refused.add("a")
    with pytest.raises(OSError, match="Input/output"):
        write(folder, f"{disk.root}/a/first", b"new")
    assert [(path.name, path.read_bytes()) for path in (disk.root / "a").iterdir()] == [("first", b"new")]


def test_a_file_is_settled_under_its_name_from_another_folder(disk: Disk, folder: DurableFolder) -> None:
    (disk.root / "part").write_bytes(b"whole")
    folder.settle(f"{disk.root}/part", f"{disk.root}/a/name")
    assert (disk.root / "a/name").read_bytes() == b"whole"
    assert not (disk.root / "part").exists()
    assert disk.synced == {"part": 1, "a": 1, ".": 1}


def test_what_cannot_be_settled_for_good_is_not_left_under_its_name(disk: Disk, folder: DurableFolder) -> None:
    (disk.root / "part").write_bytes(b"whole")
    disk.refused.add("a")
    with pytest.raises(OSError, match="Input/output"):
        folder.settle(f"{disk.root}/part", f"{disk.root}/a/name")
    assert list((disk.root / "a").iterdir()) == []


def test_a_failure_goes_for_all_whom_it_would_have_served(disk: Disk, folder: DurableFolder) -> None:
    write(folder, f"{disk.root}/a/zero", b"x")
    disk.synced.clear()
    disk.held.clear()
    disk.go_on.clear()
    failed: list[str] = []

    def attempt(name: str) -> None:
        try:
            write(folder, f"{disk.root}/a/{name}", b"x")
        except OSError:
            failed.append(name)

    threads = [threading.Thread(target=attempt, args=(name,)) for name in "123"]
    threads[0].start()
    assert disk.held.wait(20)
    for thread in threads[1:]:
        thread.start()
    while folder._syncs[f"{disk.root}/a"]._asked < 4:
        threading.Event().wait(0.001)
    disk.refused.add("a")
    disk.go_on.set()
    for thread in threads:
        thread.join(20)
    assert sorted(failed) == ["1", "2", "3"]
    assert disk.synced == {"a": 2}
    assert [path.name for path in (disk.root / "a").iterdir()] == ["zero"]


@pytest.mark.parametrize(
    ("folder", "root", "above"),
    [
        ("/data/a/b", "/data", ["/data", "/data/a"]),
        ("./a", ".", ["."]),
        ("/a/b", "", ["/", "/a"]),
        ("/data", "/data", []),
    ],
)
def test_the_way_to_a_folder_begins_at_the_root(folder: str, root: str, above: list[str]) -> None:
    assert durable._parents(folder, root) == above
