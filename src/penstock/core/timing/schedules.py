"""When something fires again and again, or once: schedule expressions, their next firing, and the firings that were missed.

The expressions are those of Amazon EventBridge Scheduler, `rate(5 minutes)`, `cron(0 10 * * ? *)` and
`at(2026-01-31T12:00:00)`, and the five fields of crontab, `0 10 * * MON-FRI`. Where the services of AWS differ, what counts is
what PutRule was recorded to accept.

- A schedule is data and reads no clock: a moment and a zone give the same firing wherever the time zone data are the same.
- `after` never decreases when the moment grows: asked from firing to firing, it gives each one once and in order.
"""

import re
from collections import deque
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal, TypeAlias

from penstock.core.timing.cron import YEAR_MAX, YEAR_MIN, Cron
from penstock.core.timing.cron_fields import crontab, eventbridge_cron
from penstock.core.timing.zones import shifted_moment_of, zone_named
from penstock.errors import Finding, Invalid

TEXT_LENGTH_MAX: Final = 256  # EventBridge's bound too
RATE_DAYS_MAX: Final = 36_525
CatchUp: TypeAlias = Literal["none", "latest", "all"]
CATCH_UPS: Final[tuple[CatchUp, ...]] = ("none", "latest", "all")

_MINUTE_MS = 60_000
_UNITS_MS = {"minute": _MINUTE_MS, "hour": 60 * _MINUTE_MS, "day": 24 * 60 * _MINUTE_MS}
_CALL = re.compile(r"(rate|cron|at)\((.*)\)")
_AT = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})")
_AT_RANGES = (
    ("year", YEAR_MIN, YEAR_MAX),
    ("month", 1, 12),
    ("day", 1, 31),
    ("hour", 0, 23),
    ("minute", 0, 59),
    ("second", 0, 59),
)
_FORMS = "write rate(5 minutes), cron(0 10 * * ? *), at(2026-01-31T12:00:00) or the five fields of crontab"
_CRONTAB_FIELDS, _EVENTBRIDGE_FIELDS = 5, 6


@dataclass(frozen=True, slots=True)
class Rate:
    """Fires at `start_ms` and then every `interval_ms`, whatever the clocks on the wall do: a day is 24 hours."""

    interval_ms: int
    start_ms: int = 0

    def after(self, moment_ms: int, zone: str) -> int:  # noqa: ARG002 - elapsed time is the same in all zones
        """Return the first firing (ms) strictly after a moment (ms)."""
        if moment_ms < self.start_ms:
            return self.start_ms
        return moment_ms + self.interval_ms - (moment_ms - self.start_ms) % self.interval_ms


@dataclass(frozen=True, slots=True)
class At:
    """Fires once, when clocks first show `wall`, a naive time.

    Where clocks are set forward over it, it fires as much later as they are set: what is to happen once is not left out.
    """

    wall: datetime

    def after(self, moment_ms: int, zone: str) -> int | None:
        """Return the firing (ms) if it is strictly after a moment (ms), else None. Raise `Invalid` for an unknown zone."""
        firing_ms = shifted_moment_of(self.wall, zone_named(zone))
        return firing_ms if firing_ms > moment_ms else None


Schedule: TypeAlias = Rate | Cron | At


def parse_schedule(text: str, *, start_ms: int = 0) -> Schedule:
    """Read a schedule expression. Raise `Invalid`, with all that is wrong, if it is none.

    `start_ms` is the first firing of a rate, as EventBridge's StartDate is; other schedules do not ask for it. Without it rates
    fire on the multiples of their interval since 1970 UTC, on which all who read the expression agree.
    Formats: EventBridge Scheduler User Guide, "Schedule types"; crontab(5).
    """
    if len(text) > TEXT_LENGTH_MAX:
        finding = Finding("(whole)", f"has {len(text)} characters", f"use {TEXT_LENGTH_MAX} at most")
        raise Invalid("the schedule", (finding,))
    schedule, findings = _read(text, start_ms=start_ms)
    if schedule is None or findings:
        raise Invalid(f"the schedule {text!r}", tuple(findings))
    return schedule


def missed(schedule: Schedule, last_ms: int, now_ms: int, zone: str, policy: CatchUp, limit: int) -> list[int]:
    """Return the firings (ms) after `last_ms` and up to `now_ms` that are to be made up, the oldest first.

    "none": none. "latest": the last one. "all": the first `limit` of them; if there are so many, ask again from the last of
    these, and none is lost. A clock that was set back (`now_ms` before `last_ms`) has missed nothing.
    Raise `Invalid` for an unknown policy or a limit below 1, and what `after` raises.
    """
    findings = _catch_up_findings(policy, limit)
    if findings:
        raise Invalid("the catch-up", tuple(findings))
    match policy:
        case "none":
            return []
        case "latest":
            return _latest(schedule, last_ms, now_ms, zone)
        case "all":
            return _first(schedule, last_ms, now_ms, zone, limit=limit)


def newest(schedule: Schedule, last_ms: int, now_ms: int, zone: str, limit: int) -> list[int]:
    """Return the last `limit` firings (ms) after `last_ms` and up to `now_ms`, the oldest first.

    It looks back further and further, so that years of missed minutes cost no more than those that are wanted.
    """
    first_ms = schedule.after(last_ms, zone)
    if first_ms is None or first_ms > now_ms:
        return []
    second_ms = schedule.after(first_ms, zone)
    span_ms = _MINUTE_MS if second_ms is None else max(_MINUTE_MS, (second_ms - first_ms) * limit)
    while True:
        from_ms = max(last_ms, now_ms - span_ms)
        found: deque[int] = deque(maxlen=limit)
        firing_ms = schedule.after(from_ms, zone)
        while firing_ms is not None and firing_ms <= now_ms:
            found.append(firing_ms)
            firing_ms = schedule.after(firing_ms, zone)
        if len(found) == limit or from_ms == last_ms:
            return [*found]
        span_ms *= 2


