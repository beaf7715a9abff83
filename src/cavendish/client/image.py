"""A finished picture: its bytes, its size, and ways to keep or see it."""

import base64
import importlib
import sys
import tempfile
import webbrowser
from pathlib import Path
from typing import Any

from cavendish.client.errors import UnexpectedAnswer
from cavendish.client.headers import read_header
from cavendish.client.values import Task

_SHOWN_PIXELS = 640  # how wide a notebook shows a picture; its bytes are untouched


class Image:
    """A finished picture.

    Attributes:
        data: the encoded bytes, exactly as the server gave them.
        format: `png`, `jpeg` or `webp`, as the bytes say.
        width, height: pixels; `size` is both.
        task: the task that made it.
    """

    def __init__(self, data: bytes, task: Task) -> None:
        """Not for callers: `Client.generate` and `Client.download` make images.

        Raises:
            UnexpectedAnswer: the bytes are no image.
        """
        header = read_header(data)
        if header is None:
            raise UnexpectedAnswer(f"the result of {task.id} is not an image; it begins with {data[:16]!r}")
        self.data = data
        self.task = task
        self.format, self.width, self.height = header

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.width, self.height

    def save(self, path: str | Path, *, overwrite: bool = True) -> Path:
        """Write the bytes as they are, making folders as needed; the path.

        The name's ending is not looked at: choose the format with `output_format`.

        Raises:
            FileExistsError: there is such a file, and `overwrite` is False.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb" if overwrite else "xb") as file:
            file.write(self.data)
        return target

    def show(self) -> None:
        """Show it: in the output of a notebook's cell, elsewhere in whatever opens pictures on this machine."""
        if "IPython" in sys.modules:  # else this is no notebook, and importing it would take a second
            ipython: Any = importlib.import_module("IPython")
            if ipython.get_ipython() is not None:
                importlib.import_module("IPython.display").display(self)
                return
        with tempfile.NamedTemporaryFile(suffix=f".{self.format}", prefix="cavendish-", delete=False) as file:
            file.write(self.data)
        webbrowser.open(Path(file.name).as_uri())

    def _repr_png_(self) -> bytes | None:
        return self.data if self.format == "png" else None

    def _repr_jpeg_(self) -> bytes | None:
        return self.data if self.format == "jpeg" else None

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """What a notebook shows: the picture, and words where pictures cannot be shown."""
        kind = f"image/{self.format}"
        return (
            {kind: base64.b64encode(self.data).decode("ascii"), "text/plain": repr(self)},
            {kind: {"width": min(self.width, _SHOWN_PIXELS)}},
        )

    def __repr__(self) -> str:
        return f"<Image {self.width}x{self.height} {self.format}, {len(self.data):,} bytes, {self.task.id}>"
