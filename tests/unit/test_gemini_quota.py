"""What a project can take, and when an upstream is left alone. The time is passed in."""

from cavendish.domain.text import Text
from cavendish.engines.gemini.access import ApiKey, Vertex, read_keys
from cavendish.engines.gemini.quota import (
    DAILY_REST_SECONDS,
    FAILURES_TO_OPEN,
    KEY_REST_SECONDS,
    MODEL_REST_SECONDS,
    Project,
    UpstreamModel,
)

ONE, TWO = ApiKey("a", 1, "AIzaSy-0001"), ApiKey("a", 2, "AIzaSy-0002")
WHY = Text(en="answered with 403", zh="上游返回 403")
M = "gemini-2.5-flash-image"


def project(requests_per_minute: int = 100, parallel: int = 10) -> Project:
    return Project("a", (ONE, TWO), requests_per_minute=requests_per_minute, parallel=parallel)


def limited(subject: Project, now: float, wait: float | None = None, daily_of: str | None = None) -> float:
    return subject.limited(now, wait_seconds=wait, daily_of=daily_of, roll=0.5)


def test_no_more_requests_begin_in_any_minute_than_the_quota_has() -> None:
    subject = project(requests_per_minute=3)
    for now in (0.0, 10.0, 20.0):
        assert subject.free_at(now, M) == now
        subject.begin(now)
        subject.end(ONE)

    assert subject.free_at(30.0, M) == 60.0
    assert subject.free_at(60.0, M) == 60.0
    subject.begin(60.0)
    assert subject.free_at(61.0, M) == 70.0
    assert subject.requests(61.0) == 3


def test_no_more_calls_are_under_way_than_may_be() -> None:
    subject = project(parallel=2)
    subject.begin(0.0)
    subject.begin(0.0)

    assert subject.free_at(1.0, M) is None
    subject.end(ONE)
    assert subject.free_at(1.0, M) == 1.0


def test_keys_take_turns() -> None:
    subject = project()

    assert {subject.begin(0.0) for _ in range(2)} == {ONE, TWO}


def test_after_a_429_the_project_rests_as_long_as_it_was_told_and_then_one_call_goes_ahead() -> None:
    subject = project()
    for _ in range(2):
        subject.begin(0.0)
    assert limited(subject, 1.0, wait=30.0) == 30.0
    subject.end(ONE)
    assert subject.free_at(2.0, M) is None, "the other call is still under way"
    subject.end(ONE)
    assert subject.free_at(2.0, M) == 31.0
    key = subject.begin(31.0)
    assert subject.free_at(31.0, M) is None, "one goes ahead to see"
    subject.answered(key)
    assert subject.free_at(31.0, M) == 31.0


def test_a_429_without_a_time_is_waited_out_longer_each_time_but_calls_of_one_burst_count_once() -> None:
    subject = project()

    assert [limited(subject, 0.0) for _ in range(3)] == [2.0, 2.0, 2.0]
    assert limited(subject, 2.0) == 4.0
    assert limited(subject, 6.0) == 8.0


def test_an_upstream_that_says_at_once_and_does_not_mean_it_is_not_asked_in_a_circle() -> None:
    subject = project()

    assert [limited(subject, now, wait=0.0) for now in (0.0, 0.0, 2.0, 6.0)] == [0.0, 2.0, 4.0, 8.0]


def test_when_the_quota_of_the_day_is_used_up_only_that_model_rests() -> None:
    subject = project()
    limited(subject, 0.0, wait=5.0, daily_of=M)

    assert subject.free_at(10.0, M) == DAILY_REST_SECONDS
    assert subject.free_at(10.0, "gemini-3-pro-image") == 10.0


def test_a_refused_key_is_out_and_seen_again_by_one_call_later() -> None:
    subject = project()
    assert subject.refuse(ONE, 0.0, WHY)
    assert not subject.refuse(ONE, 1.0, WHY)
    assert {subject.begin(2.0) for _ in range(4)} == {TWO}

    later = 1.0 + KEY_REST_SECONDS
    assert subject.usable(later) == [ONE, TWO]
    tried = [subject.begin(later) for _ in range(4)]
    assert tried.count(ONE) == 1
    assert subject.answered(ONE), "it works again, and that is news"
    assert not subject.answered(ONE)


def test_an_upstream_that_fails_in_a_row_is_left_alone_longer_each_time_and_one_call_looks() -> None:
    model = UpstreamModel()
    opened = [model.failed(0.0) for _ in range(FAILURES_TO_OPEN)]
    assert opened == [False] * (FAILURES_TO_OPEN - 1) + [True]
    assert (model.state(1.0), model.free_at(1.0)) == ("open", 10.0)
    assert not model.failed(1.0), "a call that was under way before tells nothing new"

    assert (model.state(10.0), model.free_at(10.0)) == ("half_open", 10.0)
    assert model.begin(10.0)
    assert model.free_at(10.0) is None
    assert model.failed(11.0)
    model.end_probe()
    assert model.free_at(12.0) == 31.0
    assert model.begin(31.0)
    model.answered()
    model.end_probe()
    assert (model.state(31.0), model.free_at(31.0), model.failures) == ("closed", 31.0, 0)


def test_a_success_in_between_starts_the_count_anew() -> None:
    model = UpstreamModel()
    for _ in range(3):
        for _ in range(FAILURES_TO_OPEN - 1):
            model.failed(0.0)
        model.answered()

    assert model.state(0.0) == "closed"


def test_a_model_that_is_gone_is_remembered_and_asked_for_again_later() -> None:
    model = UpstreamModel()
    assert model.retire(5.0)
    assert not model.retire(6.0)
    assert model.gone(6.0 + MODEL_REST_SECONDS - 1)
    assert not model.gone(6.0 + MODEL_REST_SECONDS)


def test_keys_are_read_with_their_projects() -> None:
    keys = read_keys("team:AIzaSy-0001, team:AIzaSy-0002,AIzaSy-0003,\nx.y:AIzaSy-0004,", "https://gateway.example/")

    assert [(key.project, key.number) for key in keys] == [("team", 1), ("team", 2), ("project-3", 1), ("x.y", 1)]
    assert keys[0].url(M) == f"https://gateway.example/v1beta/models/{M}:generateContent"
    assert read_keys("AIzaSy-0001")[0].url(M).startswith("https://generativelanguage.googleapis.com/v1beta/models/")
    assert "AIzaSy" not in repr(keys)


def test_vertex_is_addressed_by_project_and_location() -> None:
    path = f"/v1beta1/projects/p/locations/{{}}/publishers/google/models/{M}:generateContent"

    assert Vertex("p", "global").url(M) == "https://aiplatform.googleapis.com" + path.format("global")
    assert Vertex("p", "eu").url(M) == "https://aiplatform.eu.rep.googleapis.com" + path.format("eu")
    assert Vertex("p", "us-east1").url(M) == "https://us-east1-aiplatform.googleapis.com" + path.format("us-east1")
    assert Vertex("p", "global", "http://x").url(M) == "http://x" + path.format("global")