def _first(schedule: Schedule, last_ms: int, now_ms: int, zone: str, *, limit: int) -> list[int]:
    firings: list[int] = []
    firing_ms = schedule.after(last_ms, zone)
    while firing_ms is not None and firing_ms <= now_ms and len(firings) < limit:
        firings.append(firing_ms)
        firing_ms = schedule.after(firing_ms, zone)
    return firings


def _latest(schedule: Schedule, last_ms: int, now_ms: int, zone: str) -> list[int]:
    """Halve the time in which it must be: years of missed minutes cost some forty questions, not a million."""
    latest_ms = schedule.after(last_ms, zone)
    if latest_ms is None or latest_ms > now_ms:
        return []
    early_ms, late_ms = latest_ms, now_ms
    while early_ms < late_ms:
        middle_ms = (early_ms + late_ms) // 2
        firing_ms = schedule.after(middle_ms, zone)
        if firing_ms is None or firing_ms > now_ms:
            late_ms = middle_ms
        else:
            latest_ms = early_ms = firing_ms
    return [latest_ms]


def _catch_up_findings(policy: str, limit: int) -> list[Finding]:
    findings: list[Finding] = []
    if policy not in CATCH_UPS:
        findings.append(Finding("policy", f"is {policy!r}", f"one of {', '.join(CATCH_UPS)}"))
    if limit < 1:
        findings.append(Finding("limit", f"is {limit}", "1 or more"))
    return findings


def _read(text: str, *, start_ms: int) -> tuple[Schedule | None, list[Finding]]:
    match = _CALL.fullmatch(text)
    form, body = match.groups() if match else ("", text)
    if findings := _text_findings(body if text == text.strip() else text):
        return None, findings
    match form:
        case "rate":
            return _read_rate(body, start_ms=start_ms)
        case "at":
            return _read_at(body)
        case "cron":
            return _read_cron(body)
        case _:
            return _read_crontab(body)


def _text_findings(text: str) -> list[Finding]:
    # Some letters of other alphabets become plain ones in capitals: they must not pass as the names of days.
    if not all(each == "\t" or (each.isascii() and each.isprintable()) for each in text):
        return [Finding("(whole)", "holds characters that no schedule has", "use plain letters, digits and blanks")]
    if text != text.strip():
        return [Finding("(whole)", "has blanks around it or inside its brackets", "leave them out")]
    return []


def _read_rate(body: str, *, start_ms: int) -> tuple[Rate | None, list[Finding]]:
    parts = body.split(" ")
    if len(parts) != len(("value", "unit")):
        return None, [Finding("(whole)", f"holds {body!r}", "write a number, one blank and a unit, as rate(5 minutes)")]
    findings: list[Finding] = []
    value, unit = parts
    count = int(value) if value.isdigit() else 0
    if count < 1:
        findings.append(Finding("value", f"is {value!r}", "use a whole number, 1 or more"))
    unit_ms = _UNITS_MS.get(unit.removesuffix("s"))
    if unit_ms is None or unit.endswith("ss"):
        findings.append(Finding("unit", f"is {unit!r}", "use minutes, hours or days"))
    elif count and (count == 1) == unit.endswith("s"):
        right = unit.removesuffix("s") if count == 1 else f"{unit}s"
        findings.append(Finding("unit", f"is {unit!r} after {value}", f"write rate({value} {right})"))
    elif count * unit_ms > RATE_DAYS_MAX * _UNITS_MS["day"]:
        findings.append(Finding("value", f"is {value}", f"use {RATE_DAYS_MAX} days at most"))
    return Rate(count * (unit_ms or 0), start_ms), findings


def _read_at(body: str) -> tuple[At | None, list[Finding]]:
    match = _AT.fullmatch(body)
    if match is None:
        return None, [Finding("(whole)", f"holds {body!r}", "write a date and a time, as at(2026-01-31T12:00:00)")]
    numbers = [int(number) for number in match.groups()]
    findings = [
        Finding(name, f"is {number}", f"use {low}-{high}")
        for number, (name, low, high) in zip(numbers, _AT_RANGES, strict=True)
        if not low <= number <= high
    ]
    if findings:
        return None, findings
    year, month, day, hour, minute, second = numbers
    try:
        date(year, month, day)
    except ValueError:
        return None, [Finding("day", f"is {day}", f"use a day that {year}-{month:02} has")]
    return At(datetime(year, month, day, hour, minute, second)), []  # noqa: DTZ001 - its zone is told to `after`


def _read_cron(body: str) -> tuple[Cron | None, list[Finding]]:
    fields = body.split()
    if len(fields) != _EVENTBRIDGE_FIELDS:
        hint = "write minutes hours day-of-month month day-of-week year, as cron(0 10 * * ? *)"
        return None, [Finding("(whole)", f"has {len(fields)} fields", hint)]
    return eventbridge_cron(fields)


def _read_crontab(text: str) -> tuple[Cron | None, list[Finding]]:
    fields = text.split()
    if len(fields) == _CRONTAB_FIELDS and not set("()") & set(text):
        return crontab(fields)
    hint = f"write cron({text})" if len(fields) == _EVENTBRIDGE_FIELDS and "(" not in text else _FORMS
    return None, [Finding("(whole)", "is no schedule", hint)]
