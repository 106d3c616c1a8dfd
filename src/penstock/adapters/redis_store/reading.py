"""What is asked of the rows. What lies under several keys is read as it is at one moment: no commit in part (S1)."""

from collections.abc import Mapping, Sequence
from typing import Any

from penstock.adapters.redis_store.forms import (
    event_of_row,
    letter_of_row,
    messages_of_row,
    progress_of_row,
    run_of_row,
    sent_of_row,
)
from penstock.adapters.redis_store.names import Keys, joined, lane_in, lane_of, named, split
from penstock.adapters.redis_store.server import PAGE, Server
from penstock.adapters.redis_store.writing import OFFSET_MAX
from penstock.core.agents.journal import decode_chunk
from penstock.core.agents.progress import Progress
from penstock.core.agents.unit import DeadLetter, RunChange
from penstock.core.events.blobs import found_in, reference_in
from penstock.core.events.envelope import Envelope, Recorded, event_of
from penstock.core.sessions.history import MESSAGES_MAX, History, decode_messages
from penstock.ports.state import DeadFilter, RunFilter, StoredRun

EVENTS_MAX = 10_000


async def events(server: Server, topic: str, partition: int, after: int, limit: int) -> list[Recorded]:
    if after >= OFFSET_MAX or partition < 0 or limit <= 0:
        return []
    log, found = server.keys.log(lane_of(topic, partition)), list[Recorded]()
    while len(found) < limit:
        wanted = min(limit - len(found), PAGE)
        range_ = (b"ZRANGEBYSCORE", log, b"(%d" % max(after, 0), b"+inf", b"WITHSCORES", b"LIMIT", 0, wanted)
        (placed,) = await server.all("read", [range_])
        found += await events_by_id(server, placed[::2])
        if len(placed) < 2 * wanted:
            break
        after = int(float(placed[-1]))
    return found


async def events_by_id(server: Server, ids: Sequence[bytes]) -> list[Recorded]:
    """Return those of some events that are in the log."""
    if not ids:
        return []
    (rows,) = await server.all("read", [(b"HMGET", server.keys.events, *ids)])
    return [event_of_row(row) for row in rows if row is not None]


async def ends(server: Server) -> dict[tuple[str, int], int]:
    """Return the last offset of each partition."""
    lanes = sorted((await server.all("ends", [(b"SMEMBERS", server.keys.lanes)]))[0])
    lasts = await server.all("ends", [(b"ZRANGE", server.keys.log(each), -1, -1, b"WITHSCORES") for each in lanes])
    return {lane_in(lane): int(float(last[1])) for lane, last in zip(lanes, lasts, strict=True) if last}


def body_of_waiting(row: bytes) -> bytes:
    """Return the row of an event that waits, without its partition and id, which stand before it."""
    _, length, rest = row.split(b":", 2)
    return rest[int(length) :]


async def beginning_with(server: Server, index: bytes, name: bytes, mark: bytes, limit: int = -1) -> list[bytes]:
    """Return names of an index that begin with a name and a mark, in their order."""
    return (await server.all("names", [range_of(index, name, mark, limit)]))[0]


def range_of(index: bytes, name: bytes, mark: bytes, limit: int = -1) -> tuple[Any, ...]:
    """Return the question for names that begin with a name and a mark."""
    following = bytes([mark[0] + 1])
    return (b"ZRANGEBYLEX", index, b"[" + name + mark, b"(" + name + following, b"LIMIT", 0, limit)


async def origin(server: Server, correlation_id: str) -> list[Recorded]:
    """Return the event and all that it led to: their ids begin with its own (see `emitted_id`)."""
    name = named(correlation_id)
    ids = [name, *await beginning_with(server, server.keys.event_ids, name, b".", EVENTS_MAX)]
    found = list[Recorded]()
    for start in range(0, len(ids), PAGE):
        found += await events_by_id(server, ids[start : start + PAGE])
    return [each for each in found if each.event.correlation_id == correlation_id]


async def run(server: Server, run_id: str) -> StoredRun | None:
    keys, name = server.keys, named(run_id)
    event_id, agent = event_of(run_id)
    commands: list[tuple[Any, ...]] = [
        (b"HGET", keys.runs, name),
        (b"HGETALL", keys.journal(name)),
        (b"EXISTS", keys.streams(name)),
        (b"HGET", keys.events, named(event_id)),
        (b"HGET", keys.inbox_ids, named(event_id)),
    ]
    row, chunks, streamed, placed, number = await server.all("run", commands, moment=True)
    if row is not None:
        change = run_of_row(row)
    elif placed is None and number is None:
        return None
    else:
        if placed is not None:
            cause = event_of_row(placed).event
        else:
            cause = await _waiting_cause(server, event_id, number)
        if cause is None:
            return None
        change = RunChange(run_id, agent, cause.tenant, cause.key, "queued", 0, cause.time_ms)
    journal = dict_of(chunks)
    following = int(journal.pop(b"n", 0))
    bodies = [journal[each] for each in sorted(journal, key=int)]
    bodies += [change.records] if change.records else []
    records = [record for body in bodies for record in decode_chunk(body)]
    return StoredRun(change, records, following, bool(streamed))


