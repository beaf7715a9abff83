"""The client, blocking and not, against a real server over real HTTP."""

import asyncio
import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from PIL import Image as Pillow

from cavendish.client import (
    AsyncClient,
    BadArgument,
    CallbackRejected,
    Client,
    ConnectionFailed,
    Image,
    InsufficientCredits,
    InvalidRequest,
    NotFound,
    Task,
    TaskFailed,
    TimedOut,
    Unauthorized,
    verify_callback,
)
from cavendish.client.headers import read_header
from cavendish.domain.callbacks import signed_headers
from cavendish.engines.simulator import plain_png
from tests.harness import Running, running, settings_for
from tests.loopback import Visit, loopback_server

T = TypeVar("T")
PHOTO = plain_png(40, 30, 2)


@pytest.fixture
async def server(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(settings_for(dsn, tmp_path / "data")) as started:
        yield started


async def with_client(server: Running, use: Callable[[Client], T], **options: Any) -> T:
    """`use` of a blocking client with a key, in a thread."""
    key = await server.new_key()

    def run() -> T:
        with Client(server.url, key, **options) as client:
            return use(client)

    return await asyncio.to_thread(run)


async def test_a_prompt_becomes_a_picture_in_one_call(server: Running, tmp_path: Path) -> None:
    image = await with_client(server, lambda client: client.generate("a red apple", aspect_ratio="16:9"))
    saved = image.save(tmp_path / "new" / "apple.png")

    assert image.size == (image.width, image.height) == (1344, 768)
    assert image.format == "png"
    assert saved.read_bytes() == image.data
    assert read_header(saved.read_bytes()) == ("png", 1344, 768)
    assert (image.task.state, image.task.credits_consumed) == ("success", 3)
    assert image.task.param["input"] == {"prompt": "a red apple", "image_size": "16:9"}
    with pytest.raises(FileExistsError):
        image.save(saved, overwrite=False)


async def test_the_same_without_blocking_and_many_at_once(server: Running) -> None:
    key = await server.new_key()
    async with AsyncClient(server.url, key) as client:
        images = await asyncio.gather(*(client.generate(f"apple {n}", model="pro") for n in range(5)))
        balance = await client.balance()

    assert {image.size for image in images} == {(1024, 1024)}
    assert len({image.task.id for image in images}) == 5
    assert (balance.available, balance.held) == (1_000_000 - 5 * 8, 0)


async def test_a_notebook_shows_the_picture(server: Running) -> None:
    png = await with_client(server, lambda client: client.generate("x"))
    jpeg = await with_client(server, lambda client: client.generate("x", output_format="jpg"))
    data, metadata = png._repr_mimebundle_()

    assert png._repr_png_() == png.data
    assert png._repr_jpeg_() is None
    assert set(data) == {"image/png", "text/plain"}
    assert metadata["image/png"]["width"] == 640
    assert (jpeg.format, jpeg._repr_png_(), jpeg._repr_jpeg_()) == ("jpeg", None, jpeg.data)


async def test_tasks_can_be_created_queried_waited_for_and_listed_page_by_page(server: Running) -> None:
    def use(client: Client) -> None:
        ids = [client.create(f"apple {n}") for n in range(5)]
        states: list[str] = []
        ended = [client.wait(task_id, on_state=lambda task: states.append(task.state)) for task_id in ids]
        assert [task.id for task in ended] == ids
        assert states[-1] == "success"
        assert client.query(ids[0]) == ended[0]
        assert [task.id for task in client.tasks(page_size=2)] == ids[::-1]
        assert list(client.tasks(state="fail")) == []
        assert client.download(ids[0]).task == ended[0]

    await with_client(server, use)


async def test_a_task_can_be_given_up(server: Running) -> None:
    def use(client: Client) -> str | None:
        task_id = client.create("[simulate:seconds=60] slow")
        client.cancel(task_id)
        return client.wait(task_id, timeout=20).fail_code

    assert await with_client(server, use) == "canceled"


async def test_models_have_prices_and_the_balance_counts(server: Running) -> None:
    models, balance = await with_client(server, lambda client: (client.models(), client.balance()))

    pro = next(model for model in models if model.id == "google/nano-banana-pro")
    assert (pro.price, pro.price_of(None), pro.price_of("4K")) == (8, 8, 14)
    assert balance.available == 1_000_000


async def test_an_input_image_may_be_a_path_bytes_a_pil_image_or_a_url(server: Running, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(PHOTO)

    def use(client: Client) -> dict[str, Any]:
        first = client.generate("first", aspect_ratio="4:3")
        sources: dict[str, Any] = {
            "path": path,
            "text path": str(path),
            "bytes": PHOTO,
            "pil": Pillow.open(io.BytesIO(PHOTO)),
            "url": first.task.result_urls[0],
            "image": first,
            "data": "data:image/png;base64," + base64.b64encode(PHOTO).decode(),
        }
        ids = {
            kind: client.create("make it blue", images=[source], aspect_ratio="auto")
            for kind, source in sources.items()
        }
        return {kind: client.download(client.wait(task_id)) for kind, task_id in ids.items()}

    images = await with_client(server, use)
    sent = {kind: image.task.param["input"]["image_urls"][0] for kind, image in images.items()}
    assert all(sent[kind].startswith(f"{server.url}/files/") for kind in ("path", "text path", "bytes", "pil", "image"))
    assert {kind: image.size for kind, image in images.items()} == dict.fromkeys(images, (1184, 864))
    assert {image.task.model for image in images.values()} == {"google/nano-banana-edit"}


async def test_an_upload_serves_several_tasks_and_a_url_needs_none(server: Running) -> None:
    def use(client: Client) -> None:
        upload = client.upload(PHOTO)
        assert (upload.width, upload.height, upload.format, upload.bytes) == (40, 30, "png", len(PHOTO))
        assert upload.expires_ms is not None
        ids = [client.create("make it blue", images=image) for image in (upload, upload.url, client.references(PHOTO))]
        assert {client.wait(task_id).state for task_id in ids} == {"success"}
        with pytest.raises(BadArgument, match="needs no upload"):
            client.upload(upload.url)

    await with_client(server, use)


async def test_the_server_is_asked_to_wait_where_it_can(server: Running) -> None:
    def use(client: Client) -> bool | None:
        client.wait(client.create("[simulate:seconds=1.3] slow"), on_state=lambda _: None)
        return client._core.waits

    assert await with_client(server, use) is True


def test_show_uses_the_notebook_where_there_is_one_and_else_what_opens_pictures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = Image(PHOTO, Task("task_1", "m", "success"))
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    image.show()
    displayed: list[object] = []
    notebook = SimpleNamespace(get_ipython=object)
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=displayed.append))
    image.show()

    file = Path(opened[0].removeprefix("file://"))
    assert file.read_bytes() == PHOTO
    file.unlink()
    assert (len(opened), displayed) == (1, [image])


