"""Activities: tasks of state machines that workers outside of the app come for, in the order in which they were scheduled.

- A task is handed out once: that it was is durable before the worker gets it. If the worker is never heard of again, the task's
  time-out, or its heartbeat's, ends it.
- What waits here is known from the runs themselves, so a restart offers it again.
- A worker sees the tasks of the runs that live in the process that it asks.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress

from msgspec import Struct

from penstock.core.asl.values import Json
from penstock.errors import LimitReached

POLLERS_MAX = 10_000  # of one activity at once
POLL_WAIT_S = 60.0


class ActivityTask(Struct, frozen=True):
    """Something to be done: its end is told with the token."""

    token: str
    input: Json


class Offered(Struct):
    """A task that waits for a worker. `taken` is called once, when one has come."""

    task: ActivityTask
    taken: Callable[[], None]


Key = tuple[str, str]  # tenant and activity


class Activities:
    """The tasks that wait for workers, and the workers that wait for tasks, of one engine."""

    def __init__(self) -> None:
        self._waiting: dict[Key, OrderedDict[str, Offered]] = {}
        self._pollers: dict[Key, deque[asyncio.Future[None]]] = {}

    def offer(self, tenant: str, name: str, offered: Offered) -> None:
        """Have a worker take it."""
        key = tenant, name
        self._waiting.setdefault(key, OrderedDict())[offered.task.token] = offered
        self._wake_one(key)

    def withdraw(self, tenant: str, name: str, token: str) -> None:
        """Nobody is to take it any more."""
        key = tenant, name
        waiting = self._waiting.get(key)
        if waiting is not None and waiting.pop(token, None) is not None and not waiting:
            del self._waiting[key]

    async def next(self, tenant: str, name: str, within_s: float) -> ActivityTask | None:
        """Return the task that has waited longest, or the next one; None when none came in time."""
        key = tenant, name
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while key not in self._waiting:
                    await self._news(key)
        waiting = self._waiting.get(key)
        if not waiting:
            return None
        token, offered = waiting.popitem(last=False)
        if not waiting:
            del self._waiting[key]
        else:
            self._wake_one(key)
        offered.taken()
        assert token == offered.task.token
        return offered.task

    async def _news(self, key: Key) -> None:
        pollers = self._pollers.setdefault(key, deque())
        if len(pollers) >= POLLERS_MAX:
            raise LimitReached("the number of callers who wait", len(pollers) + 1, POLLERS_MAX)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        pollers.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done():  # it was told of a task, and goes away: another one may have it
                pollers.remove(future)
                self._wake_one(key)
            raise
        finally:
            with suppress(ValueError):
                pollers.remove(future)
            if not pollers and self._pollers.get(key) is pollers:
                del self._pollers[key]

    def _wake_one(self, key: Key) -> None:
        for future in self._pollers.get(key, ()):
            if not future.done():
                future.set_result(None)
                return
