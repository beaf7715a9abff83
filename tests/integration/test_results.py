"""Result images over HTTP: whole, in parts, from caches; by name only."""

from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple
from uuid import uuid4

import msgspec
import pytest
import pytest_asyncio

from cavendish.domain.results import new_name, result_blob
from cavendish.store.embedded import EmbeddedServer
from tests import imagery
from tests.conftest import TEMPLATE, execute
from tests.contract.wire import exchange, head
from tests.harness import Running, running, settings_for

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Stored(NamedTuple):
    """A server with one picture in its storage."""

    server: Running
    name: str
    data: bytes

    @property
    def path(self) -> str:
        return f"/results/{self.name}"


class Got(NamedTuple):
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def ask(stored: Stored, path: str | None = None, method: str = "GET", **headers: str) -> Got:
    sent = {name.replace("_", "-"): value for name, value in headers.items()} | {"Accept-Encoding": "identity"}
    url = stored.server.url + (path or stored.path)
    async with stored.server.client.request(method, url, headers=sent) as answer:
        return Got(answer.status, {k.lower(): v for k, v in answer.headers.items()}, await answer.read())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stored(postgres: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stored]:
    """No worker and no task: the picture is put where a worker puts it."""
    database = f"results_{uuid4().hex}"
    await execute(postgres.dsn, f'CREATE DATABASE "{database}" TEMPLATE "{TEMPLATE}"')
    settings = settings_for(postgres.dsn_for(database), tmp_path_factory.mktemp("results"))
    async with running(settings, with_worker=False) as server:
        name, data = new_name("png"), imagery.png(640, 480)
        await server.parts.blobs.put(result_blob(name), data)
        yield Stored(server, name, data)
    await execute(postgres.dsn, f'DROP DATABASE "{database}" WITH (FORCE)')


async def test_a_result_comes_whole_with_its_type_and_length(stored: Stored) -> None:
    got = await ask(stored)

    assert (got.status, got.body) == (200, stored.data)
    assert got.headers["content-type"] == "image/png"
    assert got.headers["content-length"] == str(len(stored.data))
    assert got.headers["accept-ranges"] == "bytes"
    assert got.headers["x-content-type-options"] == "nosniff"


async def test_a_result_may_be_kept_for_ever(stored: Stored) -> None:
    control = (await ask(stored)).headers["cache-control"]

    assert {"public", "immutable", "max-age=31536000"} == {word.strip() for word in control.split(",")}


@pytest.mark.parametrize(("kind", "media"), [("jpeg", "image/jpeg"), ("webp", "image/webp")])
async def test_the_type_follows_the_format(stored: Stored, kind: str, media: str) -> None:
    name = new_name("jpeg" if kind == "jpeg" else "webp")
    await stored.server.parts.blobs.put(result_blob(name), imagery.encoded(imagery.picture(), kind))

    assert (await ask(stored, f"/results/{name}")).headers["content-type"] == media


async def test_head_says_what_get_would_and_sends_nothing(stored: Stored) -> None:
    got, whole = await ask(stored, method="HEAD"), await ask(stored)

    assert (got.status, got.body) == (200, b"")
    assert {k: v for k, v in got.headers.items() if k != "date"} == {
        k: v for k, v in whole.headers.items() if k != "date"
    }


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=100-199", 100, 200),
        ("bytes=500-", 500, None),
        ("bytes=-100", -100, None),
        ("bytes=-1", -1, None),
        ("bytes=10-999999999", 10, None),
        ("bytes=-999999999", 0, None),
        ("bytes=0-", 0, None),
    ],
)
async def test_a_range_comes_alone_and_says_where_it_belongs(
    stored: Stored, asked: str, start: int, end: int | None
) -> None:
    got = await ask(stored, Range=asked)
    size = len(stored.data)
    first, after, _ = slice(start, end).indices(size)

    assert (got.status, got.body) == (206, stored.data[start:end])
    assert got.headers["content-range"] == f"bytes {first}-{after - 1}/{size}"
    assert got.headers["content-length"] == str(after - first)
    assert got.headers["content-type"] == "image/png"


async def test_ranges_put_together_are_the_whole(stored: Stored) -> None:
    step = 1000
    parts = [await ask(stored, Range=f"bytes={at}-{at + step - 1}") for at in range(0, len(stored.data), step)]

    assert b"".join(part.body for part in parts) == stored.data


@pytest.mark.parametrize("asked", ["bytes=999999999-", "bytes=999999999-1000000000", "bytes=-0"])
async def test_a_range_beyond_the_end_cannot_be_satisfied(stored: Stored, asked: str) -> None:
    got = await ask(stored, Range=asked)

    assert (got.status, got.body) == (416, b"")
    assert got.headers["content-range"] == f"bytes */{len(stored.data)}"


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=0-9,20-29",
        "bytes=9-5",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=0-9x",
        "bytes=--9",
        "bytes 0-9",
        "items=0-9",
        "0-9",
        "bytes=0x0-0x9",
        "bytes=+0-9",
        "bytes=" + "9" * 1000 + "-",
        "",
    ],
)
async def test_what_is_not_one_range_gets_the_whole(stored: Stored, asked: str) -> None:
    got = await ask(stored, Range=asked)

    assert (got.status, got.body) == (200, stored.data)
    assert "content-range" not in got.headers


