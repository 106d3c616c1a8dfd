"""Taking what is about one subject out of a store in memory."""

from collections.abc import Sequence
from typing import Protocol

from msgspec.structs import replace

from penstock.adapters.memory.disk import Disk
from penstock.core.agents.exposing import OF_RUNS
from penstock.core.agents.unit import RunChange, ValueWrite
from penstock.core.events.envelope import Recorded
from penstock.core.events.subjects import SECRET, SHARED, gone, is_gone
from penstock.ports.erasure import Erased
from penstock.ports.retention import ENDED

REASON = "its subject was forgotten"


class _Store(Protocol):
    disk: Disk


class Erases:
    """The part of a store in memory that keeps `Erasable`."""

    async def secret(self: _Store, offered: bytes) -> bytes:
        which, name = SECRET[:3], SECRET[3]
        if offered and name not in self.disk.values.get(which, {}):
            self.disk.values.setdefault(which, {})[name] = offered
            self.disk.values_at.setdefault(which, {})[name] = 0
        return self.disk.values.get(which, {}).get(name, b"")

    async def erase_events(self: _Store, event_ids: Sequence[str]) -> Erased:
        found = Erased()
        for event_id in event_ids:
            found = found.plus(_erased_event(self.disk, event_id))
        return found

    async def erase_state(self: _Store, tenant: str, subject: str) -> Erased:
        return _erased_state(self.disk, tenant, subject)

    async def compact(self: _Store) -> Sequence[str]:
        return []


def note_value(disk: Disk, value: ValueWrite) -> None:
    """Note whom a value is about that is about to be written."""
    which = (value.tenant, value.agent, value.key)
    before = disk.subjects.pop((*which, value.name), None) if value.name in disk.values.get(which, {}) else None
    if value.body is not None:
        disk.subjects[*which, value.name] = value.subject if before in (None, value.subject) else SHARED


def _erased_event(disk: Disk, event_id: str) -> Erased:
    counts: dict[str, int] = {}

    def count(kind: str, rows: int) -> None:
        if rows:
            counts[kind] = counts.get(kind, 0) + rows

    recorded = disk.ids.get(event_id)
    if recorded is not None and not is_gone(recorded.event.data):
        erased = Recorded(recorded.position, gone(recorded.event))
        log = disk.logs[recorded.position.topic, recorded.position.partition]
        log[log.index(recorded)] = disk.ids[event_id] = erased
        count("events", 1)
    for number in [number for number, sent in disk.waiting.items() if sent.event.id == event_id]:
        del disk.waiting[number]
        count("waiting events", 1)
    for run_id in [each for each in disk.runs if _is_of(each, event_id)]:
        _strip(disk, disk.runs[run_id], count)
    for run_id in [each for each in disk.chunks if _is_of(each, event_id)]:
        count("journals", len(disk.chunks.pop(run_id)))
    for run_id in [each for each in disk.streams if _is_of(each, event_id)]:
        count("streams", sum(len(chunks) for chunks in disk.streams.pop(run_id).values()))
    for run_id in [each for each in disk.dead if _is_of(each, event_id)]:
        del disk.dead[run_id]
        count("dead letters", 1)
    return Erased(counts)


def _strip(disk: Disk, run: RunChange, count: "Count") -> None:
    status = run.status if run.status in ENDED else "cancelled"
    stripped = replace(run, key="", reason=REASON, result=b"", records=b"", status=status)
    if stripped != run:
        disk.runs[run.run_id] = stripped
        count("runs", 1)
    for owner in OF_RUNS:
        which = (run.tenant, owner, run.run_id)
        count("values", len(disk.values.pop(which, {})))
        disk.values_at.pop(which, None)


class Count(Protocol):
    """Counts rows of a kind."""

    def __call__(self, kind: str, rows: int, /) -> None: ...


def _is_of(run_id: str, event_id: str) -> bool:
    return run_id.startswith((f"{event_id}:", f"{event_id}+"))


def _erased_state(disk: Disk, tenant: str, subject: str) -> Erased:
    mine = [which for which, whose in disk.subjects.items() if which[0] == tenant and whose == subject]
    messages = {which for which in mine if isinstance(which[2], int)}
    values = {(which[1], which[2], which[3]) for which in mine if len(which) > 3 and not isinstance(which[2], int)}  # noqa: PLR2004 - tenant, agent, key, name
    counts = {"messages": 0, "values": 0}
    for (of, session), deltas in disk.sessions.items():
        left = [each for each in deltas if (of, session, each[0]) not in messages]
        counts["messages"] += len(deltas) - len(left)
        deltas[:] = left
    for (of, agent, key), named in disk.values.items():
        for name in [each for each in named if of == tenant and (agent, key, each) in values]:
            del named[name]
            counts["values"] += 1
    for which in mine:
        del disk.subjects[which]
    counts["shared"] = sum(
        disk.subjects.get((of, agent, key, name)) == SHARED
        for (of, agent, key), named in disk.values.items()
        for name in named
        if of == tenant
    )
    return Erased({kind: rows for kind, rows in counts.items() if rows})
