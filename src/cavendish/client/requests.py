"""What a create sends: the spelling of each model that every server of this API understands."""

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cavendish.client.errors import BadArgument

STANDARD = "google/nano-banana"
EDIT = "google/nano-banana-edit"
PRO = "google/nano-banana-pro"

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True)
class Wish:
    """What a caller asks for, before its images are references.

    Attributes:
        model: an id, or `pro`, `edit`, `standard`; None: the standard model, or edit when there are images.
        images: how many input images there are.
        extra: further fields of `input`, for servers that know more than this client.
    """

    prompt: str
    model: str | None = None
    images: int = 0
    aspect_ratio: str | None = None
    resolution: str | None = None
    output_format: str | None = None
    seed: int | None = None
    callback_url: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def model_id(model: str | None, images: int) -> str:
    """The id that is sent.

    Without a model, images choose `google/nano-banana-edit`: it costs the same, and it takes images on every server of
    this API, while some ignore them on the standard model.
    """
    if model is None:
        return EDIT if images else STANDARD
    return {"pro": PRO, "edit": EDIT, "standard": STANDARD}.get(model.lower(), model)


def create_body(wish: Wish, references: Sequence[str]) -> bytes:
    """The JSON of a create.

    Servers of this API differ in the aliases that they take, so each model gets the spelling of its own description:
    `image_size` and `jpeg`, but `aspect_ratio` and `jpg` on Pro; `image_urls` on edit; `image_input` always on Pro.

    Raises:
        BadArgument: there is no prompt.
    """
    if not wish.prompt.strip():
        raise BadArgument("prompt: must be text that is not blank")
    model = model_id(wish.model, wish.images)
    pro, edit = "pro" in model.lower(), "edit" in model.lower()
    fields: dict[str, Any] = {"prompt": wish.prompt}
    if edit:
        fields["image_urls"] = list(references)
    elif pro or references:
        fields["image_input"] = list(references)
    if wish.aspect_ratio is not None:
        fields["aspect_ratio" if pro else "image_size"] = wish.aspect_ratio
    if wish.resolution is not None:
        fields["resolution"] = wish.resolution
    if wish.output_format is not None:
        word = wish.output_format.lower()
        fields["output_format"] = ("jpg" if pro else "jpeg") if word in ("jpg", "jpeg") else word
    if wish.seed is not None:
        fields["seed"] = wish.seed
    body: dict[str, Any] = {"model": model, "input": fields | dict(wish.extra)}
    if wish.callback_url:
        body["callBackUrl"] = wish.callback_url
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")


def new_idempotency_key() -> str:
    """A fresh key: 128 random bits."""
    return f"cav-{secrets.token_hex(16)}"


def checked_idempotency_key(key: str) -> str:
    """The key, if a server can take it. Raises BadArgument."""
    if not _KEY.fullmatch(key):
        raise BadArgument("idempotency_key: must be 1 to 255 visible ASCII characters")
    return key
