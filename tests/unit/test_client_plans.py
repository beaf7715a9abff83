"""The client's logic without any I/O: what its plans ask for, given what comes of it."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

import pytest

from cavendish.client import (
    BadArgument,
    ClientError,
    ConnectionFailed,
    InsufficientCredits,
    InvalidRequest,
    NotFound,
    RateLimited,
    ServerError,
    TaskFailed,
    TimedOut,
    Unauthorized,
    UnexpectedAnswer,
)
from cavendish.client.core import Core
from cavendish.client.effects import Answer, Broken, Effect, Pause, Plan, Send, Tell, Work
from cavendish.client.references import load
from cavendish.client.requests import Wish
from cavendish.domain import files
from cavendish.engines.simulator import plain_png

T = TypeVar("T")
CUT = Broken("the connection broke: cut", sent=True)
REFUSED = Broken("no connection: refused", sent=False)
PICTURE = plain_png(64, 32, 1)
KNOWS_KEYS = Answer(200, {"content-type": "application/json"}, b'{"paths":{"x":"Idempotency-Key"}}')


def answer(data: object = None, *, code: int = 200, status: int | None = None, **headers: str) -> Answer:
    body = json.dumps({"code": code, "message": f"says {code}", "data": data}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(code if status is None else status, {"content-type": "application/json", **named}, body)


def task(state: str = "success", **more: Any) -> Answer:
    urls = ["http://here/results/a.png"] if state == "success" else []
    return answer({"taskId": "task_1", "model": "m", "state": state, "resultUrls": urls, **more})


CREATED = answer({"taskId": "task_1"})
IMAGE = Answer(200, {"content-type": "image/png"}, PICTURE)


class World:
    """Gives a plan the outcomes of a script, and moves time by what it waits and what each answer takes."""

    def __init__(self, *outcomes: Answer | Broken, took: float = 0.01) -> None:
        self.outcomes = list(outcomes)
        self.took = took
        self.time = 1000.0
        self.sent: list[Send] = []
        self.pauses: list[float] = []
        self.core = self.new_core()

    def new_core(self, **options: Any) -> Core:
        return Core("http://here", "sk-x", clock=lambda: self.time, now=lambda: self.time, roll=lambda: 0.5, **options)

    def run(self, plan: Plan[T]) -> T:
        try:
            effect = next(plan)
            while True:
                effect = plan.send(self._outcome(effect))
        except StopIteration as end:
            result: T = end.value
            return result

    def _outcome(self, effect: Effect) -> object:
        match effect:
            case Send():
                self.sent.append(effect)
                outcome = self.outcomes.pop(0)
                waited = "?wait=" in effect.url and b'"generating"' in getattr(outcome, "body", b"")
                self.time += float(effect.url.partition("?wait=")[2]) if waited and self.took > 1 else self.took
                return outcome
            case Pause(seconds):
                self.pauses.append(seconds)
                self.time += seconds
                return None
            case Work(call) | Tell(call):
                return call()

    def generate(self, prompt: str = "a cat", seconds: float = 60, **wish: Any) -> Any:
        return self.run(self.core.generate(Wish(prompt, **wish), (), None, self.core.deadline(seconds)))

    def create(self, seconds: float = 60) -> str:
        return self.run(self.core.create(Wish("a cat"), (), None, self.core.deadline(seconds)))

    def paths(self) -> list[str]:
        return [sent.url.removeprefix("http://here") for sent in self.sent]


def test_generate_creates_once_waits_and_downloads_without_showing_the_key_to_the_results_host() -> None:
    world = World(CREATED, task(), IMAGE)
    image = world.generate()

    assert (image.size, image.format, image.data) == ((64, 32), "png", PICTURE)
    assert world.paths() == ["/api/v1/tasks/create", "/api/v1/tasks/query/task_1?wait=30", "/results/a.png"]
    assert world.sent[0].headers["authorization"] == "Bearer sk-x"
    assert "authorization" not in world.sent[2].headers


@pytest.mark.parametrize(
    ("wish", "fields"),
    [
        ({}, {"model": "google/nano-banana", "input": {"prompt": "p"}}),
        (
            {"aspect_ratio": "16:9", "output_format": "jpg", "seed": 7},
            {
                "model": "google/nano-banana",
                "input": {"prompt": "p", "image_size": "16:9", "output_format": "jpeg", "seed": 7},
            },
        ),
        (
            {"model": "pro", "aspect_ratio": "16:9", "resolution": "4k", "output_format": "jpeg"},
            {
                "model": "google/nano-banana-pro",
                "input": {
                    "prompt": "p",
                    "image_input": [],
                    "aspect_ratio": "16:9",
                    "resolution": "4k",
                    "output_format": "jpg",
                },
            },
        ),
        ({"images": 1}, {"model": "google/nano-banana-edit", "input": {"prompt": "p", "image_urls": ["http://i"]}}),
        (
            {"images": 1, "model": "standard", "callback_url": "http://c"},
            {
                "model": "google/nano-banana",
                "input": {"prompt": "p", "image_input": ["http://i"]},
                "callBackUrl": "http://c",
            },
        ),
    ],
)
def test_each_model_gets_the_spelling_of_its_own_description(wish: Mapping[str, Any], fields: Any) -> None:
    world = World(CREATED)
    images = ["http://i"] * wish.get("images", 0)
    world.run(world.core.create(Wish("p", **wish), images, None, world.core.deadline(9)))

    assert json.loads(world.sent[0].body or b"") == fields


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (401, Unauthorized),
        (402, InsufficientCredits),
        (403, Unauthorized),
        (404, NotFound),
        (422, InvalidRequest),
        (400, InvalidRequest),
        (418, UnexpectedAnswer),
    ],
)
@pytest.mark.parametrize("status", [None, 200])
def test_every_code_has_an_error_of_its_own_also_where_the_http_status_is_always_200(
    code: int, kind: type[ClientError], status: int | None
) -> None:
    world = World(answer(code=code, status=status))
    with pytest.raises(kind, match=f"says {code}") as caught:
        world.create()

    assert type(caught.value) is kind
    assert len(world.sent) == 1


def test_a_402_says_what_is_needed_and_what_is_there() -> None:
    said = "Insufficient credits: this task needs 3, 2 available (…)"
    error = InsufficientCredits(said)

    assert (error.needed, error.available) == (3, 2)
    assert (InsufficientCredits("no").needed, InsufficientCredits("no").available) == (None, None)


def test_what_is_not_this_api_says_so() -> None:
    page = Answer(200, {"content-type": "text/html"}, b"<html>Sign in</html>")
    with pytest.raises(UnexpectedAnswer, match=r"text/html.*Sign in.*base URL"):
        World(page).create()


def test_repeats_of_a_create_carry_the_same_key_and_wait_as_long_as_the_server_asks() -> None:
    world = World(answer(code=429, retry_after="7"), answer(code=503, retry_after="3"), REFUSED, CREATED)
    assert world.create() == "task_1"

    keys = {sent.headers["idempotency-key"] for sent in world.sent}
    assert len(world.sent) == 4
    assert len(keys) == 1
    assert world.pauses[:2] == [7.0, 3.0]


def test_a_server_that_says_come_at_once_again_and_again_is_not_hammered() -> None:
    world = World(*[answer(code=429, retry_after="0")] * 50)
    with pytest.raises(RateLimited):
        world.create(seconds=20)

    assert min(world.pauses) >= 0.25
    assert len(world.sent) < 10


def test_two_creates_have_two_keys() -> None:
    world = World(CREATED, CREATED)
    world.create()
    world.create()

    assert world.sent[0].headers["idempotency-key"] != world.sent[1].headers["idempotency-key"]


def test_a_create_whose_answer_was_lost_is_repeated_where_the_server_knows_keys() -> None:
    world = World(CUT, KNOWS_KEYS, CREATED, CUT, CREATED)
    world.create()
    world.create()

    assert world.paths() == [
        "/api/v1/tasks/create",
        "/openapi.json",
        "/api/v1/tasks/create",
        "/api/v1/tasks/create",
        "/api/v1/tasks/create",
    ]


@pytest.mark.parametrize("lost", [CUT, answer(code=500), answer(code=502), Broken("late", sent=True, slow=True)])
def test_it_is_not_repeated_where_a_second_one_could_be_a_second_charge(lost: Answer | Broken) -> None:
    world = World(lost, answer(code=404))
    with pytest.raises((ConnectionFailed, ServerError, TimedOut)) as caught:
        world.create()

    assert [path for path in world.paths() if path.endswith("create")] == ["/api/v1/tasks/create"]
    assert caught.value.idempotency_key == world.sent[0].headers["idempotency-key"]


def test_who_knows_the_server_can_say_so() -> None:
    world = World(CUT, CREATED)
    world.core = world.new_core(repeats_creates=True)
    world.create()

    assert world.paths() == ["/api/v1/tasks/create"] * 2


def test_a_limit_that_lasts_longer_than_the_deadline_is_raised_at_once() -> None:
    world = World(answer(code=429, retry_after="3600"))
    with pytest.raises(RateLimited) as caught:
        world.create(seconds=60)

    assert caught.value.retry_after_seconds == 3600
    assert world.pauses == []


def test_retry_after_may_be_a_date() -> None:
    world = World(answer(code=429, retry_after="Thu, 01 Jan 1970 00:17:00 GMT"), CREATED)
    world.create()  # the clock says 1000.01 s, the date is 1020 s

    assert world.pauses == [pytest.approx(19.99)]


def test_a_server_that_is_away_is_given_up_after_some_attempts_with_growing_waits() -> None:
    world = World(*[REFUSED] * 9)
    with pytest.raises(ConnectionFailed, match="refused") as caught:
        world.create()

    assert caught.value.idempotency_key is None, "nothing can have been accepted"
    assert world.pauses == [0.375, 0.75, 1.5, 3.0]


def test_a_server_that_can_wait_is_asked_again_without_a_pause() -> None:
    world = World(CREATED, task("generating"), task("generating"), task(), IMAGE, took=5)
    world.generate(seconds=200)

    assert world.pauses == []
    assert world.paths()[1:4] == ["/api/v1/tasks/query/task_1?wait=30"] * 3


@pytest.mark.parametrize("refusal", [None, answer(code=404), answer(code=422)])
def test_a_server_that_cannot_wait_is_polled_at_growing_intervals(refusal: Answer | None) -> None:
    first = [refusal] if refusal is not None else [task("waiting")]
    world = World(CREATED, *first, *[task("waiting")] * 9, task(), IMAGE)
    world.generate()

    assert world.paths()[2:-1] == ["/api/v1/tasks/query/task_1"] * 10
    assert world.pauses == sorted(world.pauses)
    assert [world.pauses[0], world.pauses[-1]] == pytest.approx([0.35, 5.0], rel=0.2)


def test_a_task_that_does_not_exist_is_not_found_whether_the_server_can_wait_or_not() -> None:
    world = World(answer(code=404), answer(code=404))
    with pytest.raises(NotFound):
        world.run(world.core.wait("task_9", world.core.deadline(60)))


def test_waiting_outlives_a_restart_of_the_server_and_a_limit() -> None:
    world = World(CREATED, *[REFUSED] * 6, answer(code=500), answer(code=429, retry_after="9"), CUT, task(), IMAGE)

    assert world.generate(seconds=120).size == (64, 32)
    assert world.paths().count("/api/v1/tasks/create") == 1


def test_a_time_out_names_the_task_and_creates_nothing() -> None:
    world = World(CREATED, *[task("generating")] * 99)
    with pytest.raises(TimedOut, match="task_1 has not ended within 20 s") as caught:
        world.generate(seconds=20)

    assert caught.value.task_id == "task_1"
    assert world.paths().count("/api/v1/tasks/create") == 1
    assert sum(world.pauses) <= 20


def test_a_task_that_failed_is_an_error_with_its_word() -> None:
    world = World(CREATED, task("fail", failCode="content_rejected", failMsg="no"))
    with pytest.raises(TaskFailed, match="content_rejected: no") as caught:
        world.generate()

    assert (caught.value.fail_code, caught.value.task_id) == ("content_rejected", "task_1")


def test_a_picture_that_cannot_be_had_yet_is_asked_for_again_and_else_the_error_names_the_task() -> None:
    busy = Answer(503, {"content-type": "text/html", "retry-after": "1"}, b"busy")
    world = World(CREATED, task(), busy, IMAGE)
    assert world.generate().size == (64, 32)

    world = World(CREATED, task(), Answer(404, {"content-type": "text/html"}, b"gone"))
    with pytest.raises(NotFound) as caught:
        world.generate()
    assert caught.value.task_id == "task_1"


def test_states_are_told_when_they_change() -> None:
    told: list[str] = []
    world = World(task("waiting"), task("waiting"), task("generating"), task())
    world.run(world.core.wait("task_1", world.core.deadline(60), lambda seen: told.append(seen.state)))

    assert told == ["waiting", "generating", "success"]


def test_local_images_are_uploaded_where_the_server_has_files() -> None:
    uploaded = answer({"url": "http://here/files/1", "bytes": 1, "width": 64, "height": 32, "format": "png"})
    world = World(uploaded, CREATED)
    world.run(world.core.create(Wish("p", images=1), [PICTURE], None, world.core.deadline(60)))

    assert world.sent[0].url == "http://here/api/v1/files"
    assert world.sent[0].headers["content-type"] == "image/png"
    assert world.sent[0].body == PICTURE
    assert json.loads(world.sent[1].body or b"")["input"]["image_urls"] == ["http://here/files/1"]


@pytest.mark.parametrize("refusal", [answer(code=404), Answer(405, {"content-type": "text/html"}, b"no")])
def test_elsewhere_they_travel_with_the_create_and_files_are_asked_for_once(refusal: Answer) -> None:
    world = World(refusal, CREATED, CREATED)
    for _ in range(2):
        world.run(world.core.create(Wish("p", images=1), [PICTURE], None, world.core.deadline(60)))

    assert world.paths() == ["/api/v1/files", "/api/v1/tasks/create", "/api/v1/tasks/create"]
    sent = json.loads(world.sent[2].body or b"")["input"]["image_urls"][0]
    assert sent.startswith("data:image/png;base64,iVBOR")


def test_the_client_lets_through_every_image_that_the_server_takes() -> None:
    largest = PICTURE + bytes(files.MAX_IMAGE_BYTES - len(PICTURE))

    assert len(load(largest).data) == files.MAX_IMAGE_BYTES
    with pytest.raises(BadArgument, match="at most"):
        load(largest + b"x")


def test_a_key_or_address_that_cannot_be_one_is_refused_before_anything_is_sent() -> None:
    for base_url, key in [("here", "sk-x"), ("ftp://here", "sk-x"), ("http://u:p@here", "sk-x"), ("http://h", "a b")]:
        with pytest.raises(ValueError, match=r"base_url|api_key"):
            Core(base_url, key)


@pytest.mark.parametrize("url", ["http://here/", "http://here/api/v1", "http://here/api/v1/"])
def test_a_base_url_may_end_as_people_write_it(url: str) -> None:
    assert Core(url, "sk-x").root == "http://here"


def test_a_create_that_is_interrupted_says_its_key_since_it_may_have_been_accepted() -> None:
    core = World().core
    plan = core.generate(Wish("p"), (), None, core.deadline(60))
    request = next(plan)
    assert isinstance(request, Send)
    with pytest.raises(KeyboardInterrupt) as caught:
        plan.throw(KeyboardInterrupt())

    assert request.headers["idempotency-key"] in caught.value.__notes__[0]


def test_the_plan_says_which_task_goes_on_when_it_is_interrupted() -> None:
    core = World().core
    plan = core.generate(Wish("p"), (), None, core.deadline(60))
    next(plan)
    plan.send(CREATED)
    with pytest.raises(KeyboardInterrupt) as caught:
        plan.throw(KeyboardInterrupt())

    assert caught.value.__notes__ == ["the task goes on: task_1"]
