"""What the query endpoint shows: keys, times, strings within strings, and nobody else's tasks."""

import asyncio
import json
import time

import pytest

from tests.contract.cases import compare_answer, data_uri
from tests.contract.world import Answer, Customer, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEYS = [
    "taskId",
    "model",
    "state",
    "resultJson",
    "resultUrls",
    "failCode",
    "failMsg",
    "createTime",
    "completeTime",
    "costTime",
    "creditsConsumed",
    "param",
]
QUERY = "/api/v1/tasks/query/"
UNKNOWN = "task_gemini-2.5-flash-image_1766304530229_cf4dafd2"


async def query(world: World, customer: Customer, task_id: str, **headers: str) -> Answer:
    return await world.send("GET", QUERY + task_id, headers=customer.headers | headers)


async def test_a_success_has_exactly_the_keys_of_the_contract_in_its_order(world: World) -> None:
    customer = await world.customer()
    before_ms = time.time_ns() // 1_000_000
    task_id = await world.task(customer, "a red apple")
    data = await world.ended(customer, task_id)

    assert list(data) == KEYS
    assert data["taskId"] == task_id
    assert data["model"] == "google/nano-banana"
    assert (data["failCode"], data["failMsg"]) == (None, None)
    assert data["creditsConsumed"] == 3
    assert data["costTime"] == data["completeTime"] - data["createTime"] >= 0
    assert before_ms - 1000 <= data["createTime"] <= time.time_ns() // 1_000_000 + 1000


async def test_the_result_is_there_twice_once_as_a_string(world: World) -> None:
    customer = await world.customer()
    data = await world.ended(customer, await world.task(customer, "a red apple"))

    assert isinstance(data["resultJson"], str)
    assert json.loads(data["resultJson"]) == {"resultUrls": data["resultUrls"]}
    assert len(data["resultUrls"]) == 1
    assert data["resultUrls"][0].startswith(world.allowing.url + "/results/")


async def test_a_running_task_has_no_end_yet(world: World) -> None:
    customer = await world.customer()
    task_id = await world.task(customer, "[simulate:seconds=1] a red apple")
    data = (await query(world, customer, task_id)).body["data"]

    assert list(data) == KEYS
    assert data["state"] in ("waiting", "queuing", "generating")
    assert (data["resultJson"], data["resultUrls"], data["creditsConsumed"]) == ("", [], 0)
    assert [data[key] for key in ("failCode", "failMsg", "completeTime", "costTime")] == [None] * 4
    assert await world.balance(customer) == {"balance": customer.credits - 3, "held": 3}


async def test_states_only_move_forward(world: World) -> None:
    customer = await world.customer()
    task_id = await world.task(customer, "[simulate:seconds=0.2] a red apple")
    order = ["waiting", "queuing", "generating", "success"]
    seen: list[str] = []
    while not seen or seen[-1] != "success":
        seen.append((await query(world, customer, task_id)).body["data"]["state"])

    assert [order.index(state) for state in seen] == sorted(order.index(state) for state in seen)
    assert "generating" in seen


async def test_a_final_answer_never_changes(world: World) -> None:
    customer = await world.customer()
    for prompt in ("a red apple", "[simulate:engine_error]"):
        task_id = await world.task(customer, prompt)
        data = await world.ended(customer, task_id)
        assert (await query(world, customer, task_id)).body["data"] == data


async def test_a_failure_speaks_the_language_of_who_asks(world: World) -> None:
    customer = await world.customer()
    task_id = await world.task(customer, "[simulate:content_rejected]")
    english = await world.ended(customer, task_id)
    chinese = (await query(world, customer, task_id, **{"Accept-Language": "zh-CN"})).body["data"]

    assert list(english) == KEYS
    assert (english["state"], english["failCode"]) == (chinese["state"], chinese["failCode"])
    assert english["state"] == "fail"
    assert (english["resultJson"], english["resultUrls"]) == ("", [])
    assert english["costTime"] == english["completeTime"] - english["createTime"]
    assert english["failMsg"].isascii()
    assert "安全" in chinese["failMsg"]


async def test_param_is_the_request_as_a_json_string(world: World) -> None:
    customer = await world.customer()
    callback = "https://your-domain.com/cb?order=7&sign=a%20b#top"
    wanted = {"prompt": "  a red apple \n", "image_size": "16:9", "mood": "calm", "深": {"度": [1, 2.5, None]}}
    answer = await world.create(customer, {"model": "nano_banana", "callBackUrl": callback, "input": wanted})
    data = (await query(world, customer, answer.body["data"]["taskId"])).body["data"]

    assert isinstance(data["param"], str)
    param = json.loads(data["param"])
    assert list(param) == ["model", "callBackUrl", "input"]
    assert param["model"] == "google/nano-banana"
    assert param["callBackUrl"] == callback
    assert param["input"] | {"prompt": "a red apple"} == wanted | {"prompt": "a red apple"}
    assert param["input"]["prompt"].strip() == "a red apple"


