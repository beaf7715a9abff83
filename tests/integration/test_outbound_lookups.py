"""Name servers that never answer: each name holds one thread at most, and names that are known are found meanwhile."""

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cavendish.outbound import DeliveryFailed, Outbound, SystemResolver
from tests.loopback import OUTSIDE, loopback_server, post, say_image

THREADS = 8


class NameServer:
    """Answers every name but those that begin with `hanging`, until `release`."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.at_once = 0
        self.most_at_once = 0
        self.released = threading.Event()
        self._lock = threading.Lock()

    def __call__(self, host: str, family: int) -> list[tuple[int, str]]:
        assert family in (socket.AF_INET, socket.AF_UNSPEC)
        with self._lock:
            self.asked[host] += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if host.startswith("hanging"):
                self.released.wait(60)
                raise OSError(None, "no answer")
            return [(socket.AF_INET, OUTSIDE)]
        finally:
            with self._lock:
                self.at_once -= 1


@asynccontextmanager
async def asking() -> AsyncIterator[tuple[SystemResolver, NameServer]]:
    server = NameServer()
    resolver = SystemResolver(THREADS, server)
    try:
        yield resolver, server
    finally:
        server.released.set()
        await resolver.close()


async def given_up(resolver: SystemResolver, *names: str) -> None:
    """Ask for names, and give up as a request does whose time is over, once their look-ups had their turn to begin."""
    asking = [asyncio.create_task(resolver.resolve(name)) for name in names]
    for _ in range(5):
        await asyncio.sleep(0)
    for task in asking:
        task.cancel()
    ends = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends)


async def test_a_post_whose_name_server_hangs_ends_with_its_time_and_leaves_other_hosts_alone() -> None:
    async with asking() as (resolver, server), loopback_server(say_image) as receiver:
        subject = Outbound(allow_private=True, resolver=resolver)
        for _ in range(20):
            with pytest.raises(DeliveryFailed) as caught:
                await post(subject, "http://hanging.example/", timeout_seconds=0.01)
            assert caught.value.word == "timeout"
        answer = await post(subject, f"http://shop.example:{receiver.port}/")
        await subject.aclose()

    assert answer.status == 200
    assert server.asked["hanging.example"] == 1, "twenty attempts, one thread"


async def test_all_who_ask_for_a_name_at_the_same_time_share_a_look_up() -> None:
    async with asking() as (resolver, server):
        found = await asyncio.gather(*(resolver.resolve("shop.example", port) for port in (80, 443, 8080)))

    assert [(answer[0]["host"], answer[0]["port"]) for answer in found] == [(OUTSIDE, p) for p in (80, 443, 8080)]
    assert server.asked == {"shop.example": 1}


async def test_many_names_that_hang_do_not_keep_known_ones_from_being_found() -> None:
    async with asking() as (resolver, server):
        await resolver.resolve("known.example")
        await given_up(resolver, *(f"hanging{number}.example" for number in range(200)))
        for _ in range(3):
            assert (await resolver.resolve("known.example"))[0]["host"] == OUTSIDE
        assert server.most_at_once <= THREADS

    assert server.asked["known.example"] == 4


async def test_look_ups_that_nobody_waits_for_any_more_are_not_made() -> None:
    async with asking() as (resolver, server):
        await given_up(resolver, *(f"hanging{number}.example" for number in range(200)))
        server.released.set()
        await resolver.resolve("new.example")

    assert server.asked["new.example"] == 1
    assert server.asked.total() <= THREADS + 1


async def test_a_look_up_that_fails_fails_for_all_who_wait_and_is_made_anew_for_the_next() -> None:
    async with asking() as (resolver, server):
        server.released.set()
        ends = await asyncio.gather(*(resolver.resolve("hanging.example") for _ in range(3)), return_exceptions=True)
        with pytest.raises(OSError, match="no answer"):
            await resolver.resolve("hanging.example")

    assert [str(end) for end in ends] == ["[Errno None] no answer"] * 3
    assert server.asked["hanging.example"] == 2
