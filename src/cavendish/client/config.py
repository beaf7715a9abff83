"""Where the server is and who asks, from arguments or the environment; and arguments of calls as values."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from cavendish.client.core import Core
from cavendish.client.errors import BadArgument
from cavendish.client.references import ImageSource
from cavendish.client.requests import Wish

BASE_URL_VARIABLE = "CAVENDISH_BASE_URL"
API_KEY_VARIABLE = "CAVENDISH_API_KEY"


@dataclass(frozen=True)
class Config:
    """A server and a key for it."""

    base_url: str
    api_key: str = field(repr=False)

    @classmethod
    def read(
        cls, base_url: str | None = None, api_key: str | None = None, environment: Mapping[str, str] | None = None
    ) -> "Config":
        """What was given, or else what the environment says.

        Raises:
            BadArgument: neither says it.
        """
        variables = os.environ if environment is None else environment
        url = base_url or variables.get(BASE_URL_VARIABLE)
        key = api_key or variables.get(API_KEY_VARIABLE)
        if not url:
            raise BadArgument(f"no server: pass base_url, or set {BASE_URL_VARIABLE} (http://127.0.0.1:8787, say)")
        if not key:
            raise BadArgument(f"no API key for {url}: pass api_key, or set {API_KEY_VARIABLE}")
        return cls(url, key)

    def core(self, language: str | None, repeats_creates: bool | None) -> Core:
        """The plans for that server. Raises BadArgument."""
        return Core(self.base_url, self.api_key, language=language, repeats_creates=repeats_creates)


def images_of(images: ImageSource | Sequence[ImageSource]) -> tuple[ImageSource, ...]:
    """One image, or a list of them, as a tuple."""
    if isinstance(images, str | bytes | bytearray | memoryview) or not isinstance(images, Sequence):
        return (cast("ImageSource", images),)
    return tuple(cast("Sequence[ImageSource]", images))


def wish_of(
    prompt: str,
    model: str | None,
    images: ImageSource | Sequence[ImageSource],
    aspect_ratio: str | None,
    resolution: str | None,
    output_format: str | None,
    seed: int | None,
    callback_url: str | None,
    extra: Mapping[str, Any] | None,
) -> tuple[Wish, tuple[ImageSource, ...]]:
    """What a caller asks for, and the images that go with it."""
    sources = images_of(images)
    wish = Wish(
        prompt, model, len(sources), aspect_ratio, resolution, output_format, seed, callback_url, dict(extra or {})
    )
    return wish, sources
