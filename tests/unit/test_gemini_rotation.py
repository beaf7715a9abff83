"""The line of those who wait for capacity: in order, nobody held up by what another waits for, nothing lost."""

import asyncio

import pytest

from cavendish.engines.gemini import outcomes
from cavendish.engines.gemini.access import ApiKey, Vertex
from cavendish.engines.gemini.answer import Refusal
from cavendish.engines.gemini.quota import FAILURES_TO_OPEN, FIRST_PAUSE_SECONDS, KEY_REST_SECONDS
from cavendish.engines.gemini.rotation import LOOK_SECONDS, Away, Exhausted, Rotation, Seat
from cavendish.testing import ManualClock

FLASH, PRO = ("flash", "flash-next"), ("pro",)
KEYS = (ApiKey("a", 1, "AIzaSy-0001"), ApiKey("b", 1, "AIzaSy-0002"))
LONG = 300.0


def rotation(*keys: ApiKey | Vertex, parallel: int = 1, requests_per_minute: int = 100) -> tuple[Rotation, ManualClock]:
    clock = ManualClock()
    return Rotation(keys or KEYS[:1], clock, requests_per_minute=requests_per_minute, parallel=parallel), clock


def waiting(line: Rotation, models: tuple[str, ...], order: list[str], name: str) -> "asyncio.Task[Seat]":
    async def wait() -> Seat:
        seat = await line.acquire(models, LONG)
        order.append(name)
        return seat

    return asyncio.create_task(wait())


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_seats_are_given_in_the_order_of_asking() -> None:
    line, _ = rotation()
    order: list[str] = []
    seat = await line.acquire(FLASH, LONG)
    tasks = [waiting(line, FLASH, order, name) for name in "abc"]
    await turns()
    assert (order, line.waiting, line.running) == ([], 3, 1)
    for task in tasks:
        line.release(seat)
        seat = await task
    line.release(seat)

    assert order == ["a", "b", "c"]
    assert (line.waiting, line.running) == (0, 0)


async def test_a_new_one_does_not_overtake_those_who_wait() -> None:
    line, _ = rotation()
    order: list[str] = []
    seat = await line.acquire(FLASH, LONG)
    first = waiting(line, FLASH, order, "first")
    await turns()
    line.release(seat)
    second = waiting(line, FLASH, order, "second")
    line.release(await first)
    line.release(await second)

    assert order == ["first", "second"]


async def test_what_waits_for_an_upstream_that_fails_holds_nobody_else_up() -> None:
    line, _ = rotation(parallel=4)
    order: list[str] = []
    for _ in range(FAILURES_TO_OPEN):
        seat = await line.acquire(PRO, LONG)
        line.penalise(seat, outcomes.of_status(500), None)
        line.release(seat)
    stuck = waiting(line, PRO, order, "pro")
    await turns()
    seat = await line.acquire(FLASH, LONG)
    line.release(seat)
    stuck.cancel()
    await asyncio.gather(stuck, return_exceptions=True)
    line.close()

    assert seat.model == "flash"
    assert (order, line.waiting) == ([], 0)


async def test_who_goes_away_leaves_the_line_and_gives_back_a_seat_that_was_just_given() -> None:
    line, _ = rotation()
    order: list[str] = []
    seat = await line.acquire(FLASH, LONG)
    gone, stays = waiting(line, FLASH, order, "gone"), waiting(line, FLASH, order, "stays")
    await turns()
    line.release(seat)  # given to the first, who goes away before learning of it
    gone.cancel()
    line.release(await stays)

    assert order == ["stays"]
    assert (line.waiting, line.running) == (0, 0)


async def test_projects_share_the_work() -> None:
    line, _ = rotation(*KEYS, parallel=3)
    seats = [await line.acquire(FLASH, LONG) for _ in range(6)]

    assert sorted(seat.project.label for seat in seats) == ["a"] * 3 + ["b"] * 3


