"""A collection as it was: an index in memory, made from the log up to a point, and brought on from there to later points.

- It is made by what the indexer does with events, so that the answers are those that a collection gives that never saw more.
- It costs what indexing these events costs, once: later questions bring it on from where it is. So the points of a replay, which
  only grow, cost one pass through the log together. It is bounded, and beyond that an error says so.
- What the log has let go cannot be seen: then an error says from where on it can.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from msgspec import structs

from penstock.core.agents.journal import decode_value
from penstock.core.agents.unit import RunChange
from penstock.core.events.envelope import Recorded
from penstock.core.events.subjects import is_gone
from penstock.core.knowledge.as_of import NOT_SAID, AsOf
from penstock.core.knowledge.events import KnowledgeEvent
from penstock.core.knowledge.generations import begin
from penstock.core.knowledge.passages import Passage, Space
from penstock.errors import Finding, Invalid, LimitReached, Missing, Refused
from penstock.ports.state import StoredRun
from penstock.runtime.collection import Collection, Found, Index, PastEvents, Search
from penstock.runtime.generations import Built, Generations, ValueReader, let_go_up_to
from penstock.runtime.index_writes import read_into
from penstock.runtime.tasks import Tasks

TOPIC = KnowledgeEvent.topic_
PARTITION = 0
PAGE = 512
EVENTS_MAX = 500_000  # between two points
KEPT_MAX = 2  # points that are kept for later questions


def before_ms(change: RunChange) -> int:
    """Return the last moment before a run's last attempt began."""
    return change.at_ms - ceil(change.duration_ms) - 1


@dataclass(slots=True)
class _Point:
    """An index that has the log up to an offset."""

    into: Built
    collection: Collection
    at: int = 0