async def test_what_cannot_be_an_input_image_is_refused_before_anything_is_paid(
    server: Running, tmp_path: Path
) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a picture", encoding="utf-8")

    def use(client: Client) -> int:
        for wrong in (text, tmp_path / "missing.png", b"GIF89a", 7):
            with pytest.raises(BadArgument, match=r"notes\.txt|missing\.png|input image|int"):
                client.generate("x", images=[wrong])  # type: ignore[list-item]
        return len(list(client.tasks()))

    assert await with_client(server, use) == 0


async def test_errors_are_typed_and_say_what_the_server_says(server: Running) -> None:
    poor = await server.new_key("poor", 2)

    def use(client: Client) -> None:
        with pytest.raises(InvalidRequest, match=r"image_size.*2:5"):
            client.create("x", aspect_ratio="2:5")
        with pytest.raises(NotFound, match="nano-apple"):
            client.create("x", model="nano-apple")
        with pytest.raises(NotFound, match="task_none"):
            client.query("task_none")
        with pytest.raises(TaskFailed, match="safety") as failed:
            client.generate("[simulate:content_rejected]")
        assert failed.value.task.credits_consumed == 0
        with Client(server.url, poor) as other, pytest.raises(InsufficientCredits) as short:
            other.generate("x")
        assert (short.value.needed, short.value.available) == (3, 2)
        with Client(server.url, "sk-wrong", language="zh") as stranger, pytest.raises(Unauthorized, match="密钥"):
            stranger.balance()

    await with_client(server, use)


