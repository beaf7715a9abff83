"""Requests that no client library would send: odd heads, odd paths, bodies slowly, in pieces or not at all."""

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any

import pytest

from tests.contract.cases import compare_answer
from tests.contract.wire import connected, exchange, head, read_answer
from tests.contract.world import Answer, Customer, World

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("journal")]

Journal = list[MutableMapping[str, Any]]
CREATE = "/api/v1/tasks/create"
QUERY = "/api/v1/tasks/query/"
BALANCE = "/api/v1/user/balance"
BODY = b'{"model":"google/nano-banana","input":{"prompt":"a red apple"}}'
UNKNOWN = "task_gemini-2.5-flash-image_1766304530229_cf4dafd2"


def authorization(customer: Customer) -> str:
    return f"Authorization: Bearer {customer.key}"


def create_head(customer: Customer, *lines: str) -> bytes:
    return head("POST", CREATE, "Host: localhost", authorization(customer), *lines)


async def get(world: World, target: str, *lines: str, host: str = "Host: localhost") -> Answer | None:
    return await exchange(world.allowing.url, head("GET", target, *filter(None, [host]), *lines))


def assert_no_harm(answer: Answer | None) -> None:
    """Hung up on, told that this is not HTTP, or answered in the envelope: never our fault."""
    if answer is not None and answer.status != 400:
        assert answer.status in (200, 401, 404, 422), answer.raw
        compare_answer({"code": answer.status}, answer)


HOSTS = {
    "no host": "",
    "empty": "Host: ",
    "quotes": 'Host: "localhost"',
    "markup": "Host: <script>alert(1)</script>",
    "a path": "Host: a.example/evil",
    "user and password": "Host: me:hunter2@a.example",
    "a question mark": "Host: a.example?x",
    "spaces": "Host: a b",
    "open bracket": "Host: [",
    "address with a zone": "Host: [fe80::1%eth0]",
    "letters as port": "Host: a.example:port",
    "large port": "Host: a.example:999999",
    "bytes above ASCII": "Host: \xff\xfe",
    "a tab": "Host: a\tb",
    "a percent sign": "Host: a%0d%0aSet-Cookie:b=c",
    "10000 characters": "Host: " + "a" * 10_000,
    "two hosts": "Host: a.example\r\nHost: b.example",
    "a line feed": "Host: a.example\r\n b.example",
}


@pytest.mark.parametrize("host", HOSTS)
async def test_an_odd_host_never_reaches_a_result_url(world: World, host: str) -> None:
    customer = await world.customer()
    lines = [line for line in [HOSTS[host], authorization(customer), f"Content-Length: {len(BODY)}"] if line]
    answer = await exchange(world.allowing.url, head("POST", CREATE, *lines) + BODY)

    assert_no_harm(answer)
    if answer is not None and answer.status == 200:
        url = (await world.ended(customer, answer.body["data"]["taskId"]))["resultUrls"][0]
        prefix = url[: url.index("/results/")]
        assert prefix in (world.allowing.url, "http://a.example")


@pytest.mark.parametrize("name", ["quotes", "markup", "a path", "no host", "empty", "bytes above ASCII"])
async def test_with_an_odd_host_the_result_is_where_the_server_listens(world: World, name: str) -> None:
    customer = await world.customer()
    lines = [line for line in [HOSTS[name], authorization(customer), f"Content-Length: {len(BODY)}"] if line]
    answer = await exchange(world.allowing.url, head("POST", CREATE, *lines) + BODY)

    assert answer is not None
    assert answer.status == 200
    data = await world.ended(customer, answer.body["data"]["taskId"])
    assert data["resultUrls"][0].startswith(world.allowing.url + "/results/")


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("path", ["/api/v1/nothing", CREATE, BALANCE])
async def test_an_odd_host_does_not_change_what_is_not_found(world: World, path: str, host: str) -> None:
    answer = await get(world, path, host=HOSTS[host])

    assert_no_harm(answer)
    if answer is not None and answer.status == 404:
        assert path in answer.message


@pytest.mark.parametrize(
    "value",
    [
        "Bearer " + "s" * 5_000,
        "Bearer " + "s" * 60_000,
        "Bearer \xe4\xb8\xad\xe6\x96\x87",
        "Bearer \xff",
        "Bearer sk-\x01",
        "Bearer\tsk-a",
        "Bearer sk-a,Bearer sk-b",
        "Bearer '; DROP TABLE api_keys; --",
        "",
        ":",
    ],
    ids=["5000", "60000", "Chinese", "no UTF-8", "control", "tab", "comma", "SQL", "empty", "colon"],
)
async def test_an_odd_authorization_header_opens_nothing_and_is_not_repeated(world: World, value: str) -> None:
    answer = await get(world, BALANCE, f"Authorization: {value}")

    assert answer is None or answer.status in (400, 401)
    assert_no_harm(answer)
    if answer is not None and len(value) > 20:
        assert value[10:20].encode("latin-1") not in answer.raw


