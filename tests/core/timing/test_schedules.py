"""When schedules fire: against an oracle that looks at the clock minute by minute, and where clocks are set."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from penstock.core.timing.schedules import Cron, Rate, missed, newest, parse_schedule
from penstock.errors import Invalid

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
WINDOW_MINUTES = 2 * 24 * 60
NEW_YORK, BERLIN, LORD_HOWE, CAIRO, APIA = (
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",  # half an hour of summer time
    "Africa/Cairo",  # set forward at midnight
    "Pacific/Apia",  # has no 2011-12-30
)
ZONES = ("UTC", NEW_YORK, BERLIN, LORD_HOWE, CAIRO, APIA, "Asia/Kathmandu")
TURNS = [  # days around which clocks are set, somewhere
    *(date(2026, 3, 8), date(2026, 11, 1), date(2026, 3, 29), date(2026, 10, 25), date(2026, 4, 5), date(2026, 10, 4)),
    *(date(2025, 4, 25), date(2025, 10, 31), date(2011, 12, 30), date(2040, 3, 11), date(2199, 3, 31)),
]
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


def ms(moment):
    return (moment - EPOCH) // timedelta(milliseconds=1)


def at(zone, *numbers, fold=0):
    return ms(datetime(*numbers, tzinfo=ZoneInfo(zone), fold=fold))


def firings(text, zone, first_ms, last_ms):
    return missed(parse_schedule(text), first_ms, last_ms, zone, "all", 100_000)


def shown(text, zone, first, last):
    """Return what clocks show at the firings between two local times."""
    found = firings(text, zone, at(zone, *first), at(zone, *last))
    return [(EPOCH + timedelta(milliseconds=each)).astimezone(ZoneInfo(zone)).strftime("%d %H:%M %z") for each in found]


# the oracle: each field is a text and what it means, said without a word of the code's own


def is_in(first, last, step=1):
    return lambda value: first <= value <= last and (value - first) % step == 0


@st.composite
def number_fields(draw, low, high):
    """Draw (text, predicate) of a field with numbers."""
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        first, last = sorted((draw(st.integers(low, high)), draw(st.integers(low, high))))
        step = draw(st.integers(1, high))
        parts.append(
            draw(
                st.sampled_from(
                    [
                        (f"{first}", is_in(first, first)),
                        (f"{first}-{last}", is_in(first, last)),
                        (
                            f"{last}-{first}",
                            lambda value, a=last, b=first: value >= a or value <= b if a > b else value == a,
                        ),
                        (f"{first}/{step}", is_in(first, high, step)),
                        (f"{first}-{last}/{step}", is_in(first, last, step)),
                        (f"*/{step}", is_in(low, high, step)),
                        ("*", lambda value: True),
                    ]
                )
            )
        )
    return ",".join(text for text, _ in parts), lambda value: any(fits(value) for _, fits in parts)


def plus(day, days):
    return day + timedelta(days=days)


def is_workday(day):
    return day.weekday() < 5


def nearest_workday(day, target):
    if not is_workday(day) or abs(day.day - target) > 3 or target > ends_month(day):
        return False
    near = [plus(day, n) for n in range(-6, 7) if plus(day, n).month == day.month and is_workday(plus(day, n))]
    return min(near, key=lambda each: abs(each.day - target)) == day


def ends_month(day):
    return next(n for n in (31, 30, 29, 28) if plus(day.replace(day=1), n - 1).month == day.month)


def ends_months_of(day, days_before):
    return plus(day, days_before).month == day.month != plus(day, days_before + 1).month


@st.composite
def day_fields(draw):
    """Draw (day-of-month, day-of-week, predicate of a date), as EventBridge writes them."""
    number, before, weekday, nth = (draw(st.integers(1, n)) for n in (31, 30, 7, 5))
    named = draw(st.sampled_from([str(weekday), WEEKDAYS[weekday - 1], WEEKDAYS[weekday - 1].lower()]))

    def is_weekday(day):
        return day.isoweekday() % 7 == weekday - 1

    numbers, fits_number = draw(number_fields(1, 31))
    weekdays, fits_weekday = draw(number_fields(1, 7))
    return draw(
        st.sampled_from([
            ("*", "?", lambda day: True),
            (numbers, "?", lambda day: fits_number(day.day)),
            ("?", weekdays, lambda day: fits_weekday(day.isoweekday() % 7 + 1)),
            ("?", named, is_weekday),
            ("L", "?", lambda day: ends_months_of(day, 0)),
            (f"L-{before}", "?", lambda day: ends_months_of(day, before)),
            ("LW", "?", lambda day: is_workday(day) and not any(
                is_workday(plus(day, n)) for n in range(1, 4) if plus(day, n).month == day.month)),
            (f"{number}W", "?", lambda day: nearest_workday(day, number)),
            ("?", "L", lambda day: day.weekday() == 5),
            ("?", f"{named}L", lambda day: is_weekday(day) and plus(day, 7).month != day.month),
            ("?", f"{named}#{nth}", lambda day: is_weekday(day) and (day.day - 1) // 7 + 1 == nth),
        ])
    )  # fmt: skip


@st.composite
def eventbridge(draw):
    """Draw (text, predicate of a wall time)."""
    minutes, fits_minute = draw(number_fields(0, 59))
    hours, fits_hour = draw(number_fields(0, 23))
    days, weekdays, fits_day = draw(day_fields())
    month, fits_month = draw(st.just(("*", lambda value: True)) | number_fields(1, 12))
    text = f"cron({minutes} {hours} {days} {month} {weekdays} *)"
    return (
        text,
        lambda wall: (
            fits_minute(wall.minute) and fits_hour(wall.hour) and fits_month(wall.month) and bool(fits_day(wall.date()))
        ),
    )


@st.composite
def classic(draw):
    """Draw (text, predicate of a wall time) of crontab's five fields."""
    (minutes, fits_minute), (hours, fits_hour) = draw(number_fields(0, 59)), draw(number_fields(0, 23))
    days, fits_number = draw(number_fields(1, 31))
    weekdays, fits_weekday = draw(number_fields(0, 6))

    def fits_day(wall):
        found = (fits_number(wall.day), fits_weekday(wall.isoweekday() % 7))
        return all(found) if days[0] == "*" or weekdays[0] == "*" else any(found)

    text = f"{minutes} {hours} {days} * {weekdays}"
    return text, lambda wall: fits_minute(wall.minute) and fits_hour(wall.hour) and fits_day(wall)