async def test_what_cannot_be_had_in_time_is_refused_at_once() -> None:
    line, clock = rotation(requests_per_minute=1)
    line.release(await line.acquire(FLASH, LONG))
    with pytest.raises(Exhausted) as caught:
        await line.acquire(FLASH, 59.0)
    await clock.advance(60.0)
    seat = await line.acquire(FLASH, 1.0)

    assert caught.value.verdict is outcomes.STILL_WAITING
    assert seat.model == "flash"


async def test_a_refused_key_and_a_gone_model_wake_those_who_wait_for_nothing_else() -> None:
    line, _ = rotation()
    order: list[str] = []
    seat = await line.acquire(PRO, LONG)
    for_pro, for_flash = waiting(line, PRO, order, "pro"), waiting(line, FLASH, order, "flash")
    await turns()
    line.penalise(seat, outcomes.of_status(404), None)
    line.release(seat)
    with pytest.raises(Exhausted) as no_model:
        await for_pro
    seat = await for_flash
    line.penalise(seat, outcomes.KEY_REFUSED, None)
    line.release(seat)
    with pytest.raises(Exhausted) as no_key:
        await line.acquire(FLASH, LONG)

    assert no_model.value.verdict is outcomes.NO_MODEL_LEFT
    assert no_key.value.verdict is outcomes.NO_KEY_LEFT


async def test_a_model_that_is_gone_or_ill_at_one_place_is_asked_for_at_another() -> None:
    line, _ = rotation(KEYS[0], Vertex("p", "us-central1"), parallel=2 * FAILURES_TO_OPEN)
    seats = [await line.acquire(FLASH, LONG) for _ in range(2)]
    (at_vertex,) = [seat for seat in seats if isinstance(seat.access, Vertex)]
    line.penalise(at_vertex, outcomes.of_status(404), None)
    for seat in seats:
        line.release(seat)
    seats = [await line.acquire(FLASH, LONG) for _ in range(2)]
    (at_studio,) = [seat for seat in seats if isinstance(seat.access, ApiKey)]

    assert {seat.model for seat in seats if seat is not at_studio} == {"flash-next"}
    assert at_studio.model == "flash"
    assert [gone.upstream for gone in line.retired()] == ["flash (Vertex us-central1)"]

    for _ in range(FAILURES_TO_OPEN):
        line.penalise(at_studio, outcomes.of_status(500), None)
    for seat in seats:
        line.release(seat)
    assert [(await line.acquire(FLASH, LONG)).model for _ in range(3)] == ["flash-next"] * 3
    assert "flash (AI Studio)" in [one.guards for one in line.breakers() if one.state == "open"]


async def test_the_patient_wait_for_their_turn_however_long_the_line_is() -> None:
    line, clock = rotation(requests_per_minute=1)
    seat = await line.acquire(FLASH, LONG)
    tasks = [asyncio.create_task(line.acquire(FLASH, 70.0, patient=True)) for _ in range(10)]
    hasty = asyncio.create_task(line.acquire(FLASH, 70.0))
    await turns()
    for task in tasks:
        await clock.advance(60.0)
        line.release(seat)
        seat = await task
    line.release(seat)
    with pytest.raises(Exhausted) as caught:
        await hasty
    line.close()

    assert caught.value.verdict is outcomes.STILL_WAITING


async def test_the_patient_do_not_wait_for_what_cannot_be_had_in_their_time_from_now() -> None:
    line, _ = rotation()
    seat = await line.acquire(FLASH, LONG)
    waits = asyncio.create_task(line.acquire(FLASH, LONG, patient=True))
    await turns()
    line.penalise(seat, outcomes.of_status(429), Refusal(outcomes.of_status(429), 429, retry_seconds=LONG + 60))
    line.release(seat)
    with pytest.raises(Exhausted) as caught:
        await waits

    assert caught.value.verdict is outcomes.STILL_WAITING


