"""The rows of a store as they are: pages of a kind, what belongs to events, what has the keys of other rows.

A page goes on after a place: the name of where it was (a run, a session, a partition of a topic), and a number or a name within.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from penstock.adapters.redis_store.forms import (
    chunk_of_row,
    letter_of_row,
    messages_of_row,
    progress_of_row,
    run_of_row,
    sent_of_row,
    timer_of_row,
)
from penstock.adapters.redis_store.names import joined, lane_in, lane_of, named, split
from penstock.adapters.redis_store.pruning import subject_of, written_ms
from penstock.adapters.redis_store.reading import body_of_waiting, dict_of, events_by_id, range_of
from penstock.adapters.redis_store.server import PAGE, Server
from penstock.core.agents.pieces import StreamChunk
from penstock.core.agents.unit import DeadLetter, JournalChunk, ProgressWrite, SessionDelta, ValueWrite, Writes
from penstock.core.events.envelope import Recorded
from penstock.core.exports.keys import KEYS
from penstock.core.timing.timers import TimerWrite
from penstock.ports.rows import KINDS, Kind, Page

Place = tuple[bytes, bytes]  # where, and how far within
Placed = list[tuple[Place, Any]]
BEFORE: Place = (b"", b"")


async def partitions(server: Server) -> int:
    return (await server.all("partitions", [(b"HLEN", server.keys.parts)]))[0]


async def rows(server: Server, kind: Kind, after: bytes, limit: int) -> Page:
    place: Place = msgspec.msgpack.decode(after, type=tuple[bytes, bytes]) if after else BEFORE
    found = await _PAGES[kind](server, place, limit)
    page = found[:limit]
    token = msgspec.msgpack.encode(page[-1][0]) if len(page) == limit else b""
    return Page(Writes(**{kind: [row for _, row in page]}), token)


async def rows_of(server: Server, event_ids: Sequence[str]) -> Writes:
    keys, names = server.keys, [named(each) for each in event_ids]
    found = Writes(events=await _events_of(server, names))
    asked = [range_of(keys.run_ids, name, mark) for name in names for mark in (b":", b"+")]
    run_ids = [each for ids in await server.all("rows of events", asked) for each in ids]
    for start in range(0, len(run_ids), PAGE):
        some = run_ids[start : start + PAGE]
        changes, letters = await server.all(
            "rows of events", [(b"HMGET", keys.runs, *some), (b"HMGET", keys.dead, *some)]
        )
        found.runs += [run_of_row(row) for row in changes if row is not None]
        found.dead += await _with_events(server, [row for row in letters if row is not None])
        for run_id in some:
            found.journal += [row for _, row in await _chunks(server, run_id)]
            found.streams += [row for _, row in await _streams_of(server, run_id)]
    return found


async def known(server: Server, given: Writes) -> Writes:
    found = Writes()
    found.events += await _known_events(server, given.events)
    for kind in KINDS:
        wanted = getattr(given, kind)
        if kind != "events" and wanted:
            wanted_keys = {KEYS[kind](each) for each in wanted}
            rows_there = await _KNOWN[kind](server, wanted)
            getattr(found, kind).extend(each for each in rows_there if KEYS[kind](each) in wanted_keys)
    return found


async def _known_events(server: Server, events: Sequence[Recorded]) -> list[Recorded]:
    if not events:
        return []
    ids = [named(each.event.id) for each in events]
    places = [each.position for each in events]
    asked = [
        (b"ZRANGEBYSCORE", server.keys.log(lane_of(each.topic, each.partition)), each.offset, each.offset)
        for each in places
    ]
    there = [event_id for page in await server.all("known rows", asked) for event_id in page]
    return await _events_of(server, [*dict.fromkeys([*ids, *there])])


async def _events_of(server: Server, names: Sequence[bytes]) -> list[Recorded]:
    found = list[Recorded]()
    for start in range(0, len(names), PAGE):
        found += await events_by_id(server, names[start : start + PAGE])
    return found


# pages


async def _events(server: Server, after: Place, limit: int) -> Placed:
    (names,) = await server.all("rows", [(b"SMEMBERS", server.keys.lanes)])
    lanes = sorted(lane_in(each) for each in names)  # by topic, and by number
    start = lane_in(after[0]) if after[0] else None
    found: Placed = []
    for lane in [each for each in lanes if start is None or each >= start]:
        name = lane_of(*lane)
        offset = int(after[1]) if name == after[0] else 0
        wanted = limit - len(found)
        asked = (b"ZRANGEBYSCORE", server.keys.log(name), b"(%d" % offset, b"+inf", b"LIMIT", 0, wanted)
        (ids,) = await server.all("rows", [asked])
        found += [((name, b"%d" % each.position.offset), each) for each in await _events_of(server, ids)]
        if len(found) >= limit:
            break
    return found


async def _within(
    server: Server,
    index: bytes,
    after: Place,
    limit: int,
    rows_in: Callable[[Server, bytes], Awaitable[Placed]],
) -> Placed:
    """Return rows that lie under names of an index, in the order of the names and of the places within."""
    found: Placed = []
    first = b"[" + after[0] if after != BEFORE else b"-"
    while len(found) < limit:
        (names,) = await server.all("rows", [(b"ZRANGEBYLEX", index, first, b"+", b"LIMIT", 0, PAGE)])
        for name in names:
            there = await rows_in(server, name)
            found += [each for each in there if each[0][0] != after[0] or _is_later(each[0][1], after[1])]
            if len(found) >= limit:
                break
        if len(names) < PAGE:
            break
        first = b"(" + names[-1]
    return found


def _is_later(place: bytes, than: bytes) -> bool:
    return place > than


def _number(number: int) -> bytes:
    """Return a number as bytes in whose order numbers are."""
    return number.to_bytes(9, signed=False)


async def _chunks(server: Server, run_id: bytes) -> Placed:
    (found,) = await server.all("rows", [(b"HGETALL", server.keys.journal(run_id))])
    chunks = {int(number): body for number, body in dict_of(found).items() if number != b"n"}
    return [
        ((run_id, _number(number)), JournalChunk(run_id.decode(), number, chunks[number])) for number in sorted(chunks)
    ]


async def _streams_of(server: Server, run_id: bytes) -> Placed:
    (names,) = await server.all("rows", [(b"HKEYS", server.keys.streams(run_id))])
    found: Placed = []
    for name in sorted(names):
        key = server.keys.stream(run_id.decode(), name.decode())
        (page,) = await server.all("rows", [(b"ZRANGE", key, 0, -1)])
        chunks: list[StreamChunk] = [chunk_of_row(run_id.decode(), name.decode(), row) for row in page]
        found += [((run_id, name + b"\0" + _number(each.first)), each) for each in chunks]
    return found


async def _deltas(server: Server, place: bytes) -> Placed:
    (found,) = await server.all("rows", [(b"HGETALL", server.keys.session(place))])
    tenant, session = split(place)
    rows_there = sorted((int(number), messages_of_row(row)) for number, row in dict_of(found).items())
    return [
        (
            (place, _number(number)),
            SessionDelta(tenant, session, number, row.count, row.body, row.expires_ms, row.subject),
        )
        for number, row in rows_there
    ]


async def _values_of(server: Server, place: bytes) -> Placed:
    keys = server.keys
    bodies, found = await server.all(
        "rows", [(b"HGETALL", keys.value(place)), (b"HGETALL", keys.value_notes(place))], moment=True
    )
    tenant, agent, key = split(place)
    notes = dict_of(found)
    return [
        (
            (place, b"\1" + name),
            ValueWrite(tenant, agent, key, name.decode(), body, written_ms(notes[name]), subject_of(notes[name])),
        )
        for name, body in sorted(dict_of(bodies).items())
    ]


async def _by_arrival(server: Server, index: bytes, key: bytes, after: Place, limit: int) -> list[tuple[Place, bytes]]:
    """Return rows of a table in the order in which they came."""
    first = b"(" + after[1] if after[1] else b"-inf"
    asked = (b"ZRANGEBYSCORE", index, first, b"+inf", b"WITHSCORES", b"LIMIT", 0, limit)
    (placed,) = await server.all("rows", [asked])
    if not placed:
        return []
    (found,) = await server.all("rows", [(b"HMGET", key, *placed[::2])])
    return [((b"", number), row) for number, row in zip(placed[1::2], found, strict=True) if row is not None]


async def _runs(server: Server, after: Place, limit: int) -> Placed:
    found = await _by_arrival(server, server.keys.arrivals, server.keys.runs, after, limit)
    return [(place, run_of_row(row)) for place, row in found]


async def _dead(server: Server, after: Place, limit: int) -> Placed:
    found = await _by_arrival(server, server.keys.deaths, server.keys.dead, after, limit)
    letters = {each.run_id: each for each in await _with_events(server, [row for _, row in found])}
    return [(place, letters[letter_of_row(row).run_id]) for place, row in found if letter_of_row(row).run_id in letters]


async def _with_events(server: Server, letter_rows: Sequence[bytes]) -> list[DeadLetter]:
    letters = [letter_of_row(row) for row in letter_rows]
    events = {
        each.event.id: each.event for each in await _events_of(server, [named(each.event_id) for each in letters])
    }
    return [each.with_event(events[each.event_id]) for each in letters if each.event_id in events]


async def _table(server: Server, key: bytes, after: Place, limit: int) -> list[tuple[Place, bytes, bytes]]:
    """Return rows of a table that is small: it is sorted here."""
    (found,) = await server.all("rows", [(b"HGETALL", key)])
    names = dict_of(found)
    wanted = sorted(name for name in names if after == BEFORE or b"\1" + name > after[1])[:limit]
    return [((b"", b"\1" + name), name, names[name]) for name in wanted]


async def _progress(server: Server, after: Place, limit: int) -> Placed:
    found: Placed = []
    for place, name, row in await _table(server, server.keys.progress, after, limit):
        agent, topic, partition = split(name)
        done = progress_of_row(row)
        found.append((place, ProgressWrite(agent, topic, int(partition), done.low, done.above)))
    return found


async def _timers(server: Server, after: Place, limit: int) -> Placed:
    found = await _table(server, server.keys.timers, after, limit)
    return [(place, TimerWrite(name.decode(), timer_of_row(row))) for place, name, row in found]


async def _sent(server: Server, after: Place, limit: int) -> Placed:
    (found,) = await server.all("rows", [(b"HGETALL", server.keys.inbox)])
    waiting = {int(number): row for number, row in dict_of(found).items()}
    first = int(after[1] or 0)
    numbers = sorted(number for number in waiting if number > first)[:limit]
    return [((b"", b"%d" % number), sent_of_row(body_of_waiting(waiting[number]))) for number in numbers]


_PAGES: Mapping[Kind, Callable[[Server, Place, int], Awaitable[Placed]]] = {
    "events": _events,
    "journal": lambda server, after, limit: _within(server, server.keys.run_ids, after, limit, _chunks),
    "streams": lambda server, after, limit: _within(server, server.keys.run_ids, after, limit, _streams_of),
    "runs": _runs,
    "sessions": lambda server, after, limit: _within(server, server.keys.sessions, after, limit, _deltas),
    "values": lambda server, after, limit: _within(server, server.keys.values, after, limit, _values_of),
    "progress": _progress,
    "timers": _timers,
    "dead": _dead,
    "sent": _sent,
}


# what is stored where other rows would be


async def _hashed(server: Server, key: bytes, names: Sequence[bytes]) -> list[bytes]:
    """Return the rows of a table that are there."""
    (found,) = await server.all("known rows", [(b"HMGET", key, *names)])
    return [row for row in found if row is not None]


async def _in_places(
    server: Server, places: Sequence[bytes], rows_in: Callable[[Server, bytes], Awaitable[Placed]]
) -> list[Any]:
    return [row for place in dict.fromkeys(places) for _, row in await rows_in(server, place)]


async def _known_runs(server: Server, given: Sequence[Any]) -> list[Any]:
    return [run_of_row(row) for row in await _hashed(server, server.keys.runs, [named(each.run_id) for each in given])]


async def _known_letters(server: Server, given: Sequence[Any]) -> list[Any]:
    found = await _hashed(server, server.keys.dead, [named(each.run_id) for each in given])
    return [*await _with_events(server, found)]


async def _known_timers(server: Server, given: Sequence[Any]) -> list[Any]:
    found = await _hashed(server, server.keys.timers, [named(each.id) for each in given])
    return [TimerWrite(timer.id, timer) for timer in map(timer_of_row, found)]


async def _known_sent(server: Server, given: Sequence[Any]) -> list[Any]:
    numbers = await _hashed(server, server.keys.inbox_ids, [named(each.event.id) for each in given])
    found = await _hashed(server, server.keys.inbox, numbers) if numbers else []
    return [sent_of_row(body_of_waiting(row)) for row in found]


async def _known_progress(server: Server, _given: Sequence[Any]) -> list[Any]:
    return [row for _, row in await _progress(server, BEFORE, 1 << 62)]


_KNOWN: Mapping[Kind, Callable[[Server, Sequence[Any]], Awaitable[list[Any]]]] = {
    "journal": lambda server, given: _in_places(server, [named(each.run_id) for each in given], _chunks),
    "streams": lambda server, given: _in_places(server, [named(each.run_id) for each in given], _streams_of),
    "runs": _known_runs,
    "sessions": lambda server, given: _in_places(
        server, [joined(each.tenant, each.session) for each in given], _deltas
    ),
    "values": lambda server, given: _in_places(
        server, [joined(each.tenant, each.agent, each.key) for each in given], _values_of
    ),
    "progress": _known_progress,
    "timers": _known_timers,
    "dead": _known_letters,
    "sent": _known_sent,
}