async def test_if_range_gives_the_part_only_of_the_same_picture(stored: Stored) -> None:
    etag = (await ask(stored)).headers["etag"]
    same = await ask(stored, Range="bytes=0-9", If_Range=etag)
    other = await ask(stored, Range="bytes=0-9", If_Range='"another"')
    weak = await ask(stored, Range="bytes=0-9", If_Range=f"W/{etag}")
    dated = await ask(stored, Range="bytes=0-9", If_Range="Wed, 21 Oct 2015 07:28:00 GMT")

    assert (same.status, same.body) == (206, stored.data[:10])
    assert [(got.status, got.body) for got in (other, weak, dated)] == [(200, stored.data)] * 3


async def test_the_etag_is_strong_the_same_each_time_and_different_for_each_picture(stored: Stored) -> None:
    name = new_name("png")
    await stored.server.parts.blobs.put(result_blob(name), stored.data)
    first, again, other = await ask(stored), await ask(stored), await ask(stored, f"/results/{name}")

    assert first.headers["etag"] == again.headers["etag"] != other.headers["etag"]
    assert first.headers["etag"].startswith('"')


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("form", ["{}", "W/{}", '"a", {}', '"a",W/{} , "b"', "*"])
async def test_who_has_the_picture_already_gets_304(stored: Stored, method: str, form: str) -> None:
    etag = (await ask(stored)).headers["etag"]
    got = await ask(stored, method=method, If_None_Match=form.replace("{}", etag))

    assert (got.status, got.body) == (304, b"")
    assert got.headers["etag"] == etag
    assert "immutable" in got.headers["cache-control"]


async def test_a_304_does_not_claim_that_the_picture_is_empty(stored: Stored) -> None:
    known = await ask(stored, If_None_Match="*")

    assert known.headers.get("content-length") in (None, str(len(stored.data)))


@pytest.mark.parametrize("etag", ['"another"', "", '""', "nonsense"])
async def test_who_has_another_picture_gets_this_one(stored: Stored, etag: str) -> None:
    assert (await ask(stored, If_None_Match=etag)).body == stored.data


async def test_a_query_string_does_not_matter(stored: Stored) -> None:
    assert (await ask(stored, stored.path + "?download=1")).body == stored.data


async def test_no_key_is_needed(stored: Stored) -> None:
    assert (await ask(stored, Authorization="Bearer sk-nobody")).status == 200


async def test_a_picture_that_is_gone_is_not_found(stored: Stored) -> None:
    name = new_name("png")
    await stored.server.parts.blobs.put(result_blob(name), stored.data)
    await stored.server.parts.blobs.delete([result_blob(name)])
    got = await ask(stored, f"/results/{name}")

    assert got.status == 404
    assert msgspec.json.decode(got.body)["data"] is None


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/results", "/results/", "/results/9f", "/results/.", "/results/%2e", "/results/*"])
async def test_nothing_can_be_listed(stored: Stored, path: str, method: str) -> None:
    got = await ask(stored, path, method)

    assert got.status == 404
    assert stored.name.encode() not in got.body


async def test_an_unknown_name_is_not_found(stored: Stored) -> None:
    for name in (new_name("png"), stored.name.replace(".png", ".jpeg"), stored.name.upper(), stored.name[1:]):
        assert (await ask(stored, f"/results/{name}")).status == 404, name


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_results_can_only_be_read(stored: Stored, method: str) -> None:
    got = await ask(stored, method=method)

    assert got.status == 404
    assert got.headers["allow"] == "GET, HEAD"
    assert (await ask(stored)).body == stored.data


@pytest.mark.parametrize(
    "target",
    [
        "/results/../results/{name}",
        "/results/../../../../etc/passwd",
        "/results/..%2f..%2f..%2fetc%2fpasswd",
        "/results/%2e%2e/%2e%2e/etc/passwd",
        "/results/..%5c..%5cetc",
        "/results//etc/passwd",
        "/results/%2fetc%2fpasswd",
        "/results/{folder}/{name}",
        "/results/{folder}%2f{name}",
        "/results/{name}/",
        "/results/{name}/..",
        "/results/{name}%00",
        "/results/{name}%00.png",
        "/results/{name}%0a",
        "/results/{name}%20",
        "/results/%ff{name}",
        "/results/results/{folder}/{name}",
        "/results/" + "a" * 20_000,
    ],
)
async def test_no_path_leads_out_of_the_results(stored: Stored, target: str) -> None:
    filled = target.replace("{name}", stored.name).replace("{folder}", stored.name[:2])
    answer = await exchange(stored.server.url, head("GET", filled, "Host: localhost"))

    assert answer is not None
    assert answer.status == 404
    assert stored.data not in answer.raw
    assert b"root:" not in answer.raw


async def test_a_large_picture_comes_in_pieces_and_whole(stored: Stored) -> None:
    name, data = new_name("png"), imagery.png(1600, 1200) * 200
    await stored.server.parts.blobs.put(result_blob(name), data)
    got = await ask(stored, f"/results/{name}")
    middle = await ask(stored, f"/results/{name}", Range=f"bytes={len(data) // 2}-")

    assert len(data) > 1024 * 1024
    assert got.body == data
    assert middle.body == data[len(data) // 2 :]


async def test_who_hangs_up_in_the_middle_disturbs_nobody(stored: Stored) -> None:
    name, data = new_name("png"), stored.data * 200
    await stored.server.parts.blobs.put(result_blob(name), data)
    async with stored.server.client.get(f"{stored.server.url}/results/{name}") as answer:
        await answer.content.read(10)
        answer.close()

    assert (await ask(stored)).body == stored.data
