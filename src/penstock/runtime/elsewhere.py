"""Answers that other workers give: looked for in the store, whenever one of them has committed something.

Only what has left this worker is looked for: what follows from an event that went to a partition of another one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any

from penstock.core.events.envelope import Recorded
from penstock.errors import RunFailed

LOOK_AGAIN_S = 1.0  # a wake-up may be lost
REST_S = 0.005  # many commits are looked at together
Look = Callable[[], Awaitable[Any]]  # what is waited for, None while it is not there; `RunFailed` when it never will be


class Elsewhere:
    """Callers of this worker who wait for what others do."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[tuple[asyncio.Future[Any], Look]]] = {}
        self._away: dict[str, None] = {}
        self.woken = asyncio.Event()

    @contextmanager
    def follow(self, correlation_id: str, waiting: "asyncio.Future[Any]", look: Look) -> Generator[None]:
        """Have `waiting` end with what `look` returns, should the work go to another worker."""
        entry = (waiting, look)
        entries = self._waiting.setdefault(correlation_id, [])
        entries.append(entry)
        try:
            yield
        finally:
            entries.remove(entry)
            if not entries:
                self._waiting.pop(correlation_id, None)
                self._away.pop(correlation_id, None)

    def left(self, recorded: Recorded) -> None:
        """An event has gone to another worker."""
        self.away(recorded.event.correlation_id or recorded.event.id)

    def away(self, correlation_id: str) -> None:
        """What follows from this event is done elsewhere."""
        if correlation_id in self._waiting:
            self._away[correlation_id] = None
            self.woken.set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            if not self._away:
                self.woken.clear()
                await self.woken.wait()
            self.woken.clear()
            for correlation_id in tuple(self._away):
                for waiting, look in tuple(self._waiting.get(correlation_id, ())):
                    await _look(waiting, look)
            await asyncio.sleep(REST_S)
            if not self.woken.is_set():
                loop = asyncio.get_running_loop()
                timer = loop.call_later(LOOK_AGAIN_S, self.woken.set)
                await self.woken.wait()
                timer.cancel()


async def _look(waiting: "asyncio.Future[Any]", look: Look) -> None:
    try:
        found = await look()
    except RunFailed as error:
        if not waiting.done():
            waiting.set_exception(error)
    else:
        if found is not None and not waiting.done():
            waiting.set_result(found)