class Past:
    """One collection's past."""

    def __init__(
        self,
        now: Collection,
        history: PastEvents,
        scratch: Callable[[], Index],
        tasks: Tasks,
        values: ValueReader | None = None,
    ) -> None:
        self._now = now
        self._history = history
        self._scratch = scratch
        self._tasks = tasks
        self._values = values
        self._points: list[_Point] = []  # the one that was used last is the last
        self._turn = asyncio.Lock()

    def empty(self, asked: Built) -> Collection:
        """Return the collection as it was before its first event, to bring on by hand."""
        return self._new(asked).collection

    async def forget(self) -> None:
        """Keep no point: what is in them may have to be gone."""
        async with self._turn:
            self._points.clear()

    def over(self, history: PastEvents) -> "Past":
        return Past(self._now, history, self._scratch, self._tasks)

    async def search(self, search: Search, tenant: str) -> list[Found]:
        """Return what a search finds in the collection as it was."""
        assert search.as_of is not None
        async with self._turn:
            point = await self._reached(await self.offset(search.as_of), self._now.generations.asked(search.generation))
            found = await point.collection.search(structs.replace(search, as_of=None, generation=None), tenant)
        return [structs.replace(each, generation=point.into.number, as_of=point.at) for each in found]

    async def digests(self, as_of: AsOf, tenant: str) -> Mapping[str, str]:
        """Return id -> digest of all passages that there were."""
        async with self._turn:
            point = await self._reached(await self.offset(as_of), self._now.generations.searching)
            return await point.collection.digests(tenant)

    async def passages(self, as_of: AsOf, tenant: str) -> tuple[int, list[Passage]]:
        """Return all passages that there were, and up to which event that is."""
        async with self._turn:
            point = await self._reached(await self.offset(as_of), self._now.generations.searching)
            ids = sorted(await point.collection.digests(tenant))
            found = await point.collection.passages(ids, tenant)
            return point.at, [found[each] for each in ids if each in found]

    async def moment_ms(self, as_of: AsOf) -> int:
        """Return the time of a point: what is said of it elsewhere counts up to then (at least 1: 0 is before all)."""
        if as_of.time_ms >= 0:
            return max(1, as_of.time_ms)
        if as_of.run and (stored := await self._history.run(as_of.run)) is not None:
            return max(1, before_ms(stored.change))
        offset = await self.offset(as_of)
        last = await self._next(offset) if offset else None
        return 1 if last is None else max(1, last.event.time_ms)

    async def offset(self, as_of: AsOf) -> int:
        """Return the last event that counts; `Missing` for a run that is not known, `Refused` for what the log has let go."""
        offset, time_ms = as_of.offset, as_of.time_ms
        if as_of.run:
            stored = await self._history.run(as_of.run)
            if stored is None:
                raise Missing(f"the run {as_of.run!r}", "see `penstock runs list`")
            time_ms, offset = before_ms(stored.change), self._seen_by(stored)
        if offset < 0:
            offset = await self._last_by(time_ms)
        elif offset and not await self._history.read(TOPIC, PARTITION, after=offset - 1, limit=1):
            raise Invalid(
                "the search", (Finding("as_of", f"is {offset}, and the log ends before", "ask without as_of"),)
            )
        gone = await self._let_go()
        if offset < gone:
            hint = f"the log of it was let go up to {gone}: ask for that or a later one, or keep more (Retention(topics=...))"
            raise Refused(f"knowledge as of offset {offset} is not kept", hint)
        return offset

    def _seen_by(self, stored: StoredRun) -> int:
        """Return up to which event a run saw this collection, as what it found says; `NOT_SAID` when it found nothing."""
        for each in stored.records:
            if each.step.startswith(f"search:{self._now.name}#"):
                found = decode_value(each.value, list[Found])
                if found and found[0].as_of:
                    return found[0].as_of
        return NOT_SAID

    async def _let_go(self) -> int:
        return 0 if self._values is None else await let_go_up_to(self._values, PARTITION)

    async def _last_by(self, time_ms: int) -> int:
        """Return the last offset whose event was appended by then: times grow with the offsets, unless a clock is set."""
        low, high = 0, 1
        while (found := await self._next(high)) is not None and found.event.time_ms <= time_ms:
            low, high = found.position.offset, 2 * found.position.offset
        while low + 1 < high:
            middle = (low + high) // 2
            found = await self._next(middle)
            if found is not None and found.event.time_ms <= time_ms:
                low = max(found.position.offset, middle)
            else:
                high = middle
        return low

    async def _next(self, offset: int) -> Recorded | None:
        """Return the first event from an offset on."""
        page = await self._history.read(TOPIC, PARTITION, after=offset - 1, limit=1)
        return page[0] if page else None

    async def _reached(self, offset: int, asked: Built) -> _Point:
        """Return an index that has the log up to there and no further."""
        usable = [each for each in self._points if each.at <= offset and each.into.number == asked.number]
        point = max(usable, key=lambda each: each.at, default=None) or self._new(asked)
        if offset - point.at > EVENTS_MAX:
            hint = "ask for an earlier point first, or search a generation that is kept"
            raise LimitReached("the number of events that an index of the past is made from", offset, EVENTS_MAX, hint)
        if point in self._points:
            self._points.remove(point)
        while point.at < offset:
            page = await self._history.read(TOPIC, PARTITION, after=point.at, limit=min(PAGE, offset - point.at))
            page = [each for each in page if each.position.offset <= offset]
            await self._take(point, page)
            point.at = page[-1].position.offset if page else offset
        self._points = [*self._points, point][-KEPT_MAX:]
        return point

    def _new(self, asked: Built) -> _Point:
        first = begin(asked.record.embedder, asked.record.model, 0)
        generations = Generations(self._now.name, first, {1: asked.embedder}, stored=True)
        return _Point(asked, Collection(self._now.name, self._scratch(), generations, self._tasks))

    async def _take(self, point: _Point, page: Sequence[Recorded]) -> None:
        by_tenant: dict[str, list[KnowledgeEvent]] = {}
        for each in page:
            if each.event.type in KnowledgeEvent.reads_() and not is_gone(each.event.data):
                event = KnowledgeEvent.decoded_as(each.event.type, each.event.data)
                if self._now.takes(event):
                    by_tenant.setdefault(each.event.tenant, []).append(event)
        for tenant, events in by_tenant.items():
            await self._apply(point, events, Space(self._now.name, tenant, point.collection.generations.writing.number))

    async def _apply(self, point: _Point, events: list[KnowledgeEvent], space: Space) -> None:
        try:
            changed = await read_into(events, space, point.into, point.collection)
            await point.collection.apply(changed.writes)
        except (Invalid, LimitReached, Refused):
            if len(events) > 1:  # one of them could not be indexed then, either
                for each in events:
                    await self._apply(point, [each], space)
