"""The fields of a cron expression: texts to numbers and day rules, with all that is wrong.

Two dialects are read: EventBridge's six fields, after Quartz (weekdays 1-7 from Sunday; `?`, `L`, `W`, `#`), and crontab's five
(weekdays 0-7, both 0 and 7 Sunday; none of those letters). In both a range may pass the end of its ring (`FRI-MON`, `22-2`),
except for years, and letters may be small.
"""

import re
from dataclasses import dataclass, field
from typing import Literal

from penstock.core.timing.cron import YEAR_MAX, YEAR_MIN, Cron
from penstock.core.timing.days import (
    DayRule,
    LastDay,
    LastWeekday,
    LastWorkday,
    MonthDays,
    NearestWorkday,
    NthWeekday,
    Weekdays,
)
from penstock.errors import Finding

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_WEEK = len(_WEEKDAYS)
_NTH_MAX = 5
_DAYS_BEFORE_MAX = 30
_ITEM = re.compile(r"(?P<first>\*|[0-9A-Za-z]+)(?:-(?P<last>[0-9A-Za-z]+))?(?:/(?P<step>[0-9]+))?")
_LETTERED = re.compile(r"LW?|[0-9]+[LW]|[A-Z]{3}L|[0-9A-Z]+#[0-9]+", re.IGNORECASE)
_LETTERS = "L, W and # are for the day fields of cron(...), which has six fields"
_ALONE = "what is written with L, W or # stands alone in its field, without lists, ranges or steps"


@dataclass(frozen=True, slots=True)
class _Field:
    """What a field may hold: numbers from `low` to `high`, `ring` of them before they begin again (0: they do not)."""

    name: str
    low: int
    high: int
    ring: int
    names: tuple[str, ...] = ()

    @property
    def last(self) -> int:
        """The largest number that `*` means: crontab's 7 is another name for 0."""
        return self.low + self.ring - 1 if self.ring else self.high

    @property
    def hint(self) -> str:
        names = f" or {self.names[0]}-{self.names[-1]}" if self.names else ""
        return f"use {self.low}-{self.high}{names}"


_MINUTES = _Field("minutes", 0, 59, 60)
_HOURS = _Field("hours", 0, 23, 24)
_MONTH_DAYS = _Field("day-of-month", 1, 31, 31)
_MONTH = _Field("month", 1, 12, 12, _MONTHS)
_YEAR = _Field("year", YEAR_MIN, YEAR_MAX, 0)
_WEEKDAYS_FROM_1 = _Field("day-of-week", 1, 7, _WEEK, _WEEKDAYS)
_WEEKDAYS_FROM_0 = _Field("day-of-week", 0, 7, _WEEK, _WEEKDAYS)
_YEARS = tuple(range(YEAR_MIN, YEAR_MAX + 1))
_EITHER = "EventBridge wants ? in one of day-of-month and day-of-week, and only in one"


def eventbridge_cron(texts: list[str]) -> tuple[Cron, list[Finding]]:
    """Read six fields. The schedule is good for nothing unless there are no findings."""
    reader = _Reader()
    minutes, hours, days, month, weekdays, year = texts
    rules: list[DayRule] = []
    if (days == "?") == (weekdays == "?"):
        problem = "is ? as day-of-month is" if days == "?" else "is given beside day-of-month"
        reader.wrong("day-of-week", problem, _EITHER)
    if days != "?":
        rules.append(reader.month_days(days))
    if weekdays != "?":
        rules.append(reader.weekdays(weekdays))
    cron = Cron(
        minutes=reader.numbers(_MINUTES, minutes),
        hours=reader.numbers(_HOURS, hours),
        days=tuple(rules),
        months=reader.numbers(_MONTH, month),
        years=reader.numbers(_YEAR, year),
    )
    return cron, reader.findings


def crontab(texts: list[str]) -> tuple[Cron, list[Finding]]:
    """Read five fields. The schedule is good for nothing unless there are no findings.

    Where both day fields are restricted, that is, neither begins with `*`, a day that fits one of them fires (crontab(5)).
    """
    reader = _Reader()
    minutes, hours, days, month, weekdays = texts
    restricted = not (days.startswith("*") or weekdays.startswith("*"))
    joined: Literal["all", "any"] = "any" if restricted else "all"
    cron = Cron(
        minutes=reader.numbers(_MINUTES, minutes),
        hours=reader.numbers(_HOURS, hours),
        days=(
            MonthDays(frozenset(reader.numbers(_MONTH_DAYS, days))),
            Weekdays(frozenset(reader.numbers(_WEEKDAYS_FROM_0, weekdays))),
        ),
        months=reader.numbers(_MONTH, month),
        years=_YEARS,
        joined=joined,
    )
    return cron, reader.findings


