"""Schedules by the clock on the wall: the minutes, hours and days at which a cron expression fires.

Daylight saving time as EventBridge Scheduler documents it (User Guide, "Schedule types", "Daylight savings time"):

- A wall time that does not exist on a day is skipped on that day.
- A wall time that exists twice fires once, before the clocks are set back.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from penstock.core.timing.days import DAYS_MAX, DayRule, days_of_month
from penstock.core.timing.zones import EPOCH, moment_of, wall_time, zone_named

YEAR_MIN, YEAR_MAX = 1970, 2199  # what EventBridge allows; a search that finds nothing ends there
_ONE_MS = timedelta(milliseconds=1)
# No zone is more than a day from UTC: outside of these two days nothing fires anywhere, and `datetime` is not asked.
_FIRST_MS = -timedelta(days=2) // _ONE_MS
_LAST_MS = (datetime(YEAR_MAX + 1, 1, 3, tzinfo=UTC) - EPOCH) // _ONE_MS


@dataclass(frozen=True, slots=True)
class Cron:
    """Fires at each wall time that all its parts allow. Numbers ascend; `days` holds one rule, or crontab's two.

    `joined` tells whether a day must fit all of the rules or any of them.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[DayRule, ...]
    months: tuple[int, ...]
    years: tuple[int, ...]
    joined: Literal["all", "any"] = "all"

    def after(self, moment_ms: int, zone: str) -> int | None:
        """Return the first firing (ms) strictly after a moment (ms), with wall times of `zone`; None if there is none.

        Raise `Invalid` for an unknown zone.
        """
        rules = zone_named(zone)
        if moment_ms >= _LAST_MS:
            return None
        moment_ms = max(moment_ms, _FIRST_MS)
        # Walls are tried from the one that is shown now. Those of an hour that repeats itself have fired the first time: their
        # moments lie in the past, and they are passed over.
        for wall in self._walls(wall_time(moment_ms, rules).replace(second=0, microsecond=0)):
            firing_ms = moment_of(wall, rules)
            if firing_ms is not None and firing_ms > moment_ms:
                return firing_ms
        return None

    def _walls(self, first: datetime) -> Iterator[datetime]:
        """Yield the wall times that fit, in order, from `first` on."""
        for year, month, day in self._dates(first):
            on_first = (year, month, day) == (first.year, first.month, first.day)
            for hour in self.hours:
                if on_first and hour < first.hour:
                    continue
                in_first = on_first and hour == first.hour
                for minute in self.minutes:
                    if not in_first or minute >= first.minute:
                        yield datetime(year, month, day, hour, minute)  # noqa: DTZ001 - a wall time has no zone

    def _dates(self, first: datetime) -> Iterator[tuple[int, int, int]]:
        for year in self.years[bisect_left(self.years, first.year) :]:
            for month in self.months:
                if (year, month) < (first.year, first.month):
                    continue
                for day in self._month_days(year, month):
                    if (year, month, day) >= (first.year, first.month, first.day):
                        yield year, month, day

    def _month_days(self, year: int, month: int) -> list[int]:
        found = [days_of_month(rule, year, month) for rule in self.days]
        fits = all if self.joined == "all" else any
        return [day for day in range(1, DAYS_MAX + 1) if fits(day in days for days in found)]
