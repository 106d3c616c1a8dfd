"""Rids the store of what has been dealt with, a few rows at a time, in between the commits and never within one (C9).

What may go is decided by the store, from what is durable. So a janitor can stop anywhere, go on later, and run beside others.
"""

import logging
from collections.abc import Awaitable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from penstock.core.agents.retention import Retention, before_ms, run_rules
from penstock.core.knowledge.events import KnowledgeEvent
from penstock.errors import Fenced, PenstockError
from penstock.ports.clock import Clock
from penstock.ports.retention import OldEvents
from penstock.ports.store import Store
from penstock.runtime.topology import Topology

BATCH = 100
FIRST_S = 10.0
PAUSE_S = 0.02  # between two batches, and at least four times as long as a batch took
BATCHES_MAX = 50_000  # in one round; the next one goes on
READ_MS = 3_600_000  # blobs used within it stay: somebody may be reading what referred to them
FROM_START = 24  # every so many rounds all is looked at, also what was passed over earlier
T = TypeVar("T")
_log = logging.getLogger("penstock")


@dataclass(slots=True)
class Tidied:
    """What one round removed."""

    events: int = 0
    journals: int = 0
    messages: int = 0
    blobs: int = 0
    freed_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Household:
    """What a janitor must know of an app: how long it keeps what."""

    retention: Retention = field(default_factory=Retention)
    agents: Mapping[str, Retention] = field(default_factory=dict[str, Retention])
    kept_whole: frozenset[str] = frozenset()


def household(retention: Retention, topology: Topology) -> Household:
    """Return what a janitor must know of an app."""
    agents = {name: agent.options.retention for name, agent in topology.agents.items()}
    mine = {name: each for name, each in agents.items() if each is not None}
    return Household(retention, mine, frozenset({KnowledgeEvent.topic_}))


class Owned(Protocol):
    """What an engine works on."""

    @property
    def partitions(self) -> Collection[int]: ...

    def takers(self, topic: str, partition: int) -> tuple[str, ...]:
        """Return the agents that must be done with an event before it may go."""
        ...


class Janitor:
    """Tidies the partitions that an engine works on, and what belongs to none."""

    def __init__(self, store: Store, clock: Clock, household: Household, owned: Owned) -> None:
        self._store = store
        self._clock = clock
        self._household = household
        self._owned = owned
        self._runs_from = 0
        self._sessions_from = b""
        self._blobs_from = b""
        self._rounds = 0
        self._left = 0

    async def run(self) -> None:
        """Tidy now and then, forever."""
        await self._clock.sleep(FIRST_S)  # an app that has just begun has other things to do
        while True:
            try:
                await self.tidy()
            except Fenced:
                raise
            except PenstockError as error:  # nothing hangs on it: the next round does what this one could not
                _log.warning("tidying up was put off: %s", error)
            await self._clock.sleep(self._household.retention.every_s)

    async def tidy(self) -> Tidied:
        """Go through everything once, as far as `BATCHES_MAX` allows."""
        self._left = BATCHES_MAX
        if self._rounds % FROM_START == 0:
            self._runs_from = 0
        self._rounds += 1
        done = Tidied()
        removed = -1
        while (
            removed < done.events and self._left
        ):  # what went may have been the last that an earlier event was kept for
            removed = done.events
            for (topic, partition), end in (await self._store.ends()).items():
                if partition in self._owned.partitions:
                    await self._tidy_topic(topic, partition, end, done)
        await self._tidy_runs(done)
        await self._tidy_sessions(done)
        await self._tidy_blobs(done)
        return done

    async def _tidy_topic(self, topic: str, partition: int, end: int, done: Tidied) -> None:
        home, now_ms = self._household, self._clock.now_ms()
        keep = home.retention.of_topic(topic, home.kept_whole)
        through = 0 if keep.count is None else end - keep.count
        if keep.days is None and through <= 0:
            return
        rules = run_rules(home.retention, home.agents, now_ms)
        old = OldEvents(
            topic, partition, self._owned.takers(topic, partition), before_ms(now_ms, keep.days), through, rules
        )
        after = 0
        while True:
            pruned = await self._paced(self._store.prune_events(old, after=after, limit=BATCH))
            done.events += pruned.removed
            done.freed_bytes += pruned.freed_bytes
            after = pruned.after
            if not (after and self._left):
                return

    async def _tidy_runs(self, done: Tidied) -> None:
        rules = run_rules(self._household.retention, self._household.agents, self._clock.now_ms())
        while self._left:
            pruned = await self._paced(self._store.prune_runs(rules, after=self._runs_from, limit=BATCH))
            done.journals += pruned.removed
            if not pruned.after:
                return
            self._runs_from = pruned.after

    async def _tidy_sessions(self, done: Tidied) -> None:
        while self._left:
            now_ms, after = self._clock.now_ms(), self._sessions_from
            swept = await self._paced(self._store.prune_sessions(now_ms, after=after, limit=BATCH))
            done.messages += swept.removed
            done.freed_bytes += swept.freed_bytes
            self._sessions_from = swept.after
            if not swept.after:
                return

    async def _tidy_blobs(self, done: Tidied) -> None:
        while self._left:
            before, after = self._clock.now_ms() - READ_MS, self._blobs_from
            swept = await self._paced(self._store.sweep_blobs(before_ms=before, after=after, limit=BATCH))
            done.blobs += swept.removed
            done.freed_bytes += swept.freed_bytes
            self._blobs_from = swept.after
            if not swept.after:
                return

    async def _paced(self, batch: Awaitable[T]) -> T:
        """Do one batch, and leave the store to others for a while."""
        self._left -= 1
        began_s = self._clock.monotonic_s()
        result = await batch
        await self._clock.sleep(max(PAUSE_S, 4 * (self._clock.monotonic_s() - began_s)))
        return result
