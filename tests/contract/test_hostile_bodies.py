"""Bodies that mean harm, or nothing: each is answered in the envelope, none is our fault, and no task is lost."""

import json
from collections.abc import MutableMapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.cases import compare_answer, data_uri
from tests.contract.world import Answer, Customer, World

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("journal")]

Journal = list[MutableMapping[str, Any]]
BODY = '{"model":"google/nano-banana","input":{"prompt":"x"%s}%s}'
MIB = 1024 * 1024

FIELDS = {
    "model": '{"model":%s,"input":{"prompt":"x"}}',
    "input": '{"model":"google/nano-banana","input":%s}',
    "callBackUrl": '{"model":"google/nano-banana","callBackUrl":%s,"input":{"prompt":"x"}}',
    "callback_url": '{"model":"google/nano-banana","callback_url":%s,"input":{"prompt":"x"}}',
    "prompt": '{"model":"google/nano-banana","input":{"prompt":%s}}',
    "output_format": BODY % (',"output_format":%s', ""),
    "image_size": BODY % (',"image_size":%s', ""),
    "aspect_ratio": BODY % (',"aspect_ratio":%s', ""),
    "image_input": BODY % (',"image_input":%s', ""),
    "an image": BODY % (',"image_input":[%s]', ""),
    "seed": BODY % (',"seed":%s', ""),
    "pro resolution": '{"model":"nano-banana-pro","input":{"prompt":"x","image_input":[],"resolution":%s}}',
    "edit image_urls": '{"model":"nano-banana-edit","input":{"prompt":"x","image_urls":%s}}',
    "unknown in input": BODY % (',"mood":%s', ""),
    "unknown beside input": BODY % ("", ',"user":%s'),
}
"""Where a value can stand: a body with %s in that place."""

VALUES = {
    "null": "null",
    "true": "true",
    "false": "false",
    "zero": "0",
    "negative": "-1",
    "float": "1.5",
    "float beyond any": "1e400",
    "tiny float": "1e-400",
    "integer of 64 bits": str(2**64),
    "integer of 4299 digits": "9" * 4299,
    "integer of 4301 digits": "9" * 4301,
    "integer of 100000 digits": "9" * 100_000,
    "NaN": "NaN",
    "Infinity": "-Infinity",
    "empty string": '""',
    "string": '"nonsense"',
    "string with NUL": r'"a\u0000b"',
    "only NUL": r'"\u0000"',
    "raw NUL": '"a\0b"',
    "lone surrogate": r'"\ud800"',
    "surrogates in the wrong order": r'"\udc00\ud800"',
    "control characters": r'"\u0001\u001b[31m\u202e\u2028"',
    "line feeds": r'"a\r\nSet-Cookie: b=c"',
    "quotes": r'"\"\\\u007f"',
    "beyond the basic plane": r'"\ud83c\udf4c"',
    "100000 characters": '"' + "x" * 100_000 + '"',
    "empty list": "[]",
    "list of null": "[null]",
    "list of lists": "[[[]]]",
    "list of 5000": "[" + ",".join(["0"] * 5000) + "]",
    "empty object": "{}",
    "object": '{"prompt":"x"}',
    "object with an empty key": '{"":{"":""}}',
    "object with NUL in a key": r'{"a\u0000b":1}',
    "object with a lone surrogate as key": r'{"\ud800":1}',
    "twice the same key": '{"prompt":"x","prompt":7,"prompt":"y"}',
    "100 levels": "[" * 100 + "]" * 100,
    "500 levels of objects": '{"a":' * 500 + "1" + "}" * 500,
    "2000 levels": "[" * 2000 + "]" * 2000,
    "100000 levels": "[" * 100_000 + "]" * 100_000,
    "100000 levels of objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "levels without an end": "[" * 100_000,
    "raw surrogate bytes": '"\udced\udca0\udc80"',
    "bytes that are not UTF-8": '"\udcff\udcfe"',
    "overlong encoding": '"\udcc0\udc80"',
}
"""JSON, and what only looks like it. U+DC80 to U+DCFF stand for bytes."""


async def send(world: World, customer: Customer, body: str | bytes) -> Answer:
    """Send `body`; the answer, which is one that a client may get for a bad create."""
    raw = body if isinstance(body, bytes) else body.encode("utf-8", "surrogateescape")
    answer = await world.create(customer, raw)
    assert answer.status in (200, 404, 422), answer.raw
    compare_answer({"code": answer.status}, answer)
    assert len(answer.raw) < 4000, "what was sent is shown shortened"
    return answer


@pytest.mark.parametrize("field", FIELDS)
async def test_no_value_of_any_kind_is_our_fault(world: World, field: str) -> None:
    customer = await world.customer()
    accepted = 0
    for value in VALUES.values():
        answer = await send(world, customer, FIELDS[field] % value)
        accepted += answer.status == 200

    assert accepted < len(VALUES) * 3 / 4, "many of these values are not even JSON"


@pytest.mark.parametrize("name", [name for name, value in VALUES.items() if "'" not in value and value != "null"])
async def test_a_body_that_is_only_that_value_is_refused(world: World, name: str) -> None:
    customer = await world.customer()

    assert (await send(world, customer, VALUES[name])).status == 422


@pytest.mark.parametrize("field", ["prompt", "output_format", "image_size", "image_input", "seed"])
@pytest.mark.parametrize("value", ["true", "1.5", '{"a":1}', '[["x"]]'])
async def test_a_value_of_the_wrong_type_is_named_with_its_field(world: World, field: str, value: str) -> None:
    answer = await send(world, await world.customer(), FIELDS[field] % value)

    assert answer.status == 422
    assert f"input.{field}" in answer.message


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "0x10", "01", "+1", ".5", "1."])
async def test_numbers_that_json_does_not_have_are_refused(world: World, literal: str) -> None:
    answer = await send(world, await world.customer(), FIELDS["unknown in input"] % literal)

    assert answer.status == 422
    assert "JSON" in answer.message


