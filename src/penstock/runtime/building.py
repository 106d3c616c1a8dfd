"""From the log into a generation that does not serve: a page of events at a time, in order, from where it was.

- What a page comes to and how far the generation is are one commit where the index lies in the store; elsewhere the passages come
  first, and are idempotent. So a build goes on after a kill where it was.
- A page is worked on under the generation's turn, and dropped when it is not to follow any more: nothing of it is written late.
- An event that cannot be indexed is left out, and counted: it harms nothing but itself, as in the indexer (C6).
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from penstock.core.events.envelope import Recorded
from penstock.core.events.subjects import is_gone
from penstock.core.knowledge.events import KnowledgeEvent
from penstock.core.knowledge.generations import FOLLOWING
from penstock.core.knowledge.passages import IndexWrite, Space
from penstock.errors import Invalid, LimitReached, Missing, Refused, Unavailable
from penstock.ports.store import Store
from penstock.runtime.appending import Appender
from penstock.runtime.collection import Collection
from penstock.runtime.generations import Built, let_go_up_to
from penstock.runtime.index_writes import read_into
from penstock.runtime.services import Services

PAGE = 256
PAGE_MIN = 8
STEP_S = 0.25  # how long a page should take: whoever wants the generation's turn waits for it
NEAR = 1_000  # events that a build may lack while it is held to be near the end
WAIT_S = 0.5  # before an embedder that did not answer is asked again; doubled each time
WAIT_MAX_S = 60.0
TOPIC = KnowledgeEvent.topic_
_log = logging.getLogger("penstock")


@dataclass(slots=True)
class Pace:
    """How one generation comes along."""

    page: int = PAGE
    passages: int = 0  # written since this process began
    per_s: float = 0.0
    due_s: float = 0.0  # before that time of the clock others are first
    left_out: int = 0
    reason: str = ""  # why the last one was left out
    outage: str = ""  # what did not answer
    wait_s: float = 0.0


class Building:
    """Brings generations of one collection on."""

    def __init__(self, collection: Collection, store: Store, services: Services, appender: Appender) -> None:
        self._collection = collection
        self._generations = collection.generations
        self.store = store
        self._services = services
        self.appender = appender
        self.elsewhere: dict[int, int] = {}  # where the log of partitions of other workers ends
        self.on_step: Callable[[int], object] = _nobody
        self._goals: dict[int, dict[int, int]] = {}  # by partition, what a generation must have to be ready
        self._turns: dict[int, asyncio.Lock] = {}
        self._paces: dict[int, Pace] = {}

    def turn(self, number: int) -> asyncio.Lock:
        """Who has it is the only one who brings the generation on."""
        return self._turns.setdefault(number, asyncio.Lock())

    def pace(self, number: int) -> Pace:
        if number not in self._paces:
            # A slow model is not to be at one page for minutes.
            is_slow = any(each.number == number and each.refines for each in self._generations.catalogue.generations)
            self._paces[number] = Pace(page=PAGE_MIN if is_slow else PAGE)
        return self._paces[number]

    def at(self, number: int) -> dict[int, int]:
        """Return, by partition, up to which offset a generation has the log; of those of others, as far as is known."""
        known = self._generations.positions.get(number, {})
        return {each: known.get(each, 0) for each in range(self.appender.partitions)}

    def ends(self) -> dict[int, int]:
        """Return, by partition, where the log ends."""
        owned = self.appender.owned
        return {
            each: self.appender.end(TOPIC, each) if each in owned else self.elsewhere.get(each, 0)
            for each in range(self.appender.partitions)
        }

    def has_caught_up(self, number: int) -> bool:
        """Whether a generation has all that any partition had when it was near the end for the first time.

        While others write it may never be at the end itself: there is always one event more.
        """
        at, owned = self.at(number), self.appender.owned
        if number not in self._goals:
            ends = self.ends()
            is_known = all(each in owned or each in self.elsewhere for each in ends)
            if not is_known or sum(ends.values()) - sum(at.values()) > NEAR:
                return False
            self._goals[number] = ends
        return all(at[each] >= end for each, end in self._goals[number].items())

    async def step(self, number: int) -> bool:
        """Take in one page of each partition; False when there was nothing. For who has the turn."""
        clock, pace = self._services.clock, self.pace(number)
        began_s, moved = clock.monotonic_s(), False
        for partition, after in self.at(number).items():
            if partition not in self.appender.owned:
                continue
            if partition and not self._has_first(number):
                continue
            page = await self.store.read(TOPIC, partition, after=after, limit=self._page(number))
            if page:
                if page[0].position.offset > after + 1:
                    await self._require_kept(partition, after)
                count = await self._take(number, partition, page)
                if count is None:
                    return False
                moved, pace.passages = True, pace.passages + count
                self._paced(number, count, clock.monotonic_s() - began_s)
                began_s = clock.monotonic_s()
        if self.appender.owned:
            self.on_step(number)
        return moved

    def _has_first(self, number: int) -> bool:
        """Whether a generation has what came before the log was divided: later events about it lie in other partitions."""
        at = self._generations.positions.get(number, {})
        return at.get(0, 0) >= self._generations.divided_at

    async def _require_kept(self, partition: int, after: int) -> None:
        """Say so where the log was let go before a generation had it; one that begins may have been asked for `partial`ly."""
        gone = await let_go_up_to(self.store, partition)
        if after and gone > after:
            hint = "drop it, and build it anew with what the log has: penstock knowledge build --partial"
            raise Refused(
                f"the log of knowledge was let go up to offset {gone:,}, and a generation is at {after:,}", hint
            )

    async def _take(self, number: int, partition: int, page: Sequence[Recorded]) -> int | None:
        """Take in a page, and return how many passages it came to; None when the generation is not to follow any more."""
        generations, committer = self._generations, self._services.committer
        writes = await self._writes(page, generations.built(number))
        if generations.catalogue.find(number).status not in FOLLOWING or partition not in self.appender.owned:
            return None
        if not self._collection.index.in_store:
            await self._collection.apply(writes)
            if partition not in self.appender.owned:
                return None
        unit = committer.add()
        if self._collection.index.in_store:
            unit.index.extend(writes)
        generations.positions.setdefault(number, {})[partition] = page[-1].position.offset
        unit.values.append(generations.positions_value(partition))
        await committer.durable()
        return len(writes)

    def _paced(self, number: int, count: int, took_s: float) -> None:
        """Leave time to others: as much as a page of a build took, or as its rate says."""
        pace, record = self.pace(number), self._generations.catalogue.find(number)
        if took_s > 0:
            pace.page = max(PAGE_MIN, min(PAGE, int(pace.page * STEP_S / took_s)))
        if record.status == "building" or record.refines:  # a slow model would have a core for itself
            rest_s = max(took_s, count / record.per_s - took_s) if record.per_s else took_s
            pace.per_s = count / (took_s + rest_s) if took_s + rest_s > 0 else 0.0
            pace.due_s = self._services.clock.monotonic_s() + rest_s

    def _page(self, number: int) -> int:
        per_s = self._generations.catalogue.find(number).per_s
        return max(1, min(self.pace(number).page, int(per_s))) if per_s else self.pace(number).page

    async def _writes(self, page: Sequence[Recorded], into: Built) -> list[IndexWrite]:
        """Return what a page comes to, each tenant's events in their order."""
        by_tenant: dict[str, list[KnowledgeEvent]] = {}
        for recorded in page:
            event = self._read(recorded, into.number)
            if event is not None and self._collection.takes(event):
                by_tenant.setdefault(recorded.event.tenant, []).append(event)
        writes: list[IndexWrite] = []
        for tenant, events in by_tenant.items():
            writes += await self._of_tenant(events, Space(self._collection.name, tenant, into.number), into)
        return writes

    async def _of_tenant(self, events: list[KnowledgeEvent], space: Space, into: Built) -> list[IndexWrite]:
        try:
            return await self._patiently(events, space, into)
        except (Invalid, LimitReached, Missing, Refused) as error:
            if len(events) == 1:
                self._leave_out(into.number, error)
                return []
        good: list[KnowledgeEvent] = []
        for each in events:  # one of them is to blame
            try:
                await self._patiently([each], space, into)
                good.append(each)
            except (Invalid, LimitReached, Missing, Refused) as error:
                self._leave_out(into.number, error)
        # Together: a later one about a document must see what an earlier one made of it.
        return await self._patiently(good, space, into)

    async def _patiently(self, events: list[KnowledgeEvent], space: Space, into: Built) -> list[IndexWrite]:
        """Embed, and ask again for as long as the generation is to follow: an embedder may be away for hours."""
        pace = self.pace(into.number)
        while True:
            try:
                found = (await read_into(events, space, into, self._collection)).writes
            except Unavailable as error:
                if self._generations.catalogue.find(into.number).status not in FOLLOWING:
                    return []
                pace.outage = str(error)
                pace.wait_s = min(WAIT_MAX_S, 2 * pace.wait_s or WAIT_S)
                await self._services.clock.sleep(pace.wait_s)
            else:
                pace.outage, pace.wait_s = "", 0.0
                return found

    def _read(self, recorded: Recorded, number: int) -> KnowledgeEvent | None:
        if recorded.event.type not in KnowledgeEvent.reads_() or is_gone(recorded.event.data):
            return None
        try:
            return KnowledgeEvent.decoded_as(recorded.event.type, recorded.event.data)
        except Invalid as error:
            self._leave_out(number, error)
            return None

    def _leave_out(self, number: int, error: Exception) -> None:
        pace = self.pace(number)
        pace.left_out += 1
        pace.reason = str(error)
        _log.warning("generation %d of %r leaves an event out: %s", number, self._collection.name, error)


def _nobody(number: int) -> None:
    """Stand in for who keeps the generations."""
