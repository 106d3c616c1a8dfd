"""What tells one row from all others of its kind, and what becomes of rows whose place is taken."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec.structs import replace

from penstock.core.agents.unit import DeadLetter, RunChange, Writes
from penstock.core.events.envelope import Envelope, Position, Recorded

Key = tuple[Any, ...]
KEYS: Final[Mapping[str, Callable[[Any], Key]]] = {
    "events": lambda each: (each.event.id,),
    "journal": lambda each: (each.run_id, each.number),
    "streams": lambda each: (each.run_id, each.name, each.first),
    "runs": lambda each: (each.run_id,),
    "sessions": lambda each: (each.tenant, each.session, each.number),
    "values": lambda each: (each.tenant, each.agent, each.key, each.name),
    "progress": lambda each: (each.agent, each.topic, each.partition),
    "timers": lambda each: (each.id,),
    "dead": lambda each: (each.run_id,),
    "sent": lambda each: (each.event.id,),
}
_WHERE: Final = Envelope("", "", "", "", 0, b"")


def fresh(rows: Writes, known: Writes) -> tuple[Writes, list[tuple[str, Any]]]:
    """Return those of some rows that are not stored yet, and (kind, row) of those in whose place something else is.

    Of a run whose journal was pruned, the one that still has its last steps is the fuller one, and no other run.
    """
    new = Writes(blobs=rows.blobs, blob_uses=rows.blob_uses)
    others: list[tuple[str, Any]] = []
    places: dict[Position, Recorded] = {each.position: each for each in known.events}
    for kind, key in KEYS.items():
        there = {key(each): each for each in getattr(known, kind)}
        for each in getattr(rows, kind):
            stored = there.get(key(each))
            if kind == "events" and stored is None:
                stored = places.setdefault(each.position, each)
                stored = None if stored is each else stored
            if stored is None or _is_fuller(each, stored):
                there[key(each)] = each
                getattr(new, kind).append(each)
            elif not _is_same(each, stored):
                others.append((kind, each))
    return new, others


def _is_fuller(row: object, stored: object) -> bool:
    return (
        isinstance(row, RunChange)
        and isinstance(stored, RunChange)
        and bool(row.records)
        and replace(row, records=b"") == stored
    )


def _is_same(row: object, stored: object) -> bool:
    if isinstance(row, RunChange) and isinstance(stored, RunChange) and not row.records:
        return row == replace(stored, records=b"")
    if isinstance(row, DeadLetter) and isinstance(stored, DeadLetter):
        return _without_event(row) == _without_event(stored)
    return row == stored


def _without_event(letter: DeadLetter) -> DeadLetter:
    return replace(letter, event=Recorded(letter.event.position, _WHERE))
