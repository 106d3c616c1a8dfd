"""What a history says of each state of a machine: how often it was entered, how long that took, and how it ended.

Histories are ours (`core/asl/history.py`) or what AWS's GetExecutionHistory answers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, cast

from penstock.core.asl.drawing.graph import Visit
from penstock.core.asl.history import HistoryEvent
from penstock.errors import Finding, Invalid

_OVER: Final = ("ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted")
_ENDS: Final = ("ExecutionSucceeded", *_OVER)
_MINUTE_S: Final = 60


@dataclass(slots=True)
class _Told:
    """What was told of one state so far."""

    entered: int = 0
    exited: int = 0
    lasted_ms: int = 0
    error: str = ""
    caught: bool = False
    failed: bool = False
    began_ms: dict[int, int] = field(default_factory=dict[int, int])


def visits_of(events: Iterable[HistoryEvent]) -> dict[str, Visit]:
    """Return how each state that was entered fared, by its name."""
    told: dict[str, _Told] = {}
    within: dict[int, tuple[str, int]] = {}  # event -> the state that it belongs to, and the event that entered it
    failing: set[int] = set()  # events that carry an error
    ended = False
    for event in events:
        if "error" in event.details or event.type.endswith("StateFailed"):  # AWS shows no error of a Map or Parallel
            failing.add(event.id)
        ended = ended or event.type in _ENDS
        if event.type == "ExecutionRedriven":
            ended = False
            for each in told.values():
                each.failed, each.error = False, ""
        if event.type.endswith("StateEntered"):
            name = str(event.details["name"])
            state = told.setdefault(name, _Told())
            state.entered += 1
            state.began_ms[event.id] = event.at_ms
            within[event.id] = (name, event.id)
            continue
        name, entered = within.get(event.previous_id, ("", 0))
        state = told.get(name)
        if event.type.endswith("StateExited"):
            _exit(told, event, within, failing)
        elif state is not None:
            within[event.id] = (name, entered)
            if "error" in event.details:
                state.error = str(event.details["error"] or "")
            state.failed = state.failed or event.type in _OVER
    return {name: _visit(state, ended=ended) for name, state in told.items()}


def _exit(
    told: Mapping[str, _Told], event: HistoryEvent, within: Mapping[int, tuple[str, int]], failing: set[int]
) -> None:
    state = told.get(str(event.details["name"]))
    if state is None:
        return
    state.exited += 1
    state.caught = event.previous_id in failing
    _, entered = within.get(event.previous_id, ("", 0))
    # What a Parallel or a Map leaves follows what happened inside: then its latest entry is meant.
    began = state.began_ms.pop(entered, None) or (state.began_ms.popitem()[1] if state.began_ms else event.at_ms)
    state.lasted_ms += event.at_ms - began
    state.error = state.error if state.caught else ""


def _visit(state: _Told, *, ended: bool) -> Visit:
    if state.failed:
        status = "failed"
    elif state.exited < state.entered:
        status = "failed" if state.error else "stopped" if ended else "running"
    else:
        status = "caught" if state.caught else "succeeded"
    parts = [f"{state.entered} times"] if state.entered > 1 else []
    parts += [_lasted(state.lasted_ms)] if state.exited else []
    return Visit(status, ", ".join([*parts, *([state.error] if state.error else [])]))


def _lasted(duration_ms: int) -> str:
    seconds = duration_ms / 1000
    if seconds < 1:
        return f"{duration_ms} ms"
    return f"{seconds:.1f} s" if seconds < _MINUTE_S else f"{seconds / _MINUTE_S:.1f} min"


def history_of(document: object) -> list[HistoryEvent]:
    """Return the events of what GetExecutionHistory answers, or of its list of events alone. Raise `Invalid` for others."""
    events = cast("Mapping[str, Any]", document).get("events") if isinstance(document, Mapping) else document
    if not isinstance(events, Sequence) or isinstance(events, str):
        raise Invalid("this history", (Finding("/", "must be an object with events, or a list of them"),))
    found: list[HistoryEvent] = []
    findings: list[Finding] = []
    for index, each in enumerate(cast("Sequence[Any]", events)):
        try:
            found.append(_event(each))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            findings.append(Finding(f"/events[{index}]", f"is no event of a history: {error!r}"))
    if findings:
        raise Invalid("this history", tuple(findings))
    return sorted(found, key=lambda event: event.id)


def _event(event: Mapping[str, Any]) -> HistoryEvent:
    told = [value for key, value in event.items() if key.endswith("EventDetails")]
    details = cast("Mapping[str, Any]", told[0] if told else {})
    kept: dict[str, Any] = {name: details[name] for name in ("name", "error") if name in details}
    kind = str(event["type"])
    if kind.endswith(("StateEntered", "StateExited")) and "name" not in kept:
        raise KeyError("name")
    return HistoryEvent(int(event["id"]), int(event.get("previousEventId", 0)), kind, _ms(event["timestamp"]), kept)


def _ms(timestamp: float | str) -> int:
    if isinstance(timestamp, str):
        return round(datetime.fromisoformat(timestamp).timestamp() * 1000)
    return round(timestamp * 1000)