async def test_prompts_that_differ_in_outer_space_only_are_the_same_prompt(world: World) -> None:
    customer = await world.customer()
    pictures = []
    for prompt in ("a red apple", "  a red apple \n\u3000"):
        data = await world.ended(customer, await world.task(customer, prompt))
        pictures.append(await world.download(data["resultUrls"][0]))

    assert pictures[0] == pictures[1]


async def test_inline_images_are_not_repeated_in_param(world: World) -> None:
    customer = await world.customer()
    inline = data_uri(64, 48, "png")
    body = {"model": "google/nano-banana-edit", "input": {"prompt": "x", "image_urls": [inline]}}
    task_id = (await world.create(customer, body)).body["data"]["taskId"]
    data = await world.ended(customer, task_id)

    assert data["state"] == "success"
    assert inline.partition(",")[2] not in data["param"]
    assert json.loads(data["param"])["input"]["image_urls"][0].startswith("data:image/png;base64,")


async def test_another_accounts_task_looks_exactly_like_an_unknown_one(world: World) -> None:
    owner, other = await world.customer(), await world.customer()
    task_id = await world.task(owner, "a red apple")
    foreign = await query(world, other, task_id)
    unknown = await query(world, other, UNKNOWN)

    compare_answer({"code": 404}, foreign)
    assert foreign.message.replace(task_id, "ID") == unknown.message.replace(UNKNOWN, "ID")
    same = {"content-length", "date"}
    assert {k: v for k, v in foreign.headers.items() if k not in same} == {
        k: v for k, v in unknown.headers.items() if k not in same
    }
    assert (await query(world, owner, task_id)).status == 200


async def test_two_keys_of_one_account_see_the_same_tasks(world: World) -> None:
    customer = await world.customer()
    second = Customer(customer.account, await world.allowing.new_key(customer.account, 0), customer.credits)
    task_id = await world.task(customer, "a red apple")

    assert (await world.ended(second, task_id))["state"] == "success"


async def test_task_ids_are_unique_when_many_are_made_at_once(world: World) -> None:
    customer = await world.customer()
    ids = await asyncio.gather(*(world.task(customer, "a red apple") for _ in range(40)))

    assert len(set(ids)) == 40
    ended = await asyncio.gather(*(world.ended(customer, task_id) for task_id in ids))
    assert {data["state"] for data in ended} == {"success"}
    assert await world.balance(customer) == {"balance": customer.credits - 120, "held": 0}


async def test_of_many_creates_at_once_only_those_that_can_be_paid_are_taken(world: World) -> None:
    customer = await world.customer(credits=10)
    body = {"model": "google/nano-banana", "input": {"prompt": "[simulate:seconds=0.3] x"}}
    answers = await asyncio.gather(*(world.create(customer, body) for _ in range(8)))

    assert sorted(answer.status for answer in answers) == [200] * 3 + [402] * 5
    assert await world.balance(customer) == {"balance": 1, "held": 9}


async def test_the_catalogue_shows_every_model_without_a_key(world: World) -> None:
    answer = await world.send("GET", "/api/v1/models")

    compare_answer({"code": 200}, answer)
    models = {model["id"]: model for model in answer.body["data"]["models"]}
    assert list(models) == ["google/nano-banana", "google/nano-banana-pro", "google/nano-banana-edit"]
    assert [model["price"] for model in models.values()] == [3, 8, 3]
    assert models["google/nano-banana-pro"]["prices"] == {"1k": 8, "2k": 8, "4k": 14}
    for model in models.values():
        assert set(model["description"]) == {"en", "zh"}
        assert model["input"]["type"] == "object"
        assert "prompt" in model["input"]["required"]
    assert models["google/nano-banana-pro"]["input"]["required"] == ["prompt", "image_input"]
    assert models["google/nano-banana-edit"]["input"]["properties"]["image_urls"]["minItems"] == 1


@pytest.mark.parametrize("path", ["/api/v1/tasks/create", "/api/v1/user/balance", "/api/v1/nothing"])
async def test_head_has_the_status_of_a_refusal_and_no_body(world: World, path: str) -> None:
    answer = await world.send("HEAD", path)

    assert answer.status in (401, 404)
    assert answer.raw == b""


@pytest.mark.parametrize("path", ["/api/v1/user/balance", "/api/v1/models"])
async def test_head_answers_as_get_does_without_the_body(world: World, path: str) -> None:
    customer = await world.customer()
    head = await world.send("HEAD", path, headers=customer.headers)

    assert head.status == 200
    assert head.raw == b""
    assert head.headers["content-type"] == "application/json"


async def test_head_of_a_query_has_the_status_of_get_and_no_body(world: World) -> None:
    customer = await world.customer()
    task_id = await world.task(customer, "[simulate:seconds=1] a red apple")
    answers = [
        await world.send("HEAD", QUERY + UNKNOWN),
        await world.send("HEAD", QUERY + UNKNOWN, headers=customer.headers),
        await world.send("HEAD", QUERY + task_id, headers=customer.headers),
    ]

    assert [answer.status for answer in answers] == [401, 404, 200]
    assert [answer.raw for answer in answers] == [b""] * 3


async def test_afterwards_every_task_has_ended_and_the_books_balance(world: World) -> None:
    await world.assert_nothing_is_lost()
