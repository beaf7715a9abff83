"""Tasks that their owners gave up: the drawing of one stops, and one that is yet to come is not begun."""

import asyncio

REMEMBERED = 1_000
"""Of tasks that were given up and are not drawn here, the latest ones. Most of them are other workers'."""


class GivenUp:
    """Who is drawing what in one worker, and what of it is not wanted any more."""

    def __init__(self) -> None:
        self._drawing: dict[str, asyncio.Task[None]] = {}
        self._stopped: set[str] = set()
        self._early: dict[str, None] = {}

    def __contains__(self, task_id: object) -> bool:
        """Whether a task was given up: its drawing was stopped, or must not begin."""
        return task_id in self._stopped or task_id in self._early

    def add(self, task_id: str) -> None:
        """Its owner gave it up. Harmless when repeated."""
        if task_id in self._stopped:
            return
        task = self._drawing.get(task_id)
        if task is not None:
            self._stopped.add(task_id)
            task.cancel()
            return
        # The word can be faster than the answer of the claim that took the task.
        self._early[task_id] = None
        if len(self._early) > REMEMBERED:
            del self._early[next(iter(self._early))]

    def begin(self, task_id: str, task: asyncio.Task[None]) -> None:
        """From now on `task` draws it."""
        self._drawing[task_id] = task

    def end(self, task_id: str) -> None:
        """It is not drawn any more."""
        self._drawing.pop(task_id, None)
        self._stopped.discard(task_id)
