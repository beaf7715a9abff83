"""Whom a request speaks for: the bearer key, looked up once and remembered for a moment."""

import asyncio
import hashlib
import re
from collections import OrderedDict

from cavendish.domain.errors import Unauthorized
from cavendish.domain.orders import Caller
from cavendish.domain.text import Text
from cavendish.ports import Clock, KeyLookup
from cavendish.web.asgi import Scope, header

REMEMBER_SECONDS = 1.0
"""How long an answer is trusted. A revocation is announced and works at once; this is the net under it (<= 2 s)."""
REMEMBERED_KEYS = 20_000

_BEARER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +([\x21-\x7e]{1,200}) *")

NO_KEY = Text(
    en="Send your API key in the header: Authorization: Bearer sk-…",
    zh="请在请求头中发送 API 密钥：Authorization: Bearer sk-…",
)
WRONG_KEY = Text(
    en="This API key is unknown, revoked or expired. Send a valid one: Authorization: Bearer sk-…",
    zh="此 API 密钥不存在、已吊销或已过期。请发送有效的密钥：Authorization: Bearer sk-…",
)
NO_OPERATOR = Text(
    en="This needs an operator key, which `cavendish keys create --operator` makes; the key that was sent is an "
    "ordinary one",
    zh="此处需要运维密钥，可用 `cavendish keys create --operator` 创建；所发送的是普通密钥",
)


class KeyRing:
    """Finds callers by key; known and unknown keys alike are remembered briefly, so a flood asks the database once."""

    def __init__(self, keys: KeyLookup, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._remembered: OrderedDict[bytes, tuple[Caller | None, float]] = OrderedDict()
        self._asking: dict[bytes, asyncio.Future[Caller | None]] = {}
        self._generation = 0

    def forget(self, _payload: str = "") -> None:
        """A key was revoked somewhere: trust nothing that was remembered."""
        self._generation += 1
        self._remembered.clear()

    async def caller(self, scope: Scope) -> Caller:
        """Whom the request's key speaks for.

        Raises:
            Unauthorized: no key, or one that opens nothing.
            StoreUnavailable: the key is not remembered and the database does not answer.
        """
        return await self.speaks_for(header(scope, b"authorization"))

    async def speaks_for(self, authorization: bytes | None) -> Caller:
        """Whom the value of a header `authorization` speaks for; raises as `caller` does."""
        match = _BEARER.fullmatch(authorization) if authorization is not None else None
        if match is None:
            raise Unauthorized(NO_KEY)
        digest = hashlib.sha256(match[1]).digest()
        remembered = self._remembered.get(digest)
        if remembered is not None and self._clock.monotonic() < remembered[1]:
            caller = remembered[0]
        else:
            caller = await self._ask(digest)
        if caller is None:
            raise Unauthorized(WRONG_KEY)
        return caller

    async def operator(self, scope: Scope) -> Caller:
        """Whom the request's key speaks for, if it is an operator's.

        Raises:
            Unauthorized: as `caller`, and for an ordinary key.
        """
        caller = await self.caller(scope)
        if not caller.operator:
            raise Unauthorized(NO_OPERATOR)
        return caller

    async def _ask(self, digest: bytes) -> Caller | None:
        asked = self._asking.get(digest)
        if asked is None:
            asked = asyncio.ensure_future(self._look_up(digest))
            self._asking[digest] = asked
            asked.add_done_callback(lambda _: self._asking.pop(digest, None))
        return await asyncio.shield(asked)

    async def _look_up(self, digest: bytes) -> Caller | None:
        generation = self._generation
        found = await self._keys.find_key(digest)
        caller, expires_in = found if found is not None else (None, None)
        if generation == self._generation:
            seconds = REMEMBER_SECONDS if expires_in is None else min(REMEMBER_SECONDS, expires_in)
            self._remembered[digest] = (caller, self._clock.monotonic() + seconds)
            self._remembered.move_to_end(digest)
            while len(self._remembered) > REMEMBERED_KEYS:
                self._remembered.popitem(last=False)
        return caller
