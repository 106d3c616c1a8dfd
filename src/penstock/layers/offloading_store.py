"""A layer: a store whose large values lie apart, each once. It wraps any store, and is itself one.

- What a commit brings is looked at for its size only; what is large goes into the same commit as a blob (B1).
- Whoever reads gets whole values. A blob that is missing or damaged is `Invalid` with the name of the run; in a page of the log
  the reference stays in the event's place, so that only the handling of that event fails, and says so.
- What is about somebody is sealed before it is seen how large it is, and opened when it is whole again (`sealing.py`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from msgspec.structs import replace

from penstock.core.agents.offload import offload, reference_in_step, whole_records
from penstock.core.agents.pieces import StreamChunk, StreamEnd
from penstock.core.agents.unit import DeadLetter, RunChange, Writes
from penstock.core.events.blobs import BLOB_BYTES_MIN, found_in, reference_in, whole
from penstock.core.events.envelope import Envelope, Recorded
from penstock.core.timing.timers import Place, Timer, TimerClock
from penstock.errors import Invalid
from penstock.layers.passing_store import PassingStore
from penstock.layers.sealing import Sealing, unreadable
from penstock.ports.clock import Clock
from penstock.ports.inbox import Waiting
from penstock.ports.state import ALL_DEAD, Claim, DeadFilter, RunCatalog, RunFilter, StoredRun
from penstock.ports.store import Store
from penstock.ports.streams import StreamStore

PAGE_BYTES_MAX = 32 * 1024 * 1024  # of large values in one page of the log


class ReadStore(RunCatalog, StreamStore, Protocol):
    """A store as people look at it."""

    async def run(self, run_id: str) -> StoredRun | None: ...
    async def timers(self, *, tenant: str | None = None, limit: int = 50) -> Sequence[Timer]: ...
    async def blobs(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]: ...
    async def values(self, tenant: str, agent: str, key: str) -> Mapping[str, bytes]: ...


class OffloadedCatalog:
    """What people look at, with whole values."""

    def __init__(self, inner: ReadStore, sealing: Sealing | None = None) -> None:
        self._read = inner
        self._sealing = sealing

    async def run(self, run_id: str) -> StoredRun | None:
        stored = await self._read.run(run_id)
        if stored is None:
            return None
        references = [reference_in(stored.change.result), *map(reference_in_step, stored.records)]
        if not any(references):
            return stored
        blobs = await self.blobs([each.digest for each in references if each is not None])
        change = replace(stored.change, result=whole(stored.change.result, blobs, f"the run {run_id}"))
        return replace(stored, change=change, records=whole_records(stored.records, blobs, run_id))

    async def runs(self, which: RunFilter) -> Sequence[RunChange]:
        found = await self._read.runs(which)
        blobs = await self._blobs_of(run.result for run in found)
        if blobs is None:
            return found
        return [replace(run, result=whole(run.result, blobs, f"the run {run.run_id}")) for run in found]

    async def dead_letters(self, which: DeadFilter = ALL_DEAD) -> Sequence[DeadLetter]:
        letters = await self._read.dead_letters(which)
        events = await self._events([letter.event for letter in letters])
        return [replace(letter, event=event) for letter, event in zip(letters, events, strict=True)]

    async def event(self, event_id: str) -> Recorded | None:
        recorded = await self._read.event(event_id)
        return None if recorded is None else (await self._events([recorded]))[0]

    async def origin(self, correlation_id: str) -> Sequence[Recorded]:
        return await self._events(await self._read.origin(correlation_id))

    async def values(self, tenant: str, agent: str, key: str) -> Mapping[str, bytes]:
        values = await self._read.values(tenant, agent, key)
        blobs = await self._blobs_of(values.values())
        if blobs is None:
            return values
        return {name: whole(body, blobs, f"{agent!r}, key {key!r}, value {name!r}") for name, body in values.items()}

    async def blobs(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        return await self._read.blobs(digests)

    async def timers(self, *, tenant: str | None = None, limit: int = 50) -> Sequence[Timer]:
        return await self._timers(await self._read.timers(tenant=tenant, limit=limit))

    async def pieces(
        self, tenant: str, run_id: str, name: str, *, from_offset: int, limit: int
    ) -> Sequence[StreamChunk]:
        return await self._read.pieces(tenant, run_id, name, from_offset=from_offset, limit=limit)

    async def streams(self, tenant: str, run_id: str) -> Sequence[StreamEnd]:
        return await self._read.streams(tenant, run_id)

    async def _timers(self, found: Sequence[Timer]) -> Sequence[Timer]:
        blobs = await self._blobs_of(each.event.data for each in found)
        if blobs is not None:
            found = [replace(each, event=_whole_event(each.event, blobs)) for each in found]
        if not any(each.event.subject for each in found):
            return found
        if self._sealing is None:
            return [replace(each, event=unreadable(each.event)) for each in found]
        return [replace(each, event=await self._sealing.opened_event(each.event)) for each in found]

    async def _events(self, found: Sequence[Recorded]) -> Sequence[Recorded]:
        blobs = await self._blobs_of(each.event.data for each in found)
        if blobs is not None:
            found = [Recorded(each.position, _whole_event(each.event, blobs)) for each in found]
        if self._sealing is not None:
            return await self._sealing.opened(found)
        if any(each.event.subject for each in found):
            return [Recorded(each.position, unreadable(each.event)) for each in found]
        return found

    async def _blobs_of(self, bodies: Iterable[bytes]) -> Mapping[bytes, bytes] | None:
        """Return the blobs that bodies refer to, as far as they are there; None when none of them refers to any."""
        references = [reference_in(body) for body in bodies]
        digests = {each.digest: None for each in references if each is not None}
        return await self.blobs(list(digests)) if digests else None


class OffloadingStore(OffloadedCatalog, PassingStore):
    """A `Store` that keeps what is larger than `bytes_min` as blobs.

    Events that are sent pass through: who receives them offloads them with his commit. Rows are as they are, with references.
    """

    def __init__(
        self, inner: Store, clock: Clock, *, bytes_min: int = BLOB_BYTES_MIN, sealing: Sealing | None = None
    ) -> None:
        OffloadedCatalog.__init__(self, inner, sealing)
        PassingStore.__init__(self, inner)
        self._clock = clock
        self._bytes_min = bytes_min

    async def read(self, topic: str, partition: int, *, after: int, limit: int) -> Sequence[Recorded]:
        return await self._events(_page(await self._inner.read(topic, partition, after=after, limit=limit)))

    async def submitted(
        self, partitions: Collection[int], *, limit: int, without: Collection[str] = ()
    ) -> Sequence[Waiting]:
        found = await self._inner.submitted(partitions, limit=limit, without=without)
        if self._sealing is None or not any(each.sent.event.subject for each in found):
            return found
        opened = [await self._sealing.opened_event(each.sent.event) for each in found]
        return [replace(each, sent=replace(each.sent, event=event)) for each, event in zip(found, opened, strict=True)]

    async def commit(self, claim: Claim, number: int, writes: Writes) -> None:
        if self._sealing is None:
            offload(writes, self._clock.now_ms(), self._bytes_min)
            await self._inner.commit(claim, number, writes)
            return
        await self._sealing.seal(writes)  # before it is seen how large it is
        offload(writes, self._clock.now_ms(), self._bytes_min)
        try:
            await self._inner.commit(claim, number, writes)
        except BaseException:
            self._sealing.lost()
            raise

    async def timers_due(
        self, clock: TimerClock, *, after: Place, limit: int, partitions: Sequence[int] | None = None
    ) -> Sequence[Timer]:
        return await self._timers(await self._inner.timers_due(clock, after=after, limit=limit, partitions=partitions))

    async def timer(self, id: str) -> Timer | None:
        found = await self._inner.timer(id)
        return None if found is None else (await self._timers([found]))[0]


def _page(found: Sequence[Recorded]) -> Sequence[Recorded]:
    """Return as many events as fit into memory together with their large values, one at least: the rest is read next."""
    size = 0
    for number, each in enumerate(found):
        reference = reference_in(each.event.data)
        size += 0 if reference is None else reference.size
        if size > PAGE_BYTES_MAX and number:
            return found[:number]
    return found


def _whole_event(event: Envelope, blobs: Mapping[bytes, bytes]) -> Envelope:
    reference = reference_in(event.data)
    if reference is None:
        return event
    try:
        return replace(event, data=found_in(blobs, reference, event.id))
    except Invalid:
        return event  # whoever decodes it says what is missing: `require_whole`
