"""One commit as one statement: the fence, and an insert per table from arrays, in a single round trip.

- Each insert takes its rows only if the fence let the commit through, so who lost the claim writes nothing (S2, S4).
- A statement is a transaction by itself: no process that stops in the middle of a commit can hold the claim's row.
- A row is written once per statement, so of several writes to one place the last is taken, before they are sent.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from penstock.adapters.postgres import timers
from penstock.adapters.postgres.texts import digest, stored
from penstock.adapters.postgres.workers import SEND, SEND_TYPES, sent_rows
from penstock.core.agents.unit import SessionDelta, ValueWrite, Writes
from penstock.core.events.blobs import packed_owner
from penstock.core.events.codec import encode
from penstock.core.events.envelope import Recorded
from penstock.core.sessions.history import MESSAGES_MAX
from penstock.ports.state import Claim

_packed = msgspec.msgpack.Encoder().encode
Rows = Sequence[tuple[Any, ...]]


class _Part(NamedTuple):
    """A statement over rows: `{rows}` stands for them, `types` for their columns."""

    sql: str
    types: tuple[str, ...]


_INSERT_EVENTS = 'INSERT INTO event (topic, partition, "offset", id, body) SELECT u.* FROM {rows} u'
_EVENT_TYPES = ("int", "int", "bigint", "text", "bytea")
_PARTS = {
    "events": _Part(_INSERT_EVENTS, _EVENT_TYPES),
    "cuts": _Part(
        """DELETE FROM journal USING {rows} u (run_id, before)
        WHERE journal.run_id = u.run_id AND journal.number < u.before""",
        ("text", "int"),
    ),
    "journal": _Part("INSERT INTO journal SELECT u.* FROM {rows} u", ("text", "int", "bytea")),
    "streams": _Part(
        "INSERT INTO stream SELECT u.* FROM {rows} u", ("text", "text", "bigint", "int", "text", "int", "bytea")
    ),
    "runs": _Part(
        """INSERT INTO run (id, agent, tenant, key, status, attempt, at_ms, due_ms, reason, result, duration_ms, records)
        SELECT u.* FROM {rows} u
        ON CONFLICT (id) DO UPDATE SET status = excluded.status, attempt = excluded.attempt, at_ms = excluded.at_ms,
            due_ms = excluded.due_ms, reason = excluded.reason, result = excluded.result,
            duration_ms = excluded.duration_ms, records = excluded.records""",
        (*("text",) * 5, "int", "bigint", "bigint", "text", "bytea", "float8", "bytea"),
    ),
    "sessions": _Part(
        """INSERT INTO session SELECT u.* FROM {rows} u
        ON CONFLICT (place, number) DO UPDATE
        SET count = excluded.count, expires_ms = excluded.expires_ms, body = excluded.body, subject = excluded.subject""",
        ("bytea", "bigint", "int", "bigint", "bytea", "text", "text", "text"),
    ),
    "old_messages": _Part(
        """DELETE FROM session USING {rows} u (place, before)
        WHERE session.place = u.place AND session.number + session.count <= u.before""",
        ("bytea", "bigint"),
    ),
    "values": _Part(
        """INSERT INTO value SELECT u.* FROM {rows} u
        ON CONFLICT (place, named) DO UPDATE SET body = excluded.body, at_ms = excluded.at_ms,
            subject = CASE WHEN value.subject = excluded.subject THEN value.subject ELSE '*' END""",
        ("bytea", "bytea", "text", "text", "text", "text", "bytea", "bigint", "text"),
    ),
    "old_values": _Part(
        "DELETE FROM value USING {rows} u (place, named) WHERE value.place = u.place AND value.named = u.named",
        ("bytea", "bytea"),
    ),
    "progress": _Part(
        """INSERT INTO progress SELECT u.* FROM {rows} u
        ON CONFLICT (place) DO UPDATE SET low = excluded.low, above = excluded.above""",
        ("bytea", "text", "text", "int", "bigint", "bytea"),
    ),
    "timers": _Part(timers.SET, timers.SET_TYPES),
    "old_timers": _Part(timers.REMOVE, timers.REMOVE_TYPES),
    "settled": _Part("DELETE FROM dead USING {rows} u (run_id) WHERE dead.run_id = u.run_id", ("text",)),
    "dead": _Part(
        """INSERT INTO dead (run_id, agent, tenant, topic, partition, "offset", reason, attempts, at_ms)
        SELECT u.* FROM {rows} u
        ON CONFLICT (run_id) DO UPDATE SET agent = excluded.agent, tenant = excluded.tenant, topic = excluded.topic,
            partition = excluded.partition, "offset" = excluded."offset", reason = excluded.reason,
            attempts = excluded.attempts, at_ms = excluded.at_ms, arrival = DEFAULT""",  # who died again is the newest
        ("text", "text", "text", "int", "int", "bigint", "text", "int", "bigint"),
    ),
    "sent": _Part(SEND, SEND_TYPES),
    "received": _Part("DELETE FROM inbox USING {rows} u (number) WHERE inbox.number = u.number", ("bigint",)),
    "taken": _Part("DELETE FROM inbox USING {rows} u (id) WHERE inbox.id = u.id", ("text",)),
    # An update of nothing: it holds the row until the commit ends, so that no sweep takes what the commit refers to (B4).
    "blobs": _Part(
        """INSERT INTO blob (digest, size, body) SELECT u.* FROM {rows} u ORDER BY 1
        ON CONFLICT (digest) DO UPDATE SET size = excluded.size""",
        ("bytea", "bigint", "bytea"),
    ),
    "blob_uses": _Part(
        """INSERT INTO blob_use (digest, place, owner, at_ms) SELECT u.* FROM {rows} u ORDER BY 1, 2
        ON CONFLICT (digest, place) DO UPDATE SET at_ms = excluded.at_ms""",
        ("bytea", "bytea", "bytea", "bigint"),
    ),
}
_FENCE = """
WITH mine AS (
    UPDATE worker SET number = $3 WHERE owner = $1 AND epoch = $2 AND number < $3 RETURNING 1 AS one
)"""


def topics_of(writes: Writes) -> set[str]:
    """Return the names of the topics that a commit needs the numbers of."""
    return {each.position.topic for each in writes.events} | {each.event.position.topic for each in writes.dead}


def commit_statement(
    claim: Claim, number: int, writes: Writes, topics: Mapping[str, int], notice: tuple[str, str]
) -> tuple[str, list[Any]]:
    """Return a statement that yields one row when it has written, none when the fence held it back, and its arguments.

    `notice`: the channel and the payload that tell others of the events.
    """
    rows = {name: each for name, each in _rows(writes, topics).items() if each}
    columns = [list(column) for each in rows.values() for column in zip(*each, strict=True)]
    told = [*notice] if writes.is_news else []
    return _statement(tuple(rows), notify=bool(told)), [stored(claim.owner), claim.epoch, number, *columns, *told]


def append_statement(events: Sequence[Recorded], topics: Mapping[str, int]) -> tuple[str, list[Any]]:
    """Return a statement that inserts events within the caller's transaction, and its arguments."""
    arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(_EVENT_TYPES, 1))
    columns = [list(column) for column in zip(*_event_rows(events, topics), strict=True)]
    return _INSERT_EVENTS.format(rows=f"unnest({arrays})"), columns


