"""Ends handlers that take too long, with one timer per agent instead of one per handling.

Handlings of one agent have the same time, so they run out in the order in which they began: a queue tells who is next.
"""

import asyncio
from collections import deque

OVER_MIN = 64  # entries from which on it pays to look for those that are over


class Watched:
    """A handling with a deadline."""

    __slots__ = ("deadline_s", "over", "ran_out", "task")

    def __init__(self, task: "asyncio.Task[None]", deadline_s: float) -> None:
        self.task = task
        self.deadline_s = deadline_s
        self.over = False
        self.ran_out = False


class Deadlines:
    """The handlings of one agent that are under way."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._queue: deque[Watched] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._sweep_at = OVER_MIN

    def __len__(self) -> int:
        return len(self._queue)

    def watch(self, task: "asyncio.Task[None] | None" = None) -> Watched:
        """Watch a task (the current one) from now on, until `over` is set on what is returned."""
        loop = asyncio.get_running_loop()
        task = task or asyncio.current_task()
        assert task is not None
        watched = Watched(task, loop.time() + self._timeout_s)
        self._queue.append(watched)
        if len(self._queue) > self._sweep_at:  # one that takes long at the head must not keep all behind it
            self._queue = deque(each for each in self._queue if not each.over)
            self._sweep_at = max(OVER_MIN, 2 * len(self._queue))
        if self._timer is None:
            self._timer = loop.call_at(watched.deadline_s, self._check)
        elif len(self._queue) > 1 and self._queue[0].over:
            self._drop()
        return watched

    def _drop(self) -> None:
        while self._queue and self._queue[0].over:
            self._queue.popleft()

    def _check(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        self._drop()
        while self._queue and self._queue[0].deadline_s <= loop.time():
            watched = self._queue.popleft()
            if not watched.over:
                watched.ran_out = True
                watched.task.cancel()
        if self._queue:
            self._timer = loop.call_at(self._queue[0].deadline_s, self._check)
