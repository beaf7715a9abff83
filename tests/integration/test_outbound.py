"""Where the guarded client goes and where it does not, against real servers on loopback.

The rule that production uses is put to the test with names that resolve to real special addresses.
"""

import socket
import ssl
from pathlib import Path

import pytest
import trustme

from cavendish.domain.addresses import is_public
from cavendish.domain.errors import AddressRefused, BadImage
from cavendish.outbound import DeliveryFailed, Outbound
from cavendish.outbound.resolver import GuardedResolver, SystemResolver
from tests.loopback import INSIDE, OUTSIDE, ScriptedResolver, Visit, fetch, loopback_server, outbound, post, say_image
from tests.unit.test_urls import HOSTILE


@pytest.mark.parametrize("url", HOSTILE)
async def test_a_hostile_url_is_refused_without_a_look_up(url: str) -> None:
    resolver = ScriptedResolver({})

    async with outbound(resolver) as subject:
        with pytest.raises(AddressRefused):
            await fetch(subject, url)
        with pytest.raises(DeliveryFailed) as caught:
            await post(subject, url)

    assert caught.value.word == "address_refused"
    assert resolver.asked == []


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["100.100.100.200"],
        ["168.63.129.16"],
        ["0.0.0.0"],
        ["::1"],
        ["fd00:ec2::254"],
        ["fe80::1%eth0"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["2002:7f00:1::"],
        ["8.8.8.8", "127.0.0.1"],
        ["127.0.0.1", "8.8.8.8"],
        ["2606:4700:4700::1111", "10.0.0.1"],
        ["8.8.8.8", "not an address"],
    ],
)
async def test_a_name_with_any_address_that_is_not_public_is_refused(addresses: list[str]) -> None:
    subject = Outbound(allow_private=False, resolver=ScriptedResolver({"rebound.example": [addresses]}))

    with pytest.raises(AddressRefused) as caught:
        await fetch(subject, "http://rebound.example/")
    with pytest.raises(DeliveryFailed) as failed:
        await post(subject, "https://rebound.example/")
    await subject.aclose()

    assert failed.value.word == "address_refused"
    assert not any(address in str(caught.value) + str(failed.value) for address in addresses)


async def test_a_literal_address_reaches_nobody_although_it_needs_no_look_up() -> None:
    subject = Outbound(allow_private=False)

    async with loopback_server(say_image) as server:
        for host in ("127.0.0.1", "127.1", "[::ffff:127.0.0.1]", "0x7f000001", "localhost"):
            with pytest.raises(AddressRefused):
                await fetch(subject, f"http://{host}:{server.port}/")
    await subject.aclose()

    assert server.connections == 0


async def test_the_machines_own_resolver_is_guarded_like_any_other() -> None:
    system = SystemResolver(threads=1)
    guarded = GuardedResolver(system, is_public)

    found = {result["host"] for result in await system.resolve("localhost", 80, socket.AF_UNSPEC)}
    assert found
    assert found <= {"127.0.0.1", "::1"}
    with pytest.raises(AddressRefused):
        await guarded.resolve("localhost", 80, socket.AF_UNSPEC)
    with pytest.raises(OSError, match="not a name"):
        await guarded.resolve("a" * 64 + ".example", 80, socket.AF_UNSPEC)
    await guarded.close()


async def test_a_name_that_turns_private_after_its_check_reaches_nobody_private() -> None:
    async def script(visit: Visit) -> None:
        await visit.answer(200, b"image", {"Connection": "close"})

    resolver = ScriptedResolver({"rebound.example": [[OUTSIDE], [INSIDE]]})
    async with (
        loopback_server(script) as public,
        loopback_server(script, address=INSIDE, port=public.port) as private,
        outbound(resolver) as subject,
    ):
        url = f"http://rebound.example:{public.port}/"
        assert await fetch(subject, url) == b"image"
        assert resolver.asked == ["rebound.example"]  # one look-up: what was checked is what was connected to
        with pytest.raises(AddressRefused):
            await fetch(subject, url)

    assert (public.connections, private.connections) == (1, 0)


async def test_a_redirect_to_the_same_name_is_checked_anew() -> None:
    async def script(visit: Visit) -> None:
        await visit.answer(302, b"", {"Location": "/again", "Connection": "close"})

    resolver = ScriptedResolver({"rebound.example": [[OUTSIDE], [INSIDE]]})
    async with (
        loopback_server(script) as public,
        loopback_server(script, address=INSIDE, port=public.port) as private,
        outbound(resolver) as subject,
    ):
        with pytest.raises(AddressRefused):
            await fetch(subject, f"http://rebound.example:{public.port}/")

    assert (public.connections, private.connections) == (1, 0)


async def test_private_addresses_are_reached_where_they_are_allowed() -> None:
    async with loopback_server(say_image, address=INSIDE) as server, outbound(allow_private=True) as subject:
        assert await fetch(subject, f"http://{INSIDE}:{server.port}/") == b"image"
        assert await fetch(subject, f"http://intranet.example:{server.port}/") == b"image"


