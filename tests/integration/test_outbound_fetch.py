"""Bodies from real servers: what is sent, what is kept, and where it ends."""

import asyncio
import gzip

import pytest

from cavendish import __version__
from cavendish.domain.errors import BadImage
from cavendish.outbound import ImageFetcher
from tests.loopback import (
    MB,
    OUTSIDE,
    ScriptedResolver,
    Visit,
    fetch,
    loopback_server,
    outbound,
    say_image,
)


async def test_the_body_behind_a_url_is_fetched() -> None:
    async with loopback_server(say_image) as server, outbound() as subject:
        assert await fetch(subject, f"http://shop.example:{server.port}/cat.png") == b"image"

    [visit] = server.visits
    assert (visit.method, visit.target) == ("GET", "/cat.png")
    assert visit.headers["user-agent"] == f"Cavendish/{__version__}"
    assert visit.headers["accept"] == "image/*"
    assert visit.headers["accept-encoding"] == "identity"
    assert visit.headers["host"] == f"shop.example:{server.port}"


async def test_a_query_goes_out_byte_for_byte() -> None:
    query = "X-Amz-Signature=ab%2Bc%7e&b=%2f&a=1+2&empty"

    async with loopback_server(say_image) as server, outbound() as subject:
        await fetch(subject, f"http://shop.example:{server.port}/a%20b?{query}#part")

    assert server.visits[0].target == f"/a%20b?{query}"


async def test_an_international_name_is_looked_up_in_its_ascii_form() -> None:
    resolver = ScriptedResolver({"xn--mnchen-3ya.example": [[OUTSIDE]]})

    async with loopback_server(say_image) as server, outbound(resolver) as subject:
        assert await fetch(subject, f"http://m\u00fcnchen.example:{server.port}/") == b"image"


async def test_cookies_are_not_kept() -> None:
    async def script(visit: Visit) -> None:
        await visit.answer(200, b"image", {"Set-Cookie": "session=1; Path=/"})

    async with loopback_server(script) as server, outbound() as subject:
        for _ in range(2):
            await fetch(subject, f"http://shop.example:{server.port}/")

    assert [visit.headers.get("cookie") for visit in server.visits] == [None, None]


async def test_a_connection_is_used_again() -> None:
    async with loopback_server(say_image) as server, outbound() as subject:
        for _ in range(3):
            await fetch(subject, f"http://shop.example:{server.port}/")

    assert (server.connections, len(server.visits)) == (1, 3)


@pytest.mark.parametrize("status", [204, 304, 401, 403, 404, 500])
async def test_a_status_without_an_image_is_told_to_the_sender(status: int) -> None:
    async def script(visit: Visit) -> None:
        await visit.say(b"HTTP/1.1 %d Word\r\nContent-Length: 0\r\n\r\n" % status)

    async with loopback_server(script) as server, outbound() as subject:
        with pytest.raises(BadImage, match=f"answered with status {status}") as caught:
            await fetch(subject, f"http://shop.example:{server.port}/cat.png?key=secret")

    assert f"状态码 {status}" in caught.value.text.zh
    assert "/cat.png" in caught.value.text.en
    assert "secret" not in caught.value.text.en + caught.value.text.zh


async def test_an_empty_body_is_no_image() -> None:
    async def script(visit: Visit) -> None:
        await visit.answer(200)

    async with loopback_server(script) as server, outbound() as subject:
        with pytest.raises(BadImage, match="empty body"):
            await fetch(subject, f"http://shop.example:{server.port}/")


async def test_a_body_of_exactly_the_cap_is_taken_and_one_byte_more_is_not() -> None:
    async def script(visit: Visit) -> None:
        await visit.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nimage\r\n0\r\n\r\n")

    async with loopback_server(script) as server, outbound() as subject:
        assert await fetch(subject, f"http://shop.example:{server.port}/", max_bytes=5) == b"image"
        with pytest.raises(BadImage, match="sends more than"):
            await fetch(subject, f"http://shop.example:{server.port}/", max_bytes=4)


async def test_a_length_above_the_cap_is_refused_before_the_body_comes() -> None:
    async def script(visit: Visit) -> None:
        await visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n")
        await visit.wait_for_hang_up()

    async with loopback_server(script) as server, outbound() as subject:
        with pytest.raises(BadImage, match="sends more than the 1 MB"):
            await fetch(subject, f"http://shop.example:{server.port}/")


async def test_an_endless_body_without_a_length_is_cut_at_the_cap() -> None:
    sent = 0
    cut = asyncio.Event()

    async def script(visit: Visit) -> None:
        nonlocal sent
        await visit.say(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                await visit.say(bytes(65536))
                sent += 65536
        finally:
            cut.set()

    async with loopback_server(script) as server, outbound() as subject:
        with pytest.raises(BadImage, match="sends more than"):
            await fetch(subject, f"http://shop.example:{server.port}/")
        async with asyncio.timeout(10):
            await cut.wait()

    assert sent < 64 * MB  # the cap, and what the sockets' buffers held


async def test_a_gzip_bomb_stays_packed_and_is_refused() -> None:
    bomb = gzip.compress(bytes(64 * MB))

    async def script(visit: Visit) -> None:
        await visit.answer(200, bomb, {"Content-Encoding": "gzip"})

    async with loopback_server(script) as server, outbound() as subject:
        assert len(bomb) < MB
        with pytest.raises(BadImage, match="compressed although it was asked not to"):
            await fetch(subject, f"http://shop.example:{server.port}/")


async def test_an_encoding_that_packs_nothing_is_no_obstacle() -> None:
    async def script(visit: Visit) -> None:
        await visit.answer(200, b"image", {"Content-Encoding": "aws-chunked"})

    async with loopback_server(script) as server, outbound() as subject:
        assert await fetch(subject, f"http://shop.example:{server.port}/") == b"image"


async def test_a_server_that_trickles_byte_by_byte_runs_out_of_time() -> None:
    async def script(visit: Visit) -> None:
        await visit.say(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await visit.say(b".")
            await asyncio.sleep(0.01)

    async with loopback_server(script) as server, outbound() as subject:
        with pytest.raises(BadImage, match="did not answer in time"):
            await fetch(subject, f"http://shop.example:{server.port}/", timeout_seconds=0.2)


async def test_headers_without_end_are_not_read_to_the_end() -> None:
    async def script(visit: Visit) -> None:
        await visit.say(b"HTTP/1.1 200 OK\r\n")
        while True:
            await visit.say(b"X-Filler: " + b"a" * 8000 + b"\r\n")

    async with loopback_server(script) as server, outbound() as subject:
        with pytest.raises(BadImage, match="not valid HTTP"):
            await fetch(subject, f"http://shop.example:{server.port}/")


async def test_a_body_that_breaks_off_is_no_image() -> None:
    async def script(visit: Visit) -> None:
        await visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        raise ConnectionError

    async with loopback_server(script) as server, outbound() as subject:
        with pytest.raises(BadImage, match="broke the connection"):
            await fetch(subject, f"http://shop.example:{server.port}/")


async def test_the_image_fetcher_has_caps_of_its_own() -> None:
    async def script(visit: Visit) -> None:
        await visit.answer(200, bytes(11))

    async with loopback_server(script) as server, outbound() as subject:
        url = f"http://shop.example:{server.port}/"
        assert await ImageFetcher(subject).fetch(url) == bytes(11)
        with pytest.raises(BadImage, match="sends more than"):
            await ImageFetcher(subject, max_bytes=10).fetch(url)
