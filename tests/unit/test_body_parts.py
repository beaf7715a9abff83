"""A body that comes in pieces has a deadline as a whole, however quickly its pieces come."""

from typing import Any

import pytest

from cavendish.domain.errors import InvalidRequest
from cavendish.web import asgi
from cavendish.web.asgi import body_parts


async def test_a_body_whose_pieces_are_always_there_is_still_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "BODY_SECONDS", 0.05)
    received = 0

    async def receive() -> dict[str, Any]:
        nonlocal received
        received += 1
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def whole() -> int:
        return sum([len(part) async for part in body_parts(receive)])

    with pytest.raises(InvalidRequest):
        await whole()
    assert received > 1
