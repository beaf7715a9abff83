"""Callbacks on their way: one POST through the guarded client, every outcome as a value."""

import asyncio
from collections.abc import Mapping

from cavendish.domain.callbacks import Posted
from cavendish.outbound.client import Outbound
from cavendish.outbound.failures import DeliveryFailed

ANSWER_SECONDS = 5.0
"""From before the look-up of the name to the answer's last header: §4 of the contract."""


class CallbackPoster:
    """Implements `ports.Poster`."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Posted:
        """One attempt; never raises for anything that the receiver does."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        try:
            answer = await self._outbound.post(url, body=body, headers=headers, timeout_seconds=ANSWER_SECONDS)
        except DeliveryFailed as error:
            return Posted(seconds=loop.time() - start, error=error.word)
        return Posted(seconds=answer.elapsed_seconds, status=answer.status, headers=answer.headers, body=answer.body)
