"""Compares the index of a collection with its log, and mends what differs.

- What should be there is what the indexer makes of the events up to a point, without embedding anything. What is there is asked
  of the index after that. Passages that events after the point touch are left out: they are moving.
- Repairs are made behind the gate, where nobody writes, after another look at what has moved. They are the indexer's own writes.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import msgspec

from penstock.core.events.envelope import Recorded, event_of
from penstock.core.events.subjects import is_gone
from penstock.core.knowledge.events import KnowledgeEvent
from penstock.core.knowledge.generation_events import VerifyKnowledge
from penstock.core.knowledge.ordering import point_of
from penstock.core.knowledge.passages import Delete, IndexWrite, Passage, Space, Upsert
from penstock.core.knowledge.postings import query_counts
from penstock.core.knowledge.verifying import Difference, Verified
from penstock.errors import Invalid, LimitReached, Refused
from penstock.ports.embedder import Purpose
from penstock.ports.state import RunFilter
from penstock.ports.store import Store
from penstock.runtime.collection import Collection
from penstock.runtime.generations import Built
from penstock.runtime.index_writes import read_into
from penstock.runtime.indexer import NAME as INDEXER
from penstock.runtime.services import Services

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TOPIC = KnowledgeEvent.topic_
PAGE = 512
ASKED = 256  # passages that are looked at together
GATE_S = 30.0
PASSAGES_MAX = 500_000  # that are compared at once
REPAIRS_MAX = 50_000
GIVEN_UP_MAX = 10_000  # events that the indexer gave up on, the last ones
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

    def __init__(self, collection: Collection, log: Store, services: Services, said: VerifyKnowledge) -> None:
        self._collection = collection
        self._log = log
        self._services = services
        self._said = said
        self._into = collection.generations.searching
        self._blank = Built(self._into.record, _NoVectors(self._into.embedder.dims), self._into.given_model)
        self._expected: dict[Key, str] = {}  # digests
        self._given: dict[Key, bytes] = {}  # vectors that came with their events
        self._at: dict[int, int] = {}
        self._given_up: set[str] = (
            set()
        )  # events that the indexer could not take in: the index is right not to have them
        self.closed: Callable[[int], AbstractAsyncContextManager[None]] = lambda _: collection.generations.gate.closed(
            GATE_S
        )
        if collection.past is None:
            raise Refused("this collection has no past to compare with", "run the app with settings")
        self._should = collection.past.empty(self._into)

    async def run(self, ends: Ends) -> Verified:
        """Compare, and mend if that is asked for."""
        through = {partition: low for partition, (low, _) in ends.items()}
        given_up = RunFilter(agent=INDEXER, status="failed", limit=GIVEN_UP_MAX)
        self._given_up = {event_of(each.run_id)[0] for each in await self._log.runs(given_up)}
        await self._take(through)
        self._expected = await self._expect()
        await self._services.committer.durable()  # what is done is not always there yet
        known = await self._known()
        moving = await self._take(dict.fromkeys(through))
        found = [each for each in self._compared(known) if (each.tenant, each.id) not in moving]
        bad = {(each.tenant, each.id) for each in found}
        deep = [key for key in sorted(self._expected) if key not in bad and key not in moving and key in known]
        deep = deep[:: max(1, len(deep) // max(1, self._said.deep_max))][: self._said.deep_max]
        found += await self._looked_into(deep)
        verified = Verified(
            self._collection.name, self._into.number, point_of(through, self._collection.generations.partitions)
        )
        verified.passages, verified.deep, verified.moving = len(self._expected), len(deep), len(moving)
        verified.count(found)
        if self._said.repair and found:
            verified.repaired = await self._repair(found, moving)
        return verified

    async def _take(self, through: Mapping[int, int | None]) -> set[Key]:
        """Bring what should be there on, and return which passages that touched."""
        touched: set[Key] = set()
        for partition, last in sorted(through.items()):  # the first one has what came before there were others
            async for page in self._pages(partition, self._at.get(partition, 0), last):
                for tenant, events in self._by_tenant(page).items():
                    touched |= await self._taken(tenant, events)
                self._at[partition] = page[-1].position.offset
        return touched

    async def _taken(self, tenant: str, events: list[KnowledgeEvent]) -> set[Key]:
        space, touched = Space(self._collection.name, tenant), set[Key]()
        for write in await self._made(events, space):
            key = (tenant, _id(write))
            touched.add(key)
            self._given.pop(key, None)
            if isinstance(write, Upsert) and write.vector is not None and any(write.vector):
                self._given[key] = write.vector
            await self._should.apply([write])
        return touched

    async def _expect(self) -> dict[Key, str]:
        spaces = self._should.index.spaces
        assert spaces is not None, "an index that is kept nowhere has them"
        expected = {
            (space.tenant, key): digest
            for space in await spaces.spaces(self._collection.name)
            for key, digest in (await self._should.index.vectors.digests(space)).items()
        }
        if len(expected) > PASSAGES_MAX:
            hint = "build the collection anew: penstock knowledge rebuild"
            raise LimitReached("the number of passages compared", len(expected), PASSAGES_MAX, hint)
        return expected

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

    async def _repair(self, found: Sequence[Difference], moving: set[Key]) -> int:
        """Write what should be there, and return how many passages that were."""
        if len(found) > REPAIRS_MAX:
            hint = "build the collection anew: penstock knowledge rebuild"
            raise LimitReached("the number of passages to mend", len(found), REPAIRS_MAX, hint)
        writes: dict[Key, IndexWrite] = {}
        for tenant in sorted({each.tenant for each in found}):
            ids = [each.id for each in found if each.tenant == tenant]
            writes.update({(tenant, each): Delete(self._space(tenant), each) for each in ids})
            should = await self._should.index.vectors.passages(Space(self._collection.name, tenant), ids)
            vectors = await self._into.embedder.embed([each.text for each in should.values()], purpose="passage")
            for passage, vector in zip(should.values(), vectors, strict=True):
                key = (tenant, passage.id)
                writes[key] = Upsert(self._space(tenant), passage, self._given.get(key, vector.tobytes()))
        generations = self._collection.generations
        async with self.closed(0):
            await self._services.committer.durable()
            moved = moving | await self._take(dict.fromkeys(self._at))
            if generations.writing.number != self._into.number:
                raise Refused("another generation took over meanwhile", "verify again")
            mended = [write for key, write in writes.items() if key not in moved]
            if self._collection.index.checks is not None:
                await self._collection.index.checks.require(mended)
                mended = await self._collection.index.checks.prepared(mended)
            if self._collection.index.in_store:
                self._services.committer.add().index.extend(mended)
                await self._services.committer.durable()
            else:
                await self._collection.apply(mended)
        return len(mended)

    async def _made(self, events: list[KnowledgeEvent], space: Space) -> list[IndexWrite]:
        try:
            return (await read_into(events, space, self._blank, self._should)).writes
        except (Invalid, LimitReached, Refused):
            if len(events) == 1:  # it could not be indexed, either
                return []
        found: list[IndexWrite] = []
        for each in events:
            made = await self._made([each], space)
            await self._should.apply(made)
            found += made
        return found

    def _by_tenant(self, page: Sequence[Recorded]) -> dict[str, list[KnowledgeEvent]]:
        found: dict[str, list[KnowledgeEvent]] = {}
        for each in page:
            if each.event.type not in KnowledgeEvent.reads_() or is_gone(each.event.data):
                continue
            if each.event.id not in self._given_up:
                event = KnowledgeEvent.decoded_as(each.event.type, each.event.data)
                if self._collection.takes(event):
                    found.setdefault(each.event.tenant, []).append(event)
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