async def test_three_redirects_are_followed_and_a_fourth_is_not() -> None:
    async def script(visit: Visit) -> None:
        left = int(visit.target.removeprefix("/"))
        await (visit.answer(302, b"", {"Location": str(left - 1)}) if left else visit.answer(200, b"image"))

    async with loopback_server(script) as server, outbound() as subject:
        assert await fetch(subject, f"http://shop.example:{server.port}/3") == b"image"
        with pytest.raises(BadImage, match="redirects more than 3 times"):
            await fetch(subject, f"http://shop.example:{server.port}/4")

    assert len(server.visits) == 8


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_may_lead_to_another_host_with_spaces_in_its_path(status: int) -> None:
    async def script(visit: Visit) -> None:
        if visit.target == "/a%20cat.png":
            await visit.answer(200, b"image")
        else:
            port = visit.headers["host"].partition(":")[2]
            await visit.answer(status, b"moved", {"Location": f"//other.example:{port}/a cat.png"})

    async with loopback_server(script) as server, outbound() as subject:
        assert await fetch(subject, f"http://shop.example:{server.port}/") == b"image"

    assert server.visits[1].headers["host"] == f"other.example:{server.port}"


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.2:{port}/",
        "http://intranet.example:{port}/",
        "//intranet.example:{port}/",
        "http://127.0.0.1:{port}/",
        "http://[::1]:{port}/",
        "http://169.254.169.254/latest/meta-data/",
        "http://2130706433/",
        "http://user:password@other.example:{port}/",
        "http://other.example:22/",
        "file:///etc/passwd",
        "ftp://other.example/",
        "gopher://other.example/",
        "data:image/png;base64,AAAA",
        "https://",
        "http://other.example\\@{port}/",
    ],
)
async def test_a_redirect_to_where_we_do_not_go_is_refused(location: str) -> None:
    async def script(visit: Visit) -> None:
        await visit.answer(302, b"", {"Location": location.format(port=server.port)})

    async with (
        loopback_server(script) as server,
        loopback_server(say_image, address=INSIDE, port=server.port) as private,
        outbound() as subject,
    ):
        with pytest.raises(AddressRefused):
            await fetch(subject, f"http://shop.example:{server.port}/")

    assert (len(server.visits), private.connections) == (1, 0)


@pytest.mark.parametrize("headers", [{}, {"Location": ""}, {"Location": "http://[::1/"}, {"Location": "//["}])
async def test_a_redirect_to_nowhere_is_no_image(headers: dict[str, str]) -> None:
    async def script(visit: Visit) -> None:
        await visit.answer(302, b"", headers)

    async with loopback_server(script) as server, outbound() as subject:
        with pytest.raises(BadImage, match="redirects without saying where to"):
            await fetch(subject, f"http://shop.example:{server.port}/")


def authority() -> tuple[trustme.CA, ssl.SSLContext, ssl.SSLContext]:
    """An authority, a server's side with its certificate for shop.example, and a client's side that trusts it."""
    ca = trustme.CA()
    server, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    ca.issue_cert("shop.example").configure_cert(server)
    ca.configure_trust(trusting)
    return ca, server, trusting


async def test_a_certificate_of_a_known_authority_is_trusted() -> None:
    _, tls, trusting = authority()

    async with loopback_server(say_image, tls=tls) as server, outbound(tls=trusting) as subject:
        assert await fetch(subject, f"https://shop.example:{server.port}/") == b"image"


async def test_a_certificate_of_nobody_we_know_is_refused() -> None:
    _, tls, _ = authority()

    async with loopback_server(say_image, tls=tls) as server, outbound() as subject:
        with pytest.raises(BadImage, match="no certificate"):
            await fetch(subject, f"https://shop.example:{server.port}/")
        with pytest.raises(DeliveryFailed) as caught:
            await post(subject, f"https://shop.example:{server.port}/")

    assert caught.value.word == "tls"
    assert server.visits == []


async def test_a_certificate_for_another_name_is_refused() -> None:
    _, tls, trusting = authority()

    async with loopback_server(say_image, tls=tls) as server, outbound(tls=trusting) as subject:
        with pytest.raises(BadImage, match="no certificate"):
            await fetch(subject, f"https://other.example:{server.port}/")

    assert server.visits == []


async def test_proxies_and_passwords_of_the_environment_are_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine shop.example login operator password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    async with loopback_server(say_image) as server, loopback_server(say_image) as proxy, outbound() as subject:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        await fetch(subject, f"http://shop.example:{server.port}/")
        await post(subject, f"http://shop.example:{server.port}/")

    assert (len(server.visits), proxy.connections) == (2, 0)
    assert "authorization" not in server.visits[0].headers


async def test_a_proxy_is_used_when_the_operator_trusts_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine shop.example login operator password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("no_proxy", "other.example")
    names = ScriptedResolver({"proxy.example": [[INSIDE]], "other.example": [[OUTSIDE]]})

    async with (
        loopback_server(say_image) as server,
        loopback_server(say_image, address=INSIDE) as proxy,
        outbound(names, trust_env=True) as subject,
    ):
        monkeypatch.setenv("http_proxy", f"http://proxy.example:{proxy.port}")
        assert await fetch(subject, "http://shop.example/cat.png") == b"image"
        assert await fetch(subject, f"http://other.example:{server.port}/") == b"image"
        with pytest.raises(AddressRefused):
            await fetch(subject, "http://10.0.0.1/")

    assert [visit.target for visit in proxy.visits] == ["http://shop.example/cat.png"]
    assert "authorization" not in proxy.visits[0].headers
    assert len(server.visits) == 1
