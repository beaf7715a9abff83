"""What the peers check of a create: the same body as ours, for the one model that is measured, by pydantic."""

import hashlib
import hmac
import os
from typing import Annotated, Literal

from pydantic import AnyHttpUrl, BaseModel, Field, StringConstraints

Ratio = Literal["1:1", "9:16", "16:9", "3:4", "4:3", "3:2", "2:3", "5:4", "4:5", "21:9", "auto"]
Prompt = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000)]
KEY_DIGEST = hashlib.sha256(os.environ["PEER_KEY"].encode()).digest()


class Input(BaseModel):
    """The fields of google/nano-banana."""

    prompt: Prompt
    output_format: Literal["png", "jpeg"] = "png"
    image_size: Ratio = "1:1"
    image_input: Annotated[list[str], Field(max_length=3)] = []


class Create(BaseModel):
    """The body of a create."""

    model: Literal["google/nano-banana"]
    callBackUrl: AnyHttpUrl | None = None  # noqa: N815 - the wire's name
    input: Input


def is_key(authorization: str | None) -> bool:
    """Whether the header carries the one key that these servers know."""
    scheme, _, key = (authorization or "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(hashlib.sha256(key.encode()).digest(), KEY_DIGEST)