turns = st.builds(
    lambda day, off_ms: ms(datetime(day.year, day.month, day.day, tzinfo=UTC)) + off_ms,
    st.sampled_from(TURNS),
    st.integers(-DAY_MS, DAY_MS),
)
moments = turns | st.integers(2 * DAY_MS, ms(datetime(2199, 12, 1, tzinfo=UTC)))


def by_the_clock(fits, zone, moment_ms, minutes=WINDOW_MINUTES):
    """Look at the clock each minute: the first time after a moment that fits, unless it was shown before."""
    rules = ZoneInfo(zone)
    first_ms = moment_ms // MINUTE_MS * MINUTE_MS
    for n in range(1, minutes + 1):
        wall = (EPOCH + timedelta(milliseconds=first_ms + n * MINUTE_MS)).astimezone(rules)
        if wall.fold == 0 and fits(wall):
            return first_ms + n * MINUTE_MS
    return None


@given(eventbridge() | classic(), st.sampled_from(ZONES), moments)
@settings(max_examples=300)
def test_a_schedule_fires_when_one_who_looks_at_the_clock_each_minute_would(schedule, zone, moment_ms):
    text, fits = schedule
    seen_ms = by_the_clock(fits, zone, moment_ms)
    firing_ms = parse_schedule(text).after(moment_ms, zone)
    if seen_ms is None:
        assert firing_ms is None or firing_ms > moment_ms + (WINDOW_MINUTES - 1) * MINUTE_MS
    else:
        assert firing_ms == seen_ms


@given(day_fields(), st.integers(1970, 2198))
@example(("31W", "?", lambda day: nearest_workday(day, 31)), 2026)
@example(("1W", "?", lambda day: nearest_workday(day, 1)), 2026)
@example(("LW", "?", lambda day: nearest_workday(day, ends_month(day))), 2026)
@settings(max_examples=150)
def test_the_days_of_a_year_are_those_of_one_who_looks_at_each(fields, year):
    days, weekdays, fits = fields
    first, last = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    found = firings(f"cron(0 12 {days} * {weekdays} *)", "UTC", ms(first), ms(last))
    seen = [first + timedelta(days=n, hours=12) for n in range((last - first).days)]
    assert found == [ms(each) for each in seen if fits(each.date())]


