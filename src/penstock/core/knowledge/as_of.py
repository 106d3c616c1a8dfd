"""Up to where a collection is to be seen: an offset of its log, a time, or when a run had begun."""

import re
from datetime import UTC, datetime

from msgspec import Struct

from penstock.errors import Finding, Invalid

NOT_SAID = -1
_OFFSET = re.compile("[0-9]{1,18}")
_CUT = re.compile(r"c(?:[0-9]{1,4}-[0-9]{1,18}(?:\.[0-9]{1,4}-[0-9]{1,18}){0,1023})?")


class AsOf(Struct, frozen=True):
    """One of the four is said. A time is that of the events as the log has them."""

    offset: int = NOT_SAID  # all events up to this one, itself included; 0: none
    time_ms: int = NOT_SAID  # all that were appended by then
    run: str = ""  # all that were appended before the run's last attempt began
    cut: str = ""  # an offset for each partition, as a log of several has it


def as_of(given: "int | datetime | str | AsOf | None") -> AsOf | None:
    """Return what a caller says: what a search found `as_of`, a time with its zone, or a run's id; `Invalid` for all else."""
    match given:
        case None | AsOf():
            return given
        case bool():
            raise _invalid(given, "an offset, a time, or the id of a run")
        case int():
            if given < 0:
                raise _invalid(given, "offsets count from 1; 0 is before all of them")
            return AsOf(offset=given)
        case datetime():
            if given.tzinfo is None:
                raise _invalid(given, "say its zone: datetime(..., tzinfo=UTC)")
            return AsOf(time_ms=max(0, int(given.astimezone(UTC).timestamp() * 1000)))
        case str():
            if _CUT.fullmatch(given):
                return AsOf(cut=given)
            if ":" not in given:
                raise _invalid(given, "an offset, a time as 2026-11-26T09:30Z, or the id of a run: EVENT:AGENT")
            return AsOf(run=given)


def read(text: str) -> AsOf:
    """Return what people write: an offset, a time as 2026-11-26T09:30Z, or the id of a run; `Invalid` for anything else."""
    if _OFFSET.fullmatch(text):
        return AsOf(offset=int(text))
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        told = as_of(text)
        assert told is not None, text
        return told
    told = as_of(found.replace(tzinfo=UTC) if found.tzinfo is None else found)
    assert told is not None, text
    return told


def _invalid(given: object, hint: str) -> Invalid:
    return Invalid("the search", (Finding("as_of", f"is {given!r:.80}", hint),))
