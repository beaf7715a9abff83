"""The life of a task, as the domain and the database state it."""

import itertools
import re
from importlib.resources import files
from typing import get_args

import pytest

from cavendish.domain.errors import FailCode
from cavendish.domain.tasks import CANCELED, MAX_ATTEMPTS, TERMINAL, TRANSITIONS, TaskState, may_follow

STATES: tuple[TaskState, ...] = get_args(TaskState)


def words_of_check(column: str) -> set[str]:
    """The words that the newest CHECK (… IN (…)) of a column of tasks allows, over all migrations."""
    folder = files("cavendish.store.migrations")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    sql = "\n".join((folder / name).read_text(encoding="utf-8") for name in names)
    of_tasks = "".join(re.findall(r"(?:CREATE|ALTER) TABLE tasks\b.*?;\n", sql, re.DOTALL))
    found = re.findall(rf"CHECK \({column} IN \(([^)]*)\)\)", of_tasks)
    assert found, f"no CHECK names the words of {column}"
    return set(re.findall(r"'(\w+)'", found[-1]))


def test_domain_and_database_know_the_same_states() -> None:
    assert words_of_check("state") == set(STATES) == set(TRANSITIONS)


def test_domain_and_database_know_the_same_failure_words() -> None:
    assert words_of_check("fail_code") == set(get_args(FailCode))


def test_exactly_the_final_states_lead_nowhere() -> None:
    assert {state for state, after in TRANSITIONS.items() if not after} == TERMINAL == {"success", "fail"}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(STATES, STATES)))
def test_may_follow_reads_the_table(before: TaskState, after: TaskState) -> None:
    assert may_follow(before, after) == (after in TRANSITIONS[before])


@pytest.mark.parametrize("state", STATES)
def test_no_state_follows_itself(state: TaskState) -> None:
    assert not may_follow(state, state)


@pytest.mark.parametrize("state", [state for state in STATES if state not in TERMINAL])
def test_every_unfinished_task_may_fail_and_only_a_held_one_succeed(state: TaskState) -> None:
    assert may_follow(state, "fail")
    assert may_follow(state, "success") == (state != "waiting")


@pytest.mark.parametrize("state", ["queuing", "generating"])
def test_a_task_whose_holder_died_waits_again(state: TaskState) -> None:
    assert may_follow(state, "waiting")


def test_every_state_can_be_reached_from_the_first() -> None:
    reached: set[TaskState] = {"waiting"}
    for _ in STATES:
        reached |= {after for state in reached for after in TRANSITIONS[state]}

    assert reached == set(STATES)


def test_attempts_are_bounded() -> None:
    assert MAX_ATTEMPTS == 3
    assert CANCELED.en.isascii()
    assert not CANCELED.zh.isascii()
