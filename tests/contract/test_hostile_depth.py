"""JSON as deep as the decoder goes, and a little less: the edge where something behind it would fail."""

from collections.abc import MutableMapping
from typing import Any

import pytest

from tests.contract.world import World

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("journal")]

NESTED = {
    "unknown field": '{"model":"nano-banana","input":{"prompt":"x","mood":%s}}',
    "two ratios": '{"model":"nano-banana","input":{"prompt":"x","image_size":%s,"aspect_ratio":%s}}',
    "seed": '{"model":"nano-banana","input":{"prompt":"x","seed":%s}}',
    "two callbacks": '{"model":"nano-banana","callBackUrl":%s,"callback_url":%s,"input":{"prompt":"x"}}',
    "model": '{"model":%s}',
    "body": "%s",
}


@pytest.mark.parametrize("place", NESTED)
async def test_no_depth_of_nesting_is_our_fault(world: World, place: str) -> None:
    customer = await world.customer()
    statuses: dict[int, set[int]] = {}
    for depth in range(900, 1000):
        body = NESTED[place].replace("%s", "[" * depth + "]" * depth)
        answer = await world.create(customer, body.encode(), headers={"Idempotency-Key": f"{place[0]}-{depth}"})
        statuses.setdefault(answer.status, set()).add(depth)

    assert set(statuses) <= {200, 422}, {status: sorted(depths) for status, depths in statuses.items()}
    await world.assert_nothing_is_lost()


async def test_another_request_under_the_same_idempotency_key_is_refused_however_deep(world: World) -> None:
    customer = await world.customer()
    statuses = []
    for leaf in ("1", "2"):
        deep = '{"a":' * 600 + leaf + "}" * 600
        body = NESTED["unknown field"] % deep
        answer = await world.create(customer, body.encode(), headers={"Idempotency-Key": "same"})
        statuses.append(answer.status)

    assert statuses in ([200, 422], [422, 422])


async def test_afterwards_nothing_is_lost_and_nothing_was_our_fault(
    world: World, journal: list[MutableMapping[str, Any]]
) -> None:
    await world.assert_nothing_is_lost(within_seconds=60)
    assert not [line for line in journal if line["log_level"] in ("warning", "error", "critical")]
