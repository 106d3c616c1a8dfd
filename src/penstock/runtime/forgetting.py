"""Has all go that is about one subject of one tenant, and proves it. Each step can be done again, by a handling that begins anew.

- First nothing new comes of it: its keys seal no more, what is in memory goes in all workers, runs and timers are cancelled.
- Then what is stored goes: data of the log, what belongs to it, messages, values, passages in all generations, large values,
  lines of archives; and the keys, so that no copy of what was sealed can be read.
- Last the files are made anew, and looked through for what was said.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol

import msgspec

from penstock.core.agents.control import TOPIC as CONTROL_TOPIC
from penstock.core.agents.control import Cancel
from penstock.core.agents.forgetting import Checked, Receipt, SubjectGoes, Traces, signed_form
from penstock.core.agents.unit import ValueWrite
from penstock.core.events.envelope import Envelope, event_of, run_id
from penstock.core.events.event import Event
from penstock.core.events.subjects import LAST, OWNER, RETIRED, TALLY, is_gone, keys_in
from penstock.core.exports.lines import DeadLine, EventLine, JournalLine, Line, RunLine, StreamLine
from penstock.core.knowledge.generations import FOLLOWING
from penstock.errors import Missing, TimedOut
from penstock.ports.erasure import Erased
from penstock.ports.retention import ENDED
from penstock.ports.sealing import Subjects
from penstock.ports.store import Store
from penstock.ports.witness import Witness
from penstock.runtime.appending import Appender
from penstock.runtime.collection import Collection as Knowing
from penstock.runtime.forgetting_search import NEEDLE_BYTES_MIN, NEEDLES_MAX, Found, Looking
from penstock.runtime.forgotten_passages import (
    counted_passages,
    erased_passages,
    purged,
)
from penstock.runtime.services import Services
from penstock.runtime.tasks import Tasks
from penstock.runtime.topology import Topology

PAGE = 500
CLOCKS_APART_MS = 7 * 86_400_000  # a value may have been used by a clock that was ahead of this one
AT_ONCE = 100  # events that lose their data by one transaction
CALM_S = 60.0  # for runs to end that were cancelled
LOOK_S = 0.05
ROUNDS_MAX = 20
REASON = "its subject was forgotten"


class Front(Protocol):
    """What is asked of the engine."""

    async def send(self, event: Event, *, id: str | None = ..., tenant: str = ...) -> str: ...
    async def cancel_timer(self, timer_id: str, tenant: str) -> None: ...
    async def say_to_owner(self, said: Event, partition: int, tenant: str) -> bytes: ...


class Forgetter:
    """One engine's."""

    def __init__(
        self,
        topology: Topology,
        store: Store,
        services: Services,
        appender: Appender,
        subjects: Subjects,
        witness: Witness,
    ) -> None:
        self._topology = topology
        self._store = store
        self._services = services
        self._appender = appender
        self.subjects = subjects
        self.witness = witness
        self._looking = Looking(topology, store, services, subjects)
        self.front: Front | None = None
        self.app = ""
        self.asked: dict[tuple[str, str], str] = {}  # names in words of those whom somebody here asked to forget

    async def let_go(self, tenant: str, name: str) -> None:
        """Keep nothing in memory of what may be about a subject."""
        self.subjects.forget(tenant, name)
        self._services.memory.forget()
        for collection in self._services.collections.values():
            collection.recent.clear()
            if collection.past is not None:
                await collection.past.forget()
            for embedder in collection.generations.embedders.values():
                forget = getattr(embedder, "forget", None)
                if forget is not None:
                    forget()
            for each in collection.generations.catalogue.generations:
                if each.status in FOLLOWING:  # a page of a build that was read before: it is written before we go on
                    async with self._services.keepers[collection.name].turn(each.number):
                        pass

    async def forget(self, tenant: str, name: str, asked_by: Envelope) -> Receipt:
        """Do all of it, and return the receipt."""
        await self._retire(tenant, name)
        await self._everywhere(tenant, name)
        found = await self._calmed(tenant, name)
        await self._timers(tenant, name)
        ends = {f"{topic}/{partition}": last for (topic, partition), last in (await self._store.ends()).items()}
        erased, left = await self._erase(tenant, name, found)
        keys = await self._destroy(tenant, name)
        await self._everywhere(tenant, name)
        checked = await self._checked(tenant, name, found, purge=found.has_knowledge or "passages" in erased)
        receipt = Receipt(
            self.app, tenant, name, self._services.clock.now_ms(), asked_by.id, ends, erased, keys, checked, left
        )
        receipt = self._signed(receipt)
        last = msgspec.json.encode(receipt)
        unit = self._services.committer.add()
        unit.values.append(self._value(tenant, name, LAST, last))
        unit.values.append(self._value(tenant, name, TALLY, None))
        await self._services.committer.durable()
        self.asked.pop((tenant, name), None)
        return receipt

    async def last(self, tenant: str, name: str) -> Receipt | None:
        """Return the receipt of when a subject was forgotten last."""
        values = await self._store.values(tenant, OWNER, name)
        return msgspec.json.decode(values[LAST], type=Receipt) if LAST in values else None

    # nothing new

    async def _retire(self, tenant: str, name: str) -> None:
        """Have what is said from now on be sealed with other keys: it is not forgotten by this."""
        ids = sorted(keys_in(await self._store.values(tenant, OWNER, name)))
        unit = self._services.committer.add()
        unit.values.append(self._value(tenant, name, RETIRED, msgspec.msgpack.encode(ids)))
        await self._services.committer.durable()

    async def _everywhere(self, tenant: str, name: str) -> None:
        assert self.front is not None, "an engine that runs"
        await self.let_go(tenant, name)
        for partition in range(self._appender.partitions):
            if partition not in self._appender.owned:
                await self.front.say_to_owner(SubjectGoes(name=name), partition, tenant)

    async def _calmed(self, tenant: str, name: str) -> Found:
        """Cancel what is under way, until nothing is any more, and return what the log has then."""
        for _ in range(ROUNDS_MAX):
            await self._services.committer.durable()
            found = await self._looking.found(tenant, name)
            under_way = await self._under_way(found)
            if not under_way:
                return found
            assert self.front is not None, "an engine that runs"
            for each in under_way:
                if each is not None:
                    with suppress(Missing):
                        await self.front.send(Cancel(run_id=each, reason=REASON), tenant=tenant)
            await self._calm(found)
        raise TimedOut("the runs of a subject", CALM_S)

    async def _calm(self, found: Found) -> None:
        waited_s = 0.0
        while await self._under_way(found):
            if waited_s > CALM_S:
                raise TimedOut("the runs of a subject", CALM_S)
            await self._services.clock.sleep(LOOK_S)
            waited_s += LOOK_S

    async def _under_way(self, found: Found) -> list[str | None]:
        """Return the runs that have not ended; None for what cannot be cancelled and ends by itself, as batches do."""
        await self._services.committer.durable()
        progress, ids = await self._store.progress(), list(found.ids)
        open_runs: dict[str, None] = {}
        ends_by_itself = False
        for start in range(0, len(ids), AT_ONCE):
            for run in (await self._store.rows_of(ids[start : start + AT_ONCE])).runs:
                if run.status not in ENDED and event_of(run.run_id)[0] in found.ids:
                    open_runs[run.run_id] = None
                elif run.status not in ENDED:
                    ends_by_itself = True
        for event_id, (topic, partition, offset, type_) in found.ids.items():
            kind = self._topology.of_type(type_)
            for agent in () if kind is None else self._topology.takers(kind.event):
                done = progress.get((agent.name, topic, partition))
                if done is None or offset not in done:
                    if agent.options.batch or topic == CONTROL_TOPIC:
                        ends_by_itself = True
                    else:
                        open_runs[run_id(event_id, agent.name)] = None
        return [*open_runs, *([None] if ends_by_itself else [])]

    async def _timers(self, tenant: str, name: str) -> None:
        assert self.front is not None, "an engine that runs"
        async for rows in self._looking.rows("timers"):
            for write in rows.timers:
                assert write.timer is not None, "a timer that is stored is there"
                event = write.timer.event
                if event.tenant == tenant and event.subject == name:
                    with suppress(Missing):  # it fired meanwhile
                        await self.front.cancel_timer(write.id, tenant)

    # what is stored

    async def _erase(self, tenant: str, name: str, found: Found) -> tuple[Mapping[str, int], Mapping[str, int]]:
        erased = await self._tally(tenant, name)
        ids = list(found.ids)
        for start in range(0, len(ids), AT_ONCE):
            erased = await self._counted(
                tenant, name, erased, await self._store.erase_events(ids[start : start + AT_ONCE])
            )
        state = dict((await self._store.erase_state(tenant, name)).counts)
        left = {"values of several": state.pop("shared")} if "shared" in state else {}
        erased = await self._counted(tenant, name, erased, Erased(state))
        if self._services.collections:
            await self._everywhere(
                tenant, name
            )  # builds of other workers read nothing any more that was erased just now
        for collection in self._services.collections.values():
            keeper = self._services.keepers[collection.name]
            await keeper.look()
            gone = await erased_passages(
                collection, keeper, self._services, partial(self._looking.is_named, tenant, name), tenant
            )
            erased = await self._counted(tenant, name, erased, Erased({"passages": gone} if gone else {}))
        erased = await self._counted(tenant, name, erased, await self._blobs())
        lines = await self._archived(tenant, name, set(ids))
        erased = await self._counted(tenant, name, erased, Erased({"lines of the archive": lines} if lines else {}))
        return erased.counts, left

    async def _blobs(self) -> Erased:
        """Remove large values that nothing refers to any more."""
        removed, after = 0, b""
        while True:
            before_ms = self._services.clock.now_ms() + CLOCKS_APART_MS
            swept = await self._store.sweep_blobs(before_ms=before_ms, after=after, limit=PAGE)
            removed, after = removed + swept.removed, swept.after
            if not after:
                return Erased({"large values": removed} if removed else {})

    async def _archived(self, tenant: str, name: str, ids: Collection[str]) -> int:
        mine = set(ids)

        def noted(line: Line) -> bool:
            if isinstance(line, EventLine) and line.event.tenant == tenant and line.event.subject == name:
                mine.add(line.event.id)
            return True

        def is_kept(line: Line) -> bool:
            match line:
                case EventLine():
                    return line.event.id not in mine
                case RunLine() | JournalLine() | StreamLine() | DeadLine():
                    return event_of(line.run_id)[0].partition("+")[0] not in mine
                case _:
                    return True

        await self.witness.archived(noted)
        return await self.witness.archived(is_kept)

    async def _destroy(self, tenant: str, name: str) -> int:
        """Destroy the keys that were retired; those that came meanwhile stay."""
        values = await self._store.values(tenant, OWNER, name)
        retired = msgspec.msgpack.decode(values.get(RETIRED, b"\x90"), type=list[bytes])
        unit = self._services.committer.add()
        for key_id in retired:
            unit.values.append(self._value(tenant, name, key_id.hex(), None))
        unit.values.append(self._value(tenant, name, RETIRED, None))
        await self._services.committer.durable()
        return len(retired)

    # the proof

    async def _checked(self, tenant: str, name: str, found: Found, *, purge: bool) -> Checked:
        """Have the files made anew, and look through them for what was said, and for whom it was about."""
        for collection in self._services.collections.values() if purge else ():
            await purged(collection, tenant)
        places = list(await self._store.compact())
        return await self._searched(places, list(found.needles)[:NEEDLES_MAX], self.asked.get((tenant, name), ""))

    async def check(self, tenant: str, subject: str, texts: Sequence[str]) -> Traces:
        """Look whether anything is left of a subject: in the log, in indexes, and as bytes in the files of the store."""
        name = self.subjects.name(tenant, subject)
        found = await self._looking.found(tenant, name)
        left = [each for each in found.ids if not await self._is_gone(each)]
        passages = 0
        for collection in self._services.collections.values():
            passages += await counted_passages(
                collection, self._services, partial(self._looking.is_named, tenant, name), tenant
            )
        keys = len(keys_in(await self._store.values(tenant, OWNER, name)))
        needles = [msgspec.json.encode(each)[1:-1] for each in texts if each]
        searched = await self._searched(list(await self._store.compact()), needles, subject)
        return Traces(len(left), passages, keys, searched)

    async def _is_gone(self, event_id: str) -> bool:
        stored = await self._store.event(event_id)
        return stored is None or is_gone(stored.event.data)

    async def _searched(self, places: list[str], needles: list[bytes], subject: str) -> Checked:
        if self.witness.archive:
            places.append(self.witness.archive)
        if len(subject.encode()) >= NEEDLE_BYTES_MIN:
            needles = [*needles, msgspec.json.encode(subject)[1:-1]]
        searched = await self.witness.searched(places, needles)
        traces = tuple(f"{each.file}:{each.offset}" for each in searched.found)
        return Checked(searched.files, searched.bytes, len(needles), traces)

    def _signed(self, receipt: Receipt) -> Receipt:
        public, _ = self.witness.signed(self.subjects.secret, b"")
        receipt = msgspec.structs.replace(receipt, public_key=public.hex())
        _, signature = self.witness.signed(self.subjects.secret, signed_form(receipt))
        return msgspec.structs.replace(receipt, signature=signature.hex())

    # what was counted

    async def _tally(self, tenant: str, name: str) -> Erased:
        values = await self._store.values(tenant, OWNER, name)
        return Erased(msgspec.json.decode(values[TALLY], type=dict[str, int])) if TALLY in values else Erased()

    async def _counted(self, tenant: str, name: str, before: Erased, more: Erased) -> Erased:
        erased = before.plus(more)
        if more.counts:
            unit = self._services.committer.add()
            unit.values.append(self._value(tenant, name, TALLY, msgspec.json.encode(erased.counts)))
            await self._services.committer.durable()
        return erased

    def _value(self, tenant: str, name: str, key: str, body: bytes | None) -> ValueWrite:
        return ValueWrite(tenant, OWNER, name, key, body)


