"""Cases like the contract's own: every alias, bound, language, method, pixel size and simulated failure."""

import pytest

from tests.contract.cases import Case, check_names, read_cases, run
from tests.contract.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in read_cases("more_cases.jsonl")])
async def test_the_contract_also_holds_for(case: Case, world: World) -> None:
    check_names(case)
    await run(case, world)


async def test_afterwards_every_task_has_ended_and_the_books_balance(world: World) -> None:
    await world.assert_nothing_is_lost()