async def test_of_two_authorization_headers_the_first_counts(world: World) -> None:
    customer = await world.customer()
    good, bad = authorization(customer), "Authorization: Bearer sk-nobody"
    first, second = await get(world, BALANCE, good, bad), await get(world, BALANCE, bad, good)

    assert first is not None
    assert second is not None
    assert (first.status, second.status) == (200, 401)


@pytest.mark.parametrize(
    "target",
    [
        "/api/v1/../../etc/passwd",
        "/api/v1/tasks/query/../../user/balance",
        "/api/v1/tasks/query/..%2f..%2fuser%2fbalance",
        "/api/v1/tasks/query/%2e%2e",
        "/api/v1/tasks/query/%00",
        f"/api/v1/tasks/query/{UNKNOWN}%00",
        f"/api/v1/tasks/query/{UNKNOWN}%0d%0aSet-Cookie:a=b",
        "/api/v1/tasks/query/%ff%fe",
        "/api/v1/tasks/query/%ed%a0%80",
        "/api/v1/tasks/query/%",
        "/api/v1/tasks/query/%zz",
        "/api/v1/tasks/query/%E4%BB%BB%E5%8A%A1",
        "/api/v1/tasks/query/'%20OR%201=1--",
        "/api/v1/tasks/query/" + "a" * 201,
        "/api/v1/tasks/query/" + "a" * 30_000,
        "/api/v1/tasks/query/?x=1",
        "/api/v1/%00",
        "/api/v1/%ff",
        "/%c0%ae%c0%ae/",
        "/api/v1/" + "../" * 500,
        "//",
        "/" + "%2e%2e/" * 50,
        "/\\..\\..",
        "/<script>alert(1)</script>",
        "/results/../results/",
    ],
)
async def test_an_odd_path_is_not_found(world: World, target: str) -> None:
    customer = await world.customer()
    answer = await get(world, target, authorization(customer))

    assert answer is None or answer.status in (400, 404)
    assert_no_harm(answer)
    if answer is not None:
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "target",
    [QUERY + UNKNOWN, QUERY + "%ff", QUERY + "..", CREATE, BALANCE],
    ids=["id", "bytes", "dots", "create", "b"],
)
async def test_without_a_key_no_path_says_more_than_that(world: World, target: str) -> None:
    answer = await get(world, target)

    assert answer is not None
    assert answer.status == (404 if target == CREATE else 401)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET http://a.example/api/v1/models HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"BREW /api/v1/models HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"GET /api/v1/models HTTP/1.1\r\nHost: a.example\r\nno colon\r\n\r\n",
        b"GET /api/v1/models HTTP/1.1\r\nHost: a.example\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"POST /api/v1/tasks/create HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/tasks/create HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"POST /api/v1/tasks/create HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}}",
        b"POST /api/v1/tasks/create HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /api/v1/tasks/create HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"GET /api/v1/models HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"GET /api/v1/models HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n",
    ],
)
async def test_what_is_hardly_http_is_refused_or_answered(world: World, raw: bytes) -> None:
    async with connected(world.allowing.url) as (reader, writer):
        writer.write(raw)
        writer.write_eof()
        assert_no_harm(await read_answer(reader))


async def test_a_chunked_body_is_a_body(world: World) -> None:
    customer = await world.customer()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(BODY[i : i + 7]), BODY[i : i + 7]) for i in range(0, len(BODY), 7))
    answer = await exchange(
        world.allowing.url, create_head(customer, "Transfer-Encoding: chunked") + chunks + b"0\r\n\r\n"
    )

    assert answer is not None
    assert answer.status == 200
    assert (await world.ended(customer, answer.body["data"]["taskId"]))["state"] == "success"


async def test_an_endless_chunked_body_is_refused_before_it_ends(world: World) -> None:
    customer = await world.customer()
    async with connected(world.allowing.url) as (reader, writer):
        writer.write(create_head(customer, "Transfer-Encoding: chunked"))
        for _ in range(20):
            writer.write(b"10000\r\n" + b" " * 65536 + b"\r\n")
        answer = await read_answer(reader)

    assert answer is not None
    assert answer.status == 422
    assert "1048576" in answer.message