@pytest.mark.parametrize("name", ["lone surrogate", "surrogates in the wrong order", "raw surrogate bytes", "raw NUL"])
@pytest.mark.parametrize("field", ["prompt", "unknown in input", "model", "callBackUrl"])
async def test_text_that_no_database_could_store_is_refused(world: World, field: str, name: str) -> None:
    assert (await send(world, await world.customer(), FIELDS[field] % VALUES[name])).status == 422


async def test_an_escaped_nul_in_a_prompt_is_stored_and_shown_as_it_came(world: World) -> None:
    customer = await world.customer()
    answer = await send(world, customer, FIELDS["prompt"] % r'"a\u0000b"')
    data = await world.ended(customer, answer.body["data"]["taskId"])

    assert data["state"] == "success"
    assert json.loads(data["param"])["input"]["prompt"] == "a\0b"


async def test_of_two_equal_keys_the_last_counts(world: World) -> None:
    customer = await world.customer()
    twice = '{"model":"nope","model":"nano-banana","input":{"prompt":7,"prompt":"x"},"input":{"prompt":"y"}}'
    answer = await send(world, customer, twice)
    data = await world.ended(customer, answer.body["data"]["taskId"])

    assert json.loads(data["param"]) == {"model": "google/nano-banana", "input": {"prompt": "y"}}


@pytest.mark.parametrize("size", [200, 5_000, 1_000_000])
async def test_a_very_long_model_name_is_an_unknown_model(world: World, size: int) -> None:
    answer = await send(world, await world.customer(), FIELDS["model"] % f'"{"x" * size}"')

    assert answer.status == 404


