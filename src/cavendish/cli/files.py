"""Names of pictures on the disk. Nothing is ever overwritten."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

SUFFIXES: Mapping[str, str] = MappingProxyType({"png": ".png", "jpeg": ".jpg", "webp": ".webp"})
FORMATS: Mapping[str, str] = MappingProxyType({".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg"})


def format_of(path: Path) -> str | None:
    """The format that a file's name asks for; None when it says nothing."""
    return FORMATS.get(path.suffix.lower())


def save_new(data: bytes, wanted: Path, image_format: str) -> Path:
    """Write `data` under `wanted`, or under the next free name, `wanted-2`, `wanted-3`, …; the name that it got.

    A name without an ending gets that of the format. What is on the disk under the name is whole: it is written aside
    first, and takes its name only then.
    """
    if not wanted.suffix:
        wanted = wanted.with_name(wanted.name + SUFFIXES[image_format])
    wanted.parent.mkdir(parents=True, exist_ok=True)
    aside = wanted.with_name(f".{wanted.name[:80]}.{os.getpid()}.part")
    try:
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        for name in names(wanted):
            try:
                _take_name(aside, name, data)
            except FileExistsError:
                continue
            return name
        raise AssertionError("names do not end")
    finally:
        aside.unlink(missing_ok=True)


def _take_name(aside: Path, name: Path, data: bytes) -> None:
    try:
        os.link(aside, name)  # unlike a rename, it never replaces
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        with name.open("xb") as file:
            file.write(data)


def names(wanted: Path) -> Iterator[Path]:
    """`out.png`, `out-2.png`, `out-3.png`, …"""
    yield wanted
    number = 2
    while True:
        yield wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
        number += 1
