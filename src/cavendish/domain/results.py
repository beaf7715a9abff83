"""Names of stored images: unguessable, and the only thing that a result URL reveals."""

import re
import secrets
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

RESULTS_PATH = "/results/"
SHELF_NAMES = 64
_NAME = re.compile(r"[0-9a-f]{32}\.(png|jpeg|webp)")
CONTENT_TYPES: Mapping[str, str] = MappingProxyType({"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"})


def new_name(image_format: Literal["png", "jpeg", "webp"]) -> str:
    """A fresh name of 128 random bits, such as `9f…c2.png`."""
    return f"{secrets.token_hex(16)}.{image_format}"


class Shelf:
    """Names for pictures that are made one after another: `SHELF_NAMES` of them share a folder, then the next begins.

    A folder is made durable once for all that are written to it at the same time.
    """

    def __init__(self) -> None:
        self._folder = ""
        self._names: list[str] = []

    def new_name(self, image_format: Literal["png", "jpeg", "webp"]) -> str:
        """A fresh name: 8 bits shared with its neighbours, 120 random ones of its own."""
        if not self._names:
            # All at once: asking the system for each is a wait for the interpreter while threads write files.
            drawn = secrets.token_hex(1 + 15 * SHELF_NAMES)
            self._folder = drawn[:2]
            self._names = [drawn[i : i + 30] for i in range(2, len(drawn), 30)]
        return f"{self._folder}{self._names.pop()}.{image_format}"


def is_name(name: str) -> bool:
    """Whether `name` could be one of ours; nothing else ever reaches the storage."""
    return _NAME.fullmatch(name) is not None


def result_blob(name: str) -> str:
    """Where a result of that name lies in blob storage (256 folders, so that none grows too large)."""
    return f"results/{name[:2]}/{name}"


def input_blob(name: str) -> str:
    """Where an inline input image of that name lies."""
    return f"inputs/{name[:2]}/{name}"


def content_type(name: str) -> str:
    """The media type of a stored image, by its name."""
    return CONTENT_TYPES[name.rpartition(".")[2]]