@dataclass(slots=True)
class _Reader:
    """Reads fields and collects what is wrong with them; what could not be read is left out of the numbers."""

    findings: list[Finding] = field(default_factory=list[Finding])

    def wrong(self, path: str, problem: str, hint: str) -> None:
        self.findings.append(Finding(path, problem, hint))

    def month_days(self, text: str) -> DayRule:
        """Read EventBridge's day-of-month, other than `?`."""
        if text.upper() == "LW":
            return LastWorkday()
        if match := re.fullmatch(r"L(?:-([0-9]{1,2}))?", text, re.IGNORECASE):
            days_before = int(match[1] or 0)
            if not (match[1] is None or 1 <= days_before <= _DAYS_BEFORE_MAX):
                self.wrong("day-of-month", f"is {text}", f"use L, or L-1 to L-{_DAYS_BEFORE_MAX}")
            return LastDay(days_before)
        if match := re.fullmatch(r"([0-9]{1,2})W", text, re.IGNORECASE):
            return NearestWorkday(self._number(_MONTH_DAYS, match[1], path="day-of-month") or 1)
        if _has_letters(text):
            self.wrong("day-of-month", f"is {text}", _ALONE)
            return MonthDays(frozenset())
        return MonthDays(frozenset(self.numbers(_MONTH_DAYS, text)))

    def weekdays(self, text: str) -> DayRule:
        """Read EventBridge's day-of-week, other than `?`. Its Sunday is 1, ours is 0."""
        of_week = _WEEKDAYS_FROM_1
        if text.upper() == "L":
            return Weekdays(frozenset({_WEEK - 1}))
        if match := re.fullmatch(r"([0-9]|[A-Z]{3})L", text, re.IGNORECASE):
            return LastWeekday((self._number(of_week, match[1], path=of_week.name) or 1) - 1)
        if match := re.fullmatch(r"([0-9]|[A-Z]{3})#([0-9])", text, re.IGNORECASE):
            nth = int(match[2])
            if not 1 <= nth <= _NTH_MAX:
                self.wrong(of_week.name, f"asks for number {nth} of a month", f"use #1 to #{_NTH_MAX}")
            return NthWeekday((self._number(of_week, match[1], path=of_week.name) or 1) - 1, nth)
        if _has_letters(text):
            self.wrong(of_week.name, f"is {text}", _ALONE)
            return Weekdays(frozenset())
        return Weekdays(frozenset(number - 1 for number in self.numbers(of_week, text)))

    def numbers(self, of: _Field, text: str) -> tuple[int, ...]:
        """Read a list of `*`, numbers, ranges and steps."""
        items = text.split(",")
        found: set[int] = set()
        for at, item in enumerate(items):
            path = of.name if len(items) == 1 else f"{of.name}[{at}]"
            found.update(self._item(of, item, path=path))
        return tuple(sorted(found))

    def _item(self, of: _Field, text: str, *, path: str) -> range | list[int]:
        match = _ITEM.fullmatch(text)
        if match is None or (match["first"] == "*" and match["last"]):
            self.wrong(path, f"{text!r} is not understood", _not_understood(of, text))
            return []
        first = of.low if match["first"] == "*" else self._number(of, match["first"], path=path)
        if match["last"]:
            last = self._number(of, match["last"], path=path)
        else:
            # A number with a step goes on to the end (`0/15`); one without is itself.
            last = of.last if match["first"] == "*" or match["step"] else first
        step = self._step(of, match["step"], path=path)
        if first is None or last is None or step is None:
            return []
        return self._ring(of, first, last, step=step, path=path)

    def _ring(self, of: _Field, first: int, last: int, *, step: int, path: str) -> list[int]:
        if first > last and not of.ring:
            self.wrong(path, f"begins with {first} and ends with {last}", "write the smaller one first")
            return []
        if not of.ring:
            return list(range(first, last + 1, step))
        end = last if first <= last else last + of.ring
        return [(each - of.low) % of.ring + of.low for each in range(first, end + 1, step)]

    def _step(self, of: _Field, text: str | None, *, path: str) -> int | None:
        if text is None:
            return 1
        # Quartz's bound. A larger step would fire once in each round, which is not what it says: 0/90 is not every 90 minutes.
        if 1 <= int(text) <= of.high:
            return int(text)
        self.wrong(path, f"has the step {text[:20]}", f"use 1 to {of.high}; for longer intervals, rate(...)")
        return None

    def _number(self, of: _Field, text: str, *, path: str) -> int | None:
        if text.upper() in of.names:
            # Names begin where numbers do: SUN is EventBridge's 1 and crontab's 0.
            return of.low + of.names.index(text.upper())
        if not text.isdigit():
            self.wrong(path, f"{text[:20]!r} is not known", _LETTERS if _LETTERED.fullmatch(text) else of.hint)
        elif not of.low <= int(text) <= of.high:
            self.wrong(path, f"{text[:20]} is out of range", of.hint)
        else:
            return int(text)
        return None


def _has_letters(text: str) -> bool:
    return any(_LETTERED.fullmatch(part) for part in re.split("[,/-]", text))


def _not_understood(of: _Field, text: str) -> str:
    if not text:
        return "put a value on both sides of each comma"
    if "?" in text:
        return "? stands alone, and only in one of the day fields of cron(...)"
    if text.startswith("/"):
        return f"write where it begins: {of.low}{text}"
    if "#" in text:
        return _LETTERS
    return f"write *, numbers, ranges and steps, as in 1-5,10/2; {of.hint}"
