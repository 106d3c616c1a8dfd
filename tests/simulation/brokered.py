"""The broker of a world, and the way of each process to it: what the events of an app go over, if the seed says so."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING

from penstock.adapters.memory.broker import MemoryBroker, Topics
from penstock.adapters.memory.store import Disk
from penstock.brokers import carried_topics
from penstock.core.agents.policy import Retry
from penstock.core.events.messages import Lane
from penstock.errors import Unavailable
from penstock.layers.brokered_store import AGENT, BrokeredStore
from penstock.layers.publishing_later import published_later
from penstock.layers.retrying_store import RetryingStore
from penstock.testing.crashing import MortalBroker
from penstock.testing.faulty_broker import BrokerWeather, FaultyBroker

if TYPE_CHECKING:
    from life import Life

PATIENCE = Retry(attempts_max=12, delay_s=0.05, factor=2.0, delay_max_s=2.0)
AWAY_S = (0.1, 1.0, 20.0)
SMALL = 300  # bytes that the broker takes, where large events are held by the store


@dataclass
class SimulatedBroker:
    """What crashes do not touch of a broker, and how hostile the way to it is. Its chances are drawn apart, by the same seed."""

    random: Random
    topics: Topics = field(default_factory=Topics)
    bytes_max: int = 16 * 1024 * 1024
    structured: bool = False
    loss: float = 0.0
    late: float = 0.0
    repeats: float = 0.0
    torn: float = 0.0
    delay_s: float = 0.0
    cuts: float = 0.0  # of lives that cannot reach it for a while
    forgets: float = 0.0  # of lives in which it lets go of what it has had for long, received or not
    seen: dict[Lane, set[str]] | None = None  # of one that drops what comes twice

    @staticmethod
    def of(random: Random) -> "SimulatedBroker":
        def some(*values: float) -> float:
            return random.choice(values) if random.random() < 0.5 else 0.0

        return SimulatedBroker(
            random,
            bytes_max=SMALL if random.random() < 0.3 else 16 * 1024 * 1024,
            structured=random.random() < 0.5,
            loss=some(0.05, 0.3),
            late=some(0.5),
            repeats=some(0.05, 0.3),
            torn=some(0.3, 0.8),
            delay_s=some(0.001, 0.02, 0.3),
            cuts=some(0.5),
            forgets=some(0.3),
            seen={} if random.random() < 0.3 else None,
        )

    def weather(self, *, healthy: bool) -> BrokerWeather:
        """Return the weather of one process."""
        if healthy:
            return BrokerWeather(self.random, seen=self.seen)
        return BrokerWeather(
            self.random,
            loss=self.loss,
            late=self.late,
            repeats=self.repeats,
            torn=self.torn,
            delay_s=self.delay_s,
            seen=self.seen,
        )

    def troubles(self, weather: BrokerWeather, life_s: float) -> list[Callable[[], Awaitable[None]]]:
        """Draw what will befall the way of one process, and the broker meanwhile."""
        at_s, duration_s = self.random.random() * life_s, self.random.choice(AWAY_S)

        async def cut() -> None:
            await asyncio.sleep(at_s)
            weather.away = True
            await asyncio.sleep(duration_s)
            weather.away = False

        async def forgets() -> None:
            await asyncio.sleep(at_s)
            for lane, held in self.topics.messages.items():
                self.topics.let_go[lane] = max(self.topics.let_go.get(lane, 0), len(held) // 2)
            if self.seen is not None:
                self.seen.clear()  # ids are remembered for minutes, messages for days

        kinds = ((cut, self.cuts), (forgets, self.forgets))
        return [trouble for trouble, chance in kinds if weather.lucky(chance)]

    def left(self, disk: Disk) -> dict[Lane, int]:
        """Return how much of each partition was not received yet."""
        left: dict[Lane, int] = {}
        for (topic, partition), held in self.topics.messages.items():
            done = disk.progress.get((AGENT, topic, partition))
            if behind := len(held) - (0 if done is None else done.low):
                left[topic, partition] = behind
        return left


@asynccontextmanager
async def over_its_broker(life: "Life") -> AsyncGenerator[None]:
    """Have the events of a process go over the broker of its world, if there is one."""
    broker = life.world.broker
    if broker is None:
        yield
        return
    weather = broker.weather(healthy=life.world.healthy)
    life.troubles += [] if life.world.healthy else broker.troubles(weather, life.world.chances.life_s)
    reached = MortalBroker(
        FaultyBroker(MemoryBroker(broker.topics, bytes_max=broker.bytes_max, structured=broker.structured), weather),
        life.fate,
    )
    carried = carried_topics(life.parts.topology)
    await _patiently(life, lambda: reached.require(carried, life.world.chances.partitions))
    async with published_later(reached, life.clock) as later:
        store = RetryingStore(BrokeredStore(life.backend, later, life.clock, carried), life.clock)
        life.parts = replace(life.parts, store=store, carried=frozenset(carried))
        if life.schedules is not None:
            life.schedules.over(store, life.parts.topology)
        yield


async def _patiently(life: "Life", operation: Callable[[], Awaitable[None]]) -> None:
    for attempt in range(1, PATIENCE.attempts_max):
        try:
            return await operation()
        except Unavailable:
            await life.clock.sleep(PATIENCE.wait_s(attempt, life.world.random.random()))
    return await operation()
