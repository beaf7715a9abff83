"""Uploads over HTTP: what is taken, whose it is, how long it lives, and that nothing of a refused one stays."""

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
import pytest_asyncio

from cavendish.domain.files import MAX_IMAGE_BYTES, file_blob, new_file_name
from cavendish.flows.files import UPLOADS_AT_ONCE
from cavendish.store.embedded import EmbeddedServer
from cavendish.wiring import Parts
from tests import imagery
from tests.conftest import TEMPLATE, execute
from tests.contract.wire import connected, head, read_answer
from tests.harness import Running, running, settings_for
from tests.properties.bench import working

pytestmark = pytest.mark.asyncio(loop_scope="module")

PUBLIC_URL = "http://pictures.invalid/api-of-ours"
"""Nobody answers there: whatever is read by this URL was not fetched over HTTP."""
EDIT = "google/nano-banana-edit"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(postgres: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    database = f"files_{uuid4().hex}"
    await execute(postgres.dsn, f'CREATE DATABASE "{database}" TEMPLATE "{TEMPLATE}"')
    folder = tmp_path_factory.mktemp("files")
    async with running(settings_for(postgres.dsn_for(database), folder, PUBLIC_URL=PUBLIC_URL)) as running_server:
        yield running_server
    await execute(postgres.dsn, f'DROP DATABASE "{database}" WITH (FORCE)')


def form(data: bytes, field: str = "file", filename: str = "photo.gif") -> aiohttp.FormData:
    made = aiohttp.FormData()
    made.add_field("note", "what the form also has")
    made.add_field(field, BytesIO(data), filename=filename, content_type="text/plain")
    return made


async def upload(server: Running, key: str, data: bytes) -> dict[str, Any]:
    status, answer, _ = await server.call("POST", "/api/v1/files", key=key, data=form(data))
    assert status == 200, answer
    file: dict[str, Any] = answer["data"]
    return file


async def create(server: Running, key: str, *urls: str, **fields: Any) -> tuple[int, dict[str, Any]]:
    body = {"model": EDIT, "input": {"prompt": "the same, but red", "image_urls": list(urls), **fields}}
    status, answer, _ = await server.call("POST", "/api/v1/tasks/create", key=key, json=body)
    return status, answer


async def get(server: Running, url: str, key: str | None, method: str = "GET") -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
    async with server.client.request(method, server.url + url.removeprefix(PUBLIC_URL), headers=headers) as answer:
        return answer.status, await answer.read()


def stored(parts: Parts, folder: str) -> list[str]:
    """The files below that folder of the storage."""
    root = parts.settings.data_dir / "blobs" / folder
    return sorted(path.name for path in root.rglob("*") if path.is_file())


async def held(server: Running, account: str) -> int:
    row = await server.parts.database.fetchrow("SELECT upload_bytes FROM accounts WHERE name = $1", account)
    assert row is not None
    bytes_held: int = row["upload_bytes"]
    return bytes_held


async def expire(server: Running, *urls: str, minutes: int = 1) -> None:
    names = [url.rpartition("/")[2] for url in urls]
    await server.parts.database.fetch(
        "UPDATE files SET expires_at = now() - make_interval(mins => $2) WHERE name = ANY($1::text[])", names, minutes
    )


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
async def test_an_image_in_a_form_is_taken_for_what_its_bytes_are(server: Running, kind: str) -> None:
    key = await server.new_key()
    data = imagery.encoded(imagery.picture(80, 60), kind)
    before = time.time() * 1000

    file = await upload(server, key, data)

    assert re.fullmatch(rf"{PUBLIC_URL}/files/cavendish-[0-9a-f]{{32}}\.{kind}", file["url"])
    assert (file["bytes"], file["width"], file["height"], file["format"]) == (len(data), 80, 60, kind)
    assert before + 71.9 * 3_600_000 < file["expiresTime"] < before + 72.1 * 3_600_000
    assert await get(server, file["url"], key) == (200, data)


@pytest.mark.parametrize("kind", ["image/png", "image/whatever; x=y", "IMAGE/JPEG", "application/octet-stream"])
async def test_an_image_may_be_the_whole_body(server: Running, kind: str) -> None:
    key = await server.new_key()
    data = imagery.png()

    status, answer, _ = await server.call("POST", "/api/v1/files", key=key, data=data, headers={"Content-Type": kind})

    assert (status, answer["data"]["format"], answer["data"]["bytes"]) == (200, "png", len(data))


async def test_a_large_image_in_many_pieces_comes_back_as_it_was(server: Running) -> None:
    key = await server.new_key()
    noise = imagery.png(64, 64) + os.urandom(4_000_000)  # what stands behind the image is carried along

    file = await upload(server, key, noise)

    assert file["bytes"] == len(noise)
    assert await get(server, file["url"], key) == (200, noise)


async def test_width_and_height_are_those_of_the_upright_picture(server: Running) -> None:
    key = await server.new_key()

    file = await upload(server, key, imagery.jpeg(80, 60, exif=imagery.exif_orientation(6)))

    assert (file["width"], file["height"]) == (60, 80)


async def test_a_file_is_its_accounts_alone(server: Running) -> None:
    mine, mine_too = await server.new_key("owner"), await server.new_key("owner")
    other = await server.new_key("other")
    url = (await upload(server, mine, imagery.png()))["url"]

    assert (await get(server, url, mine_too))[0] == 200
    assert (await get(server, url, other))[0] == 404
    assert (await get(server, url, None))[0] == 401
    assert await get(server, url, mine, "HEAD") == (200, b"")
    assert (await get(server, url, mine, "DELETE"))[0] == 404


async def test_what_a_file_is_not_may_not_be_kept_by_others(server: Running) -> None:
    key = await server.new_key()
    url = (await upload(server, key, imagery.png()))["url"]
    async with server.client.get(
        server.url + url.removeprefix(PUBLIC_URL), headers={"Authorization": f"Bearer {key}"}
    ) as answer:
        assert answer.headers["cache-control"] == "private, no-cache"
        assert "access-control-allow-origin" not in answer.headers


async def test_a_task_uses_a_file_without_fetching_it(server: Running) -> None:
    key = await server.new_key()
    url = (await upload(server, key, imagery.png(160, 90)))["url"]

    status, answer = await create(server, key, url, image_size="auto")
    assert status == 200, answer
    ended = await server.ended(key, answer["data"]["taskId"])

    assert ended["state"] == "success", ended
    _, picture = await get(server, ended["resultUrls"][0], None)
    assert imagery.decoded(picture).size == (1344, 768)


async def test_a_file_is_known_by_whatever_host_name_the_server_was_reached(server: Running) -> None:
    key = await server.new_key()
    url = (await upload(server, key, imagery.png()))["url"].replace(PUBLIC_URL, "HTTP://another-name.invalid")

    status, answer = await create(server, key, url)

    assert (await server.ended(key, answer["data"]["taskId"]))["state"] == "success", status


async def test_files_of_others_unknown_ones_and_expired_ones_are_refused_alike(server: Running) -> None:
    mine, other = await server.new_key("refused"), await server.new_key("somebody else")
    foreign = (await upload(server, other, imagery.png()))["url"]
    expired = (await upload(server, mine, imagery.png()))["url"]
    await expire(server, expired)
    unknown = f"{PUBLIC_URL}/files/{new_file_name('png')}"

    answers = [await create(server, mine, url) for url in (foreign, expired, unknown)]

    messages = {re.sub(r"cavendish-[0-9a-f]+", "NAME", answer["message"]) for _, answer in answers}
    assert {status for status, _ in answers} == {422}
    assert len(messages) == 1
    assert messages.pop().startswith("input.image_urls[0]: there is no file")
    for url in (foreign, expired, unknown):
        assert (await get(server, url, mine))[0] == 404


async def test_a_file_that_cannot_be_used_is_named_together_with_every_other_fault(server: Running) -> None:
    key = await server.new_key()
    unknown = f"{PUBLIC_URL}/files/{new_file_name('png')}"

    status, answer = await create(server, key, unknown, prompt=" ", image_size="2:5")

    assert status == 422
    assert [part.split(":")[0] for part in answer["message"].split("; ")][:2] == ["input.prompt", "input.image_size"]
    assert "input.image_urls[0]: there is no file" in answer["message"]


@pytest.mark.parametrize(
    ("content_type", "body", "says"),
    [
        ("image/png", b"", "file: The image is empty"),
        ("image/png", imagery.encoded(imagery.picture(), "gif"), "file: The data is not a PNG, JPEG or WebP"),
        ("image/png", imagery.png()[:-20], "file: The image is damaged"),
        ("image/png", imagery.hollow_png(8000, 8000), "megapixels"),
        ("application/json", b"{}", "Content-Type: must be multipart/form-data with the image as its field `file`"),
        ("multipart/form-data", b"--x\r\n\r\n", "boundary"),
        ("multipart/form-data; boundary=x", b"no multipart at all", "not a whole multipart/form-data body"),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Disposition: form-data; name=file\r\n\r\n!",
            "not a whole",
        ),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Disposition: form-data; name=picture\r\n\r\n!\r\n--x--\r\n",
            "file: required",
        ),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Disposition: form-data; name=file\r\n\r\n!\r\n" * 2 + b"--x--\r\n",
            "file: must be one part",
        ),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Disposition: form-data; name=other\r\n\r\n" + bytes(100_000) + b"\r\n--x--\r\n",
            "more than 64 KB beside",
        ),
    ],
)
async def test_what_is_no_image_is_refused_and_leaves_nothing(
    server: Running, content_type: str, body: bytes, says: str
) -> None:
    account = uuid4().hex
    key = await server.new_key(account)
    before = stored(server.parts, "files")

    status, answer, _ = await server.call(
        "POST", "/api/v1/files", key=key, data=body, headers={"Content-Type": content_type}
    )

    assert (status, answer["data"]) == (422, None)
    assert says in answer["message"]
    assert stored(server.parts, "files") == before
    assert stored(server.parts, ".incoming") == []
    assert await held(server, account) == 0


