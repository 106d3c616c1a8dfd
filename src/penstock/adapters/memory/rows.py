"""The rows of a store in memory, as they are."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from penstock.adapters.memory.disk import Disk
from penstock.core.agents.unit import JournalChunk, ProgressWrite, SessionDelta, ValueWrite, Writes
from penstock.core.agents.usage import Usage, Used
from penstock.core.exports.keys import KEYS
from penstock.core.timing.timers import TimerWrite
from penstock.ports.rows import KINDS, Kind, Page


def rows(disk: Disk, kind: Kind, after: bytes, limit: int) -> Page:
    first = msgspec.msgpack.decode(after, type=int) if after else 0
    found = _ALL[kind](disk)
    page = found[first : first + limit]
    return Page(Writes(**{kind: page}), msgspec.msgpack.encode(first + limit) if len(page) == limit else b"")


def rows_of(disk: Disk, event_ids: Sequence[str]) -> Writes:
    beginnings = tuple(f"{event_id}{mark}" for event_id in event_ids for mark in ":+")
    return Writes(
        events=[disk.ids[each] for each in event_ids if each in disk.ids],
        runs=[run for run_id, run in disk.runs.items() if run_id.startswith(beginnings)],
        journal=[each for each in _journal(disk) if each.run_id.startswith(beginnings)],
        streams=[each for each in _streams(disk) if each.run_id.startswith(beginnings)],
        dead=[letter for run_id, letter in disk.dead.items() if run_id.startswith(beginnings)],
    )


def known(disk: Disk, rows: Writes) -> Writes:
    ids = {each.event.id for each in rows.events}
    places = {each.position for each in rows.events}
    logs = {(place.topic, place.partition) for place in places}
    events = {each.event.id: each for which in logs for each in disk.logs.get(which, []) if each.position in places}
    events |= {each: disk.ids[each] for each in ids if each in disk.ids}
    found = Writes(events=list(events.values()))
    for kind in KINDS:
        key = KEYS[kind]
        wanted = {key(each) for each in getattr(rows, kind)}
        if wanted and kind != "events":
            getattr(found, kind).extend(each for each in _ALL[kind](disk) if key(each) in wanted)
    return found


def usage(disk: Disk) -> Usage:
    """Return the bytes of what is stored, as a database would count them."""
    topics = sorted({topic for topic, _ in disk.logs})
    parts = [
        _used("events", topic, [(each.event.time_ms, len(each.event.data)) for each in disk.log(topic)])
        for topic in topics
    ]
    for agent in sorted({run.agent for run in disk.runs.values()}):
        mine = [(run.at_ms, len(run.result) + len(run.records)) for run in disk.runs.values() if run.agent == agent]
        parts.append(_used("runs", agent, mine))
    for kind, found in {
        "journals": [each.body for each in _journal(disk)],
        "streams": [each.body for each in _streams(disk)],
        "sessions": [each.body for each in _sessions(disk)],
        "values": [each.body or b"" for each in _values(disk)],
        "blobs": list(disk.blobs.values()),
        "timers": [each.event.data for each in disk.timers.values()],
        "dead letters": [each.reason.encode() for each in disk.dead.values()],
    }.items():
        parts.append(Used(kind, "", len(found), sum(map(len, found))))
    used = sorted((each for each in parts if each.rows), key=lambda each: -each.bytes_used)
    return Usage(used, sum(each.bytes_used for each in used))


def _used(kind: str, name: str, rows: list[tuple[int, int]]) -> Used:
    if not rows:
        return Used(kind, name, 0, 0)
    times = [at_ms for at_ms, _ in rows]
    return Used(kind, name, len(rows), sum(size for _, size in rows), min(times), max(times))


def _journal(disk: Disk) -> list[JournalChunk]:
    return [
        JournalChunk(run, number, body)
        for run, bodies in disk.chunks.items()
        for number, body in enumerate(bodies, disk.cut.get(run, 0))
    ]


def _streams(disk: Disk) -> list[Any]:
    return [chunk for streams in disk.streams.values() for chunks in streams.values() for chunk in chunks]


def _sessions(disk: Disk) -> list[SessionDelta]:
    return [
        SessionDelta(*which, number, count, body, expires_ms, disk.subjects.get((*which, number), ""))
        for which, deltas in disk.sessions.items()
        for number, count, expires_ms, body in deltas
    ]


def _values(disk: Disk) -> list[ValueWrite]:
    return [
        ValueWrite(*which, name, body, disk.values_at[which][name], disk.subjects.get((*which, name), ""))
        for which, values in disk.values.items()
        for name, body in values.items()
    ]


def _progress(disk: Disk) -> list[ProgressWrite]:
    return [ProgressWrite(*which, done.low, done.above) for which, done in disk.progress.items()]


_ALL: Mapping[Kind, Callable[[Disk], list[Any]]] = {
    "events": lambda disk: [each for which in sorted(disk.logs) for each in disk.logs[which]],
    "journal": _journal,
    "streams": _streams,
    "runs": lambda disk: list(disk.runs.values()),
    "sessions": _sessions,
    "values": _values,
    "progress": _progress,
    "timers": lambda disk: [TimerWrite(each.id, each) for each in disk.timers.values()],
    "dead": lambda disk: list(disk.dead.values()),
    "sent": lambda disk: list(disk.waiting.values()),
}
