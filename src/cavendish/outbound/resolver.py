"""Names to addresses, with the address rule inside the look-up.

What the resolver returns is what the connector connects to. There is no second look-up and no cache between the check
and the connection, so an answer that changes in between (DNS rebinding) has nowhere to get in.
"""

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread

from aiohttp.abc import AbstractResolver, ResolveResult

from cavendish.domain.addresses import Address, literal_address
from cavendish.domain.errors import AddressRefused
from cavendish.domain.text import Text

AddressRule = Callable[[Address], bool]

Found = list[tuple[int, str]]
"""Address family and address."""
LookUp = Callable[[str, int], Found]
"""From a name and a family (`socket.AF_…`); blocks, raises OSError."""

LOOKUP_THREADS = 16
REMEMBERED_NAMES = 10_000


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

    A look-up cannot be broken off: it keeps its thread for as long as the system waits for a name server, long after
    the request gave up. So all who ask for a name at the same time share one look-up, and a quarter of the threads is
    for names that were found the last time: names that hang, however many, do not keep these from being found.

    `threads`: look-ups at the same time; further ones wait their turn. `look_up`: what asks the system.
    """

    def __init__(self, threads: int = LOOKUP_THREADS, look_up: LookUp | None = None) -> None:
        for_known = max(1, threads // 4)
        self._room_for_known = asyncio.Semaphore(for_known)
        self._room_for_new = asyncio.Semaphore(max(1, threads - for_known))
        self._known: OrderedDict[str, None] = OrderedDict()
        self._shared: dict[tuple[str, int], _Shared] = {}
        self._look_up = look_up or _look_up

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of `host`. Raises OSError."""
        shared = self._shared.get((host, family)) or self._begin(host, family)
        shared.waiting += 1
        try:
            found = await asyncio.shield(shared.task)
        finally:
            shared.waiting -= 1
            if not shared.waiting and not shared.in_thread:
                shared.task.cancel()  # nobody wants it any more, and it has no thread yet
                self._forget(shared)
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
        """Wait for no look-up any more; those in threads end on their own, and do not keep the process from ending."""
        for shared in list(self._shared.values()):
            shared.task.cancel()

    def _begin(self, host: str, family: int) -> "_Shared":
        shared = _Shared((host, family))
        shared.task = asyncio.create_task(self._run(shared))
        self._shared[shared.key] = shared

        def ended(task: asyncio.Task[Found]) -> None:
            self._forget(shared)
            if not task.cancelled():
                task.exception()  # seen, also when nobody waits for it any more

        shared.task.add_done_callback(ended)
        return shared

    def _forget(self, shared: "_Shared") -> None:
        if self._shared.get(shared.key) is shared:
            del self._shared[shared.key]

    async def _run(self, shared: "_Shared") -> Found:
        host, family = shared.key
        async with self._room_for_known if host in self._known else self._room_for_new:
            shared.in_thread = True
            self._known.pop(host, None)  # until it is found once more
            found = await _in_a_thread(lambda: self._look_up(host, family))
        self._known[host] = None
        if len(self._known) > REMEMBERED_NAMES:
            self._known.popitem(last=False)
        return found


class _Shared:
    """One look-up and how many wait for it."""

    task: asyncio.Task[Found]

    def __init__(self, key: tuple[str, int]) -> None:
        self.key = key
        self.waiting = 0
        self.in_thread = False


async def _in_a_thread(work: Callable[[], Found]) -> Found:
    """What `work` returns or raises. The thread is a daemon: unlike an executor's, nobody waits for it at the end."""
    job: Future[Found] = Future()
    job.set_running_or_notify_cancel()  # from now on nobody can cancel it under the thread's hands

    def run() -> None:
        try:
            job.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
            job.set_exception(error)

    try:
        Thread(target=run, name="lookup", daemon=True).start()
    except RuntimeError as error:
        raise OSError(None, "there is no thread for the look-up") from error
    return await asyncio.wrap_future(job)


def _look_up(host: str, family: int) -> Found:
    try:
        infos = socket.getaddrinfo(host, None, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except UnicodeError as error:  # a label that DNS cannot carry
        raise OSError(None, "not a name that can be looked up") from error
    return [(int(address_family), str(address[0])) for address_family, _, _, _, address in infos]