@lru_cache(maxsize=64)
def _statement(names: tuple[str, ...], *, notify: bool) -> str:
    clauses = [_FENCE]
    argument = 4
    for name in names:
        part = _PARTS[name]
        arrays = ", ".join(f"${argument + index}::{kind}[]" for index, kind in enumerate(part.types))
        argument += len(part.types)
        # The rows come after the fence: `mine` has one row or none, and with none there is nothing to insert.
        rows = f"(SELECT v.* FROM mine, unnest({arrays}) v)"  # noqa: S608 - numbers and our own names
        clauses.append(f"{name} AS ({part.sql.format(rows=rows)})")
    outcome = f"pg_notify(${argument}, ${argument + 1})" if notify else "one"
    return f"{', '.join(clauses)} SELECT {outcome} FROM mine"  # noqa: S608 - see above


def _rows(writes: Writes, topics: Mapping[str, int]) -> dict[str, Rows]:
    runs = {run.run_id: run for run in writes.runs}
    progress = {(done.agent, done.topic, done.partition): done for done in writes.progress}
    letters = {letter.run_id: letter for letter in writes.dead}
    sessions, old_messages = _session_rows(writes.sessions)
    values, old_values = _value_rows(writes.values)
    set_timers, old_timers = timers.rows_of(writes.timers)
    return {
        "events": _event_rows(writes.events, topics),
        "cuts": [(stored(cut.run_id), cut.before) for cut in writes.cuts],
        "journal": [(stored(chunk.run_id), chunk.number, chunk.body) for chunk in writes.journal],
        "streams": [
            (stored(c.run_id), stored(c.name), c.first, c.count, stored(c.tenant), c.partition, c.body)
            for c in writes.streams
        ],
        "runs": [
            (
                *(stored(text) for text in (run.run_id, run.agent, run.tenant, run.key, run.status)),
                *(run.attempt, run.at_ms, run.due_ms, stored(run.reason), run.result, run.duration_ms, run.records),
            )
            for run in runs.values()
        ],
        "sessions": sessions,
        "old_messages": old_messages,
        "values": values,
        "old_values": old_values,
        "timers": set_timers,
        "old_timers": old_timers,
        "progress": [
            (
                digest(done.agent, done.topic, str(done.partition)),
                *(stored(done.agent), stored(done.topic), done.partition, done.low, _packed(done.above)),
            )
            for done in progress.values()
        ],
        # What one statement deletes it cannot write again: a letter that died again takes the place of the old one.
        "settled": [(stored(run_id),) for run_id in dict.fromkeys(writes.settled) if run_id not in letters],
        "dead": [
            (
                *(stored(letter.run_id), stored(letter.agent), stored(letter.event.event.tenant)),
                *_place(letter.event, topics),
                *(stored(letter.reason), letter.attempts, letter.at_ms),
            )
            for letter in letters.values()
        ],
        "sent": sent_rows(writes.sent),
        "received": [(number,) for number in writes.received],
        "taken": [(stored(each),) for each in writes.taken],
        "blobs": [(blob.digest, len(blob.body), blob.body) for blob in writes.blobs],
        "blob_uses": [(use.digest, digest(*use.owner), packed_owner(use.owner), use.at_ms) for use in writes.blob_uses],
    }