async def test_an_idempotency_key_of_ones_own_makes_one_task_of_two_calls(server: Running) -> None:
    def use(client: Client) -> tuple[str, str]:
        first, again = (client.create("x", idempotency_key="order-17") for _ in range(2))
        return first, again

    first, again = await with_client(server, use)
    assert first == again


async def test_a_time_out_names_the_task_and_waiting_can_be_taken_up_again(server: Running) -> None:
    def use(client: Client) -> None:
        with pytest.raises(TimedOut) as late:
            client.generate("[simulate:seconds=1] slow", timeout=0.5)
        task_id = late.value.task_id
        assert task_id is not None
        assert client.download(client.wait(task_id)).task.id == task_id
        assert len(list(client.tasks())) == 1

    await with_client(server, use)


@pytest.mark.parametrize("knows_keys", [True, None])
async def test_a_connection_cut_after_the_create_was_accepted_leaves_one_task(
    server: Running, knows_keys: bool | None
) -> None:
    cuts: list[str] = []

    async def relay(visit: Visit) -> None:
        """Pass the request on, and cut the connection once the first create has been carried out."""
        headers = {name: value for name, value in visit.headers.items() if name not in ("host", "content-length")}
        async with server.client.request(
            visit.method, server.url + visit.target, data=visit.body, headers=headers
        ) as answer:
            body = await answer.read()
            kind = {"Content-Type": answer.headers["content-type"]}
            if visit.target.endswith("/create") and not cuts:
                cuts.append(json.loads(body)["data"]["taskId"])
                raise ConnectionError("cut")
            await visit.answer(answer.status, body, kind)

    async with loopback_server(relay) as proxy:
        key = await server.new_key()
        url = f"http://127.0.0.1:{proxy.port}"
        async with AsyncClient(url, key, repeats_creates=knows_keys) as client:
            # With None it asks: this server's /openapi.json says that it knows keys.
            created = await client.create("a red apple")
            tasks = [task.id async for task in client.tasks()]

    assert [created] == tasks == cuts


async def test_a_limit_is_waited_out_over_real_http() -> None:
    async def script(visit: Visit) -> None:
        if len(asked.visits) == 1:
            await visit.answer(429, b'{"code":429,"message":"slow down","data":null}', {"Retry-After": "0"})
        else:
            await visit.answer(200, b'{"code":200,"message":"success","data":{"balance":5,"held":1}}')

    async with loopback_server(script) as asked, AsyncClient(f"http://127.0.0.1:{asked.port}", "sk-x") as client:
        balance = await client.balance()

    assert (balance.available, balance.held) == (5, 1)


async def test_nobody_at_the_address_is_said_in_words() -> None:
    async with loopback_server(lambda visit: visit.answer()) as gone:
        url = f"http://127.0.0.1:{gone.port}"
    async with AsyncClient(url, "sk-x", timeout=0.6) as client:
        with pytest.raises(ConnectionFailed, match=r"GET http://127\.0\.0\.1:\d+/api/v1/user/balance: no connection"):
            await client.balance()


async def test_an_answer_that_drips_ends_at_the_deadline() -> None:
    async def drip(visit: Visit) -> None:
        await visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nContent-Type: application/json\r\n\r\n")
        while True:
            await visit.say(b" ")
            await asyncio.sleep(0.05)

    async with (
        loopback_server(drip) as slow,
        AsyncClient(f"http://127.0.0.1:{slow.port}", "sk-x", timeout=0.4) as client,
    ):
        with pytest.raises(TimedOut):
            await client.balance()


