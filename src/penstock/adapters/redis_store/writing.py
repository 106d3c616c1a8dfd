"""A commit as what must not be there yet, and what is written: lists of commands, which one script applies together."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from penstock.adapters.redis_store.forms import (
    event_row,
    letter_row,
    progress_row,
    run_row,
    sent_row,
    session_row,
    stream_row,
    timer_row,
)
from penstock.adapters.redis_store.names import Keys, joined, lane_of, named
from penstock.core.agents.unit import Sent, SessionDelta, ValueWrite, Writes
from penstock.core.events.blobs import packed_owner
from penstock.core.events.envelope import Recorded
from penstock.core.events.subjects import SHARED
from penstock.core.sessions.history import MESSAGES_MAX
from penstock.core.timing.timers import TimerWrite
from penstock.errors import Refused

TOPICS_MAX = 4095
ARGUMENTS_MAX = 1000  # of one command: a script cannot hand over many more
OFFSET_MAX = 1 << 53  # scores are floating-point numbers: above this they skip some
Commands = list[list[Any]]
NOTHING = True


class List:
    """What one script is to look for, and to write; `clashes` when it contradicts itself."""

    def __init__(self) -> None:
        self.guards: Commands = []
        self.writes: Commands = []
        self.clashes = False

    def many(self, command: bytes, key: bytes, arguments: Sequence[Any]) -> None:
        """Write many arguments of one command."""
        for start in range(0, len(arguments), ARGUMENTS_MAX):
            self.writes.append([command, key, *arguments[start : start + ARGUMENTS_MAX]])


def list_of(keys: Keys, writes: Writes) -> List:
    """Return a commit as a list."""
    found = List()
    found.writes += [[b"+RECEIVE", number] for number in writes.received]
    found.writes += [[b"+TAKE", named(each)] for each in writes.taken]
    if writes.events:
        _events(keys, writes.events, found)
    _journal(keys, writes, found)
    runs = {run.run_id: run for run in writes.runs}
    found.writes += [[b"+RUN", named(run.run_id), run_row(run), run.status] for run in runs.values()]
    _letters(keys, writes, found)
    _streams(keys, writes, found)
    if writes.sessions:
        found.writes += _messages(keys, writes.sessions)
    if writes.values:
        found.writes += _values(keys, writes.values)
    done = {(each.agent, each.topic, each.partition): each for each in writes.progress}
    rows = [part for which, each in done.items() for part in (joined(*which[:2], str(which[2])), progress_row(each))]
    found.many(b"HSET", keys.progress, rows)
    found.writes += _timers(writes.timers)
    found.writes += sends(writes.sent)
    found.writes += [[b"+BLOB", blob.digest, blob.body] for blob in writes.blobs]
    found.writes += [[b"+USE", use.digest, packed_owner(use.owner), use.at_ms] for use in writes.blob_uses]
    return found


def sends(events: Sequence[Sent]) -> Commands:
    """Return what has events wait for the owners of their partitions."""
    return [[b"+SEND", named(each.event.id), sent_row(each), each.partition] for each in events]


def topics_of(writes: Writes) -> list[bytes]:
    """Return the names of the topics that a commit writes to."""
    return [named(topic) for topic in dict.fromkeys(each.position.topic for each in writes.events)]


def _events(keys: Keys, events: Sequence[Recorded], found: List) -> None:
    rows = [(named(each.event.id), event_row(each)) for each in events]
    ids = [event_id for event_id, _ in rows]
    lanes: dict[bytes, list[tuple[int, bytes]]] = defaultdict(list)
    for recorded, event_id in zip(events, ids, strict=True):
        place = recorded.position
        if place.offset >= OFFSET_MAX:
            raise Refused(f"Redis cannot keep the offset {place.offset}", "mend the offset")
        lanes[lane_of(place.topic, place.partition)].append((place.offset, event_id))
    found.clashes = found.clashes or len(set(ids)) < len(ids)
    for start in range(0, len(ids), ARGUMENTS_MAX):
        found.guards.append([NOTHING, b"HMGET", keys.events, *ids[start : start + ARGUMENTS_MAX]])
    for lane, placed in lanes.items():
        offsets = sorted(offset for offset, _ in placed)
        found.clashes = found.clashes or len(set(offsets)) < len(offsets)
        log = keys.log(lane)
        found.guards += [[NOTHING, b"ZCOUNT", log, first, last] for first, last in _ranges(offsets)]
        found.many(b"ZADD", log, [part for each in placed for part in each])
    found.writes.append([b"SADD", keys.lanes, *lanes])
    found.many(b"HSET", keys.events, [part for row in rows for part in row])
    found.many(b"ZADD", keys.event_ids, [part for event_id in ids for part in (0, event_id)])


def _ranges(numbers: Sequence[int]) -> Iterable[tuple[int, int]]:
    first = last = numbers[0]
    for number in numbers[1:]:
        if number > last + 1:
            yield first, last
            first = number
        last = number
    yield first, last


def _journal(keys: Keys, writes: Writes, found: List) -> None:
    found.writes += [[b"+CUT", named(cut.run_id), cut.before] for cut in writes.cuts]
    chunks = {(chunk.run_id, chunk.number) for chunk in writes.journal}
    found.clashes = found.clashes or len(chunks) < len(writes.journal)
    for chunk in writes.journal:
        run_id = named(chunk.run_id)
        found.guards.append([NOTHING, b"HEXISTS", keys.journal(run_id), chunk.number])
        found.writes.append([b"+CHUNK", run_id, chunk.number, chunk.body])


def _letters(keys: Keys, writes: Writes, found: List) -> None:
    settled = [named(each) for each in dict.fromkeys(writes.settled)]
    found.many(b"HDEL", keys.dead, settled)
    found.many(b"ZREM", keys.deaths, settled)
    found.writes += [[b"+LETTER", named(letter.run_id), letter_row(letter)] for letter in writes.dead]


def _streams(keys: Keys, writes: Writes, found: List) -> None:
    firsts = {(chunk.run_id, chunk.name, chunk.first) for chunk in writes.streams}
    found.clashes = found.clashes or len(firsts) < len(writes.streams)
    for chunk in writes.streams:
        found.guards.append([NOTHING, b"ZCOUNT", keys.stream(chunk.run_id, chunk.name), chunk.first, chunk.first])
        names = (named(chunk.run_id), named(chunk.name))
        found.writes.append([b"+STREAM", *names, chunk.first, stream_row(chunk), len(chunk.body)])


def _messages(keys: Keys, deltas: Sequence[SessionDelta]) -> Commands:
    """Return the messages to add. Once in every MESSAGES_MAX of them, what no history shows any more is removed."""
    writes: Commands = []
    for each in deltas:
        end = each.number + each.count
        before = end - MESSAGES_MAX if each.number // MESSAGES_MAX != end // MESSAGES_MAX else False
        about = keys.about(each.tenant, each.subject) if each.subject else False
        writes.append([b"+SESSION", joined(each.tenant, each.session), each.number, session_row(each), before, about])
    return writes


def _values(keys: Keys, values: Sequence[ValueWrite]) -> Commands:
    last: Mapping[tuple[str, ...], ValueWrite] = {
        (each.tenant, each.agent, each.key, each.name): each for each in values
    }
    writes: Commands = []
    for each in last.values():
        place, name = joined(each.tenant, each.agent, each.key), named(each.name)
        if each.body is None:
            writes.append([b"+FORGET_VALUE", place, name])
        else:
            about = keys.about(each.tenant, each.subject) if each.subject else False
            shared = keys.about(each.tenant, SHARED)
            body = _bytes(each.body)
            writes.append([b"+VALUE", place, name, body, each.at_ms, each.subject, about, shared])
    return writes


def _bytes(body: object) -> bytes:
    if not isinstance(body, bytes):
        raise Refused(f"Redis cannot keep a value that is no bytes: {body!r}", "mend what is written")
    return body


def _timers(timers: Sequence[TimerWrite]) -> Commands:
    writes: Commands = []
    for each in {each.id: each for each in timers}.values():
        timer = each.timer
        if timer is None:
            writes.append([b"+FORGET_TIMER", named(each.id)])
            continue
        queue = f"{timer.clock}:{timer.partition}".encode()
        set_ms = timer.set_ms if timer.clock == "elapsed" else False
        writes.append([b"+TIMER", named(each.id), timer_row(timer), queue, timer.due_ms, set_ms])
    return writes