def _event_rows(events: Iterable[Recorded], topics: Mapping[str, int]) -> Rows:
    return [(*_place(each, topics), stored(each.event.id), encode(each.event)) for each in events]


def _place(recorded: Recorded, topics: Mapping[str, int]) -> tuple[int, int, int]:
    place = recorded.position
    return topics[place.topic], place.partition, place.offset


def _session_rows(deltas: Sequence[SessionDelta]) -> tuple[Rows, Rows]:
    """Return the rows to write, and up to which message the older ones of a session can go.

    Once in every MESSAGES_MAX messages what no history shows any more is removed. What one statement inserts it cannot
    delete, so deltas that are old already when their commit ends are left out.
    """
    ends: dict[tuple[str, str], int] = {}
    befores: dict[tuple[str, str], int] = {}
    for each in deltas:
        which = (each.tenant, each.session)
        end = each.number + each.count
        ends[which] = max(end, ends.get(which, 0))
        if each.number // MESSAGES_MAX != end // MESSAGES_MAX:
            befores[which] = max(end - MESSAGES_MAX, befores.get(which, 0))
    places = {which: digest(*which) for which in ends}
    rows: dict[tuple[bytes, int], tuple[Any, ...]] = {}
    for each in deltas:
        which = (each.tenant, each.session)
        if each.number + each.count > ends[which] - MESSAGES_MAX:
            numbers = (places[which], each.number, each.count, each.expires_ms, each.body)
            rows[places[which], each.number] = (
                *numbers,
                stored(each.tenant),
                stored(each.session),
                stored(each.subject),
            )
    return [*rows.values()], [(places[which], before) for which, before in befores.items()]


def _value_rows(writes: Sequence[ValueWrite]) -> tuple[Rows, Rows]:
    last = {(each.tenant, each.agent, each.key, each.name): (each.body, each.at_ms, each.subject) for each in writes}
    kept: list[tuple[Any, ...]] = []
    gone: list[tuple[Any, ...]] = []
    for (tenant, agent, key, name), (body, at_ms, subject) in last.items():
        place = (digest(tenant, agent, key), digest(name))
        if body is None:
            gone.append(place)
        else:
            names = (stored(tenant), stored(agent), stored(key), stored(name))
            kept.append((*place, *names, body, at_ms, stored(subject)))
    return kept, gone