async def _waiting_cause(server: Server, event_id: str, number: bytes) -> Envelope | None:
    """Return an event that waited a moment ago."""
    keys = server.keys
    waiting, placed = await server.all("run", [(b"HGET", keys.inbox, number), (b"HGET", keys.events, named(event_id))])
    if placed is not None:
        return event_of_row(placed).event
    return None if waiting is None else sent_of_row(body_of_waiting(waiting)).event


def dict_of(found: Any) -> dict[bytes, bytes]:
    """Return fields and values, which come one after the other."""
    return dict(zip(found[::2], found[1::2], strict=True))


async def progress(server: Server) -> dict[tuple[str, str, int], Progress]:
    (found,) = await server.all("progress", [(b"HGETALL", server.keys.progress)])
    marks: dict[tuple[str, str, int], Progress] = {}
    for place, row in dict_of(found).items():
        agent, topic, partition = split(place)
        marks[agent, topic, int(partition)] = progress_of_row(row)
    return marks


async def history(server: Server, tenant: str, session: str, now_ms: int) -> History:
    (found,) = await server.all("history", [(b"HGETALL", server.keys.session(joined(tenant, session)))])
    rows = sorted((int(number), messages_of_row(row)) for number, row in dict_of(found).items())[-MESSAGES_MAX:]
    messages = History()
    for _, row in rows:
        if row.expires_ms > now_ms:
            body = row.body
            if (reference := reference_in(body)) is not None:
                body = found_in(await blobs(server, [reference.digest]), reference, f"the session {session!r}")
            messages.add(decode_messages(body))
    messages.number = rows[-1][0] + rows[-1][1].count if rows else 0
    return messages


async def blobs(server: Server, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
    if not digests:
        return {}
    (found,) = await server.all("blobs", [(b"HMGET", server.keys.blobs, *digests)])
    return {digest: body for digest, body in zip(digests, found, strict=True) if body is not None}


async def values(server: Server, tenant: str, agent: str, key: str) -> Mapping[str, bytes]:
    (found,) = await server.all("values", [(b"HGETALL", server.keys.value(joined(tenant, agent, key)))])
    return {name.decode(): body for name, body in dict_of(found).items()}


async def runs(server: Server, which: RunFilter) -> list[RunChange]:
    """Return runs, newest first: those of a status other than succeeded have an index, the others are looked through."""
    keys: Keys = server.keys
    open_ = which.status not in (None, "succeeded")
    index = keys.opened(which.status or "") if open_ else keys.arrivals
    found, start = list[RunChange](), 0
    while len(found) < which.limit:
        (ids,) = await server.all("runs", [(b"ZREVRANGE", index, start, start + PAGE - 1)])
        if not ids:
            break
        (rows,) = await server.all("runs", [(b"HMGET", keys.runs, *ids)])
        changes = [run_of_row(row) for row in rows if row is not None]
        found += [each for each in changes if _is_wanted_run(each, which)]
        start += len(ids)
    return found[: which.limit]


def _is_wanted_run(change: RunChange, which: RunFilter) -> bool:
    return (
        which.tenant in (None, change.tenant)
        and which.agent in (None, change.agent)
        and which.status in (None, change.status)
    )


async def dead_letters(server: Server, which: DeadFilter) -> list[DeadLetter]:
    keys, found, start = server.keys, list[DeadLetter](), 0
    reason = None if which.reason is None else _lowered(which.reason)
    while len(found) < which.limit:
        (ids,) = await server.all("dead letters", [(b"ZREVRANGE", keys.deaths, start, start + PAGE - 1)])
        if not ids:
            break
        start += len(ids)
        (rows,) = await server.all("dead letters", [(b"HMGET", keys.dead, *ids)])
        letters = [letter_of_row(row) for row in rows if row is not None]
        letters = [
            each
            for each in letters
            if which.tenant in (None, each.tenant)
            and which.agent in (None, each.agent)
            and which.run_id in (None, each.run_id)
            and (which.since_ms is None or each.at_ms >= which.since_ms)
            and (reason is None or reason in _lowered(each.reason))
        ]
        by_id = {
            each.event.id: each.event for each in await events_by_id(server, [named(each.event_id) for each in letters])
        }
        found += [each.with_event(by_id[each.event_id]) for each in letters if each.event_id in by_id]
    return found[: which.limit]


def _lowered(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass").lower()  # of bytes: that of ASCII alone, as databases do it
