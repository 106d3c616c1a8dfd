"""A layer that behaves as the way to a broker does, and as the broker does itself where it fails.

What is published may arrive in part, twice, late, or without anybody knowing; what is read may come late and in pieces. What
never happens is that a message whose publishing returned is lost, but where the broker lets go of old ones, as retention does.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from penstock.core.events.messages import Carried, Lane, Message, id_of
from penstock.errors import Unavailable
from penstock.ports.broker import Broker

LATE_S_MAX = 30.0
Published = tuple[str, int, Message]


@dataclass
class BrokerWeather:
    """How often what goes wrong on the way of one process to its broker. `away`: nothing passes for now."""

    random: Random
    loss: float = 0.0  # of publishings: before, within or after their work
    late: float = 0.0  # of those that fail: what is left of them arrives later all the same
    repeats: float = 0.0  # of publishings that arrive twice
    torn: float = 0.0  # of readings that bring less than there is
    delay_s: float = 0.0
    away: bool = False
    seen: dict[Lane, set[str]] | None = field(default=None)  # ids that the broker has: it drops what comes twice

    def lucky(self, chance: float) -> bool:
        """Whether something of this chance happens now."""
        return chance > 0 and self.random.random() < chance

    async def travel(self) -> None:
        """Take the time that a way takes."""
        if self.delay_s:
            await asyncio.sleep(self.random.expovariate(1 / self.delay_s))


class FaultyBroker:
    """A `Broker` over another one, behind this weather."""

    def __init__(self, inner: Broker, weather: BrokerWeather) -> None:
        self._inner = inner
        self._weather = weather
        self._late: set[asyncio.Task[None]] = set()
        self.bytes_max = inner.bytes_max
        self.structured = inner.structured

    async def require(self, topics: Collection[str], partitions: int) -> None:
        await self._pass("make topics")
        await self._inner.require(topics, partitions)

    async def publish(self, messages: Sequence[Published]) -> None:
        weather = self._weather
        await self._pass("publish")
        if not weather.lucky(weather.loss):
            await self._arrived(messages)
            if weather.lucky(weather.repeats):
                await self._arrived(messages)
            await weather.travel()
            return
        # Some of it has arrived: none, all, or what happened to be in packets that came through.
        kept = weather.random.choice([0.0, 0.5, 1.0])
        came = [weather.random.random() < kept for _ in messages]
        await self._arrived([each for each, came_now in zip(messages, came, strict=True) if came_now])
        if weather.lucky(weather.late):
            left = [each for each, came_now in zip(messages, came, strict=True) if not came_now]
            task = asyncio.get_running_loop().create_task(self._later(left))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
        raise Unavailable("the faulty broker", "publish")

    async def fetch(self, after: Mapping[Lane, int], *, limit: int) -> Sequence[Carried]:
        weather = self._weather
        if weather.away:
            return []
        found = await self._inner.fetch(after, limit=limit)
        if len(found) > 1 and weather.lucky(weather.torn):
            return found[: weather.random.randint(0, len(found) - 1)]
        return found

    async def ends(self, lanes: Collection[Lane]) -> Mapping[Lane, int]:
        await self._pass("ask for the ends")
        return await self._inner.ends(lanes)

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` a little after it would have been called; not at all while the broker is away."""

        def soon() -> None:
            weather = self._weather
            delay_s = weather.random.expovariate(1 / weather.delay_s) if weather.delay_s else 0.0
            asyncio.get_running_loop().call_later(delay_s, lambda: weather.away or wake())

        return self._inner.watch(soon)

    async def _pass(self, operation: str) -> None:
        await self._weather.travel()
        if self._weather.away:
            raise Unavailable("the faulty broker", operation, "nothing passes")

    async def _arrived(self, messages: Sequence[Published]) -> None:
        seen = self._weather.seen
        if seen is not None:
            messages = [each for each in messages if not self._is_known(seen, each)]
        if messages:
            await self._inner.publish(messages)

    def _is_known(self, seen: dict[Lane, set[str]], published: Published) -> bool:
        topic, partition, message = published
        ids, event_id = seen.setdefault((topic, partition), set()), id_of(message)
        known = event_id in ids
        ids.add(event_id)
        return known and bool(event_id)

    async def _later(self, messages: Sequence[Published]) -> None:
        await asyncio.sleep(self._weather.random.random() * LATE_S_MAX)
        await self._arrived(messages)
