"""Timers and schedules of a store that several workers share: each fires once, whoever dies, and any worker can cancel."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from house_of_workers import PARTITIONS, House, virtually

from penstock.core.agents.control import CancelTimer
from penstock.core.agents.declaration import Options, declare
from penstock.core.events.event import Event
from penstock.core.events.partitions import partition_of
from penstock.core.timing.plans import planned
from penstock.core.timing.timers import When
from penstock.errors import Missing
from penstock.runtime.control import NAME as CONTROL
from penstock.runtime.control import control
from penstock.runtime.engine import running
from penstock.runtime.schedules import NAME as SCHEDULES
from penstock.runtime.schedules import Schedules

LIVES = 6


class Nudge(Event, key="who"):
    who: str


class Tick(Event):
    """What the schedules append."""


class Clockwork(House):
    """A store, and workers that keep the time in it."""

    def __init__(self, plans=()):
        super().__init__()
        self.plans = plans
        self.nudged = []

    def agents(self, name):
        async def nudge(nudge: Nudge) -> None:
            self.nudged.append((nudge.who, name))

        async def tick(tick: Tick) -> None: ...

        made = [declare(nudge, "nudge", Options()), declare(tick, "tick", Options())]
        return {each.name: each for each in made} | {CONTROL: control()}

    @asynccontextmanager
    async def worker(self, name):
        parts, agents = self.parts(name), self.agents(name)
        if self.plans:
            schedules = Schedules(self.plans)
            agents[SCHEDULES] = schedules.agent()
            parts = replace(self.parts(name, agents), schedules=schedules)
            schedules.over(parts.store, parts.topology)
        async with running(parts, owner=name, beside=True) as engine:
            yield engine


def _partition_of(who):
    return partition_of("default", who, PARTITIONS)


async def shared(*engines):
    """Wait until all of them own some of the partitions."""
    while not all(each.partitions for each in engines):  # noqa: ASYNC110 - seen from outside
        await asyncio.sleep(0.1)


@virtually
async def test_a_timer_is_cancelled_through_any_worker():
    house = Clockwork()
    await house.divide()
    async with house.worker("a") as first, house.worker("b") as second:
        await shared(first, second)
        for number in range(6):
            await first.send(Nudge(who=f"w{number}"), id=f"at-a-{number}", when=When(after_s=60))
            await second.send(Nudge(who=f"w{number}"), id=f"at-b-{number}", when=When(after_s=60))
        for number in range(6):
            await second.cancel_timer(f"at-a-{number}", "default")
            await first.cancel_timer(f"at-b-{number}", "default")
        assert not house.disk.timers
        with pytest.raises(Missing, match="has fired, or was cancelled"):
            await first.cancel_timer("at-a-0", "default")
        await asyncio.sleep(120)
    assert not house.nudged
    assert house.disk.runs  # the owners were told


@virtually
async def test_a_timer_that_fires_before_its_owner_hears_of_it_is_not_cancelled():
    house = Clockwork()
    await house.divide()
    async with house.worker("a") as first, house.worker("b") as second:
        await shared(first, second)
        await first.send(Nudge(who="w"), id="late", when=When(after_s=5))
        (timer,) = house.disk.timers.values()
        await asyncio.sleep(10)
        # As if the other worker had still seen it wait.
        told = await second.say_to_owner(CancelTimer(timer_id=timer.id), timer.partition, "default")
        assert told == b"false"
    assert len(house.nudged) == 1


@virtually
async def test_a_timer_of_a_killed_worker_can_be_cancelled():
    house = Clockwork()
    await house.divide()

    async def live():
        async with house.worker("b") as doomed:
            await shared(doomed)
            theirs = next(str(each) for each in range(99) if _partition_of(str(each)) in doomed.partitions)
            await doomed.send(Nudge(who=theirs), id="theirs", when=When(after_s=60))
            await asyncio.Event().wait()

    async with house.worker("a") as first:
        task = asyncio.ensure_future(live())
        while not house.disk.timers:  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert house.disk.timers["theirs"].partition not in first.partitions
        await first.cancel_timer("theirs", "default")
        await asyncio.sleep(120)
    assert not house.nudged


@virtually
async def test_an_id_that_two_workers_get_with_a_delay_at_once_is_one_event():
    house = Clockwork()
    await house.divide()
    async with house.worker("a") as first, house.worker("b") as second:
        await shared(first, second)
        for number in range(12):
            nudge, when = Nudge(who=f"w{number}"), When(after_s=10)
            await asyncio.gather(*(each.send(nudge, id=f"n{number}", when=when) for each in (first, second)))
        await asyncio.sleep(30)
    assert sorted(who for who, _ in house.nudged) == sorted(f"w{number}" for number in range(12))


@virtually
async def test_a_schedule_has_one_owner_who_alone_begins_it():
    house = Clockwork({name: planned(name, "rate(1 minute)", Tick(), {}) for name in ("one", "two", "three", "four")})
    await house.divide()
    async with house.worker("a") as first, house.worker("b") as second, house.worker("c") as third:
        await shared(first, second, third)
        await asyncio.sleep(150)
    said = [each.event.type for each in house.disk.log("penstock-schedules")]
    assert said.count("ScheduleBegan.v1") == 4
    assert len(house.disk.log("tick")) == 4 * 2


@virtually
async def test_each_due_time_fires_once_whoever_is_killed():
    end = datetime(2026, 1, 1, 0, 10, tzinfo=UTC)
    plans = {
        name: planned(name, "rate(1 minute)", Tick(), {"catch_up": "all", "catch_up_max": 100, "end": end})
        for name in ("one", "two", "three", "four", "five")
    }
    house = Clockwork(plans)
    await house.divide()
    async with house.worker("survivor") as survivor:
        for life in range(LIVES):
            await house.killed_worker(f"life-{life}", 47)
        await asyncio.sleep(400)
        assert await survivor.settled(60)
    due = [each.event.id.partition("Z.")[0] for each in house.disk.log("tick")]
    assert len(due) == len(set(due)), "a due time came twice"
    minutes = {name: sorted(each.partition("@")[2] for each in due if f"{name}@" in each) for name in plans}
    assert len(minutes["one"]) >= 9
    assert all(times == minutes["one"] for times in minutes.values()), "a due time was left out"
    assert not house.disk.dead
