"""A collection as it was: an index in memory, made from the log up to a point, and brought on from there to later points.

- It is made by what the indexer does with events, so that the answers are those that a collection gives that never saw more.
- It costs what indexing these events costs, once: later questions bring it on from where it is. So the points of a replay, which
  only grow, cost one pass through the log together. It is bounded, and beyond that an error says so.
- What the log has let go cannot be seen: then an error says from where on it can.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from msgspec import structs

from penstock.core.agents.journal import decode_value
from penstock.core.agents.unit import RunChange
from penstock.core.events.envelope import Recorded
from penstock.core.events.subjects import is_gone
from penstock.core.knowledge.as_of import NOT_SAID, AsOf
from penstock.core.knowledge.changes import has_expired
from penstock.core.knowledge.events import KnowledgeEvent
from penstock.core.knowledge.generations import begin
from penstock.core.knowledge.ordering import Cut, Point, cut_of, point_of
from penstock.core.knowledge.passages import Passage, Space
from penstock.errors import Finding, Invalid, LimitReached, Missing, Refused
from penstock.ports.state import StoredRun
from penstock.runtime.collection import Collection, Found, Index, PastEvents, Search
from penstock.runtime.generations import Built, Generations, ValueReader, let_go_up_to
from penstock.runtime.index_writes import read_into
from penstock.runtime.tasks import Tasks

TOPIC = KnowledgeEvent.topic_
PAGE = 512
EVENTS_MAX = 500_000  # between two points
KEPT_MAX = 2  # points that are kept for later questions


def before_ms(change: RunChange) -> int:
    """Return the last moment before a run's last attempt began."""
    return change.at_ms - ceil(change.duration_ms) - 1


