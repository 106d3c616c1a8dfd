"""What a workflow run would come to under other code, and the histories of runs as lines of text.

A history is all that leading a run again takes: its event, its journal, and how it stands. Lines grow, and never change.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from penstock.core.agents.journal import StepRecord
from penstock.core.agents.unit import RunChange
from penstock.core.events.envelope import Recorded
from penstock.errors import Finding, Invalid

HISTORY_BYTES_MAX = 512 * 1024 * 1024
Outcome = Literal["fits", "differs", "breaks", "fails", "gone", "unclear", "skipped"]
BROKEN: tuple[Outcome, ...] = ("breaks", "fails", "gone")
KEEP = "keep the old code beside the new, @app.workflow(name={name!r}, version={version}), and give the new one version={next}"


class Rehearsed(Struct, frozen=True):
    """What became of one run that was led through its journal.

    `fits`: it goes on at `step`, or ends well. `differs`: it had ended, and returns something else now. `breaks`: it would
    halt, for `reason`. `fails`: the code raises what it had not raised. `gone`: the app has no code for it. `unclear`: the code
    waits for something that is no operation of its context. `skipped`: there is nothing to lead it through. `place` is where in
    the user's code, as FILE:LINE; `advice` what to do.
    """

    run_id: str
    workflow: str
    status: str
    outcome: Outcome
    version: int = 1
    step: str = ""
    reason: str = ""
    place: str = ""
    advice: str = ""
    records: int = 0
    result: bytes = b""  # JSON of what it returns now, when it ends

    @property
    def is_broken(self) -> bool:
        return self.outcome in BROKEN


class Group(Struct, frozen=True):
    """Runs that come to the same, for the same reason."""

    first: Rehearsed
    runs: list[str]


def grouped(rehearsed: Iterable[Rehearsed]) -> list[Group]:
    """Put together what one change of the code can mend, the largest group first."""
    groups: dict[tuple[str, ...], Group] = {}
    for each in rehearsed:
        about = (each.outcome, each.workflow, str(each.version), each.step, each.reason, each.place)
        groups.setdefault(about, Group(each, [])).runs.append(each.run_id)
    return sorted(groups.values(), key=lambda group: -len(group.runs))


def tally(rehearsed: Iterable[Rehearsed]) -> dict[Outcome, int]:
    """Count by outcome."""
    counts: dict[Outcome, int] = {}
    for each in rehearsed:
        counts[each.outcome] = counts.get(each.outcome, 0) + 1
    return counts


def advice_for(name: str, version: int, newest: int) -> str:
    """Say what lets runs go on whose code has changed under them."""
    keep = KEEP.format(name=name, version=version, next=max(version, newest) + (newest <= version))
    return f"ask ctx.version('WHAT CHANGED', 2) where the code differs, or {keep}"


class _Record(Struct, frozen=True, array_like=True):
    step: str
    value: bytes  # MessagePack
    at_ms: int
    place: int = -1


class History(Struct, frozen=True):
    """One run, with all that leading it again takes."""

    change: RunChange
    event: Recorded
    records: Sequence[StepRecord]


class _Line(Struct, frozen=True):
    run: RunChange
    event: Recorded
    records: list[_Record]
    format: int = 1


def encode_history(history: History) -> bytes:
    """Return a history as one line of JSON."""
    records = [_Record(each.step, bytes(each.value), each.at_ms, each.place) for each in history.records]
    return msgspec.json.encode(_Line(history.change, history.event, records)) + b"\n"


def decode_history(line: bytes, what: str) -> History:
    """Return the history in a line; `Invalid`, which says in `what`, when it is none."""
    try:
        found = msgspec.json.decode(line, type=_Line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        hint = "write it with `penstock runs check --save FILE`"
        raise Invalid("a history of a run", (Finding(what, str(error), hint),)) from error
    records = [StepRecord(each.step, Raw(each.value), each.at_ms, each.place) for each in found.records]
    return History(found.run, found.event, records)
