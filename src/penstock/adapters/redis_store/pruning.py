"""Removing what is not needed any more, a few rows at a time: each is looked at, and removed if it is then still as it was."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from penstock.adapters.redis_store.forms import (
    body_bytes,
    event_of_row,
    messages_of_row,
    progress_of_row,
    run_of_row,
    run_row,
)
from penstock.adapters.redis_store.names import joined, lane_of, named, split
from penstock.adapters.redis_store.reading import dict_of, range_of
from penstock.adapters.redis_store.server import Server
from penstock.adapters.redis_store.writing import NOTHING, Commands
from penstock.core.agents.exposing import OF_RUNS
from penstock.core.agents.retention import RunRules
from penstock.core.agents.unit import RunChange
from penstock.core.events.envelope import event_of
from penstock.ports.blobs import Swept
from penstock.ports.retention import ENDED, EndedRun, Found, How, OldEvents, Pruned

_FOR_EVER = 1 << 62


class _Old(NamedTuple):
    """An event that may go, as it was found."""

    event_id: bytes
    offset: int
    size: int
    run_ids: list[bytes]
    rows: list[bytes | None]
    followers: int


async def prune_events(server: Server, old: OldEvents, after: int, limit: int, how: How) -> Pruned:
    keys, lane = server.keys, lane_of(old.topic, old.partition)
    last = min(await _done_by_all(server, old), await _last_offset(server, lane) - 1)
    asked = (b"ZRANGEBYSCORE", keys.log(lane), b"(%d" % after, last, b"WITHSCORES", b"LIMIT", 0, limit)
    (placed,) = await server.all("pruning", [asked])
    ids, offsets = placed[::2], [int(float(each)) for each in placed[1::2]]
    following = offsets[-1] if len(ids) == limit else 0
    if not ids:
        return Pruned()
    (rows,) = await server.all("pruning", [(b"HMGET", keys.events, *ids)])
    aged: list[tuple[bytes, int, int]] = []
    for event_id, offset, row in zip(ids, offsets, rows, strict=True):
        if row is not None and event_of_row(row).event.time_ms >= old.before_ms and offset > old.through:
            following = 0
            break
        if row is not None and (how.among is None or event_id.decode() in how.among):
            aged.append((event_id, offset, body_bytes(row)))
    found = [each for each in await _looked_at(server, aged) if _may_go(each, old.rules)]
    found = [each for each in found if how.dry or not each.followers]
    if not how.dry:
        lists = [_removal(server, lane, each, old) for each in found]
        went = await server.apply(lists)
        found = [each for each, is_gone in zip(found, went, strict=True) if is_gone]
    told = tuple(Found(each.event_id.decode(), each.size, each.followers) for each in found)
    return Pruned(0 if how.dry else len(found), sum(each.size for each in found), following, told)


async def _done_by_all(server: Server, old: OldEvents) -> int:
    if not old.agents:
        return _FOR_EVER
    places = [joined(agent, old.topic, str(old.partition)) for agent in old.agents]
    (rows,) = await server.all("pruning", [(b"HMGET", server.keys.progress, *places)])
    return min(0 if row is None else progress_of_row(row).low for row in rows)


async def _last_offset(server: Server, lane: bytes) -> int:
    (last,) = await server.all("pruning", [(b"ZRANGE", server.keys.log(lane), -1, -1, b"WITHSCORES")])
    return int(float(last[1])) if last else 0


async def _looked_at(server: Server, aged: Sequence[tuple[bytes, int, int]]) -> list[_Old]:
    keys = server.keys
    asked: list[Any] = []
    for event_id, *_ in aged:
        asked += [
            range_of(keys.run_ids, event_id, b":"),
            (b"ZLEXCOUNT", *range_of(keys.event_ids, event_id, b".")[1:4]),
        ]
    answers = await server.all("pruning", asked)
    found: list[_Old] = []
    for each, run_ids, followers in zip(aged, answers[::2], answers[1::2], strict=True):
        found.append(_Old(*each, run_ids, [], followers))
    with_runs = [each for each in found if each.run_ids]
    asked = [part for each in with_runs for part in _of_runs(server, each.run_ids)]
    answers = await server.all("pruning", asked)
    for each, rows, dead in zip(with_runs, answers[::2], answers[1::2], strict=True):
        each.rows.extend(rows)
        each.rows.extend(b"" for letter in dead if letter is not None)  # no run that could go
    return found


def _of_runs(server: Server, run_ids: Sequence[bytes]) -> list[Any]:
    return [(b"HMGET", server.keys.runs, *run_ids), (b"HMGET", server.keys.dead, *run_ids)]


def _may_go(old: _Old, rules: RunRules) -> bool:
    for row in old.rows:
        if row == b"":
            return False  # a dead letter
        if row is not None:
            run = run_of_row(row)
            if run.status not in ENDED or not rules.run_may_go(run.agent, run.at_ms):
                return False
    return True


def _removal(server: Server, lane: bytes, old: _Old, which: OldEvents) -> tuple[Commands, Commands]:
    keys = server.keys
    guards: Commands = [
        [old.run_ids, *range_of(keys.run_ids, old.event_id, b":")],
        [NOTHING, b"ZLEXCOUNT", *range_of(keys.event_ids, old.event_id, b".")[1:4]],
    ]
    if old.run_ids:
        rows, dead = _of_runs(server, old.run_ids)
        guards += [[[False if row is None else row for row in old.rows], *rows], [NOTHING, *dead]]
    writes: Commands = [
        [b"HDEL", keys.events, old.event_id],
        [b"ZREM", keys.event_ids, old.event_id],
        [b"ZREM", keys.log(lane), old.event_id],
    ]
    for run_id, row in zip(old.run_ids, old.rows, strict=True):
        writes += forgotten_run(run_id, None if row is None else run_of_row(row))
    if which.mark is not None:
        *names, name = which.mark
        writes.append([b"+MARK", joined(*names), named(name), old.offset])
    return guards, writes


def forgotten_run(run_id: bytes, run: RunChange | None) -> Commands:
    """Return what removes all of a run."""
    values = [] if run is None else [[b"+FORGET_VALUES", joined(run.tenant, of, run.run_id)] for of in OF_RUNS]
    return [[b"+FORGET_JOURNAL", run_id], *values, [b"+FORGET_RUN", run_id]]


async def prune_runs(server: Server, rules: RunRules, after: int, limit: int, how: How) -> Pruned:
    keys = server.keys
    asked = (b"ZRANGEBYSCORE", keys.arrivals, b"(%d" % after, b"+inf", b"WITHSCORES", b"LIMIT", 0, limit)
    (placed,) = await server.all("pruning", [asked])
    ids = placed[::2]
    if not ids:
        return Pruned()
    rows, dead = await server.all("pruning", _of_runs(server, ids))
    old: list[tuple[bytes, bytes, RunChange]] = []
    has_old = False
    for run_id, row, letter in zip(ids, rows, dead, strict=True):
        run = None if row is None else run_of_row(row)
        if run is None:
            continue
        has_old = has_old or run.at_ms < rules.newest_ms
        is_wanted = how.among is None or run.run_id in how.among
        if is_wanted and run.status in ENDED and letter is None and rules.journal_may_go(run.agent, run.at_ms):
            old.append((run_id, row or b"", run))
    found, lists, sizes = await _journals(server, rules, old)
    removed = 0
    if not how.dry:
        went = await server.apply(lists)
        removed = sum(size for size, is_gone in zip(sizes, went, strict=True) if is_gone)
        found = [each for each, is_gone in zip(found, went, strict=True) if is_gone]
    following = int(float(placed[-1])) if has_old and len(ids) == limit else 0
    return Pruned(removed, sum(each.held_bytes for each in found), following, tuple(found))


async def _journals(
    server: Server, rules: RunRules, old: Sequence[tuple[bytes, bytes, RunChange]]
) -> tuple[list[Found], list[tuple[Commands, Commands]], list[int]]:
    """Return what would go, how it goes, and of how many rows it is."""
    keys = server.keys
    asked: list[Any] = []
    for run_id, _, run in old:
        event_id = named(event_of(run.run_id)[0])
        asked += [
            (b"HGETALL", keys.journal(run_id)),
            (b"HGETALL", keys.streams(run_id)),
            (b"HEXISTS", keys.events, event_id),
        ]
    answers = await server.all("pruning", asked)
    found, lists, counts = list[Found](), list[tuple[Commands, Commands]](), list[int]()
    for index, (run_id, row, run) in enumerate(old):
        chunks, streams = (dict_of(each) for each in answers[3 * index : 3 * index + 2])
        is_over = not answers[3 * index + 2] and rules.run_may_go(run.agent, run.at_ms)
        chunks.pop(b"n", None)
        told = await _chunks_of(server, run.run_id, [name.decode() for name in streams])
        if not (chunks or streams or run.records or is_over):
            continue
        size = sum(map(len, chunks.values())) + sum(map(int, streams.values())) + len(run.records)
        found.append(Found(run.run_id, size))
        counts.append(len(chunks) + told + bool(run.records) + is_over)
        guards: Commands = [[row, b"HGET", keys.runs, run_id], [NOTHING, b"HEXISTS", keys.dead, run_id]]
        writes: Commands = [[b"+FORGET_JOURNAL", run_id]]
        if is_over:
            guards.append([NOTHING, b"HEXISTS", keys.events, named(event_of(run.run_id)[0])])
            writes = forgotten_run(run_id, run)
        elif run.records:
            writes.append([b"HSET", keys.runs, run_id, run_row(msgspec.structs.replace(run, records=b""))])
        lists.append((guards, writes))
    return found, lists, counts


async def _chunks_of(server: Server, run_id: str, names: Sequence[str]) -> int:
    return sum(await server.all("pruning", [(b"ZCARD", server.keys.stream(run_id, name)) for name in names]))


async def prune_sessions(server: Server, now_ms: int, after: bytes, limit: int, *, dry: bool) -> Swept:
    keys = server.keys
    first = b"(" + after if after else b"-"
    (places,) = await server.all("pruning", [(b"ZRANGEBYLEX", keys.sessions, first, b"+", b"LIMIT", 0, limit)])
    sessions = await server.all("pruning", [(b"HGETALL", keys.session(each)) for each in places])
    lists, sizes = list[tuple[Commands, Commands]](), list[int]()
    for place, session in zip(places, sessions, strict=True):
        for number, row in dict_of(session).items():
            messages = messages_of_row(row)
            if messages.expires_ms <= now_ms:
                guards: Commands = [[row, b"HGET", keys.session(place), number]]
                lists.append((guards, [[b"+FORGET_MESSAGES", place, number]]))
                sizes.append(len(messages.body))
    went = [True] * len(lists) if dry else await server.apply(lists)
    gone = [size for size, is_gone in zip(sizes, went, strict=True) if is_gone]
    return Swept(len(gone), sum(gone), places[-1] if len(places) == limit else b"")


async def prune_values(server: Server, before_ms: Mapping[str, int], after: bytes, limit: int, *, dry: bool) -> Swept:
    keys = server.keys
    first = b"(" + after if after else b"-"
    (places,) = await server.all("pruning", [(b"ZRANGEBYLEX", keys.values, first, b"+", b"LIMIT", 0, limit)])
    old = [place for place in places if split(place)[1] in before_ms]
    asked: list[Any] = []
    for place in old:
        asked += [(b"HGETALL", keys.value_notes(place)), (b"HGETALL", keys.value(place))]
    answers = await server.all("pruning", asked)
    lists, sizes = list[tuple[Commands, Commands]](), list[int]()
    for place, notes, bodies in zip(old, answers[::2], answers[1::2], strict=True):
        values = dict_of(bodies)
        for name, note in dict_of(notes).items():
            if name in values and 0 < written_ms(note) < before_ms[split(place)[1]]:
                # Only as old as it was found: a commit may have written it anew meanwhile.
                guards: Commands = [[note, b"HGET", keys.value_notes(place), name]]
                lists.append((guards, [[b"+FORGET_VALUE", place, name]]))
                sizes.append(len(values[name]))
    went = [True] * len(lists) if dry else await server.apply(lists)
    gone = [size for size, is_gone in zip(sizes, went, strict=True) if is_gone]
    return Swept(len(gone), sum(gone), places[-1] if len(places) == limit else b"")


def written_ms(note: bytes) -> int:
    """Return when a value was written, of the note beside it."""
    return int(note.partition(b":")[0])


def subject_of(note: bytes) -> str:
    return note.partition(b":")[2].decode()


async def ended_runs(server: Server, before: int, limit: int) -> list[EndedRun]:
    keys, found = server.keys, list[EndedRun]()
    first: bytes = b"(%d" % before if before else b"+inf"
    while len(found) < limit:
        asked = (b"ZREVRANGEBYSCORE", keys.arrivals, first, b"-inf", b"WITHSCORES", b"LIMIT", 0, limit)
        (placed,) = await server.all("ended runs", [asked])
        if not placed:
            break
        (rows,) = await server.all("ended runs", [(b"HMGET", keys.runs, *placed[::2])])
        for number, row in zip(placed[1::2], rows, strict=True):
            run = None if row is None else run_of_row(row)
            if run is not None and run.status in ENDED:
                found.append(EndedRun(int(float(number)), run.agent, run.at_ms))
        first = b"(%d" % int(float(placed[-1]))
    return found[:limit]