async def test_a_body_of_exactly_one_mebibyte_is_taken_and_one_byte_more_is_not(world: World) -> None:
    customer = await world.customer()
    whole = FIELDS["unknown in input"] % '""'
    padded = FIELDS["unknown in input"] % f'"{"a" * (MIB - len(whole))}"'

    assert len(padded) == MIB
    assert (await send(world, customer, padded)).status == 200
    refused = await send(world, customer, padded + " ")
    assert refused.status == 422
    assert str(MIB) in refused.message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("unknown in input", "a" * 10_000_000, id="without an image"),
        pytest.param("unknown in input", "data:image/" + "a" * 10_000_000, id="an image where none belongs"),
        pytest.param("prompt", "data:image/png;base64," + "A" * 10_000_000, id="an image as prompt"),
        pytest.param("callBackUrl", "data:image/png;base64," + "A" * 10_000_000, id="an image as callback"),
        pytest.param("an image", "data:image/png;base64," + "A" * 10_000_000, id="an image of zeros"),
        pytest.param("an image", "data:image/png;base64," + "A" * 44_000_000, id="an image above 30 MB"),
        pytest.param("an image", "data:image/png;base64," + "A" * 70_000_000, id="a body above 64 MB"),
        pytest.param("an image", "https://a.example/" + "a" * 2_000_000, id="a URL of 2 MB"),
    ],
)
async def test_a_body_of_many_megabytes_is_refused(world: World, field: str, value: str) -> None:
    assert (await send(world, await world.customer(), FIELDS[field] % f'"{value}"')).status == 422


async def test_an_inline_image_of_several_megabytes_is_taken(world: World) -> None:
    customer = await world.customer()
    inline = data_uri(1600, 1200, "bmp").replace("image/bmp", "image/png")
    assert len(inline) > 5 * MIB
    assert (await send(world, customer, FIELDS["an image"] % f'"{inline}"')).status == 422, "a BMP is none of ours"

    answer = await send(world, customer, FIELDS["an image"] % f'"{data_uri(1600, 1200, "png")}"')
    assert answer.status == 200
    data = await world.ended(customer, answer.body["data"]["taskId"])
    assert data["state"] == "success"


async def test_an_inline_image_under_the_name_that_is_not_used_is_not_stored(world: World) -> None:
    customer = await world.customer()
    inline = "data:image/png;base64," + "A" * (5 * MIB)
    fields = {"prompt": "x", "image_input": [], "image_urls": [inline]}
    answer = await world.create(customer, {"model": "nano-banana-pro", "input": fields})
    if answer.status == 200:
        data = await world.ended(customer, answer.body["data"]["taskId"])
        assert len(data["param"]) < MIB
    else:
        assert answer.status == 422


_quiet = settings(
    derandomize=True, deadline=None, max_examples=60, database=None, suppress_health_check=list(HealthCheck)
)
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["1:1", "auto", "png", "4k", "google/nano-banana", "https://a.example/1.png", "data:image/png;"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
_names = st.sampled_from(
    ["prompt", "image_size", "aspect_ratio", "output_format", "image_input", "image_urls", "resolution", "seed", "x"]
)


@_quiet
@given(body=st.binary(max_size=200))
async def test_random_bytes_are_refused(world: World, body: bytes) -> None:
    assert (await send(world, await world.customer(), body)).status == 422


@_quiet
@given(
    model=st.sampled_from(["nano-banana", "nano-banana-pro", "nano-banana-edit"]),
    fields=st.dictionaries(_names, _json, max_size=6),
    top=st.dictionaries(st.sampled_from(["callBackUrl", "callback_url", "user"]), _json, max_size=2),
)
async def test_random_fields_are_taken_or_refused(
    world: World, model: str, fields: dict[str, object], top: dict[str, object]
) -> None:
    body = {**top, "model": model, "input": {"prompt": "x", **fields}}

    assert (await send(world, await world.customer(), json.dumps(body))).status in (200, 422)


@_quiet
@given(at=st.integers(0, 70), cut=st.integers(0, 5), patch=st.binary(max_size=5))
async def test_a_good_body_with_bytes_changed_is_taken_or_refused(
    world: World, at: int, cut: int, patch: bytes
) -> None:
    good = (FIELDS["image_size"] % '"1:1"').encode()

    await send(world, await world.customer(), good[:at] + patch + good[at + cut :])


async def test_afterwards_nothing_is_lost_and_nothing_was_our_fault(world: World, journal: Journal) -> None:
    customer = await world.customer()
    data = await world.ended(customer, await world.task(customer, "a red apple"))

    assert data["state"] == "success"
    await world.assert_nothing_is_lost(within_seconds=60)
    assert not [line for line in journal if line["log_level"] in ("warning", "error", "critical")]
