"""A layer: a broker whose messages are published beside the commits that send them, in their order.

It is for who keeps what he publishes until it comes back (`BrokeredStore`): `publish` returns before the broker has it.
A commit waits for the disk alone then, and while that and the broker's answers are waited for, the next ones begin.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from penstock.core.events.messages import Carried, Lane, Message
from penstock.core.telemetry.reminders import Reminders
from penstock.errors import Unavailable
from penstock.ports.broker import Broker
from penstock.ports.clock import Clock

WAITING_MAX = 8192  # messages; who has more waits until there is room
AT_ONCE_MAX = 1024
ROOM_S = 30.0
END_S = 5.0  # what is not published by then is published by whoever comes next
AGAIN_S = (0.05, 2.0)  # the first wait after the broker did not answer, and the longest
_OUTAGE = "outage"
_log = logging.getLogger(__name__)


@asynccontextmanager
async def published_later(broker: Broker, clock: Clock) -> AsyncGenerator["PublishingLater"]:
    """Publish in a task of its own until the end; then wait a little for what is on its way."""
    later = PublishingLater(broker, clock)
    task = asyncio.get_running_loop().create_task(later.run())
    try:
        yield later
        with suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                await later.published()
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=END_S)


class PublishingLater:
    """A `Broker` that takes messages at once. What it could not publish for good it says at the next call."""

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self._broker = broker
        self._clock = clock
        self._waiting: list[tuple[str, int, Message]] = []
        self._moved = asyncio.Condition()
        self._unheard: Unavailable | None = None  # while the broker does not answer
        self._reminders = Reminders()
        self._failed: Exception | None = None
        self.bytes_max = broker.bytes_max
        self.structured = broker.structured

    async def require(self, topics: Collection[str], partitions: int) -> None:
        await self._broker.require(topics, partitions)

    async def publish(self, messages: Sequence[tuple[str, int, Message]]) -> None:
        """Take messages. Raises `Unavailable` when there is no room for them within `ROOM_S`: the broker is away for long."""
        async with self._moved:
            if len(self._waiting) >= WAITING_MAX:
                try:
                    async with asyncio.timeout(ROOM_S):
                        await self._moved.wait_for(lambda: self._failed or len(self._waiting) < WAITING_MAX)
                except TimeoutError:
                    raise self._unheard or Unavailable("the broker", "publish", "too slow") from None
            if self._failed is not None:
                raise self._failed
            self._waiting += messages
            self._moved.notify_all()

    async def published(self) -> None:
        """Return when nothing is on its way any more, or can be."""
        async with self._moved:
            await self._moved.wait_for(lambda: self._failed or not self._waiting)

    async def fetch(self, after: Mapping[Lane, int], *, limit: int) -> Sequence[Carried]:
        return await self._broker.fetch(after, limit=limit)

    async def ends(self, lanes: Collection[Lane]) -> Mapping[Lane, int]:
        return await self._broker.ends(lanes)

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        return self._broker.watch(wake)

    async def run(self) -> None:
        """Publish what waits, in order, until cancelled. Where the broker does not answer, the same is published again."""
        while self._failed is None:
            async with self._moved:
                await self._moved.wait_for(lambda: self._waiting)
            delay_s, longest_s = AGAIN_S
            batch = self._waiting[:AT_ONCE_MAX]
            while not await self._is_published(batch) and self._failed is None:
                await self._clock.sleep(delay_s)
                delay_s = min(2 * delay_s, longest_s)
            async with self._moved:
                if self._failed is None:
                    del self._waiting[: len(batch)]
                self._moved.notify_all()

    async def _is_published(self, batch: Sequence[tuple[str, int, Message]]) -> bool:
        try:
            await self._broker.publish(batch)
        except Unavailable as error:
            if self._reminders.is_due(_OUTAGE, self._clock.now_ms() / 1000):
                _log.warning("%d events that were committed wait for the broker: %s", len(self._waiting), error)
            self._unheard = error
            return False
        except Exception as error:  # noqa: BLE001 - whoever publishes next is told; else it would wait here for ever
            self._failed = error
            return False
        self._unheard = None
        if self._reminders.is_over(_OUTAGE):
            _log.warning("the broker takes again what was committed")
        return True
