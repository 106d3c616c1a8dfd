"""What is to happen again and again fires once per due time, whatever crashes, and tells what it left out (C3, C11)."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from penstock import App, Event
from penstock.core.timing.plans import planned
from penstock.core.timing.timers import moment_text
from penstock.errors import Invalid, Missing
from penstock.testing.apps import Disk, app
from penstock.testing.virtual_time import run_virtually

START = datetime(2026, 1, 1, tzinfo=UTC)  # when the virtual clock begins
HOUR_S = 3600.0
DAY_S = 24 * HOUR_S


class Report(Event):
    day: str = ""


def reports(seen: list[float], expression: str = "cron(0 3 * * ? *)", **options) -> App:
    """Return an app with one schedule, which notes the hours at which its events are handled."""
    scheduled = App("reports")
    scheduled.schedule("nightly", expression, event=Report(), **options)

    @scheduled.agent
    async def make(report: Report) -> None:
        seen.append(asyncio.get_running_loop().time() / HOUR_S)

    return scheduled


async def passed(live, s: float) -> None:
    await asyncio.sleep(s)
    await live.settled()


def test_it_fires_at_each_due_time():
    seen: list[float] = []

    async def life() -> None:
        async with app(reports(seen)) as live:
            await passed(live, 3 * DAY_S)
            ((plan, state),) = await live.schedules()
            assert (plan.name, state.fired, state.left_out) == ("nightly", 3, 0)
            assert moment_text(state.next_ms) == "2026-01-04T03:00:00.000Z"
            assert len(await live.events(Report)) == 3
            assert [each.event.type for each in await live.timers()] == ["ScheduleDue.v1"]

    run_virtually(life())
    assert seen == [3, 27, 51]


def test_ids_come_from_the_name_and_the_due_time():
    async def life() -> None:
        async with app(reports([])) as live:
            await passed(live, DAY_S)
            (log,) = [await live.engine.parts.store.read("report", 0, after=0, limit=10)]
            assert log[0].event.id.startswith("nightly@2026-01-01T03:00:00.000Z.")
            assert log[0].event.correlation_id == log[0].event.id
            assert log[0].event.depth == 0

    run_virtually(life())


def test_a_zone_and_a_function_of_the_due_time():
    made: list[str] = []
    scheduled = App("reports")

    def report_of(due: datetime) -> Report:
        return Report(day=due.isoformat())

    scheduled.schedule("morning", "30 9 * * MON-FRI", event=report_of, timezone="Europe/Berlin")

    @scheduled.agent
    async def make(report: Report) -> None:
        made.append(report.day)

    async def life() -> None:
        async with app(scheduled) as live:
            await passed(live, 2 * DAY_S)

    run_virtually(life())
    assert made == ["2026-01-01T09:30:00+01:00", "2026-01-02T09:30:00+01:00"]


@pytest.mark.parametrize(
    ("options", "hours", "left_out"),
    [
        ({}, [1, 2, 7.5, 8], 4),
        ({"catch_up": "none"}, [1, 2, 8], 5),
        ({"catch_up": "all"}, [1, 2, 7.5, 7.5, 7.5, 7.5, 7.5, 8], 0),
        ({"catch_up": "all", "catch_up_max": 2}, [1, 2, 7.5, 7.5, 8], 3),
    ],
)
def test_what_was_missed_is_made_up_for_as_the_policy_says(options, hours, left_out):
    seen: list[float] = []
    disk = Disk()

    async def life() -> None:
        async with app(reports(seen, "rate(1 hour)", **options), disk=disk) as live:
            await passed(live, 2.5 * HOUR_S)
        await asyncio.sleep(5 * HOUR_S)
        async with app(reports(seen, "rate(1 hour)", **options), disk=disk) as live:
            await passed(live, HOUR_S)
            ((_, state),) = await live.schedules()
            assert state.left_out == left_out
            assert bool(left_out) == ("left out" in state.note)
            if left_out:
                assert f"left out {left_out}, due from 2026-01-01T03:00:00.000Z to" in state.note

    run_virtually(life())
    assert seen == hours


def test_a_kill_at_any_moment_makes_it_fire_neither_twice_nor_never():
    seen: list[float] = []
    disk = Disk()

    async def life() -> None:
        for _ in range(60):
            async with app(reports(seen, "rate(1 minute)", catch_up="all"), disk=disk) as live:
                await asyncio.sleep(37.3)
                live.fate.dead = True
        async with app(reports(seen, "rate(1 minute)", catch_up="all"), disk=disk) as live:
            await passed(live, 60)
            log = await live.engine.parts.store.read("report", 0, after=0, limit=1000)
            dues = [each.event.id.split("@")[1][:16] for each in log]
            minutes = int((60 * 37.3 + 60) // 60)
            assert dues == [f"{START + timedelta(minutes=each + 1):%Y-%m-%dT%H:%M}" for each in range(minutes)]

    run_virtually(life())


def test_a_changed_expression_takes_effect_at_the_next_start_and_a_removed_one_stops():
    seen: list[float] = []
    disk = Disk()

    async def life() -> None:
        async with app(reports(seen, "rate(2 hours)"), disk=disk) as live:
            await passed(live, 3 * HOUR_S)
        async with app(reports(seen, "rate(1 day)"), disk=disk) as live:
            await passed(live, DAY_S)
            assert len(await live.timers()) == 1
        without = reports(seen)
        without.schedules["yearly"] = planned("yearly", "rate(365 days)", Report(), {})
        del without.schedules["nightly"]
        async with app(without, disk=disk) as live:
            await passed(live, 3 * DAY_S)
            assert len(await live.timers()) == 1
        async with app(reports(seen, "rate(1 day)"), disk=disk) as live:
            await passed(live, DAY_S)

    run_virtually(life())
    assert seen == [2, 24, 24 * 5]


def test_pausing_outlives_a_restart_and_what_was_due_meanwhile_is_left_out():
    seen: list[float] = []
    disk = Disk()

    async def life() -> None:
        async with app(reports(seen, "rate(1 hour)"), disk=disk) as live:
            await passed(live, 1.5 * HOUR_S)
            await live.pause_schedule("nightly")
            await passed(live, HOUR_S)
            assert await live.timers() == []
        async with app(reports(seen, "rate(1 hour)"), disk=disk) as live:
            await passed(live, HOUR_S)
            ((_, state),) = await live.schedules()
            assert state.paused
            await live.trigger_schedule("nightly", id="once")
            await live.trigger_schedule("nightly", id="once")
            await live.resume_schedule("nightly")
            await live.resume_schedule("nightly")
            await passed(live, HOUR_S)
            with pytest.raises(Missing, match="this app has nightly"):
                await live.pause_schedule("daily")

    run_virtually(life())
    assert seen == [1, 3.5, 4]


def test_start_and_end_are_bounds():
    seen: list[float] = []

    async def life() -> None:
        start, end = START + timedelta(hours=2, minutes=30), START + timedelta(hours=5)
        async with app(reports(seen, "rate(1 hour)", start=start, end=end)) as live:
            await passed(live, DAY_S)
            ((_, state),) = await live.schedules()
            assert state.next_ms == 0

    run_virtually(life())
    assert seen == [2.5, 3.5, 4.5]


def test_what_happens_once_happens_once_also_after_a_downtime():
    seen: list[float] = []
    disk = Disk()

    async def life() -> None:
        for _ in range(3):
            async with app(reports(seen, "at(2026-01-01T05:00:00)"), disk=disk) as live:
                await passed(live, HOUR_S)
            await asyncio.sleep(9 * HOUR_S)

    run_virtually(life())
    assert seen == [10]


def test_jitter_spreads_firings_and_loses_none():
    seen: list[float] = []

    async def life() -> None:
        async with app(reports(seen, "rate(1 hour)", jitter_s=600)) as live:
            await passed(live, DAY_S + 600)
            ((_, state),) = await live.schedules()
            assert (state.fired, state.left_out) == (24, 0)

    run_virtually(life())
    offsets = [hours * HOUR_S - (number + 1) * HOUR_S for number, hours in enumerate(seen)]
    assert all(-1e-6 <= each <= 600 for each in offsets)
    assert len({round(each) for each in offsets}) > 12


def test_jitter_longer_than_the_interval_loses_none_either():
    seen: list[float] = []

    async def life() -> None:
        async with app(reports(seen, "rate(1 minute)", jitter_s=600)) as live:
            await passed(live, HOUR_S)
            ((_, state),) = await live.schedules()
            assert state.left_out == 0
            assert state.fired >= 50

    run_virtually(life())


def test_overlap_skips_while_the_last_one_is_handled():
    begun: list[float] = []
    scheduled = App("slow")
    scheduled.schedule("hourly", "rate(1 hour)", event=Report(), overlap="skip")

    @scheduled.agent(timeout_s=DAY_S)
    async def make(report: Report) -> None:
        begun.append(asyncio.get_running_loop().time() / HOUR_S)
        await asyncio.sleep(2.5 * HOUR_S)

    async def life() -> None:
        async with app(scheduled) as live:
            await asyncio.sleep(8.5 * HOUR_S)
            ((_, state),) = await live.schedules()
            assert "still being handled" in state.note

    run_virtually(life())
    assert begun == [1, 4, 7]


def test_an_event_that_cannot_be_made_stops_nothing():
    made: list[str] = []
    scheduled = App("reports")

    def report_of(due: datetime) -> Report:
        if due.hour == 2:
            raise ValueError("no report at two")
        return Report(day=str(due.hour))

    scheduled.schedule("hourly", "rate(1 hour)", event=report_of)

    @scheduled.agent
    async def make(report: Report) -> None:
        made.append(report.day)

    async def life() -> None:
        async with app(scheduled) as live:
            await passed(live, 3.5 * HOUR_S)
            ((_, state),) = await live.schedules()
            assert "no report at two" in state.note

    run_virtually(life())
    assert made == ["1", "3"]


def test_a_clock_that_is_set_back_fires_nothing_twice():
    seen: list[float] = []

    async def life() -> None:
        async with app(reports(seen, "rate(1 hour)")) as live:
            await passed(live, 1.5 * HOUR_S)
            live.clock.skew_ms = -int(HOUR_S * 1000)
            await passed(live, 4 * HOUR_S)
            log = await live.engine.parts.store.read("report", 0, after=0, limit=100)
            assert len({each.event.id for each in log}) == len(log) == 4

    run_virtually(life())


def test_what_is_wrong_with_a_schedule_is_said_at_once():
    scheduled = App("wrong")
    with pytest.raises(Invalid) as raised:
        scheduled.schedule(
            "a b",
            "rate(0 minutes)",
            event=Report,  # pyright: ignore[reportArgumentType]
            timezone="Mars/Base",
            catch_up="some",  # pyright: ignore[reportArgumentType]
            catch_up_max=0,
            jitter_s=-1,
            start=datetime(2026, 1, 1),  # noqa: DTZ001
            overlaps="skip",  # pyright: ignore[reportCallIssue]
        )
    paths = {each.path for each in raised.value.findings}
    wanted = {"name", "expression.value", "event", "zone", "catch_up", "catch_up_max", "jitter_s", "start", "overlaps"}
    assert wanted <= paths
    scheduled.schedule("a", "rate(1 day)", event=Report())
    with pytest.raises(Invalid, match="taken by another schedule"):
        scheduled.schedule("a", "rate(1 day)", event=Report())