@given(eventbridge() | classic(), st.sampled_from(ZONES), moments, st.integers(0, 3 * DAY_MS))
def test_the_next_firing_never_comes_sooner_when_asked_later(schedule, zone, moment_ms, more_ms):
    parsed = parse_schedule(schedule[0])
    sooner, later = parsed.after(moment_ms, zone), parsed.after(moment_ms + more_ms, zone)
    assume(sooner is not None and later is not None)
    assert sooner <= later
    assert moment_ms < sooner
    assert sooner == parsed.after(sooner - 1, zone) != parsed.after(sooner, zone)


# where clocks are set


def test_a_time_that_is_skipped_does_not_fire_on_that_day():
    times = shown("cron(30 2 * * ? *)", NEW_YORK, (2026, 3, 7), (2026, 3, 10))
    assert times == ["07 02:30 -0500", "09 02:30 -0400"]
    assert shown("30 2 * * *", NEW_YORK, (2026, 3, 7), (2026, 3, 10)) == times


def test_a_time_that_occurs_twice_fires_once_before_the_clocks_are_set_back():
    times = shown("cron(30 1 * * ? *)", NEW_YORK, (2026, 10, 31), (2026, 11, 3))
    assert times == ["31 01:30 -0400", "01 01:30 -0400", "02 01:30 -0500"]
    second_ms = at(NEW_YORK, 2026, 11, 1, 1, 10, fold=1)
    assert parse_schedule("cron(30 1 * * ? *)").after(second_ms, NEW_YORK) == at(NEW_YORK, 2026, 11, 2, 1, 30)


def test_a_schedule_within_the_hour_is_silent_while_the_hour_repeats_itself():
    times = shown("cron(0/30 * * * ? *)", NEW_YORK, (2026, 11, 1, 0, 45), (2026, 11, 1, 2, 15))
    assert times == ["01 01:00 -0400", "01 01:30 -0400", "01 02:00 -0500"]


def test_a_day_that_a_zone_left_out_has_no_firing():
    assert shown("cron(0 12 * * ? *)", APIA, (2011, 12, 29), (2012, 1, 1)) == ["29 12:00 -1000", "31 12:00 +1400"]


def test_midnight_is_skipped_where_clocks_are_set_forward_at_midnight():
    assert shown("0 0 * * *", CAIRO, (2025, 4, 24, 12), (2025, 4, 26, 12)) == ["26 00:00 +0300"]


def test_a_zone_may_be_off_by_seconds():
    monrovia_ms = parse_schedule("cron(0 12 * * ? *)").after(at("UTC", 1971, 1, 1), "Africa/Monrovia")
    assert monrovia_ms == at("UTC", 1971, 1, 1, 12, 44, 30)


def test_a_day_of_a_rate_has_24_hours_whatever_the_clocks_do():
    times = shown("rate(1 day)", NEW_YORK, (2026, 3, 7), (2026, 3, 10))
    assert times == ["07 19:00 -0500", "08 20:00 -0400", "09 20:00 -0400"]


@given(st.integers(1, 10**9), st.integers(-(10**13), 10**13), st.integers(-(10**13), 10**13))
def test_a_rate_fires_at_its_start_and_each_interval_after_it(interval_ms, start_ms, moment_ms):
    firing_ms = Rate(interval_ms, start_ms).after(moment_ms, "UTC")
    assert firing_ms > moment_ms
    assert firing_ms >= start_ms
    assert (firing_ms - start_ms) % interval_ms == 0
    assert firing_ms - interval_ms <= moment_ms or firing_ms == start_ms


def test_what_happens_once_happens_once():
    once, noon_ms = parse_schedule("at(2026-01-31T12:00:05)"), at(BERLIN, 2026, 1, 31, 12, 0, 5)
    assert once.after(0, BERLIN) == noon_ms
    assert once.after(noon_ms - 1, BERLIN) == noon_ms
    assert once.after(noon_ms, BERLIN) is None


def test_what_happens_once_is_not_lost_where_clocks_are_set_forward_and_comes_first_where_they_are_set_back():
    assert parse_schedule("at(2026-03-08T02:30:00)").after(0, NEW_YORK) == at(NEW_YORK, 2026, 3, 8, 3, 30)
    assert parse_schedule("at(2026-11-01T01:30:00)").after(0, NEW_YORK) == at(NEW_YORK, 2026, 11, 1, 1, 30, fold=0)