async def test_the_patient_are_sent_away_from_a_model_that_is_ill_and_others_are_served() -> None:
    line, clock = rotation(parallel=8)
    seats = [await line.acquire(PRO, LONG) for _ in range(8)]
    waits = asyncio.create_task(line.acquire(PRO, LONG, patient=True))
    await turns()
    for seat in seats[:FAILURES_TO_OPEN]:
        line.penalise(seat, outcomes.of_status(503), None)
    for seat in seats:
        line.release(seat)
    with pytest.raises(Away) as opened:
        await waits
    assert (await line.acquire(FLASH, LONG, patient=True)).model == "flash"

    await clock.advance(FIRST_PAUSE_SECONDS)
    await line.acquire(PRO, LONG, patient=True)
    with pytest.raises(Away) as looked:
        await line.acquire(PRO, LONG, patient=True)

    assert (opened.value.seconds, looked.value.seconds) == (FIRST_PAUSE_SECONDS, LOOK_SECONDS)


async def test_who_had_a_turn_before_goes_to_the_head_of_the_line() -> None:
    line, _ = rotation()
    order: list[str] = []
    seat = await line.acquire(FLASH, LONG)
    behind = waiting(line, FLASH, order, "behind")
    await turns()
    again = asyncio.create_task(line.acquire(FLASH, LONG, again=True))
    await turns()
    line.release(seat)
    line.release(await again)
    assert order == []
    line.release(await behind)

    assert order == ["behind"]


async def under_test() -> tuple[Rotation, ManualClock, Seat]:
    """The only key was refused, its rest is over, and one call sees whether it was mended."""
    line, clock = rotation(parallel=4)
    seat = await line.acquire(FLASH, LONG)
    line.penalise(seat, outcomes.KEY_REFUSED, Refusal(outcomes.KEY_REFUSED, 403))
    line.release(seat)
    await clock.advance(KEY_REST_SECONDS)
    return line, clock, await line.acquire(FLASH, LONG)


async def test_while_one_call_tests_a_mended_key_the_others_wait_for_what_it_brings() -> None:
    line, _, test = await under_test()
    order: list[str] = []
    others = [waiting(line, FLASH, order, name) for name in "ab"]
    await turns()
    assert (line.waiting, order) == (2, [])
    line.answered(test)
    line.release(test)
    await asyncio.gather(*others)

    assert order == ["a", "b"]


async def test_a_key_that_fails_its_test_ends_those_who_waited_for_it() -> None:
    line, _, test = await under_test()
    other = waiting(line, FLASH, [], "a")
    await turns()
    line.penalise(test, outcomes.KEY_REFUSED, Refusal(outcomes.KEY_REFUSED, 403))
    line.release(test)
    with pytest.raises(Exhausted) as caught:
        await other

    assert caught.value.verdict is outcomes.NO_KEY_LEFT


async def test_a_key_that_is_only_out_of_quota_has_passed_its_test() -> None:
    line, clock, test = await under_test()
    limited = outcomes.of_status(429)
    line.penalise(test, limited, Refusal(limited, 429, retry_seconds=1.0))
    line.release(test)
    await clock.advance(5.0)
    await line.acquire(FLASH, LONG)

    assert [project.keys_out for project in line.projects()] == [()]


async def test_a_test_that_its_task_breaks_off_is_made_by_the_next_call() -> None:
    line, _, test = await under_test()
    line.release(test)
    again = await line.acquire(FLASH, LONG)

    assert again.access == test.access
    assert [len(project.keys_out) for project in line.projects()] == [1]


async def test_an_older_call_that_ends_lets_no_second_one_look_whether_a_model_is_well() -> None:
    line, clock = rotation(parallel=16)
    old = [await line.acquire(PRO, LONG) for _ in range(FAILURES_TO_OPEN + 2)]
    for seat in old[:FAILURES_TO_OPEN]:
        line.penalise(seat, outcomes.of_status(503), None)
        line.release(seat)
    await clock.advance(FIRST_PAUSE_SECONDS)
    probe = await line.acquire(PRO, LONG)
    second = waiting(line, PRO, [], "second")
    await turns()
    line.release(old[-1])  # broken off by its task
    await turns()
    assert not second.done()
    line.answered(probe)
    line.release(probe)

    assert (await second).model == "pro"
    assert (probe.probes, old[0].probes) == (True, False)
