"""A host that hangs gets few slots, then none for a while; a host that answers gets more and more."""

from cavendish.domain.breaker import (
    FIRST_PAUSE_SECONDS,
    FIRST_ROOM,
    HANGS_TO_OPEN,
    MOST_PAUSE_SECONDS,
    SILENT_SECONDS,
    HostBreaker,
)


def delivered(host: HostBreaker, times: int, *, hung: bool = False, now: float = 0.0) -> None:
    for _ in range(times):
        host.began(now)
        host.ended(hung=hung, now=now)


def test_an_unknown_host_has_a_few_slots_and_gains_with_every_answer() -> None:
    host = HostBreaker(most=10)
    assert host.room(0) == FIRST_ROOM
    delivered(host, 3)
    assert host.room(0) == FIRST_ROOM + 3
    delivered(host, 100)
    assert host.room(0) == 10


def test_what_is_under_way_takes_room() -> None:
    host = HostBreaker(most=2)
    host.began(0)
    assert host.room(0) == 1
    host.began(0)
    assert host.room(0) == 0
    host.ended(hung=False, now=0)
    assert host.room(0) == 1


def test_every_hang_takes_half_of_the_slots() -> None:
    host = HostBreaker(most=64)
    delivered(host, 100)
    delivered(host, 2, hung=True)
    assert host.room(0) == 16


def test_a_host_that_keeps_hanging_is_left_alone_then_one_goes_ahead() -> None:
    host = HostBreaker(most=64)
    delivered(host, HANGS_TO_OPEN, hung=True)
    assert host.room(1) == 0
    assert host.closed_for(1) == FIRST_PAUSE_SECONDS - 1
    assert host.room(FIRST_PAUSE_SECONDS) == 1
    host.began(FIRST_PAUSE_SECONDS)
    assert host.room(FIRST_PAUSE_SECONDS) == 0


def test_pauses_double_up_to_five_minutes() -> None:
    host = HostBreaker(most=64)
    delivered(host, HANGS_TO_OPEN, hung=True)
    now, pauses = 0.0, [host.closed_for(0)]
    for _ in range(6):
        now += host.closed_for(now)
        delivered(host, 1, hung=True, now=now)
        pauses.append(host.closed_for(now))
    assert pauses == [10, 20, 40, 80, 160, 300, MOST_PAUSE_SECONDS]


def test_hangs_of_the_same_moment_open_it_once() -> None:
    host = HostBreaker(most=64)
    delivered(host, 30, hung=True)
    assert host.closed_for(0) == FIRST_PAUSE_SECONDS


def test_one_answer_closes_it() -> None:
    host = HostBreaker(most=64)
    delivered(host, HANGS_TO_OPEN, hung=True)
    delivered(host, 1, now=FIRST_PAUSE_SECONDS)
    assert host.room(FIRST_PAUSE_SECONDS) == 2


def test_a_host_is_prompt_once_it_has_answered_and_until_it_hangs() -> None:
    host = HostBreaker(most=64)
    assert not host.prompt(0)
    delivered(host, 1)
    assert host.prompt(1000)
    delivered(host, 1, hung=True)
    assert not host.prompt(0)
    delivered(host, 1)
    assert host.prompt(0)


def test_a_host_that_falls_silent_has_the_room_of_an_unknown_one_until_it_answers_again() -> None:
    host = HostBreaker(most=64)
    delivered(host, 100)
    for _ in range(2):
        host.began(now=10)
    assert host.prompt(10)
    assert host.room(10) == 62
    silent = 10 + SILENT_SECONDS
    assert not host.prompt(silent)
    assert host.room(silent) == FIRST_ROOM - 2
    host.ended(hung=False, now=silent)
    assert host.prompt(silent)
    assert host.room(silent) == 63
