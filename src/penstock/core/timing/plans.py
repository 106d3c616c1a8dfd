"""What an app wants to happen again and again: a schedule by name, and the event that each firing appends."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final, Literal, TypeAlias, TypedDict, cast

from penstock.core.events.event import Event
from penstock.core.events.tenant import require_tenant
from penstock.core.timing.schedules import CATCH_UPS, CatchUp, Rate, Schedule, parse_schedule
from penstock.core.timing.timers import moment_ms, moment_text
from penstock.core.timing.zones import EPOCH, zone_named
from penstock.errors import Finding, Invalid, PenstockError

Overlap: TypeAlias = Literal["allow", "skip"]
OVERLAPS: Final[tuple[Overlap, ...]] = ("allow", "skip")
NAME_CHARS_MAX: Final = 100
CATCH_UP_MAX: Final = 100
CATCH_UP_LIMIT: Final = 1000  # events of one handling stay well below what one may emit
JITTER_S_MAX: Final = 86_400
EventMaker: TypeAlias = Callable[[datetime], Event]  # called with the due time, as clocks of the plan's zone show it


class PlanOptions(TypedDict, total=False):
    """How a schedule is kept; see `App.schedule`."""

    timezone: str
    catch_up: CatchUp
    catch_up_max: int
    jitter_s: float
    start: datetime | None
    end: datetime | None
    overlap: Overlap
    tenant: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A schedule of the app, by its name. `start_ms`, `end_ms`: 0 is none."""

    name: str
    expression: str
    schedule: Schedule
    event: Event | EventMaker
    timezone: str = "UTC"
    catch_up: CatchUp = "latest"
    catch_up_max: int = CATCH_UP_MAX
    jitter_s: float = 0.0
    start_ms: int = 0
    end_ms: int = 0
    overlap: Overlap = "allow"
    tenant: str = "default"

    @property
    def fingerprint(self) -> str:
        """What decides when it fires: another one is another schedule under the same name."""
        parts = (self.expression, self.timezone, str(self.start_ms), str(self.end_ms))
        return blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()

    def after(self, moment: int) -> int | None:
        """Return the first due time (ms) strictly after a moment (ms), within start and end."""
        if self.start_ms and moment < self.start_ms:
            moment = self.start_ms - 1
        due_ms = self.schedule.after(moment, self.timezone)
        return None if due_ms is None or (self.end_ms and due_ms > self.end_ms) else due_ms

    def fires_ms(self, due_ms: int) -> int:
        """Return when the firing of a due time is to happen: up to `jitter_s` later, the same for all who ask."""
        span_ms = int(self.jitter_s * 1000)
        if span_ms == 0:
            return due_ms
        digest = blake2b(f"{self.tenant}/{self.name}/{due_ms}".encode(), digest_size=8).digest()
        return due_ms + int.from_bytes(digest) % (span_ms + 1)

    def event_at(self, due_ms: int) -> Event:
        """Return the event of a due time; whatever the app's own function raises leaves as it is."""
        return self.event if isinstance(self.event, Event) else self.event(local_time(due_ms, self.timezone))

    def chain(self, due_ms: int) -> str:
        """Return the name of the chain of events that a firing begins: the event's id begins with it."""
        return f"{self.name}@{moment_text(due_ms)}"


def planned(name: str, expression: str, event: object, options: Mapping[str, Any]) -> Plan:
    """Read a schedule of an app; `Invalid` with all findings."""
    known = {each.name for each in fields(Plan)} - {"start_ms", "end_ms", "schedule", "name", "expression", "event"}
    hint = f"one of {', '.join(sorted(known | {'start', 'end'}))}"
    findings = [Finding(each, "is no option", hint) for each in sorted(options.keys() - known - {"start", "end"})]
    findings += _name_findings(name)
    start_ms = _moment(options, "start", findings)
    end_ms = _moment(options, "end", findings)
    if start_ms and end_ms and end_ms < start_ms:
        findings.append(Finding("end", "is before start", "swap them"))
    schedule: Schedule = Rate(1)
    try:
        schedule = parse_schedule(expression, start_ms=start_ms)
    except Invalid as error:
        findings += [Finding(f"expression.{each.path}", each.problem, each.hint) for each in error.findings]
    findings += _option_findings(options)
    if not (isinstance(event, Event) or (callable(event) and not inspect.isclass(event))):
        hint = "give an event, Report(...), or a function that makes one from the due time"
        findings.append(Finding("event", f"is {event!r}", hint))
    if findings:
        raise Invalid(f"the schedule {name!r}", tuple(findings))
    chosen = {each: value for each, value in options.items() if each in known}
    maker = cast("Event | EventMaker", event)
    return Plan(name, expression, schedule, maker, start_ms=start_ms, end_ms=end_ms, **chosen)


def scheduled_events(plans: Mapping[str, Plan]) -> set[type[Event]]:
    """Return the types of the events that schedules append, as far as they say so."""
    found: set[type[Event]] = set()
    for plan in plans.values():
        if isinstance(plan.event, Event):
            found.add(type(plan.event))
        elif isinstance(made := inspect.get_annotations(plan.event, eval_str=True).get("return"), type):
            found.update({made} if issubclass(made, Event) else ())
    return found


def local_time(due_ms: int, timezone: str) -> datetime:
    """Return a moment as a time that knows its zone."""
    return datetime.fromtimestamp(due_ms / 1000, EPOCH.tzinfo).astimezone(zone_named(timezone))


def _name_findings(name: object) -> list[Finding]:
    if (
        isinstance(name, str)
        and 0 < len(name) <= NAME_CHARS_MAX
        and all(each.isalnum() or each in "-_." for each in name)
    ):
        return []
    hint = f"use letters, digits, -, _ and ., 1 to {NAME_CHARS_MAX} of them"
    return [Finding("name", f"is {name!r}", hint)]


def _moment(options: Mapping[str, Any], name: str, findings: list[Finding]) -> int:
    moment = options.get(name)
    if moment is None:
        return 0
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        findings.append(Finding(name, f"is {moment!r}", "a datetime with its zone: datetime(2026, 1, 31, tzinfo=UTC)"))
        return 0
    return moment_ms(moment)


def _option_findings(options: Mapping[str, Any]) -> list[Finding]:
    findings: list[Finding] = []
    for name, values in (("catch_up", CATCH_UPS), ("overlap", OVERLAPS)):
        if name in options and options[name] not in values:
            findings.append(Finding(name, f"is {options[name]!r}", f"one of {', '.join(values)}"))
    for name, kind, low, high in (
        ("catch_up_max", int, 1, CATCH_UP_LIMIT),
        ("jitter_s", int | float, 0, JITTER_S_MAX),
    ):
        value = options.get(name, low)
        if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
            findings.append(Finding(name, f"is {value!r}", f"a number from {low} to {high}"))
    try:
        zone_named(options.get("timezone", "UTC"))
        require_tenant(options.get("tenant", "default"))
    except Invalid as error:
        findings += error.findings
    except (TypeError, AttributeError, PenstockError) as error:
        findings.append(Finding("timezone", str(error), "write a name as Europe/Berlin or UTC"))
    return findings
