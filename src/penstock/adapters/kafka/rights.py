"""Rights that a running app has lost: they are said at once, then once a period, until they are given back.

The client says each only once, and goes on by itself once it is let to, except where it may not even see a topic any more: then
it is to ask for it. Nothing of this runs before a right is lost.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from time import monotonic

from penstock.adapters.kafka.topics import Topics
from penstock.core.telemetry.reminders import Reminders
from penstock.errors import PenstockError

CHECK_S = 2.0
_log = logging.getLogger(__name__)


class Rights:
    """Watches over topics that the broker has kept from us, and no others."""

    def __init__(self, topics: Topics, back: Callable[[Collection[str]], Awaitable[None]]) -> None:
        """`back`: called with the topics that are open to us again."""
        self._topics = topics
        self._back = back
        self._reminders = Reminders()
        self._lost: set[str] = set()
        self._watching: asyncio.Task[None] | None = None

    def lose(self, topic: str) -> None:
        """Watch over a topic from now on, by its name in the broker."""
        self._lost.add(topic)
        if self._watching is None or self._watching.done():
            self._watching = asyncio.get_running_loop().create_task(self._watch())

    def stop(self) -> None:
        """Watch no more."""
        if self._watching is not None:
            self._watching.cancel()

    async def _watch(self) -> None:
        while self._lost:
            with suppress(PenstockError):  # the broker is away, which is said elsewhere
                await self._look()
            await asyncio.sleep(CHECK_S)

    async def _look(self) -> None:
        lacking = {each.path: each for each in await self._topics.lacking({name: name for name in self._lost})}
        for name, finding in sorted(lacking.items()):
            if self._reminders.is_due(name, monotonic()):
                _log.warning("Kafka has taken a right from us, and what needs it waits: %s", finding)
        if back := self._lost - lacking.keys():
            self._lost -= back
            await self._back(back)
            for name in sorted(back):
                if self._reminders.is_over(name):
                    _log.warning("Kafka lets us in again, and what waited goes on: %s", name)
