"""The ledger: whatever is granted, ordered, finished, lost, swept and canceled, in any order, the sums hold."""

from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from tests.properties.machine import WHICH, StoreMachine, weighted

PRICES = st.lists(st.sampled_from([0, 3, 8, 14]), min_size=1, max_size=4)
EVENTS = weighted(grant=2, order=4, claim=5, finish=5, finish_again=2, cancel=2, die=1)


class LedgerMachine(StoreMachine):
    """Two accounts; one worker that dies now and then."""

    accounts = 2

    def __init__(self) -> None:
        super().__init__()
        self.token = self.begin_lease("worker")

    @rule(event=EVENTS, which=WHICH, who=WHICH, prices=PRICES, success=st.booleans())
    def something_happens(self, event: str, which: int, who: int, prices: list[int], success: bool) -> None:
        caller = self.callers[who % 2]
        match event:
            case "grant":
                self.grant(caller, 1 + which % 60)
            case "order":
                self.submit(caller, prices)
            case "claim":
                self.claim(self.token, 1 + which % 4)
            case "finish":
                held = [work for work in self.works if self.model.held(work)]
                if held:
                    self.finish(held[which % len(held)], success=success)
            case "finish_again":
                if self.works:
                    self.finish(self.works[which % len(self.works)], success=success)
            case "cancel":
                if self.model.tasks:
                    self.cancel(caller, list(self.model.tasks)[which % len(self.model.tasks)])
            case "die":
                self.expire(self.token)
                self.sweep()
                self.token = self.begin_lease("worker")
            case _:
                raise AssertionError(event)


def test_the_ledger_s_sums_hold_in_any_order_of_events(dsn: str) -> None:
    run_state_machine_as_test(LedgerMachine.over(dsn))
