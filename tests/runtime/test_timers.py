"""What waits for its time fires once, over restarts, kills, clocks that are set, and a great many others (C3, C9, C11)."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest

from penstock import App, Context, Event
from penstock.errors import Invalid, Missing, Refused
from penstock.testing.apps import Disk, Live, app
from penstock.testing.virtual_time import run_virtually

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)  # twelve hours after the virtual clock begins


class Remind(Event, key="who"):
    who: str
    times: int = 0


class Reminded(Event, key="who"):
    who: str
    at_s: float = 0


class Stop(Event, key="who"):
    who: str


def reminding(seen: list[tuple[str, float]]) -> App:
    """Return an app that notes when it is reminded."""
    reminders = App("reminders", events=[Remind])

    @reminders.agent
    async def note(reminded: Reminded) -> None:
        seen.append((reminded.who, round(asyncio.get_running_loop().time(), 3)))

    return reminders


async def pending(live: Live) -> list[str]:
    return [each.event.type for each in await live.timers()]


def test_an_event_comes_so_much_later_and_once():
    seen: list[tuple[str, float]] = []

    async def life() -> None:
        async with app(reminding(seen)) as live:
            await live.send(Reminded(who="b"), after_s=20)
            await live.send(Reminded(who="a"), after_s=10.5)
            await live.send(Reminded(who="now"))
            await live.send(Reminded(who="soon"), after_s=0)
            await asyncio.sleep(100)
            await live.settled()
            assert await pending(live) == []

    run_virtually(life())
    assert seen == [("now", 0), ("soon", 0), ("a", 10.5), ("b", 20)]


def test_an_event_comes_at_a_time_on_the_wall():
    seen: list[tuple[str, float]] = []

    async def life() -> None:
        async with app(reminding(seen)) as live:
            await live.send(Reminded(who="noon"), at=NOON)
            await live.send(
                Reminded(who="berlin"), at=NOON.astimezone(timezone(timedelta(hours=1))) - timedelta(hours=1)
            )
            await live.send(Reminded(who="past"), at=NOON - timedelta(days=400))
            await asyncio.sleep(13 * 3600)
            await live.settled()

    run_virtually(life())
    assert seen == [("past", 0), ("berlin", 11 * 3600), ("noon", 12 * 3600)]


@pytest.mark.parametrize("clean", [True, False])
def test_what_waits_goes_on_after_a_restart(clean):
    seen: list[tuple[str, float]] = []
    disk = Disk()

    async def life() -> None:
        async with app(reminding(seen), disk=disk) as live:
            await live.send(Reminded(who="before"), after_s=1)
            await live.send(Reminded(who="during"), after_s=50)
            await live.send(Reminded(who="after"), after_s=100)
            await asyncio.sleep(10)
            if not clean:
                live.fate.dead = True
        await asyncio.sleep(70)
        async with app(reminding(seen), disk=disk) as live:
            await asyncio.sleep(100)
            await live.settled()

    with suppress(BaseExceptionGroup):  # of those that were under way in the killed process
        run_virtually(life())
    assert seen == [("before", 1), ("during", 80), ("after", 100)]


def test_a_handlers_timer_is_set_by_the_commit_that_is_done_with_its_event():
    seen: list[tuple[str, float]] = []
    tries = 0
    reminders = reminding(seen)

    @reminders.agent
    async def plan(remind: Remind, ctx: Context) -> None:
        nonlocal tries
        tries += 1
        ctx.emit(Reminded(who=remind.who), after_s=60)
        if tries == 1:
            raise ValueError("no")

    async def life() -> None:
        async with app(reminders) as live:
            await live.send(Remind(who="a"))
            await asyncio.sleep(200)
            await live.settled()

    run_virtually(life())
    assert tries == 2
    assert [who for who, _ in seen] == ["a"]


def naming(seen: list[tuple[str, float]]) -> App:
    """Return an app whose reminders have a name: a new one moves the old one, and one can be called off."""
    reminders = reminding(seen)

    @reminders.agent
    async def plan(event: Remind | Stop, ctx: Context) -> None:
        if isinstance(event, Stop):
            ctx.cancel_timer("nag")
        else:
            ctx.emit(Reminded(who=event.who), after_s=60, timer="nag")

    return reminders


def test_a_timer_that_is_set_again_moves():
    seen: list[tuple[str, float]] = []

    async def life() -> None:
        async with app(naming(seen)) as live:
            for _ in range(500):  # far more often than what is kept about it
                await live.send(Remind(who="a"))
                await asyncio.sleep(1)
            await live.send(Remind(who="b"))
            assert len(await live.timers()) == 2
            await asyncio.sleep(100)
            await live.settled()

    run_virtually(life())
    assert seen == [("a", 559), ("b", 560)]


def test_a_timer_that_is_cancelled_does_not_fire():
    seen: list[tuple[str, float]] = []

    async def life() -> None:
        async with app(naming(seen)) as live:
            await live.send(Remind(who="a"))
            await live.send(Remind(who="b"))
            await live.send(Stop(who="a"))
            await live.send(Stop(who="nobody"))
            await live.settled()
            chosen = await live.send(Reminded(who="c"), after_s=60, tenant="acme")
            with pytest.raises(Missing, match="has fired, or was cancelled"):
                await live.cancel_timer(chosen)
            await live.cancel_timer(chosen, tenant="acme")
            with pytest.raises(Missing):
                await live.cancel_timer(chosen, tenant="acme")
            again = await live.send(Reminded(who="d"), after_s=1)
            await asyncio.sleep(100)
            await live.settled()
            with pytest.raises(Missing):
                await live.cancel_timer(again)

    run_virtually(life())
    assert sorted(seen) == [("b", 60), ("d", 1)]


def test_an_agent_that_wakes_itself_up_goes_on_for_ever():
    seen: list[tuple[str, float]] = []
    reminders = reminding(seen)

    @reminders.agent
    async def beat(remind: Remind, ctx: Context) -> None:
        if remind.times < 200:
            ctx.emit(Remind(who=remind.who, times=remind.times + 1), after_s=1, timer="beat")
        else:
            ctx.emit(Reminded(who=remind.who))

    async def life() -> None:
        async with app(reminders) as live:
            await live.send(Remind(who="a"))
            await asyncio.sleep(300)
            await live.settled()

    run_virtually(life())
    assert seen == [("a", 200)]


def test_a_loop_without_a_pause_is_bounded_as_ever():
    reminders = App("loops")

    @reminders.agent
    async def spin(remind: Remind, ctx: Context) -> None:
        ctx.emit(Remind(who=remind.who), after_s=0.01, timer="spin")

    async def life() -> None:
        async with app(reminders) as live:
            await live.send(Remind(who="a"))
            await asyncio.sleep(300)
            await live.settled()
            (letter,) = await live.dead_letters()
            assert "hops" in letter.reason

    run_virtually(life())


def test_the_same_id_is_one_event_whether_it_waits_or_not():
    seen: list[tuple[str, float]] = []
    disk = Disk()

    async def life() -> None:
        for _ in range(2):
            async with app(reminding(seen), disk=disk) as live:
                both = (live.send(Reminded(who="a"), id="x", after_s=10) for _ in range(3))
                assert await asyncio.gather(*both) == ["x"] * 3
                assert await live.send(Reminded(who="a"), id="x") == "x"
                with pytest.raises(Refused, match="taken"):
                    await live.send(Reminded(who="a"), id="x", tenant="other")
                await asyncio.sleep(8)
        async with app(reminding(seen), disk=disk) as live:
            await asyncio.sleep(100)
            assert await live.send(Reminded(who="a"), id="x") == "x"
            await live.settled()

    run_virtually(life())
    assert seen == [("a", 10)]


def test_what_is_no_time_is_refused_with_all_findings():
    async def life() -> None:
        async with app(reminding([])) as live:
            with pytest.raises(Invalid, match=r"at: is given beside after_s.*(\n.*)*after_s: is -1"):
                await live.send(Reminded(who="a"), after_s=-1, at=NOON)
            for wrong in (float("nan"), float("inf"), True, "5", 1e12):
                with pytest.raises(Invalid, match="after_s"):
                    await live.send(Reminded(who="a"), after_s=wrong)
            with pytest.raises(Invalid, match="zone"):
                await live.send(Reminded(who="a"), at=NOON.replace(tzinfo=None))
            assert await live.timers() == []

    run_virtually(life())


@pytest.mark.parametrize("jump_ms", [-86_400_000, -30_000, 30_000])
def test_a_clock_that_is_set_makes_no_wait_longer_and_fires_nothing_twice(jump_ms):
    """`elapsed`: within the process and over a restart."""
    seen: list[tuple[str, float]] = []
    disk = Disk()

    async def life() -> None:
        async with app(reminding(seen), disk=disk) as live:
            await live.send(Reminded(who="a"), after_s=100)
            await asyncio.sleep(10)
            live.clock.skew_ms = jump_ms
            await live.send(Reminded(who="b"), after_s=80)
            await asyncio.sleep(10)
        async with app(reminding(seen), disk=disk) as live:
            live.clock.skew_ms = jump_ms
            await asyncio.sleep(10)
            live.clock.skew_ms = 0
            await asyncio.sleep(200)
            await live.settled()

    run_virtually(life())
    assert sorted(who for who, _ in seen) == ["a", "b"]
    assert all(at_s <= 100 for _, at_s in seen)


def test_a_machine_that_slept_makes_no_wait_longer():
    """The clock that never goes back stood still meanwhile; that on the wall did not."""
    seen: list[tuple[str, float]] = []

    async def life() -> None:
        async with app(reminding(seen)) as live:
            await live.send(Reminded(who="a"), after_s=3600)
            await asyncio.sleep(10)
            live.clock.skew_ms = 2 * 3600_000
            await asyncio.sleep(100)

    run_virtually(life())
    assert len(seen) == 1
    assert seen[0][1] <= 70


def test_a_time_on_the_wall_follows_the_clock_on_the_wall():
    seen: list[tuple[str, float]] = []

    async def life() -> None:
        async with app(reminding(seen)) as live:
            await live.send(Reminded(who="noon"), at=NOON)
            await asyncio.sleep(3600)
            live.clock.skew_ms = 10 * 3600_000  # it was 1:00, and is 11:00
            await asyncio.sleep(600)
            live.clock.skew_ms = 0
            await asyncio.sleep(3600)
            assert seen == []
            live.clock.skew_ms = 11 * 3600_000
            await asyncio.sleep(61)
            assert len(seen) == 1
            live.clock.skew_ms = 0
            await asyncio.sleep(86_400)
            await live.settled()

    run_virtually(life())
    assert len(seen) == 1
