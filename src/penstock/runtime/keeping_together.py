"""The generations of a collection where several workers share a store: all follow what the owner of its home partition writes.

- The catalogue is a value of the store. Only who owns the partition of the collection's name writes it; the others take it over
  when they are woken, and before they take partitions over.
- How far a generation has the log of a partition is a value of its own, written by who owns that partition.
- Who switches, or mends, holds the gates of all: each worker that reads so closes its gate, takes in what the next generation
  lacks of its partitions, and says so for each of them, with the number of that hold. They stay closed until the catalogue says
  otherwise, whoever owns which partition meanwhile: so when all have said so, nobody writes.
- A hold that nobody is at any more (who began it died) is ended by the next owner of the home partition.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress

from penstock.core.agents.progress import Progress
from penstock.core.agents.unit import ValueWrite
from penstock.core.events.partitions import partition_of
from penstock.core.knowledge import generations as rules
from penstock.core.knowledge.generations import FOLLOWING
from penstock.core.knowledge.passages import DEFAULT_TENANT
from penstock.errors import PenstockError, TimedOut
from penstock.ports.store import Store
from penstock.runtime.building import TOPIC
from penstock.runtime.generations import CATALOGUE, OWNER, Embedding, embedders_of
from penstock.runtime.indexer import NAME as INDEXER
from penstock.runtime.keeping import SWITCH_WITHIN_S, Keeper, last_of
from penstock.runtime.services import Services
from penstock.runtime.tasks import Tasks

CLOSED = "closed"  # the value by which the owner of a partition says that its gate is closed
REST_S = 0.05  # many commits are looked at together
AGAIN_S = 1.0  # before a gate is closed again that could not be
ENDED_WITHIN_S = 10.0  # for a page of a build of a partition that is given up
_log = logging.getLogger("penstock")


class Together:
    """One collection's, in one worker."""

    def __init__(self, keeper: Keeper, store: Store, services: Services, embedding: Embedding, tasks: Tasks) -> None:
        self.keeper = keeper
        self._generations = keeper.collection.generations
        self._appender = keeper.building.appender
        self._store = store
        self._services = services
        self._embedding = embedding
        self._tasks = tasks
        self._home = partition_of(DEFAULT_TENANT, keeper.collection.name, self._appender.partitions)
        self._turn = asyncio.Lock()  # who has it looks
        self._stored: Mapping[str, bytes] = {}
        self._holding = ""  # the hold that is kept here
        self._closing = ""  # the hold that was begun here
        self._looked: asyncio.Future[None] | None = None
        self.woken = asyncio.Event()
        self.done: dict[
            int, tuple[int, int]
        ] = {}  # of partitions of others: up to where the indexer is done with all, any

    @property
    def is_home(self) -> bool:
        """Whether this worker is the one that writes the catalogue."""
        return self._home in self._appender.owned

    async def look(self) -> None:
        """Take over what others wrote."""
        async with self._turn:
            stored = await self._store.values(DEFAULT_TENANT, OWNER, self._generations.name)
            done, ends = await self._store.progress(), await self._store.ends()
            if not self.is_home and CATALOGUE in stored:
                await self._adopt(stored[CATALOGUE])
            away = [each for each in range(self._appender.partitions) if each not in self._appender.owned]
            has_news = stored != self._stored or not self.keeper.building.elsewhere.keys() >= set(away)
            self._generations.read_positions(stored, away)
            for partition in away:
                progress = done.get((INDEXER, TOPIC, partition), Progress())
                self.done[partition] = (progress.low, last_of(progress))
                self.keeper.building.elsewhere[partition] = ends.get((TOPIC, partition), 0)
                self._generations.show(partition, progress.low)
            if has_news:  # also where a partition went whose end was not known here: a build may have waited for it
                self._stored = stored
                self._services.committer.add()  # whoever waits for a commit looks again
                self.keeper.wake()
            self._hold()
        looked, self._looked = self._looked, None
        if looked is not None:
            looked.set_result(None)

    async def _adopt(self, body: bytes) -> None:
        generations = self._generations
        catalogue = rules.decode(body)
        if catalogue == generations.catalogue and generations.stored:
            return
        opened, unopened = await embedders_of(generations.name, catalogue, self._embedding, generations.embedders)
        if self.is_home:
            return  # it came to be so meanwhile
        generations.unopened |= unopened
        generations.adopt(catalogue, opened)

    async def run(self, look_again_s: float) -> None:
        """Look until cancelled, whenever woken: a wake-up may be lost."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(look_again_s):
                    await self.woken.wait()
            self.woken.clear()
            await self.look()
            await asyncio.sleep(REST_S)

    async def before_owning(self) -> None:
        """Know what there is before anything of a partition is indexed; while the gates are held, ours is closed by then."""
        await self.look()
        if self._generations.catalogue.held_by and self._holding:
            await self._generations.gate.shut()

    def owned(self) -> None:
        """Go on with what the owner before left half done: no value of the store changes that would say so."""
        self.keeper.wake()
        self.woken.set()

    async def given_up(self) -> None:
        """Let pages of builds end that are under way: nothing of a partition is written here from then on."""
        with suppress(TimeoutError):
            async with asyncio.timeout(ENDED_WITHIN_S):
                for each in self._generations.catalogue.generations:
                    if each.status in FOLLOWING:
                        async with self.keeper.turn(each.number):
                            pass

    # the gates of all

    @asynccontextmanager
    async def closed(self, number: int) -> AsyncGenerator[None]:
        """Have nobody write in any worker until the block is left; `number`: a generation that is to have all, or 0.

        `TimedOut` when a worker does not get there. What is seen on entering holds until the next await.
        """
        generations, by = self._generations, self._services.clock.new_id()
        async with generations.gate.closed(SWITCH_WITHIN_S):
            self._closing = by
            self.keeper.change(rules.held(generations.catalogue, by, number))
            try:
                await self._services.committer.durable()
                await self._all_closed(by, number)
                yield
            finally:
                self._closing = ""
                if generations.catalogue.held_by == by and self.is_home:
                    self.keeper.change(rules.held(generations.catalogue, "", 0))

    async def _all_closed(self, by: str, number: int) -> None:
        try:
            async with asyncio.timeout(SWITCH_WITHIN_S):
                while True:
                    if number:
                        await self.keeper.take_in_all(number)
                    if self._all_say(by) and (not number or self.keeper.has_all(number)):
                        return
                    await self._next_look()
        except TimeoutError as error:
            raise TimedOut("the gates of all workers", SWITCH_WITHIN_S) from error

    def _all_say(self, by: str) -> bool:
        said = {each for each in range(self._appender.partitions) if self._stored.get(_closed(each)) == by.encode()}
        return all(each in self._appender.owned or each in said for each in range(self._appender.partitions))

    async def _next_look(self) -> None:
        if self._looked is None:
            self._looked = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._looked)

    def _hold(self) -> None:
        """Begin what the catalogue says: to hold our gate, or to end a hold that nobody is at."""
        generations = self._generations
        by = generations.catalogue.held_by
        if self.is_home:
            if by and by != self._closing:
                self.keeper.change(rules.held(generations.catalogue, "", 0))
        elif by and not self._holding:
            self._holding = by
            self._tasks.start(self._held(by, generations.catalogue.held_for))

    async def _held(self, by: str, number: int) -> None:
        """Keep our gate closed while that hold lasts."""
        generations, said = self._generations, set[int]()
        try:
            async with generations.gate.closed(SWITCH_WITHIN_S):
                if number:
                    await self.keeper.warm(number)
                while generations.catalogue.held_by == by and not self.is_home:
                    mine = self._appender.owned - said
                    if mine and number:
                        async with self.keeper.turn(number):
                            await self.keeper.take_in_all(number)
                    if mine and generations.catalogue.held_by == by:
                        self._say(by, mine & self._appender.owned)
                        said |= mine
                        await self._services.committer.durable()
                    await self._next_look()
        except PenstockError as error:
            if self._services.committer.failure is not None:
                raise
            _log.warning("the gate of %r was not closed here: %s", generations.name, error)
            await self._services.clock.sleep(AGAIN_S)
        finally:
            self._holding = ""

    def _say(self, by: str, partitions: Iterable[int]) -> None:
        """Say that nobody writes what is in our partitions, and how far the generation that serves has them."""
        generations, unit = self._generations, self._services.committer.add()
        served, done = generations.catalogue.serving.number, self.keeper.done()
        for partition in sorted(partitions):
            generations.positions.setdefault(served, {})[partition] = done[partition][0]
            unit.values.append(generations.positions_value(partition))
            unit.values.append(ValueWrite(DEFAULT_TENANT, OWNER, generations.name, _closed(partition), by.encode()))


def _closed(partition: int) -> str:
    return f"{CLOSED} {partition}"


class Sharing:
    """All collections of one of several workers."""

    def __init__(
        self,
        keepers: Mapping[str, Keeper],
        store: Store,
        services: Services,
        embedding: Embedding | None,
        tasks: Tasks,
    ) -> None:
        self._all: list[Together] = []
        for keeper in keepers.values():
            assert embedding is not None, keeper.collection.name
            together = Together(keeper, store, services, embedding, tasks)
            keeper.together = together
            keeper.collection.generations.before_writing = _nothing
            self._all.append(together)

    async def run(self, look_again_s: float) -> None:
        """Follow the others until cancelled."""
        async with asyncio.TaskGroup() as group:
            for each in self._all:
                group.create_task(each.run(look_again_s))

    def news(self) -> None:
        for each in self._all:
            each.woken.set()

    async def before_owning(self) -> None:
        for each in self._all:
            await each.before_owning()

    def owned(self) -> None:
        for each in self._all:
            each.owned()

    async def given_up(self) -> None:
        for each in self._all:
            await each.given_up()


def _nothing() -> None:
    """Stand in for who writes the first catalogue: the owner of the home partition does."""
