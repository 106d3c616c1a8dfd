"""How far a step is that has not ended, and what follows: its attempts, the waits between them, an unknown outcome.

It is one more record of the run's journal, under the step's id with `/open`: the newest counts.
"""

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from penstock.core.agents.journal import StepRecord, decode_value, standing
from penstock.core.agents.policy import Retry
from penstock.core.agents.tools import Reconcile, Skip, ToolOptions

Move = Literal["call", "skip", "ask", "reconcile", "give up", "failed"]
OPEN = "/open"
CUT = "/cut"  # nobody waits for the step any more
CANCEL = "cancel"  # the record that says that the run is to end, and which operations that cut off


class Asking(Struct, frozen=True):
    """What a person is asked to approve. New fields go to the end, with a default."""

    title: str
    payload: Any = None
    options: list[Any] | None = None  # the value is one of them
    schema: dict[str, Any] | None = None  # the value is of this type, in JSON schema
    timeout_s: float | None = None
    on_timeout: str = "raise"
    due_ms: int = 0  # when it ends without an answer


class OpenStep(Struct, frozen=True, array_like=True):
    """What is known of a step that has not ended. New fields go to the end, with a default."""

    attempt: int = 0  # the last one that began, as far as it is recorded
    begun: bool = False  # it did not end: whether it happened is not known
    first_ms: int = 0  # when the first one began
    due_ms: int = 0  # when the next one is due
    reason: str = ""  # why the last one failed
    asked_ms: int = 0  # since when a person is asked what happened
    call: str = ""  # what the person is asked about
    failed: bool = False  # for good
    asking: Asking | None = None  # an approval; None: what became of a call


def next_move(options: ToolOptions, known: OpenStep, now_ms: int) -> Move:
    """Return what is to be done with a step."""
    if known.failed:
        return "failed"
    if known.begun:
        match options.unknown:
            case Skip():
                return "skip"
            case "ask":
                return "ask"
            case Reconcile():  # which is asked as often again as the tool may be called
                spent = options.retry is not None and known.attempt >= 2 * options.retry.attempts_max
                return "give up" if spent else "reconcile"
            case _:
                pass
    return "give up" if _is_spent(options, known, now_ms) else "call"


def wait_s(retry: Retry | None, known: OpenStep, now_ms: int) -> float:
    """Return how long the next attempt waits. A clock that was set back makes no wait longer than the policy's longest."""
    longest_s = 0.0 if retry is None else retry.delay_max_s
    return min(longest_s, max(0.0, (known.due_ms - now_ms) / 1000))


def begun(known: OpenStep, now_ms: int) -> OpenStep:
    """Return the step with another attempt under way."""
    return replace(known, attempt=known.attempt + 1, begun=True, first_ms=known.first_ms or now_ms)


def missed(options: ToolOptions, known: OpenStep, reason: str, now_ms: int, chance: float) -> OpenStep:
    """Return the step after its attempt failed, and did not happen: the next one waits its time."""
    delay_s = 0.0 if options.retry is None else options.retry.wait_s(known.attempt, chance)
    return replace(known, begun=False, reason=reason, due_ms=now_ms + int(delay_s * 1000))


def unsettled(options: ToolOptions, known: OpenStep, reason: str, now_ms: int, chance: float) -> OpenStep:
    """Return the step after its attempt, or the question what became of it, ended without an answer."""
    return replace(missed(options, known, reason, now_ms, chance), begun=options.begins)


def open_questions(records: Sequence[StepRecord]) -> dict[str, OpenStep]:
    """Return the steps of a journal that wait for a person, by their ids."""
    newest = {record.step: record.value for record in standing(records)}
    cut = set[str]() if CANCEL not in newest else set(decode_value(newest[CANCEL], dict[str, Any])["cut"])
    opened = {
        step: decode_value(value, OpenStep)
        for step, value in ((each.removesuffix(OPEN), newest[each]) for each in newest if each.endswith(OPEN))
        if step not in newest and f"{step}{CUT}" not in newest and step not in cut
    }
    return {step: each for step, each in opened.items() if each.asked_ms}


def _is_spent(options: ToolOptions, known: OpenStep, now_ms: int) -> bool:
    """Whether no attempt is left, or no time."""
    if options.retry is not None and known.attempt >= options.retry.attempts_max:
        return True
    return bool(options.total_s is not None and known.first_ms and now_ms >= known.first_ms + options.total_s * 1000)