def test_without_an_address_or_key_the_error_says_which_variable_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CAVENDISH_BASE_URL", raising=False)
    monkeypatch.delenv("CAVENDISH_API_KEY", raising=False)
    with pytest.raises(BadArgument, match="CAVENDISH_BASE_URL"):
        Client()
    with pytest.raises(BadArgument, match="CAVENDISH_API_KEY"):
        Client("http://127.0.0.1:1")
    monkeypatch.setenv("CAVENDISH_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("CAVENDISH_API_KEY", "sk-from-the-environment")
    with Client() as client:
        assert client._core.root == "http://127.0.0.1:1"


def test_importing_the_client_loads_nothing_of_the_server() -> None:
    program = "import sys, json, cavendish.client; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ)
    loaded = set(json.loads(done.stdout))
    roots = {name.partition(".")[0] for name in loaded}

    assert (
        roots & {"asyncpg", "starlette", "PIL", "msgspec", "aiohttp", "uvicorn", "structlog", "obstore", "numpy"}
        == set()
    )
    ours = {name for name in loaded if name.startswith("cavendish.")}
    assert {name for name in ours if not name.startswith("cavendish.client")} == set()
    assert "httpx" in roots


SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"taskId":"task_1","model":"m","state":"success","resultUrls":["http://r/1.png"],"creditsConsumed":3}'
NOW = 1_700_000_000


def headers(secrets: tuple[str, ...] = (SECRET,), at: int = NOW) -> dict[str, str]:
    return signed_headers(BODY, webhook_id="msg_1", unix_seconds=at, secrets=secrets)


def plain(signature: str | None = None) -> dict[str, str]:
    return {"X-Webhook-Signature": signature or headers()["X-Webhook-Signature"]}


@pytest.mark.parametrize(
    "sent",
    [
        headers(),
        {name.upper(): value for name, value in headers().items()},
        list(headers().items()),
        headers(("whsec_" + "AAAA" * 8, SECRET)),
        plain(),
        headers(at=NOW - 299),
        headers(at=NOW + 299),
    ],
)
def test_a_callback_that_the_server_signed_is_the_task_that_it_tells_of(sent: Any) -> None:
    task = verify_callback(BODY, sent, ["whsec_" + "BBBB" * 8, SECRET], now=NOW)

    assert (task.id, task.result_urls, task.credits_consumed) == ("task_1", ("http://r/1.png",), 3)


@pytest.mark.parametrize(
    ("body", "sent", "why"),
    [
        (BODY + b" ", headers(), "changed on its way"),
        (BODY, headers(("whsec_" + "AAAA" * 8,)), "changed on its way"),
        (BODY, headers(at=NOW - 301), r"\+301 s old"),
        (BODY, headers(at=NOW + 301), "-301 s old"),
        (BODY, headers() | {"webhook-timestamp": "soon"}, "not a time"),
        (BODY, headers() | {"webhook-timestamp": str(NOW + 1)}, "changed"),
        (BODY, headers() | {"webhook-id": "msg_2"}, "changed"),
        (BODY, headers() | {"webhook-signature": "v2,AAAA"}, "changed"),
        (BODY, {**plain(), "webhook-id": "msg_1"}, "lacks"),
        (BODY, {}, "not signed"),
        (BODY, plain("00" * 32), "changed"),
        (BODY + b" ", plain(), "changed"),
        (BODY, plain("é"), "changed"),
    ],
)
def test_any_other_callback_is_rejected_with_a_reason(body: bytes, sent: dict[str, str], why: str) -> None:
    with pytest.raises(CallbackRejected, match=why):
        verify_callback(body, sent, SECRET, now=NOW)


def test_a_receiver_can_insist_on_a_time_and_a_secret_must_be_one() -> None:
    with pytest.raises(CallbackRejected, match="webhook-timestamp"):
        verify_callback(BODY, plain(), SECRET, require_timestamp=True)
    wrongs: list[str | list[str]] = ["", [], "whsec_é"]
    for wrong in wrongs:
        with pytest.raises(CallbackRejected, match="secret"):
            verify_callback(BODY, headers(), wrong, now=NOW)