@dataclass(slots=True)
class _Point:
    """An index that has the log up to an offset of each partition."""

    into: Built
    collection: Collection
    at: dict[int, int] = field(default_factory=dict[int, int])  # by partition


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
        self.hears: Callable[[], bool] = _always  # whether this process is told when somebody is forgotten

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
            point = await self._reached(await self.cut(search.as_of), self._now.generations.asked(search.generation))
            point.collection.now_ms = await self._clock_of(search.as_of)
            found = await point.collection.search(structs.replace(search, as_of=None, generation=None), tenant)
        as_of = self._said(point)
        return [structs.replace(each, generation=point.into.number, as_of=as_of) for each in found]

    async def digests(self, as_of: AsOf, tenant: str) -> Mapping[str, str]:
        """Return id -> digest of all passages that there were."""
        async with self._turn:
            point = await self._reached(await self.cut(as_of), self._now.generations.searching)
            return await point.collection.digests(tenant)

    async def passages(self, as_of: AsOf, tenant: str) -> tuple[Point, list[Passage]]:
        """Return all passages that there were, and up to where that is."""
        async with self._turn:
            point = await self._reached(await self.cut(as_of), self._now.generations.searching)
            ids = sorted(await point.collection.digests(tenant))
            found, now_ms = await point.collection.passages(ids, tenant), (await self._clock_of(as_of))()
            there = [found[each] for each in ids if each in found]
            return self._said(point), [each for each in there if not has_expired(each.metadata, now_ms)]

    async def _clock_of(self, as_of: AsOf) -> Callable[[], int]:
        """Return what says the time of a point: what had expired by then was not found, though its removal came later."""
        moment_ms = await self.moment_ms(as_of)
        return lambda: moment_ms

    async def moment_ms(self, as_of: AsOf) -> int:
        """Return the time of a point: what is said of it elsewhere counts up to then (at least 1: 0 is before all)."""
        if as_of.time_ms >= 0:
            return max(1, as_of.time_ms)
        if as_of.run and (stored := await self._history.run(as_of.run)) is not None:
            return max(1, before_ms(stored.change))
        latest = 1
        for partition, offset in (await self.cut(as_of)).items():
            last = await self._next(partition, offset) if offset else None
            latest = latest if last is None else max(latest, last.event.time_ms)
        return latest

    async def cut(self, as_of: AsOf) -> dict[int, int]:
        """Return the last event that counts of each partition; `Missing` for an unknown run, `Refused` for what is gone."""
        said, time_ms = as_of.cut or as_of.offset, as_of.time_ms
        if as_of.run:
            stored = await self._history.run(as_of.run)
            if stored is None:
                raise Missing(f"the run {as_of.run!r}", "see `penstock runs list`")
            time_ms, said = before_ms(stored.change), self._seen_by(stored)
        partitions = range(self._now.generations.partitions)
        if said == NOT_SAID:
            cut = {each: await self._last_by(each, time_ms) for each in partitions}
        else:
            cut = cut_of(said, partitions)
            for partition, offset in cut.items():
                if offset and not await self._history.read(TOPIC, partition, after=offset - 1, limit=1):
                    problem = f"is {said}, and the log ends before"
                    raise Invalid("the search", (Finding("as_of", problem, "ask without as_of"),))
        for partition, offset in cut.items():
            await self._require_kept(partition, offset)
        return cut

    async def _require_kept(self, partition: int, offset: int) -> None:
        gone = 0 if self._values is None else await let_go_up_to(self._values, partition)
        if offset < gone:
            where = f" of partition {partition}" if partition else ""
            later = "ask for that or a later one, or keep more (Retention(topics=...))"
            hint = f"the log of it was let go up to {gone}{where}: {later}"
            raise Refused(f"knowledge as of offset {offset}{where} is not kept", hint)

    def _seen_by(self, stored: StoredRun) -> Point:
        """Return up to where a run saw this collection, as what it found says; `NOT_SAID` when it found nothing."""
        for each in stored.records:
            if each.step.startswith(f"search:{self._now.name}#"):
                found = decode_value(each.value, list[Found])
                if found and found[0].as_of:
                    return found[0].as_of
        return NOT_SAID

    def _said(self, point: "_Point") -> Point:
        return point_of(point.at, self._now.generations.partitions)

    async def _last_by(self, partition: int, time_ms: int) -> int:
        """Return the last offset whose event was appended by then: times grow with the offsets, unless a clock is set."""
        low, high = 0, 1
        while (found := await self._next(partition, high)) is not None and found.event.time_ms <= time_ms:
            low, high = found.position.offset, 2 * found.position.offset
        while low + 1 < high:
            middle = (low + high) // 2
            found = await self._next(partition, middle)
            if found is not None and found.event.time_ms <= time_ms:
                low = max(found.position.offset, middle)
            else:
                high = middle
        return low

    async def _next(self, partition: int, offset: int) -> Recorded | None:
        """Return the first event of a partition from an offset on."""
        page = await self._history.read(TOPIC, partition, after=offset - 1, limit=1)
        return page[0] if page else None

    async def _reached(self, cut: Cut, asked: Built) -> _Point:
        """Return an index that has the log up to there and no further."""
        if not self.hears():
            self._points.clear()
        usable = [each for each in self._points if each.into.number == asked.number and self._leads_to(each.at, cut)]
        point = max(usable, key=lambda each: sum(each.at.values()), default=None) or self._new(asked)
        if (events := sum(cut.values()) - sum(point.at.values())) > EVENTS_MAX:
            hint = "ask for an earlier point first, or search a generation that is kept"
            raise LimitReached("the number of events that an index of the past is made from", events, EVENTS_MAX, hint)
        if point in self._points:
            self._points.remove(point)
        for partition, offset in sorted(cut.items()):  # the first one has what came before there were others
            await self._bring_on(point, partition, offset)
        self._points = [*self._points, point][-KEPT_MAX:]
        return point

    def _leads_to(self, at: Cut, cut: Cut) -> bool:
        """Whether a point can be brought on to another: it is before it, and lacks nothing that came before what it has."""
        has_first = at.get(0, 0) >= min(cut.get(0, 0), self._now.generations.divided_at)
        is_first = not any(offset for partition, offset in at.items() if partition)
        return (has_first or is_first) and all(offset <= cut.get(partition, 0) for partition, offset in at.items())

    async def _bring_on(self, point: _Point, partition: int, offset: int) -> None:
        while (after := point.at.get(partition, 0)) < offset:
            read = await self._history.read(TOPIC, partition, after=after, limit=min(PAGE, offset - after))
            page = [each for each in read if each.position.offset <= offset]
            await self._take(point, page)
            point.at[partition] = page[-1].position.offset if page else offset

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


def _always() -> bool:
    """Stand in for a process that is alone with its store."""
    return True
