"""Waiting without a server: what requests say of it, positions and their order, and that no wake-up gets lost."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cavendish.domain.errors import InvalidRequest
from cavendish.domain.orders import TaskFilter, TaskPage, TaskView
from cavendish.domain.progress import START, Position, event_id, position, read_event_id
from cavendish.domain.tasks import TRANSITIONS, AccountId, TaskId, TaskState
from cavendish.flows.waiting import WaitingRoom
from cavendish.store.announcements import ASK, PAYLOAD_BYTES, payloads
from cavendish.web.waiting import preferred_wait, wait_of_query

OWNER = AccountId(1)
TASK = TaskId("task_x_1_00000000")


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        (b"", 0),
        (b"x=1&waiting=5", 0),
        (b"wait=0", 0),
        (b"wait=2.5", 2.5),
        (b"wait=1e1", 10),
        (b"a=b&wait=60", 60),
        (b"wait=5&wait=7", 7),
    ],
)
def test_a_query_says_how_long_it_waits(query: bytes, seconds: float) -> None:
    assert wait_of_query(query) == seconds


@pytest.mark.parametrize("wrong", [b"61", b"-1", b"soon", b"", b"1e2", b"nan", b"60.001", b"1;2", b"%D9%A3", b"+5"])
def test_a_wait_that_is_no_number_up_to_sixty_is_refused(wrong: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"^wait: must be a number of seconds from 0 to 60; got"):
        wait_of_query(b"wait=" + wrong)


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ([], None),
        ([b"wait"], None),
        ([b"wait=soon"], None),
        ([b"wait=-1"], None),
        ([b"wait=1.5"], None),
        ([b"await=1"], None),
        ([b"return=minimal"], None),
        ([b"wait=0"], 0),
        ([b'WAIT = "7"; x=y, other'], 7),
        ([b"respond-async, wait=10"], 10),
        ([b"respond-async", b"wait=11"], 11),
        ([b"wait=3600"], 60),
    ],
)
def test_a_preference_is_read_and_what_is_not_understood_is_passed_over(
    values: list[bytes], seconds: int | None
) -> None:
    scope: dict[str, Any] = {"headers": [(b"host", b"x"), *((b"prefer", value) for value in values)]}

    assert preferred_wait(scope) == seconds


def test_every_move_of_a_task_goes_forward() -> None:
    for before, following in TRANSITIONS.items():
        for after in following:
            attempt = 1 if before != "waiting" else 0
            next_attempt = attempt + (after == "queuing")
            assert position(next_attempt, after) > position(attempt, before), (before, after)
            assert position(next_attempt, after).final == (after in ("success", "fail"))


@given(st.integers(0, 10**9 - 1), st.sampled_from(list(TRANSITIONS)))
def test_an_event_id_names_its_position(attempt: int, state: TaskState) -> None:
    assert read_event_id(event_id(attempt, state)) == position(attempt, state)


@pytest.mark.parametrize(
    "other", ["", "1", "1-", "-waiting", "1-flying", "9" * 10 + "-waiting", "1-waiting\n", "١-waiting"]
)
def test_other_ids_name_the_start(other: str) -> None:
    assert read_event_id(other) == START


@given(st.lists(st.tuples(st.sampled_from("em"), st.text("abc_-0", min_size=1, max_size=200)), max_size=300))
def test_announcements_fit_into_notifications_and_lose_nothing(moves: list[tuple[str, str]]) -> None:
    said = list(payloads(moves))

    assert all(len(payload.encode()) <= PAYLOAD_BYTES for payload in said)
    told = [(kind, task_id) for kind, *ids in (payload.split(" ") for payload in said) for task_id in ids]
    assert sorted(told) == sorted(moves)


def test_asking_who_waits_names_no_task() -> None:
    assert list(payloads([(ASK, "")])) == [ASK]


class Tasks:
    """One task whose state a test moves. Implements `ports.TaskViews`, slowly, and `ports.Watching`.

    Args:
        pauses: for each look in turn, how often others run before and after the state is read.
    """

    def __init__(self, pauses: list[tuple[int, int]]) -> None:
        self.attempt, self.state = 0, "waiting"
        self._pauses = iter(pauses)

    async def find(self, task_id: TaskId) -> TaskView | None:
        before, after = next(self._pauses, (0, 0))
        for _ in range(before):
            await asyncio.sleep(0)
        attempt, state = self.attempt, self.state
        for _ in range(after):
            await asyncio.sleep(0)
        return TaskView(task_id, OWNER, "m", state, "{}", "", (), None, None, 0, 0, None, None, attempt)  # type: ignore[arg-type] # a state

    async def positions(self, task_ids: Sequence[TaskId]) -> Mapping[TaskId, Position]:
        raise AssertionError(f"{task_ids}: no test takes so long that the room looks for itself")

    async def list(self, account_id: AccountId, wanted: TaskFilter, limit: int, cursor: str | None) -> TaskPage:
        raise AssertionError("nobody lists")

    async def watch(self, *, moves: bool) -> None:
        pass


WAY: tuple[tuple[int, TaskState], ...] = (
    (1, "queuing"),
    (1, "generating"),
    (1, "waiting"),
    (2, "queuing"),
    (2, "success"),
)


async def never() -> None:
    await asyncio.Event().wait()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=8),
    st.lists(st.integers(0, 8), min_size=len(WAY), max_size=len(WAY)),
)
async def test_no_wake_up_is_lost_however_moves_and_looks_meet(pauses: list[tuple[int, int]], gaps: list[int]) -> None:
    tasks = Tasks(pauses)
    room = WaitingRoom(tasks, tasks)

    async def read() -> list[tuple[int, str]]:
        states = room.states(TASK, OWNER, START, never)
        return [(task.attempt, task.state) async for task in states if task is not None]

    ended = asyncio.create_task(room.until_ended(TASK, OWNER, 60, never))
    read_states = asyncio.create_task(read())
    for (attempt, state), gap in zip(WAY, gaps, strict=True):
        for _ in range(gap):
            await asyncio.sleep(0)
        tasks.attempt, tasks.state = attempt, state
        room.told(f"{'e' if state == 'success' else 'm'} {TASK}")

    async with asyncio.timeout(20):
        task, states = await ended, await read_states
    assert task is not None
    assert (task.attempt, task.state) == (2, "success")
    assert states[-1] == (2, "success")
    ordered = [position(attempt, state) for attempt, state in states]  # type: ignore[arg-type] # states
    assert ordered == sorted(set(ordered))
    assert room.waiters == 0


async def test_no_waiter_leaves_anything_behind() -> None:
    room = WaitingRoom(tasks := Tasks([]), tasks)
    waiters = [asyncio.create_task(room.until_ended(TaskId(f"t{i % 10}"), OWNER, 60, never)) for i in range(100)]
    while room.waiters < 100:  # noqa: ASYNC110 - they come by themselves
        await asyncio.sleep(0)
    for waiter in waiters[::2]:
        waiter.cancel()
    await asyncio.gather(*waiters[::2], return_exceptions=True)
    assert room.waiters == 50

    room.close()

    assert {task.state for task in await asyncio.gather(*waiters[1::2]) if task is not None} == {"waiting"}
    assert (room.waiters, room._watches) == (0, {})