async def test_a_body_that_comes_byte_by_byte_is_a_body(world: World) -> None:
    customer = await world.customer()
    async with connected(world.allowing.url) as (reader, writer):
        for byte in create_head(customer, f"Content-Length: {len(BODY)}") + BODY:
            writer.write(bytes([byte]))
            await writer.drain()
        answer = await read_answer(reader)

    assert answer is not None
    assert answer.status == 200


async def test_a_slow_body_holds_up_nobody_else(world: World) -> None:
    customer = await world.customer()
    async with connected(world.allowing.url) as (reader, writer):
        writer.write(create_head(customer, f"Content-Length: {len(BODY)}") + BODY[:20])
        await writer.drain()
        other = await world.ended(customer, await world.task(customer, "a red apple"))
        writer.write(BODY[20:])
        answer = await read_answer(reader)

    assert other["state"] == "success"
    assert answer is not None
    assert answer.status == 200


async def test_a_body_with_100_continue_is_a_body(world: World) -> None:
    customer = await world.customer()
    async with connected(world.allowing.url) as (reader, writer):
        writer.write(create_head(customer, f"Content-Length: {len(BODY)}", "Expect: 100-continue"))
        async with asyncio.timeout(10):
            first = await reader.readuntil(b"\r\n\r\n")
        writer.write(BODY)
        answer = await read_answer(reader)

    assert first.startswith(b"HTTP/1.1 100")
    assert answer is not None
    assert answer.status == 200


@pytest.mark.parametrize("declared", [len(BODY) + 1, 2_000_000, 70_000_000, 10**12])
async def test_a_body_that_is_cut_off_makes_no_task(world: World, declared: int) -> None:
    customer = await world.customer()
    async with connected(world.allowing.url) as (reader, writer):
        writer.write(create_head(customer, f"Content-Length: {declared}") + BODY)
        writer.write_eof()
        answer = await read_answer(reader)

    assert answer is None or answer.status == 422
    assert await world.balance(customer) == {"balance": customer.credits, "held": 0}


async def test_clients_that_hang_up_in_the_middle_of_a_body_make_no_task(world: World) -> None:
    customer = await world.customer()
    for part in (0, 1, 20, len(BODY) - 1):
        async with connected(world.allowing.url) as (_, writer):
            writer.write(create_head(customer, f"Content-Length: {len(BODY)}") + BODY[:part])
            await writer.drain()

    assert await world.balance(customer) == {"balance": customer.credits, "held": 0}


async def test_a_client_that_hangs_up_before_the_answer_still_has_its_task_or_none(world: World) -> None:
    customer = await world.customer()
    for _ in range(10):
        async with connected(world.allowing.url) as (_, writer):
            writer.write(create_head(customer, f"Content-Length: {len(BODY)}") + BODY)
            await writer.drain()
    # The books of this account are checked with all others at the end of this file.
    assert (await world.ended(customer, await world.task(customer, "a red apple")))["state"] == "success"


async def test_many_requests_on_one_connection_are_answered_in_their_order(world: World) -> None:
    customer = await world.customer()
    raw = create_head(customer, f"Content-Length: {len(BODY)}") + BODY
    async with connected(world.allowing.url) as (reader, writer):
        writer.write(raw * 5 + head("GET", BALANCE, "Host: localhost", authorization(customer)))
        answers = [await read_answer(reader) for _ in range(6)]

    statuses = [answer.status for answer in answers if answer is not None]
    assert statuses == [200] * 6
    ids = {json.loads(answer.raw)["data"]["taskId"] for answer in answers[:5] if answer is not None}
    assert len(ids) == 5


async def test_a_connection_goes_on_after_every_kind_of_refusal(world: World) -> None:
    customer = await world.customer()
    bad = b'{"model":7}'
    async with connected(world.allowing.url) as (reader, writer):
        writer.write(create_head(customer, f"Content-Length: {len(bad)}") + bad)
        writer.write(head("GET", "/api/v1/nothing", "Host: localhost"))
        writer.write(head("POST", CREATE, "Host: localhost", f"Content-Length: {len(BODY)}") + BODY)
        writer.write(head("GET", BALANCE, "Host: localhost", authorization(customer)))
        answers = [await read_answer(reader) for _ in range(4)]

    assert [answer.status for answer in answers if answer is not None] == [422, 404, 401, 200]


async def test_afterwards_nothing_is_lost_and_nothing_was_our_fault(world: World, journal: Journal) -> None:
    customer = await world.customer()
    data = await world.ended(customer, await world.task(customer, "a red apple"))

    assert data["state"] == "success"
    await world.assert_nothing_is_lost(within_seconds=60)
    assert not [line for line in journal if line["log_level"] in ("warning", "error", "critical")]