class Unheard:
    """What a worker may not have heard: who is forgotten is said to the owners of partitions, which come and go.

    One that owns none trusts nothing to memory, and one that takes partitions over begins with nothing in it.
    """

    def __init__(
        self, subjects: Subjects | None, collections: Mapping[str, Knowing], hears: Callable[[], bool]
    ) -> None:
        self._subjects = subjects
        self._pasts = [each.past for each in collections.values() if each.past is not None]
        if subjects is not None:
            subjects.hears = hears
        for past in self._pasts:
            past.hears = hears

    def let_go(self, tasks: Tasks) -> None:
        if self._subjects is not None:
            self._subjects.lost()
        for past in self._pasts:
            tasks.start(past.forget())


class Running(Front, Protocol):
    """The engine that a forgetter is of."""

    @property
    def parts(self) -> "Whole": ...
    @property
    def services(self) -> Services: ...
    @property
    def appender(self) -> Appender: ...


class Whole(Protocol):
    """What an engine is made of, as far as it counts here."""

    @property
    def app(self) -> str: ...
    @property
    def topology(self) -> Topology: ...
    @property
    def store(self) -> Store: ...


def forgetter_of(engine: Running, subjects: Subjects, witness: Witness) -> Forgetter:
    """Return the forgetter of an engine."""
    parts = engine.parts
    made = Forgetter(parts.topology, parts.store, engine.services, engine.appender, subjects, witness)
    made.front, made.app = engine, parts.app
    return made
