"""What the flows need from the world, as small Protocols named by that need.

Implementations live in `store`, `engines`, `images`, `blobs` and `outbound`; `wiring` joins them.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Literal, Protocol

import msgspec

ImageFormat = Literal["png", "jpeg", "webp"]


class InputImage(msgspec.Struct, frozen=True):
    """One checked input image: the bytes as they came, and what they are."""

    data: bytes
    format: ImageFormat
    width: int
    height: int


class ImageInfo(msgspec.Struct, frozen=True):
    """What the bytes themselves say they are; pixels after EXIF orientation is applied."""

    format: ImageFormat
    width: int
    height: int


class ImageRequest(msgspec.Struct, frozen=True):
    """What an engine is asked for. `width` x `height` are the contract's exact pixels (§7)."""

    task_id: str
    model: str
    upstream_models: tuple[str, ...]
    prompt: str
    aspect_ratio: str
    resolution: str
    width: int
    height: int
    output_format: Literal["png", "jpeg"]
    images: tuple[InputImage, ...] = ()
    seed: int | None = None


class EngineImage(msgspec.Struct, frozen=True):
    """What an engine gives back: encoded image bytes, whatever the format."""

    data: bytes
    note: str | None = None


class Engine(Protocol):
    """Makes a picture. Raises EngineError for every outcome that is not one."""

    @property
    def name(self) -> str:
        """The word of CAVENDISH_ENGINE."""

    async def generate(self, request: ImageRequest, started: Callable[[], None]) -> EngineImage:
        """Make one picture; call `started` once, when capacity was found and the work begins."""

    async def aclose(self) -> None:
        """Let go of processes and connections."""


class Images(Protocol):
    """Looks at and converts image bytes, off the event loop."""

    async def probe(self, data: bytes) -> ImageInfo:
        """Check limits and header. Raises BadImage."""

    async def deliverable(self, data: bytes, output_format: Literal["png", "jpeg"]) -> tuple[bytes, ImageInfo]:
        """Decode fully; the same bytes when they already are of that format, else transcoded. Raises BadImage."""


class Fetcher(Protocol):
    """Gets an input image from a URL through the guarded outbound client."""

    async def fetch(self, url: str) -> bytes:
        """The body, within the caps of bytes and seconds. Raises BadImage, AddressRefused."""


class Blobs(Protocol):
    """Durable objects by name."""

    async def put(self, name: str, data: bytes) -> None:
        """Write, and return only when it would survive a crash. Raises BlobsUnavailable."""

    async def size(self, name: str) -> int:
        """Bytes of the object. Raises BlobMissing, BlobsUnavailable."""

    def read(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Stream bytes `start` (included) to `end` (excluded). Raises BlobMissing, BlobsUnavailable."""

    async def get(self, name: str) -> bytes:
        """The whole object. Raises BlobMissing, BlobsUnavailable."""

    async def delete(self, names: Sequence[str]) -> None:
        """Remove; names that do not exist are no error. Raises BlobsUnavailable."""
