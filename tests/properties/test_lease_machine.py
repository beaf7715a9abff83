"""Leases and fences: two workers that sleep, wake, and act on what they held, with a sweeper between them."""

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test

from cavendish.domain.orders import Work
from tests.properties.machine import WHICH, StoreMachine, weighted

EVENTS = weighted(
    order=3,
    claim=6,
    start=2,
    finish=4,
    finish_too_late=4,
    give_back=3,
    give_back_too_late=2,
    renew=2,
    sleep=2,
    leave=1,
    sweep=2,
)


class LeaseMachine(StoreMachine):
    """Each worker remembers every work that it ever claimed, and may act on it at any later time."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = [self.begin_lease(f"worker {number}") for number in range(2)]

    @initialize()
    def there_are_credits_and_tasks(self) -> None:
        self.grant(self.callers[0], 10_000)
        self.submit(self.callers[0], [3, 8, 3])

    @rule(event=EVENTS, which=WHICH, who=WHICH, yes=st.booleans())
    def something_happens(self, event: str, which: int, who: int, yes: bool) -> None:
        worker = who % 2
        token = self.tokens[worker]
        works = self.works[-6:]
        if "too_late" not in event:
            works = [work for work in self.works if work.lease_token == token and self.model.held(work)]
        work = works[which % len(works)] if works else None
        match event:
            case "order":
                self.submit(self.callers[0], [3, 8][: 1 + yes])
            case "claim":
                if not self.model.leases[token] and yes:
                    token = self.begin(worker)
                self.claim(token, 1 + which % 3)
            case "start" if work:
                self.run(self.queue.mark_generating(work))
                self.model.mark(work)
            case "finish" | "finish_too_late" if work:
                self.finish(work, success=yes)
            case "give_back" | "give_back_too_late" if work:
                self.give_back(work.lease_token, [work], fault=yes)
            case "renew":  # or begin anew, as a worker does that learns of its loss
                if not self.renew(token):
                    self.begin(worker)
            case "sleep":
                self.expire(token)
            case "leave":
                self.run(self.queue.end_lease(token))
                self.model.end_lease(token)
                self.begin(worker)
            case "sweep":
                self.sweep()
            case _:
                pass

    def begin(self, worker: int) -> str:
        self.tokens[worker] = self.begin_lease(f"worker {worker}")
        return self.tokens[worker]

    def give_back(self, token: str, works: list[Work], *, fault: bool) -> None:
        self.run(self.queue.give_back(token, works, "fault" if fault else "stopping"))
        self.model.give_back(works, fault=fault)


def test_only_the_holder_of_a_task_changes_it_in_any_order_of_events(dsn: str) -> None:
    run_state_machine_as_test(LeaseMachine.over(dsn))