# ends


@pytest.mark.parametrize("text", ["cron(0 0 30 2 ? *)", "cron(0 0 1 1 ? 1999)", "0 0 31 4 *"])
def test_a_schedule_that_fires_no_more_says_so(text):
    assert parse_schedule(text).after(at("UTC", 2026, 1, 1), "UTC") is None


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12", "UTC"])
@pytest.mark.parametrize("moment_ms", [-(10**18), 10**18])
def test_any_moment_can_be_asked_for(zone, moment_ms):
    firing_ms = parse_schedule("cron(* * * * ? *)").after(moment_ms, zone)
    assert firing_ms == (at(zone, 1970, 1, 1) if moment_ms < 0 else None)
    last_ms = at(zone, 2199, 12, 31, 23, 59)
    assert parse_schedule("cron(59 23 31 12 ? 2199)").after(last_ms - 1, zone) == last_ms
    assert parse_schedule("* * * * *").after(last_ms, zone) is None


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "Europe", "a\0b", "x" * 300])
@pytest.mark.parametrize("text", ["cron(0 0 * * ? *)", "at(2026-01-31T12:00:00)"])
def test_an_unknown_zone_is_refused(text, zone):
    with pytest.raises(Invalid, match="zone"):
        parse_schedule(text).after(0, zone)


# catching up


@given(eventbridge(), st.sampled_from(ZONES), turns, st.integers(0, DAY_MS), st.integers(1, 50))
def test_what_was_missed_is_the_same_whichever_way_it_is_asked_for(schedule, zone, last_ms, gone_ms, limit):
    parsed, now_ms = parse_schedule(schedule[0]), last_ms + gone_ms
    everything = missed(parsed, last_ms, now_ms, zone, "all", 10_000)
    assert all(last_ms < each <= now_ms for each in everything)
    assert missed(parsed, last_ms, now_ms, zone, "latest", limit) == everything[-1:]
    assert missed(parsed, last_ms, now_ms, zone, "none", limit) == []
    assert newest(parsed, last_ms, now_ms, zone, limit) == everything[-limit:]
    pages, mark_ms = [], last_ms
    while page := missed(parsed, mark_ms, now_ms, zone, "all", limit):
        assert len(page) <= limit
        pages += page
        mark_ms = page[-1]
    assert pages == everything


def test_the_latest_of_many_years_is_found_without_counting_them():
    class Counted:
        asked = 0

        def after(self, moment_ms, zone):
            self.asked += 1
            return Rate(MINUTE_MS).after(moment_ms, zone)

    counted, now_ms = Counted(), at("UTC", 2026, 6, 1, 12, 0, 30)
    assert missed(counted, 0, now_ms, "UTC", "latest", 1) == [at("UTC", 2026, 6, 1, 12)]
    assert counted.asked < 60


def test_a_clock_that_was_set_back_has_missed_nothing():
    every_minute = parse_schedule("* * * * *")
    for policy in ("none", "latest", "all"):
        assert missed(every_minute, DAY_MS, DAY_MS - HOUR_MS, "UTC", policy, 5) == []


def test_a_firing_at_this_moment_is_due_and_one_at_the_last_moment_is_not():
    every_minute = parse_schedule("rate(1 minute)")
    assert missed(every_minute, MINUTE_MS, 2 * MINUTE_MS, "UTC", "all", 5) == [2 * MINUTE_MS]
    assert missed(every_minute, MINUTE_MS, 2 * MINUTE_MS, "UTC", "latest", 5) == [2 * MINUTE_MS]


def test_an_unknown_policy_and_a_limit_of_nothing_are_refused_together():
    with pytest.raises(Invalid) as caught:
        missed(parse_schedule("* * * * *"), 0, 1, "UTC", "some", 0)  # pyright: ignore[reportArgumentType]
    assert [each.path for each in caught.value.findings] == ["policy", "limit"]


def test_a_schedule_is_a_value():
    assert hash(parse_schedule("0 0 * * *")) == hash(parse_schedule("0 0 * * *"))
    assert isinstance(parse_schedule("0 0 * * *"), Cron)
