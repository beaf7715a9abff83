"""Names to addresses, with the address rule inside the look-up.

What the resolver returns is what the connector connects to. There is no second look-up and no cache between the check
and the connection, so an answer that changes in between (DNS rebinding) has nowhere to get in.
"""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from aiohttp.abc import AbstractResolver, ResolveResult

from cavendish.domain.addresses import Address, literal_address
from cavendish.domain.errors import AddressRefused
from cavendish.domain.text import Text

AddressRule = Callable[[Address], bool]

LOOKUP_THREADS = 16


def address_refused() -> AddressRefused:
    """The error for a host of which at least one address breaks the rule.

    It says neither which address nor what would have answered there: that would map our network for the sender.
    """
    return AddressRefused(
        Text(
            en="The host leads to an address that is not on the public internet; use one that is",
            zh="该主机指向的地址不在公网上，请使用公网地址",
        )
    )


class GuardedResolver(AbstractResolver):
    """Lets through what `inner` finds for a name only when `accepts` holds for every address.

    One refused address refuses the name: a host that answers with a public and a private address is either
    misconfigured or an attempt.
    """

    def __init__(self, inner: AbstractResolver, accepts: AddressRule) -> None:
        self._inner = inner
        self._accepts = accepts

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of `host`. Raises AddressRefused, OSError when there are none."""
        found = await self._inner.resolve(host, port, family)
        if not found:
            raise OSError(None, "the name has no address")
        for result in found:
            address = literal_address(result["host"])
            if address is None or not self._accepts(address):
                raise address_refused()
        return found

    async def close(self) -> None:
        """Closes the inner resolver."""
        await self._inner.close()


class SystemResolver(AbstractResolver):
    """The machine's own resolver, in threads of its own.

    The loop's default executor has few threads and other users: a name server that never answers would hold them all.
    """

    def __init__(self, threads: int = LOOKUP_THREADS) -> None:
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="lookup")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of `host`. Raises OSError."""
        found = await asyncio.get_running_loop().run_in_executor(self._pool, _look_up, host, port, family)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=address_family,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address_family, address in found
        ]

    async def close(self) -> None:
        """Let go of the threads; look-ups that still run end on their own."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int, family: int) -> list[tuple[int, str]]:
    try:
        infos = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except UnicodeError as error:  # a label that DNS cannot carry
        raise OSError(None, "not a name that can be looked up") from error
    return [(int(address_family), str(address[0])) for address_family, _, _, _, address in infos]
