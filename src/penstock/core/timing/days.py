"""Which days of a month a schedule means: one frozen type for each way to say it.

Weekdays are counted as crontab does: Sunday 0 to Saturday 6.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypeAlias

DAYS_MAX = 31
_SUNDAY, _SATURDAY = 0, 6
_WEEK = 7


@dataclass(frozen=True, slots=True)
class MonthDays:
    """Days by their number: `1,15`."""

    days: frozenset[int]


@dataclass(frozen=True, slots=True)
class LastDay:
    """So many days before the last of the month: `L`, `L-3`."""

    days_before: int = 0


@dataclass(frozen=True, slots=True)
class LastWorkday:
    """The last of Monday to Friday: `LW`."""


@dataclass(frozen=True, slots=True)
class NearestWorkday:
    """Of Monday to Friday, in the same month, the one nearest to a day: `15W`. A month without that day has none."""

    day: int


@dataclass(frozen=True, slots=True)
class Weekdays:
    """Each of these weekdays: `MON-FRI`."""

    weekdays: frozenset[int]


@dataclass(frozen=True, slots=True)
class NthWeekday:
    """The n-th such weekday of the month: `FRI#2`."""

    weekday: int
    nth: int


@dataclass(frozen=True, slots=True)
class LastWeekday:
    """The last such weekday of the month: `6L`."""

    weekday: int


DayRule: TypeAlias = MonthDays | LastDay | LastWorkday | NearestWorkday | Weekdays | NthWeekday | LastWeekday


def days_of_month(rule: DayRule, year: int, month: int) -> frozenset[int]:
    """Return the numbers of the days in this month that the rule means."""
    days = _days_in(year, month)
    weekday_of = dict(_weekdays(year, month, days))
    match rule:
        case MonthDays(numbers):
            found = [day for day in numbers if day <= days]
        case LastDay(days_before):
            found = [days - days_before] if days_before < days else []
        case LastWorkday():
            found = [_nearest_workday(days, days, weekday_of[days])]
        case NearestWorkday(day):
            found = [_nearest_workday(day, days, weekday_of[day])] if day <= days else []
        case Weekdays(weekdays):
            found = [day for day, weekday in weekday_of.items() if weekday in weekdays]
        case NthWeekday(weekday, nth):
            found = _same(weekday_of, weekday)[nth - 1 : nth]
        case LastWeekday(weekday):
            found = _same(weekday_of, weekday)[-1:]
    return frozenset(found)


def _days_in(year: int, month: int) -> int:
    first_of_next = date(year + month // 12, month % 12 + 1, 1)
    return (first_of_next - timedelta(days=1)).day


def _weekdays(year: int, month: int, days: int) -> Iterator[tuple[int, int]]:
    first = date(year, month, 1).isoweekday()
    for day in range(1, days + 1):
        yield day, (first + day - 1) % _WEEK


def _same(weekday_of: dict[int, int], weekday: int) -> list[int]:
    return [day for day, each in weekday_of.items() if each == weekday]


def _nearest_workday(day: int, days: int, weekday: int) -> int:
    if weekday == _SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == _SUNDAY:
        return day + 1 if day < days else day - 2
    return day
