"""Input images from the URLs that callers give."""

from typing import Final

from cavendish.outbound.client import Outbound

MAX_IMAGE_BYTES: Final = 30 * 1024 * 1024
TIMEOUT_SECONDS: Final = 20.0


class ImageFetcher:
    """`ports.Fetcher` over the guarded client: at most `max_bytes` within `timeout_seconds`, redirects included."""

    def __init__(
        self, outbound: Outbound, *, max_bytes: int = MAX_IMAGE_BYTES, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self._outbound = outbound
        self._max_bytes = max_bytes
        self._timeout_seconds = timeout_seconds

    async def fetch(self, url: str) -> bytes:
        """The body behind `url`. Raises BadImage, AddressRefused."""
        return await self._outbound.fetch(url, max_bytes=self._max_bytes, timeout_seconds=self._timeout_seconds)
