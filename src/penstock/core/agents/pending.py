"""What a workflow run waits for, and since when: read from its journal, without its code."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Raw, Struct

from penstock.core.agents.attempts import CANCEL, CUT, OPEN, OpenStep
from penstock.core.agents.journal import StepRecord, decode_value, standing
from penstock.core.agents.listening import CHANNEL, Listening, open_listenings, told_listening

SENT = "/sent"
UNTIL = "/until"
_WAIT = re.compile(r"wait:(.*)#\d+", re.DOTALL)
_CALL = re.compile(r"call:(.*)#\d+", re.DOTALL)
_SLEEP = re.compile(r"sleep#\d+")
_FIRST = re.compile(r"((?:^|.*/)first#\d+)\[\d+\]/", re.DOTALL)


class Pending(Struct, frozen=True):
    """An operation that has begun and not ended."""

    step: str
    what: str
    since_ms: int
    due_ms: int | None = None  # when it ends, or goes on, by itself


def pending(records: Sequence[StepRecord], now_ms: int) -> list[Pending]:
    """Return what the run of a journal waits for, the oldest first."""
    known = {each.step: each for each in standing(records)}
    cut = set[str]() if CANCEL not in known else set(decode_value(known[CANCEL].value, dict[str, Any])["cut"])
    listening = {each.channel: each for each in open_listenings(known.values()).values()}
    found: list[Pending] = []
    for step, record in known.items():
        each = _pending(step, record, known, listening, now_ms)
        if each is not None and not (each.step in cut or f"{each.step}{CUT}" in known or _is_over(each.step, known)):
            found.append(each)
    return sorted(found, key=lambda each: each.since_ms)


def _pending(
    step: str,
    record: StepRecord,
    known: Mapping[str, StepRecord],
    listening: Mapping[str, Listening],
    now_ms: int,
) -> Pending | None:
    name = step.rpartition("/")[2]
    if _SLEEP.fullmatch(name):
        due_ms: int = decode_value(record.value, int)
        return Pending(step, "time", record.at_ms, due_ms) if due_ms > now_ms else None
    for detail in (SENT, UNTIL, OPEN):
        operation = step.removesuffix(detail)
        if operation != step and operation not in known:
            return _begun(operation, detail, record.value, record.at_ms, listening)
    return None


def _begun(step: str, detail: str, value: Raw, at_ms: int, listening: Mapping[str, Listening]) -> Pending | None:
    """Return an operation of which the journal has only how it began."""
    name = step.rpartition("/")[2]
    if detail == SENT and (call := _CALL.fullmatch(name)) is not None:
        return Pending(step, f"the agent {call[1]!r}", at_ms)
    if detail == UNTIL and (wait := _WAIT.fullmatch(name)) is not None:
        due_ms: int = decode_value(value, int)
        heard = listening.get(wait[1])
        what = f"the signal {wait[1]!r}" if heard is None else f"the event {told_listening(heard)}"
        return None if heard is None and wait[1].startswith(CHANNEL) else Pending(step, what, at_ms, due_ms or None)
    if detail == OPEN:
        return _open(step, decode_value(value, OpenStep), at_ms)
    return None


def _open(step: str, known: OpenStep, at_ms: int) -> Pending | None:
    if known.failed:
        return None
    if known.asking is not None:
        return Pending(step, f"the approval {known.asking.title!r}", known.asked_ms, known.asking.due_ms or None)
    if known.asked_ms:
        return Pending(step, f"a person who knows what became of {known.call}", known.asked_ms)
    return Pending(step, "another attempt" if not known.begun else "an attempt", at_ms, known.due_ms or None)


def _is_over(step: str, known: Mapping[str, StepRecord]) -> bool:
    """Whether a step belongs to the branches of a `first` that one of them has won."""
    found = _FIRST.match(step)
    while found is not None:
        if found[1] in known:
            return True
        found = _FIRST.match(found[1])
    return False
