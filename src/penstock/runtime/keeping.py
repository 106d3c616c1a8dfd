"""Keeps the generations of one collection: brings those on that do not serve, has one take over, lets those go that were dropped.

- A switch closes the gate of the indexer, so that nobody writes; has the new generation take in what it lacks of what the indexer
  is done with; and changes, in one commit, which one serves. So no passage that was found before is missing after it.
- What is said comes as events of the agent `generations`, one at a time per collection, and is done once: its id is kept.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Protocol

from penstock.core.agents.progress import Progress
from penstock.core.events.envelope import Position
from penstock.core.knowledge import generations as rules
from penstock.core.knowledge.documents import options_after
from penstock.core.knowledge.generation_events import BuildGeneration, VerifyKnowledge
from penstock.core.knowledge.generations import FOLLOWING, Catalogue, Generation
from penstock.core.knowledge.passages import Space
from penstock.errors import Fenced, LimitReached, PenstockError, Refused, TimedOut
from penstock.ports.embedder import Embedder
from penstock.ports.store import Store
from penstock.runtime.building import TOPIC, Building
from penstock.runtime.collection import Collection
from penstock.runtime.delivering import Delivering
from penstock.runtime.generations import Embedding, require_whole_log
from penstock.runtime.indexer import NAME as INDEXER
from penstock.runtime.services import Services
from penstock.runtime.verifying import Verifying, told

SWITCH_WITHIN_S = 30.0  # the longest that a switch keeps the indexer waiting
LAG_MAX = 5_000  # events that a generation may lack when it is to take over
CLEARED = 500  # passages that go at once
WARMED_MAX = 64  # tenants whose passages are in memory before the switch
HEARD_BY_ALL_S = 5.0  # a worker that was silent for half of that is fenced
AGAIN_S = 5.0  # before something is tried again that could not be done
_log = logging.getLogger("penstock")


class Fellows(Protocol):
    """The other workers, as far as one collection goes."""

    @property
    def is_home(self) -> bool: ...
    @property
    def done(self) -> Mapping[int, tuple[int, int]]: ...
    async def look(self) -> None: ...
    def closed(self, number: int) -> AbstractAsyncContextManager[None]: ...


class Keeper:
    """One collection's."""

    def __init__(
        self,
        collection: Collection,
        building: Building,
        services: Services,
        embedding: Embedding,
        done: Callable[[], Mapping[int, tuple[int, int]]],
    ) -> None:
        """`done` says, by partition, up to where the indexer is done with all, and with any."""
        self.collection = collection
        self.building = building
        self._generations = collection.generations
        self._services = services
        self._embedding = embedding
        self.done = done
        self.together: Fellows | None = None  # where several workers share the store
        self._dropping_since: dict[int, float] = {}
        self._woken = asyncio.Event()
        building.on_step = self._stepped
        self._generations.on_change = self.wake
        self._generations.after_writing = self._written

    @property
    def is_home(self) -> bool:
        """Whether this worker is the one that decides."""
        return self.together is None or self.together.is_home

    def change(self, catalogue: Catalogue) -> None:
        """Go on with another catalogue; `Refused` where another worker decides."""
        self._require_home()
        self._generations.change(catalogue, self._services.committer)

    def _require_home(self) -> None:
        if not self.is_home:
            hint = "say it for the tenant 'default'; if that is so, another worker took over: say it again"
            raise Refused(f"this worker does not keep the generations of {self.collection.name!r}", hint)

    async def look(self) -> None:
        """Know what other workers decided."""
        if self.together is not None:
            await self.together.look()

    def done_everywhere(self) -> Mapping[int, tuple[int, int]]:
        """Return what `done` does, of the partitions of others as far as is known."""
        return self.done() if self.together is None else {**self.together.done, **self.done()}

    def closed(self, number: int) -> AbstractAsyncContextManager[None]:
        """Have nobody index, in any worker, until the block is left."""
        if self.together is not None:
            return self.together.closed(number)
        return self._generations.gate.closed(SWITCH_WITHIN_S)

    def _stepped(self, number: int) -> None:
        """A build that has caught up is ready."""
        catalogue = self._generations.catalogue
        if self.is_home and catalogue.find(number).status == "building" and self.building.has_caught_up(number):
            self.change(rules.readied(catalogue, number, self._services.clock.now_ms()))

    def turn(self, number: int) -> asyncio.Lock:
        """Who has it is the only one who writes to a generation that does not serve."""
        return self.building.turn(number)

    def wake(self) -> None:
        """There is something to do."""
        self._woken.set()

    def _written(self, last: Position) -> None:
        """The indexer has ended a handling: what it came to can be found once that is durable, and is there for the others."""
        self._services.committer.add(partial(self._visible, last))

    def _visible(self, last: Position) -> None:
        self._generations.show(last.partition, last.offset)
        if any(each.status in FOLLOWING for each in self._generations.catalogue.generations):
            self.wake()

    async def run(self) -> None:
        """Keep them until cancelled."""
        for partition, (low, _) in self.done().items():
            self._generations.show(partition, low)
        self.wake()
        while True:
            await self._wait()
            self._woken.clear()
            try:
                await self._bring_on()
            except Fenced:
                raise
            except PenstockError as error:  # nothing hangs on it: it is tried again
                _log.warning("the generations of %r: %s", self.collection.name, error)
                if self._services.committer.failure is not None:
                    raise
                await self._services.clock.sleep(AGAIN_S)
                self.wake()

    async def _wait(self) -> None:
        """Wait until there is something to do, or a grace is over."""
        catalogue, now_ms = self._generations.catalogue, self._services.clock.now_ms()
        due = [each.drop_ms for each in catalogue.generations if each.status == "standby" and each.drop_ms]
        wait_s = max(0.0, (min(due) - now_ms) / 1000) if due else None
        try:
            async with asyncio.timeout(wait_s):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _bring_on(self) -> None:
        """Do all that there is to do, each generation in its turn."""
        clock, busy = self._services.clock, True
        if self.is_home:
            await self._begin()
        while busy:
            later: list[float] = []
            busy = False
            for each in self._generations.catalogue.generations:
                busy |= await self._step(each, later)
            if self.is_home:
                await self._decide()
            if later and not busy:
                await clock.sleep(max(0.0, min(later) - clock.monotonic_s()))
                busy = True
        await self._services.committer.durable()

    async def _begin(self) -> None:
        if self.together is not None:
            self._generations.keep(self._services.committer)
        await self._build_wanted()

    async def _step(self, each: Generation, later: list[float]) -> bool:
        """Bring one on, or to its end; False when there was nothing to do, `later` says when there will be."""
        now_s, due_s = self._services.clock.monotonic_s(), 0.0
        if each.status in FOLLOWING and each.number in self._generations.embedders:
            due_s = self.building.pace(each.number).due_s
            if due_s <= now_s:
                async with self.building.turn(each.number):
                    return await self.building.step(each.number)
        elif each.status == "dropping" and self.is_home:
            due_s = self._may_clear_s(each.number)
            if due_s <= now_s:
                return await self._clear(each.number)
        if due_s > now_s:
            later.append(due_s)
        return False

    async def _decide(self) -> None:
        """Have those go whose grace is over, and those take over that were to."""
        generations = self._generations
        for each in rules.overdue(generations.catalogue, self._services.clock.now_ms()):
            self.change(rules.removed(generations.catalogue, each.number))
        for each in generations.catalogue.generations:
            if each.status == "ready" and each.switch:
                await self._switch_by_itself(each.number)

    def _may_clear_s(self, number: int) -> float:
        """From when on a generation that was dropped is nobody's any more: other workers must have heard of it."""
        if self.together is None:
            return 0.0
        return self._dropping_since.setdefault(number, self._services.clock.monotonic_s()) + HEARD_BY_ALL_S

    async def _build_wanted(self) -> None:
        """Build for an embedder that the settings changed to."""
        setting, self._generations.wanted = self._generations.wanted, ""
        if setting:
            said = BuildGeneration(collection=self.collection.name, embedder=setting, switch=True)
            await self.build(said, f"settings {self._embedding.embedder.name}", agreed=True)
        await self._build_refiner()

    async def _build_refiner(self) -> None:
        """Have searches refined by the embedder that the settings name for it; another one that does goes first."""
        name, self._generations.refiner = self._generations.refiner, ""
        mine = [each for each in self._generations.catalogue.generations if each.refines and each.status in FOLLOWING]
        if not name or any(each.embedder == name for each in mine):
            return
        for each in mine:
            await self.drop(each.number, f"the settings refine by {name}")
        said = BuildGeneration(collection=self.collection.name, embedder=name, refines=True)
        await self.build(said, f"refine {name} {self._services.clock.now_ms()}")

    async def _switch_by_itself(self, number: int) -> None:
        try:
            await self.switch(number, rules.GRACE_MS, f"ready {number}")
        except (LimitReached, Refused, TimedOut) as error:
            _log.info("generation %d of %r does not take over yet: %s", number, self.collection.name, error)

    # what is said

    async def build(self, said: BuildGeneration, asked_by: str, *, agreed: bool = False) -> Generation:
        """Begin a build, and return its generation; asked by the same event again, return the one that there is."""
        self._require_home()
        generations = self._generations
        known = next((each for each in generations.catalogue.generations if each.asked_by == asked_by), None)
        if known is not None:
            return known
        if not (said.partial or said.refines):  # what one that refines lacks is found without it
            hint = "put those documents again, or build without them: penstock knowledge build --partial"
            await self._require_whole("a new generation would lack what was put before", hint)
        serving = generations.catalogue.serving
        name, options = said.embedder or serving.embedder, options_after(serving.options, said.options)
        embedder = await self._opened(said)
        new = Generation(
            0,
            name,
            embedder.name,
            "building",
            begun_ms=self._services.clock.now_ms(),
            per_s=said.per_s,
            switch=said.switch,
            replaces=said.replaces,
            options=options,
            asked_by=asked_by,
            refines=said.refines,
        )
        seen = embedder.name if agreed else ""
        catalogue = rules.built(generations.catalogue, new, seen)
        record = catalogue.generations[-1]
        generations.embedders[record.number] = embedder
        self.change(catalogue)
        return record

    async def _require_whole(self, what: str, hint: str) -> None:
        partitions = range(self.building.appender.partitions)
        await require_whole_log(self.building.store, partitions, what, hint)

    async def _opened(self, said: BuildGeneration) -> Embedder:
        if not said.embedder:
            return self._generations.writing.embedder
        return await self._embedding.open(said.embedder)

    async def switch(self, number: int, grace_ms: int, asked_by: str) -> Generation:
        """Have a generation serve, 0: the one that served before; `Refused` or `TimedOut` when it cannot yet."""
        self._require_home()
        generations = self._generations
        if generations.catalogue.switched_by == asked_by:
            return generations.catalogue.serving
        number = number or rules.taken_back(generations.catalogue).number
        if number == generations.catalogue.serving.number:
            return generations.catalogue.serving
        generations.asked(number)
        self._require_near(number)
        await self.warm(number)
        async with self.building.turn(number), self.closed(number):
            if self.together is None:
                await self.take_in_all(number)
            # From here to the change nothing waits: what was seen holds.
            served, now_ms = generations.catalogue.serving.number, self._services.clock.now_ms()
            catalogue = rules.switched(generations.catalogue, number, now_ms, grace_ms, asked_by)
            generations.positions[served] = {each: low for each, (low, _) in self.done().items()}
            self.change(catalogue)
            values = [generations.positions_value(each) for each in sorted(self.done())]
            self._services.committer.add().values.extend(values)
        await self._services.committer.durable()
        return generations.catalogue.serving

    async def drop(self, number: int, reason: str) -> Generation:
        """Let a generation go, or end its build; its passages go in the background."""
        generations = self._generations
        self.change(rules.removed(generations.catalogue, number, reason))
        await self._services.committer.durable()
        return generations.catalogue.find(number)

    def _require_near(self, number: int) -> None:
        at, ends = self.building.at(number), self.building.ends()
        behind = sum(ends.values()) - sum(at.values())
        if behind > LAG_MAX:
            hint = f"wait until it is within {LAG_MAX:,}: penstock knowledge generations"
            raise Refused(f"generation {number} is {behind:,} events behind", hint)

    def has_all(self, number: int) -> bool:
        """Whether a generation has what the indexer of this worker is done with."""
        at = self.building.at(number)
        return all(at[each] >= last for each, (_, last) in self.done().items())

    async def take_in_all(self, number: int) -> None:
        """Take in what the indexer is done with, and nobody adds to that meanwhile."""
        committer = self._services.committer
        try:
            async with asyncio.timeout(SWITCH_WITHIN_S):
                while not self.has_all(number):
                    await committer.durable()
                    await self.building.step(number)
                    await asyncio.sleep(0)
        except TimeoutError as error:
            raise TimedOut(f"what generation {number} lacks", SWITCH_WITHIN_S) from error

    async def warm(self, number: int) -> None:
        """Have the passages in memory before the first search comes."""
        index, built = self.collection.index, self._generations.built(number)
        if index.spaces is None:
            return
        query = await built.embedder.embed(["warm"], purpose="query")
        known = [each for each in await index.spaces.spaces(self.collection.name) if each.generation == number]
        for space in known[:WARMED_MAX]:
            await index.vectors.nearest(space, query, limit=1)
            await index.words.matching(space, ["warm"], limit=1)

    async def _clear(self, number: int) -> bool:
        """Remove some passages of a generation that was dropped; False when there are none left."""
        spaces, generations = self.collection.index.spaces, self._generations
        mine: list[Space] = []
        if spaces is not None:
            mine = [each for each in await spaces.spaces(self.collection.name) if each.generation == number]
        for space in mine:
            assert spaces is not None
            if await spaces.clear(space, limit=CLEARED):
                await self._services.clock.sleep(0)
                return True
        self.change(rules.emptied(generations.catalogue, number))
        return False

    async def verify(self, said: VerifyKnowledge) -> dict[str, Any]:
        """Compare the index with the log, mend it if that is asked for, and return what was found."""
        await self._require_whole("cannot be compared with an index that has more", "look at single passages instead")
        self._require_home()
        verifying = Verifying(self.collection, self.building.store, self._services, said)
        verifying.closed = self.closed
        await self.look()
        return told(await verifying.run(self.done_everywhere()))


def keepers(
    collections: Mapping[str, Collection],
    store: Store,
    services: Services,
    embedding: Embedding | None,
    delivering: Delivering,
) -> dict[str, Keeper]:
    """Return who keeps the generations of each collection."""

    def done() -> dict[int, tuple[int, int]]:
        mine = [each for each in delivering.of(INDEXER) if each.topic == TOPIC]
        return {each.partition: (each.progress.low, last_of(each.progress)) for each in mine}

    found: dict[str, Keeper] = {}
    for name, collection in collections.items():
        assert embedding is not None, name
        building = Building(collection, store, services, delivering.appender)
        found[name] = Keeper(collection, building, services, embedding, done)
    return found


def last_of(progress: Progress) -> int:
    """Return the last offset that is done with."""
    above = progress.above
    return above[-1][1] if above else progress.low
