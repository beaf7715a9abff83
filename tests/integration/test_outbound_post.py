"""Callbacks to real servers: every answer counts, and every failure has a stable word."""

import asyncio
import gzip
import socket

import pytest
from aiohttp.abc import ResolveResult

from cavendish import __version__
from cavendish.domain.errors import BadImage
from cavendish.outbound import DeliveryFailed, Failure, client
from tests.loopback import (
    MB,
    Script,
    ScriptedResolver,
    Visit,
    fetch,
    loopback_server,
    outbound,
    post,
    say_image,
)


async def test_a_post_carries_body_and_headers_and_brings_back_the_answer() -> None:
    async def script(visit: Visit) -> None:
        await visit.answer(503, b"busy", {"Retry-After": "7", "X-Twice": "a", "x-twice": "b"})

    async with loopback_server(script) as server, outbound() as subject:
        answer = await post(subject, f"http://shop.example:{server.port}/hook?taskId=1%2F2")

    [visit] = server.visits
    assert (visit.method, visit.target, visit.body) == ("POST", "/hook?taskId=1%2F2", b'{"state":"success"}')
    assert visit.headers["content-type"] == "application/json"
    assert visit.headers["webhook-id"] == "msg_1"
    assert visit.headers["user-agent"] == f"Cavendish/{__version__}"
    assert (answer.status, answer.body) == (503, b"busy")
    assert answer.headers["retry-after"] == "7"
    assert answer.headers["x-twice"] == "a, b"
    assert answer.elapsed_seconds > 0


async def test_a_redirect_is_an_answer_to_a_post_and_is_not_followed() -> None:
    async def script(visit: Visit) -> None:
        await visit.answer(307, b"", {"Location": "/elsewhere"})

    async with loopback_server(script) as server, outbound() as subject:
        assert (await post(subject, f"http://shop.example:{server.port}/")).status == 307

    assert len(server.visits) == 1


async def test_a_long_answer_is_cut() -> None:
    async def script(visit: Visit) -> None:
        await visit.say(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await visit.say(b"a" * 1000)

    async with loopback_server(script) as server, outbound() as subject:
        answer = await post(subject, f"http://shop.example:{server.port}/", max_answer_bytes=1500)

    assert (answer.status, answer.body) == (200, b"a" * 1500)


async def test_a_packed_answer_is_kept_as_it_came() -> None:
    packed = gzip.compress(bytes(MB))

    async def script(visit: Visit) -> None:
        await visit.answer(200, packed, {"Content-Encoding": "gzip"})

    async with loopback_server(script) as server, outbound() as subject:
        answer = await post(subject, f"http://shop.example:{server.port}/")

    assert answer.body == packed[:4096]


async def test_an_answer_counts_though_its_body_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(visit: Visit) -> None:
        await visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await visit.wait_for_hang_up()

    monkeypatch.setattr(client, "ANSWER_BODY_SECONDS", 0.6)
    async with loopback_server(script) as server, outbound() as subject:
        answer = await post(subject, f"http://shop.example:{server.port}/", timeout_seconds=0.5)

    assert (answer.status, answer.body) == (200, b"half")


async def test_an_answer_counts_though_its_body_breaks_off() -> None:
    async def script(visit: Visit) -> None:
        await visit.say(b"HTTP/1.1 202 Accepted\r\nContent-Length: 10\r\n\r\nhalf")
        raise ConnectionError

    async with loopback_server(script) as server, outbound() as subject:
        assert (await post(subject, f"http://shop.example:{server.port}/")).status == 202


async def _hang_up(_visit: Visit) -> None:
    raise ConnectionError


async def _say_nothing(visit: Visit) -> None:
    await visit.wait_for_hang_up()


async def _trickle_headers(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        await visit.say(b".")
        await asyncio.sleep(0.01)


async def _say_nonsense(visit: Visit) -> None:
    await visit.say(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")


@pytest.mark.parametrize(
    ("script", "word"),
    [(_hang_up, "reset"), (_say_nothing, "too_slow"), (_trickle_headers, "too_slow"), (_say_nonsense, "bad_answer")],
)
async def test_a_server_without_an_answer_has_a_stable_word(script: Script, word: Failure) -> None:
    async with loopback_server(script) as server, outbound() as subject:
        with pytest.raises(DeliveryFailed) as caught:
            await post(subject, f"http://shop.example:{server.port}/", timeout_seconds=0.3)

    assert caught.value.word == word
    assert caught.value.text.en.startswith("The receiver ")
    assert caught.value.text.zh.startswith("接收方")


async def test_a_port_where_nobody_listens_refuses() -> None:
    async with loopback_server(say_image) as server:
        port = server.port

    async with outbound() as subject:
        with pytest.raises(DeliveryFailed) as caught:
            await post(subject, f"http://shop.example:{port}/")
        with pytest.raises(BadImage, match="refused the connection"):
            await fetch(subject, f"http://shop.example:{port}/")

    assert caught.value.word == "refused"


@pytest.mark.parametrize("names", [{}, {"nobody.example": [[]]}])
async def test_a_name_without_an_address_is_a_matter_of_dns(names: dict[str, list[list[str]]]) -> None:
    async with outbound(ScriptedResolver(names)) as subject:
        with pytest.raises(DeliveryFailed) as caught:
            await post(subject, "https://nobody.example/")
        with pytest.raises(BadImage, match="check the host name"):
            await fetch(subject, "https://nobody.example/")

    assert caught.value.word == "dns"


async def test_a_look_up_that_never_ends_runs_out_of_time() -> None:
    class Silent(ScriptedResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            await asyncio.Event().wait()
            return []

    async with outbound(Silent({})) as subject:
        with pytest.raises(DeliveryFailed) as caught:
            await post(subject, "https://shop.example/", timeout_seconds=0.1)

    assert caught.value.word == "timeout"


async def test_a_closed_client_makes_no_requests() -> None:
    async with loopback_server(say_image) as server:
        async with outbound() as subject:
            pass
        with pytest.raises(RuntimeError, match="closed"):
            await fetch(subject, f"http://shop.example:{server.port}/")

    assert server.connections == 0
