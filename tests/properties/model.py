"""What the store must do, in plain Python: the oracle of the state machines, where one thing happens at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cavendish.domain.credits import Balance, grant, hold, release, settle
from cavendish.domain.errors import InsufficientCredits
from cavendish.domain.orders import Caller, Work
from cavendish.domain.tasks import MAX_ATTEMPTS, AccountId, KeyId, TaskId, TaskState, may_follow


@dataclass
class ModelTask:
    """A task as it must be."""

    id: TaskId
    caller: Caller
    price: int
    turn: int
    state: TaskState = "waiting"
    token: str | None = None
    attempt: int = 0
    faults: int = 0
    cancel_requested: bool = False

    def become(self, state: TaskState) -> None:
        """Change the state, as the transition table allows."""
        assert may_follow(self.state, state), f"{self.state} -> {state}"
        self.state = state


@dataclass
class Model:
    """Everything that the store holds for some callers."""

    queue_turn: int
    in_flight_limit: int
    balances: dict[AccountId, Balance] = field(default_factory=dict)
    next_turns: dict[AccountId, int] = field(default_factory=dict)
    in_flight: dict[KeyId, int] = field(default_factory=dict)
    tasks: dict[TaskId, ModelTask] = field(default_factory=dict)
    leases: dict[str, bool] = field(default_factory=dict)
    """Token -> alive."""

    def add(self, caller: Caller) -> None:
        """A caller without credits."""
        self.balances[caller.account_id] = Balance()
        self.next_turns[caller.account_id] = 0
        self.in_flight[caller.key_id] = 0

    def grant(self, account_id: AccountId, amount: int) -> None:
        """Add credits."""
        self.balances[account_id] = grant(self.balances[account_id], amount)

    def admit(self, caller: Caller, price: int) -> str:
        """What a create is answered: the error's name, or Accepted."""
        if self.in_flight[caller.key_id] >= self.in_flight_limit:
            return "RateLimited"
        try:
            self.balances[caller.account_id] = hold(self.balances[caller.account_id], price)
        except InsufficientCredits:
            return "InsufficientCredits"
        self.in_flight[caller.key_id] += 1
        return "Accepted"

    def enqueue(self, caller: Caller, price: int, task_id: TaskId) -> None:
        """An admitted task gets its place in the queue."""
        self.tasks[task_id] = ModelTask(task_id, caller, price, self.next_turns[caller.account_id])

    def take_turn(self, caller: Caller) -> None:
        """The account's next turn."""
        account_id = caller.account_id
        self.next_turns[account_id] = max(self.next_turns[account_id], self.queue_turn) + 1

    def claim(self, token: str, limit: int) -> list[TaskId]:
        """The tasks that a claim must give, in order."""
        if not self.leases[token]:
            return []
        waiting = sorted((t for t in self.tasks.values() if t.state == "waiting"), key=lambda t: (t.turn, t.id))
        for task in waiting[:limit]:
            task.become("queuing")
            task.token = token
            task.attempt += 1
            self.queue_turn = max(self.queue_turn, task.turn)
        return [task.id for task in waiting[:limit]]

    def held(self, work: Work) -> ModelTask | None:
        """The task, if `work` still holds it."""
        task = self.tasks[work.id]
        return task if (task.token, task.attempt) == (work.lease_token, work.attempt) else None

    def mark(self, work: Work) -> None:
        """The engine has started."""
        task = self.held(work)
        if task is not None and task.state == "queuing":
            task.become("generating")

    def finish(self, work: Work, *, success: bool) -> bool:
        """Whether the fence holds; if so the task has ended."""
        task = self.held(work)
        if task is None or not self.leases[work.lease_token]:
            return False
        self.end(task, success=success and not task.cancel_requested)
        return True

    def end(self, task: ModelTask, *, success: bool) -> None:
        """Settle or release."""
        task.become("success" if success else "fail")
        task.token = None
        account_id = task.caller.account_id
        self.balances[account_id] = (settle if success else release)(self.balances[account_id], task.price)
        self.in_flight[task.caller.key_id] -= 1

    def give_back(self, works: Sequence[Work], *, fault: bool) -> None:
        """The works that are still held wait again."""
        for work in works:
            task = self.held(work)
            if task is not None:
                self._requeue(task, fault=fault)

    def cancel(self, task_id: TaskId) -> TaskState:
        """The owner gives a task up; the state before."""
        task = self.tasks[task_id]
        before = task.state
        if before == "waiting":
            self.end(task, success=False)
        elif task.token is not None:
            task.cancel_requested = True
        return before

    def sweep(self) -> tuple[int, int]:
        """How many lost tasks wait again, and how many fail."""
        lost = [task for task in self.tasks.values() if task.token is not None and not self.leases[task.token]]
        again = [task for task in lost if task.faults + 1 < MAX_ATTEMPTS]
        exhausted = [task for task in lost if task.faults + 1 >= MAX_ATTEMPTS]
        for task in again:
            self._requeue(task, fault=True)
        for task in exhausted:
            self.end(task, success=False)
        return len(again), len(exhausted)

    def end_lease(self, token: str) -> None:
        """The holder leaves, if it holds nothing."""
        if all(task.token != token for task in self.tasks.values()):
            self.leases[token] = False

    def _requeue(self, task: ModelTask, *, fault: bool) -> None:
        task.become("waiting")
        task.token = None
        task.faults += fault
