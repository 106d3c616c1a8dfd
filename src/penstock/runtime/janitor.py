"""Rids the store of what has been dealt with, now and then, in between the commits and never within one (C9)."""

import asyncio
import logging

from penstock.core.agents.again import TOPIC as AGAIN
from penstock.core.agents.retention import Retention
from penstock.core.knowledge.events import KnowledgeEvent
from penstock.errors import Fenced, PenstockError
from penstock.ports.archive import Archive
from penstock.ports.clock import Clock
from penstock.ports.store import Store
from penstock.runtime.tidying import Household, Owned, Places, Round, Tidied
from penstock.runtime.topology import Topology

FIRST_S = 10.0
FROM_START = 24  # every so many rounds all is looked at, also what was passed over earlier
_log = logging.getLogger("penstock")


def household(
    retention: Retention, topology: Topology, *, archive: Archive | None = None, app: str = "", version: str = ""
) -> Household:
    """Return what a janitor must know of an app."""
    agents = {name: agent.options.retention for name, agent in topology.agents.items()}
    mine = {name: each for name, each in agents.items() if each is not None}
    whole = frozenset({KnowledgeEvent.topic_})
    return Household(retention, mine, whole, tuple(topology.agents), archive, app, version)


class Everything:
    """All partitions of a store, as an app would take its topics that is not running."""

    def __init__(self, topology: Topology, partitions: int) -> None:
        self.partitions = range(partitions)
        self._topology = topology

    def takers(self, topic: str, partition: int) -> tuple[str, ...]:
        assert partition in self.partitions, partition
        agents = self._topology.agents.values()
        return tuple(
            each.name for each in agents if topic == AGAIN or topic in {event.topic_ for event in each.accepts}
        )


class Janitor:
    """Tidies the partitions that an engine works on, and what belongs to none."""

    def __init__(self, store: Store, clock: Clock, household: Household, owned: Owned) -> None:
        self._store = store
        self._clock = clock
        self._household = household
        self._owned = owned
        self._places = Places()
        self._rounds = 0
        self._turn = asyncio.Lock()

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
        """Go through everything once, one round at a time."""
        async with self._turn:
            if self._rounds % FROM_START == 0:
                self._places.runs = 0
            self._rounds += 1
            return await Round(self._store, self._clock, self._household, self._owned).run(self._places)

    async def foresee(self) -> Tidied:
        """Return what a round that begins from the start would remove."""
        return await Round(self._store, self._clock, self._household, self._owned, dry=True).run(Places())
