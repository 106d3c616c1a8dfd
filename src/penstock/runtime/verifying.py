"""Compares the index of a collection with its log, and mends what differs.

- What should be there is what the indexer makes of the events up to a point, without embedding anything. What is there is asked
  of the index after that. Passages that events after the point touch are left out: they are moving.
- Repairs are made behind the gate, where nobody writes, after another look at what has moved. They are the indexer's own writes.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from collections.abc import Collection as Collection_
from typing import TYPE_CHECKING, Any

import msgspec

from penstock.core.events.envelope import Recorded
from penstock.core.knowledge.events import KnowledgeEvent
from penstock.core.knowledge.generation_events import VerifyKnowledge
from penstock.core.knowledge.passages import Delete, IndexWrite, Passage, Space, Upsert
from penstock.core.knowledge.postings import query_counts
from penstock.core.knowledge.verifying import Difference, Verified
from penstock.errors import Invalid, LimitReached, Refused
from penstock.ports.embedder import Purpose
from penstock.ports.log import EventLog
from penstock.runtime.collection import Collection
from penstock.runtime.generations import Built
from penstock.runtime.indexer import written
from penstock.runtime.services import Services

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TOPIC = KnowledgeEvent.topic_
PAGE = 512
ASKED = 256  # passages that are looked at together
GATE_S = 30.0
PASSAGES_MAX = 2_000_000  # that are compared at once
REPAIRS_MAX = 50_000
NEAR = 0.999  # the cosine of a stored vector with that of its text
Key = tuple[str, str]  # tenant, id
Ends = Mapping[int, tuple[int, int]]  # by partition: up to where all, and any, events are done


class _NoVectors:
    """Stands in for the embedder where only the passages count: a vector that is all zero says that the text makes it."""

    def __init__(self, dims: int) -> None:
        self.name = "none"
        self.dims = dims

    async def embed(self, texts: Sequence[str], *, purpose: Purpose = "passage") -> "NDArray[np.float32]":  # noqa: ARG002 - the port's
        import numpy as np

        return np.zeros((len(texts), self.dims), np.float32)


class Verifying:
    """One comparison."""

    def __init__(self, collection: Collection, log: EventLog, services: Services, said: VerifyKnowledge) -> None:
        self._collection = collection
        self._log = log
        self._services = services
        self._said = said
        self._into = collection.generations.searching
        self._blank = Built(self._into.record, _NoVectors(self._into.embedder.dims), self._into.given_model)
        self._expected: dict[Key, str] = {}  # digests
        self._given: set[Key] = set()  # passages whose vectors came with their events
        self._seen: dict[int, int] = {}

    async def run(self, ends: Ends) -> Verified:
        """Compare, and mend if that is asked for."""
        through = {partition: low for partition, (low, _) in ends.items()}
        for partition, last in through.items():
            async for page in self._pages(partition, 0, last):
                await self._expect(page)
        await self._services.committer.durable()  # what is done is not always there yet
        known = await self._known()
        moving = await self._moved(through)
        found = [each for each in self._compared(known) if (each.tenant, each.id) not in moving]
        bad = {(each.tenant, each.id) for each in found}
        deep = [key for key in sorted(self._expected) if key not in bad and key not in moving and key in known]
        deep = deep[:: max(1, len(deep) // max(1, self._said.deep_max))][: self._said.deep_max]
        found += await self._looked_into(deep)
        verified = Verified(self._collection.name, self._into.number, max(through.values(), default=0))
        verified.passages, verified.deep, verified.moving = len(self._expected), len(deep), len(moving)
        verified.count(found)
        if self._said.repair and found:
            verified.repaired = await self._repair(found, through)
        return verified

    async def _expect(self, page: Sequence[Recorded]) -> None:
        for space, events in self._by_tenant(page).items():
            for write in await self._made(events, space, self._blank):
                key = (space.tenant, _id(write))
                self._given.discard(key)
                if isinstance(write, Delete):
                    self._expected.pop(key, None)
                    continue
                self._expected[key] = write.passage.digest
                if write.vector is not None and any(write.vector):
                    self._given.add(key)
        if len(self._expected) > PASSAGES_MAX:
            hint = "build the collection anew: penstock knowledge rebuild"
            raise LimitReached("the number of passages compared", len(self._expected), PASSAGES_MAX, hint)

    async def _known(self) -> dict[Key, str]:
        spaces = self._collection.index.spaces
        tenants = {tenant for tenant, _ in self._expected}
        if spaces is not None:
            mine = await spaces.spaces(self._collection.name)
            tenants |= {each.tenant for each in mine if each.generation == self._into.number}
        return {
            (tenant, key): digest
            for tenant in sorted(tenants)
            for key, digest in (await self._collection.index.vectors.digests(self._space(tenant))).items()
        }

    def _compared(self, known: Mapping[Key, str]) -> list[Difference]:
        found = [Difference(*key, "missing") for key in self._expected.keys() - known.keys()]
        found += [Difference(*key, "extra") for key in known.keys() - self._expected.keys()]
        return found + [
            Difference(*key, "stale") for key, digest in known.items() if self._expected.get(key, digest) != digest
        ]

    async def _looked_into(self, keys: Sequence[Key]) -> list[Difference]:
        """Look at text, vector and words of passages whose digests are right."""
        found: list[Difference] = []
        for tenant in sorted({tenant for tenant, _ in keys}):
            ids = [key for each, key in keys if each == tenant]
            for start in range(0, len(ids), ASKED):
                found += await self._examined(self._space(tenant), ids[start : start + ASKED])
        return found

    async def _examined(self, space: Space, ids: Sequence[str]) -> list[Difference]:
        index, tenant = self._collection.index, space.tenant
        passages = await index.vectors.passages(space, ids)
        stale = {each for each in ids if each in passages and passages[each].digest != self._expected[tenant, each]}
        whole = [passages[each] for each in ids if each in passages and each not in stale]
        asked = [[each.id] for each in whole]
        texts = [each.text for each in whole]
        vectors = await self._into.embedder.embed(texts, purpose="passage")
        cosines = await index.vectors.cosines(space, vectors, asked)
        relevances = await index.words.relevances(space, texts, asked)
        damaged = {
            each.id
            for each, vector, cosine, relevance in zip(whole, vectors, cosines, relevances, strict=True)
            if (vector.any() and (tenant, each.id) not in self._given and cosine.get(each.id, 0.0) < NEAR)
            or (_has_words(each) and relevance.get(each.id, 0.0) <= 0)
        }
        return [Difference(tenant, each, "stale") for each in stale] + [
            Difference(tenant, each, "damaged") for each in damaged
        ]

    async def _moved(self, through: Mapping[int, int]) -> set[Key]:
        """Return the passages that events after a point touch."""
        await self._services.committer.durable()
        moved: set[Key] = set()
        for partition, last in through.items():
            async for page in self._pages(partition, last, None):
                for space, events in self._by_tenant(page).items():
                    moved |= {(space.tenant, _id(each)) for each in await self._made(events, space, self._blank)}
        return moved

    async def _repair(self, found: Sequence[Difference], through: Mapping[int, int]) -> int:
        """Write what should be there, and return how many passages that were."""
        if len(found) > REPAIRS_MAX:
            hint = "build the collection anew: penstock knowledge rebuild"
            raise LimitReached("the number of passages to mend", len(found), REPAIRS_MAX, hint)
        space_of = {(each.tenant, each.id): self._space(each.tenant) for each in found}
        writes: dict[Key, IndexWrite] = {key: Delete(space, key[1]) for key, space in space_of.items()}
        for partition, last in through.items():
            async for page in self._pages(partition, 0, last):
                for space, events in self._by_tenant(page).items():
                    writes.update(await self._wanted(space, events, writes.keys()))
        generations = self._collection.generations
        async with generations.gate.closed(GATE_S):
            moved = await self._moved(through)
            if generations.writing.number != self._into.number:
                raise Refused("another generation took over meanwhile", "verify again")
            mended = [write for key, write in writes.items() if key not in moved]
            if self._collection.index.in_store:
                self._services.committer.add().index.extend(mended)
                await self._services.committer.durable()
            else:
                await self._collection.apply(mended)
        return len(mended)

    async def _wanted(
        self, space: Space, events: Sequence[KnowledgeEvent], wanted: Collection_[Key]
    ) -> dict[Key, IndexWrite]:
        """Return what events come to for the passages that are to be mended."""
        found: dict[Key, IndexWrite] = {}
        for event in events:
            touched = [(space.tenant, _id(each)) for each in await self._made([event], space, self._blank)]
            if any(key in wanted for key in touched):
                made = await self._made([event], space, self._into)
                found.update(((space.tenant, _id(each)), each) for each in made if (space.tenant, _id(each)) in wanted)
        return found

    async def _made(self, events: list[KnowledgeEvent], space: Space, into: Built) -> list[IndexWrite]:
        try:
            return await written(events, space, into)
        except (Invalid, LimitReached, Refused):
            if len(events) == 1:  # it could not be indexed, either
                return []
        return [write for each in events for write in await self._made([each], space, into)]

    def _by_tenant(self, page: Sequence[Recorded]) -> dict[Space, list[KnowledgeEvent]]:
        found: dict[Space, list[KnowledgeEvent]] = {}
        for each in page:
            if each.event.type in KnowledgeEvent.reads_():
                event = KnowledgeEvent.decoded_as(each.event.type, each.event.data)
                if event.collection == self._collection.name:
                    found.setdefault(self._space(each.event.tenant), []).append(event)
        return found

    async def _pages(self, partition: int, after: int, last: int | None) -> AsyncGenerator[list[Recorded]]:
        while last is None or after < last:
            read = await self._log.read(TOPIC, partition, after=after, limit=PAGE)
            page = [each for each in read if last is None or each.position.offset <= last]
            if not page:
                return
            yield page
            after = page[-1].position.offset
            await self._services.clock.sleep(0)

    def _space(self, tenant: str) -> Space:
        return Space(self._collection.name, tenant, self._into.number)


def told(verified: Verified) -> dict[str, Any]:
    """Return it as plain data."""
    return msgspec.to_builtins(verified)


def _id(write: IndexWrite) -> str:
    return write.passage.id if isinstance(write, Upsert) else write.id


def _has_words(passage: Passage) -> bool:
    """Whether its text, as a question, must find it."""
    return bool(query_counts(passage.text))
