"""What is to be done again, as events on a topic of their own: redrives and forks of runs, and dead letters that are dropped.

Each has the tenant and the key of the event that the run handled, so it comes to the same partition, and in its order.
"""

from collections.abc import Sequence
from typing import Literal

from msgspec import Raw
from msgspec.structs import replace

from penstock.core.agents.attempts import OPEN, OpenStep
from penstock.core.agents.journal import StepRecord, decode_value, encode_value, standing
from penstock.core.agents.listening import CLOSED, LISTEN
from penstock.core.agents.run_journal import CANCEL
from penstock.core.agents.unit import RunChange
from penstock.core.events.envelope import Recorded
from penstock.core.events.event import Event
from penstock.errors import Finding, Invalid

TOPIC = "penstock-again"
WORDS_CHARS_MAX = 1000  # of who did it, and of why


class RedriveRun(Event, topic=TOPIC):
    """The run of a dead letter is to be tried again, from its journal, with as many attempts as a new one has."""

    run_id: str
    agent: str
    died_ms: int  # names the death: a letter of the same run that died later is another one
    fresh: bool = False  # without what it recorded
    by: str = ""
    why: str = ""


class DropLetter(Event, topic=TOPIC):
    """A dead letter is to be let go: nobody will handle its event."""

    run_id: str
    agent: str
    died_ms: int
    by: str = ""
    why: str = ""


class ForkRun(Event, topic=TOPIC):
    """A new run is to begin with an event, and with what another run had recorded before step `at`.

    `died_ms`: it takes the place of the dead letter of that other run.
    """

    run_id: str  # the run that it forks from
    agent: str
    at: str  # the first step that is executed anew; empty: all are
    type: str
    data: str  # JSON
    died_ms: int = 0
    dry: bool = False  # nothing outside is changed
    model: str = ""  # of the app, in the place of all
    by: str = ""
    why: str = ""


Said = RedriveRun | DropLetter | ForkRun
KINDS: dict[str, type[Said]] = {each.type_: each for each in (RedriveRun, DropLetter, ForkRun)}
Decision = Literal["begin", "go on", "leave"]


def said_in(recorded: Recorded) -> Said | None:
    """Return what an event on the topic says, or None when it is something that this version does not know."""
    kind = KINDS.get(recorded.event.type)
    try:
        return None if kind is None else kind.decoded(recorded.event.data)
    except Invalid:  # of a newer version
        return None


def unwrapped(recorded: Recorded) -> Recorded:
    """Return the event that a run handles: that in a fork, or the recorded one itself. Its place stays."""
    if recorded.event.type != ForkRun.type_ or recorded.position.topic != TOPIC:
        return recorded
    fork = ForkRun.decoded(recorded.event.data)
    return Recorded(recorded.position, replace(recorded.event, type=fork.type, data=fork.data.encode()))


def lineage_of(recorded: Recorded) -> ForkRun | None:
    """Return what a run forked from, when the event that it handles is a fork."""
    said = said_in(recorded) if recorded.position.topic == TOPIC else None
    return said if isinstance(said, ForkRun) else None


def redrive_decision(change: RunChange | None, died_ms: int) -> Decision:
    """Say what to do with a redrive, from what is durable of its run, while no other redrive of it is under way.

    One that was begun before a crash goes on: its run has left the state in which it died, and has not ended since.
    """
    match change:
        case RunChange(status="retrying"):
            return "go on"
        case RunChange(status="failed" | "cancelled", at_ms=at_ms) if at_ms == died_ms:
            return "begin"
        case _:
            return "leave"


def signed(what: str, by: str, why: str, before: str = "") -> str:
    """Return a reason for people: what was done, by whom, why, and what the reason was before."""
    text = f"{what} by {by}" if by else what
    text = f"{text}: {why}" if why else text
    return f"{text} (it had failed: {before})" if before else text


def records_before(records: Sequence[StepRecord], at: str) -> list[StepRecord]:
    """Return what a run had recorded before step `at`; `Invalid`, with the steps that there are, when it has no such step.

    What was only begun before it (an agent that was called, a wait with its end) is begun anew.
    """
    if not at:
        return []
    standing_ones = standing(records)
    kept: dict[str, StepRecord] = {}
    for record in standing_ones:
        if record.step == at:
            kept.pop(CANCEL, None)
            return [each for each in kept.values() if not _begun(each.step) or _begun(each.step) in kept]
        kept[record.step] = record
    steps = ", ".join(record.step for record in standing_ones) or "none"
    raise Invalid("the fork", (Finding("at", f"the run has no step {at!r}", f"its steps are {steps}"),))


def renewed(records: Sequence[StepRecord], at_ms: int) -> list[StepRecord]:
    """Return the records that give the steps that have not ended new attempts; what is unknown of them stays unknown (C4)."""
    found = {record.step: record for record in standing(records)}
    opened = {
        step: decode_value(record.value, OpenStep)
        for step, record in found.items()
        if step.endswith(OPEN) and step.removesuffix(OPEN) not in found
    }
    return [
        StepRecord(step, Raw(encode_value(replace(each, attempt=0, first_ms=0, due_ms=0, failed=False), step)), at_ms)
        for step, each in opened.items()
    ]


def _begun(step: str) -> str:
    """Return the step that this one only begins, or nothing."""
    begun, _, what = step.rpartition("/")
    if step.endswith(OPEN):
        return step.removesuffix(OPEN)
    if what.startswith(LISTEN):  # a fork listens by itself
        return f"{step}{CLOSED}"
    if what.startswith("start:"):  # the run that it began tells the other one of its end
        return f"{step}/result"
    return begun if what in ("sent", "until") else ""


def culprits(records: Sequence[StepRecord], reason: str) -> dict[str, str]:
    """Return the calls of a workflow, step -> run, whose failure is why the workflow itself failed."""
    found: dict[str, str] = {}
    for record in standing(records):
        if record.step.rpartition("/")[2].startswith("call:"):
            outcome = decode_value(record.value, object)
            if isinstance(outcome, dict) and "failed" in outcome and f"run {outcome['run_id']} failed" in reason:
                found[record.step] = outcome["run_id"]
    return found