async def test_without_a_key_nothing_is_read(server: Running) -> None:
    status, _, _ = await server.call("POST", "/api/v1/files", data=form(imagery.png()))

    assert status == 401


async def test_another_method_is_told_which_one_there_is(server: Running) -> None:
    status, _, headers = await server.call("GET", "/api/v1/files", key=await server.new_key())

    assert (status, headers["Allow"]) == (404, "POST")


async def test_a_body_that_says_it_is_too_large_is_refused_unread_and_the_connection_goes_on(server: Running) -> None:
    key = await server.new_key()
    length = MAX_IMAGE_BYTES + 1
    async with connected(server.url) as (reader, writer):
        lines = ("Host: x", f"Authorization: Bearer {key}", "Content-Type: image/png", f"Content-Length: {length}")
        writer.write(head("POST", "/api/v1/files", *lines))
        refusal = await read_answer(reader)  # not a byte of the body was sent
        assert refusal is not None
        for _ in range(length // 65536):
            writer.write(bytes(65536))
            await writer.drain()
        writer.write(bytes(length % 65536) + head("GET", "/healthz", "Host: x"))
        after = await read_answer(reader)

    assert (refusal.status, after is not None and after.status) == (422, 200)
    assert "at most 30 MB" in refusal.message


async def test_a_body_that_grows_too_large_is_refused_while_it_comes(server: Running) -> None:
    key = await server.new_key()

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(MAX_IMAGE_BYTES // 1_000_000 + 2):
            yield bytes(1_000_000)

    status, answer, _ = await server.call(
        "POST", "/api/v1/files", key=key, data=endless(), headers={"Content-Type": "image/png"}
    )

    assert (status, "at most 30 MB" in answer["message"]) == (422, True)
    assert stored(server.parts, ".incoming") == []


async def until(question: Any) -> None:
    async with asyncio.timeout(20):
        while not question():  # noqa: ASYNC110 - it is a folder that changes
            await asyncio.sleep(0.01)


async def test_an_upload_that_breaks_off_leaves_nothing(server: Running) -> None:
    key = await server.new_key()
    async with connected(server.url) as (_, writer):
        lines = ("Host: x", f"Authorization: Bearer {key}", "Content-Type: image/png", "Content-Length: 9000000")
        writer.write(head("POST", "/api/v1/files", *lines) + bytes(3_000_000))
        await writer.drain()
        await until(lambda: stored(server.parts, ".incoming") != [])

    await until(lambda: stored(server.parts, ".incoming") == [])


async def test_an_account_has_a_bounded_number_of_uploads_under_way(server: Running) -> None:
    key = await server.new_key("many at once")
    lines = ("Host: x", f"Authorization: Bearer {key}", "Content-Type: image/png", "Content-Length: 2000000")
    async with AsyncExitStack() as stack:
        for _ in range(UPLOADS_AT_ONCE):
            _, writer = await stack.enter_async_context(connected(server.url))
            writer.write(head("POST", "/api/v1/files", *lines) + bytes(1_500_000))
            await writer.drain()
        await until(lambda: len(stored(server.parts, ".incoming")) == UPLOADS_AT_ONCE)

        status, answer, headers = await server.call("POST", "/api/v1/files", key=key, data=form(imagery.png()))

    assert (status, headers["Retry-After"]) == (429, "1")
    assert f"{UPLOADS_AT_ONCE} uploads under way" in answer["message"]
    await until(lambda: stored(server.parts, ".incoming") == [])
    await upload(server, key, imagery.png())


async def test_what_a_dead_process_left_of_an_upload_is_removed(server: Running) -> None:
    folder = server.parts.settings.data_dir / "blobs" / ".incoming"
    folder.mkdir(exist_ok=True)
    old, young = folder / "old.part", folder / "young.part"
    for part in (old, young):
        part.write_bytes(b"half an image")
    os.utime(old, (time.time() - 7200, time.time() - 7200))

    await server.parts.retention().once()

    assert (old.exists(), young.exists()) == (False, True)
    young.unlink()


async def test_an_account_holds_a_bounded_number_of_bytes_until_files_expire(dsn: str, tmp_path: Path) -> None:
    async with running(settings_for(dsn, tmp_path, UPLOAD_ACCOUNT_MEGABYTES="1"), with_worker=False) as server:
        key, other = await server.new_key("full"), await server.new_key("empty")
        first = await upload(server, key, imagery.png() + bytes(700_000))

        status, answer, headers = await server.call("POST", "/api/v1/files", key=key, data=form(first_like(first)))

        assert status == 429
        assert headers["RateLimit-Policy"] == '"upload-bytes";q=1000000'
        assert int(headers["Retry-After"]) > 72 * 3600, "expired files stay for some minutes"
        assert "This account holds 0.7 MB of uploaded files" in answer["message"]
        assert stored(server.parts, "files") == [first["url"].rpartition("/")[2]]
        await upload(server, other, first_like(first))

        await expire(server, first["url"], minutes=11)
        await server.parts.retention().once()
        await upload(server, key, first_like(first))
        assert await held(server, "full") == first["bytes"]


def first_like(file: dict[str, Any]) -> bytes:
    """An image of as many bytes."""
    image = imagery.png()
    return image + bytes(file["bytes"] - len(image))


async def test_small_files_count_as_more_than_they_have(dsn: str, tmp_path: Path) -> None:
    async with running(settings_for(dsn, tmp_path, UPLOAD_ACCOUNT_MEGABYTES="1"), with_worker=False) as server:
        key = await server.new_key()
        statuses = []
        for _ in range(16):
            status, _, _ = await server.call("POST", "/api/v1/files", key=key, data=form(imagery.png()))
            statuses.append(status)

        assert statuses == [200] * 15 + [429]


async def test_a_task_that_was_accepted_keeps_its_file_until_it_has_ended(dsn: str, tmp_path: Path) -> None:
    async with running(settings_for(dsn, tmp_path, PUBLIC_URL=PUBLIC_URL), with_worker=False) as server:
        key = await server.new_key("keeper")
        used, unused = [(await upload(server, key, imagery.png()))["url"] for _ in range(2)]
        _, answer = await create(server, key, used, used)
        await expire(server, used, unused, minutes=11)

        await server.parts.retention().once()

        assert stored(server.parts, "files") == [used.rpartition("/")[2]]
        status, _ = await create(server, key, used)
        assert status == 422, "expired for everybody else"
        async with working(server.parts.worker(server.parts.engine(), server.parts.fetcher())):
            ended = await server.ended(key, answer["data"]["taskId"])
        assert ended["state"] == "success", ended

        await server.parts.retention().once()
        assert stored(server.parts, "files") == []
        assert await held(server, "keeper") == 0


async def test_a_file_that_has_just_expired_is_not_swept_from_under_a_create(dsn: str, tmp_path: Path) -> None:
    async with running(settings_for(dsn, tmp_path), with_worker=False) as server:
        key = await server.new_key()
        url = (await upload(server, key, imagery.png()))["url"]
        await expire(server, url, minutes=9)

        await server.parts.retention().once()

        assert await server.parts.blobs.size(file_blob(url.rpartition("/")[2])) > 0


async def test_a_repeated_create_is_the_same_task_although_its_file_has_expired(dsn: str, tmp_path: Path) -> None:
    async with running(settings_for(dsn, tmp_path), with_worker=False) as server:
        key = await server.new_key()
        url = (await upload(server, key, imagery.png()))["url"]
        body = {"model": EDIT, "input": {"prompt": "red", "image_urls": [url]}}
        first = await server.create(key, body, headers={"Idempotency-Key": "once"})
        await expire(server, url)

        assert await server.create(key, body, headers={"Idempotency-Key": "once"}) == first
        status, _, _ = await server.call(
            "POST", "/api/v1/tasks/create", key=key, json=body, headers={"Idempotency-Key": "twice"}
        )
        assert status == 422


async def test_a_storage_that_does_not_take_the_file_takes_no_room_for_it(dsn: str, tmp_path: Path) -> None:
    async with running(settings_for(dsn, tmp_path), with_worker=False) as server:
        key = await server.new_key("unlucky")
        (tmp_path / "blobs" / "files").write_bytes(b"in the way of the folder of that name")

        status, _, _ = await server.call("POST", "/api/v1/files", key=key, data=form(imagery.png()))

        assert status == 500
        assert await held(server, "unlucky") == 0
        assert stored(server.parts, ".incoming") == []
