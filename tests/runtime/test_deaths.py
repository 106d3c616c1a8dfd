"""What kills the process each time it is handled is found, alone, and given up on (C6); what died beside it is not."""

import asyncio
from contextlib import suppress

import pytest

from penstock import App, Context, Event, testing
from penstock.runtime.suspects import DEATHS_MAX
from penstock.testing import run_virtually

DIES = "before effect"
REASON = f"the process died {DEATHS_MAX} times while it was handled"


class Job(Event, key="who"):
    who: str
    deadly: bool = False


def works(*, batch: int = 0, handled: list[str]) -> App:
    """Return an app whose handler comes to a step only with a deadly event, and is killed there."""
    app = App("works")

    if batch:

        @app.agent(name="work", batch=batch)
        async def together(jobs: list[Job], ctx: Context) -> None:
            await asyncio.sleep(0.01)
            for job in jobs:
                if job.deadly:
                    ctx._services.reached(testing.WritePoint(DIES))
                handled.append(job.who)

    else:

        @app.agent(name="work")
        async def alone(job: Job, ctx: Context) -> None:
            if job.deadly:
                await asyncio.sleep(0.01)
                await ctx.step("boom", lambda: None)
            await asyncio.sleep(1)
            handled.append(job.who)

    return app


async def died(app: App, disk: testing.Disk, jobs: list[Job]) -> int:
    """Send jobs, and let the process die of them again and again; return how often it did."""
    async with testing.app(app, disk=disk) as live, live.crash_at(DIES):
        await live.engine.send_many(jobs)
    deaths = 1
    with suppress(testing.NotReached):
        while deaths < 4 * DEATHS_MAX:
            await testing.crash_starting(app, DIES, disk=disk)
            deaths += 1
    return deaths


def test_c6_those_that_died_beside_it_are_not_given_up():
    handled: list[str] = []

    async def main():
        app, disk = works(handled=handled), testing.Disk()
        jobs = [Job(who=f"w{number}", deadly=number == 20) for number in range(100)]
        deaths = await died(app, disk, jobs)
        async with testing.app(app, disk=disk) as live:
            await live.settled()
            assert [letter.reason for letter in await live.dead_letters()] == [REASON]
        assert deaths == DEATHS_MAX + 1
        assert set(handled) == {job.who for job in jobs if not job.deadly}
        assert not any(owner == ":steps" and kept for (_, owner, _), kept in disk.memory.values.items())

    run_virtually(main())


def test_c6_two_that_kill_are_both_found():
    handled: list[str] = []

    async def main():
        app, disk = works(handled=handled), testing.Disk()
        jobs = [Job(who=f"w{number}", deadly=number in (3, 7)) for number in range(10)]
        await died(app, disk, jobs)
        async with testing.app(app, disk=disk) as live:
            await live.settled()
            assert [letter.reason for letter in await live.dead_letters()] == [REASON] * 2
        assert set(handled) == {job.who for job in jobs if not job.deadly}

    run_virtually(main())


def test_c6_in_a_batch_the_one_that_kills_is_found():
    handled: list[str] = []

    async def main():
        app, disk = works(batch=10, handled=handled), testing.Disk()
        jobs = [Job(who=f"w{number}", deadly=number == 4) for number in range(10)]
        deaths = await died(app, disk, jobs)
        async with testing.app(app, disk=disk) as live:
            await live.settled()
            (letter,) = await live.dead_letters()
            assert (letter.reason, letter.event.position.offset) == (REASON, 5)
        assert deaths == 2 * DEATHS_MAX + 1
        assert set(handled) == {job.who for job in jobs if not job.deadly}

    run_virtually(main())


def test_c6_a_stop_is_no_death():
    app, begun = App("works"), []

    @app.agent
    async def work(job: Job) -> None:
        begun.append(job.who)
        await asyncio.sleep(100)

    async def main():
        disk = testing.Disk()
        for life in range(2 * DEATHS_MAX):
            async with testing.app(app, disk=disk) as live:
                if not life:
                    await live.send(Job(who="a"))
                await asyncio.sleep(10)
        async with testing.app(app, disk=disk) as live:
            await live.settled()
            assert not await live.dead_letters()
        assert len(begun) == 2 * DEATHS_MAX + 1

    run_virtually(main())


def test_c6_what_is_handled_for_the_first_time_is_not_marked():
    async def main():
        disk = testing.Disk()
        async with testing.app(works(handled=[]), disk=disk) as live:
            await live.send(Job(who="a"))
            await live.settled()
        assert disk.memory.values == {}

    run_virtually(main())


@pytest.mark.parametrize("deaths", [1, 3])
def test_c6_an_attempt_that_ends_clears_the_one_that_was_cut_off(deaths):
    app, fails = App("works"), []

    @app.agent
    async def work(job: Job, ctx: Context) -> None:
        if fails:
            fails.clear()
            raise OSError("once")
        await ctx.step("boom", lambda: None)

    async def main():
        disk = testing.Disk()
        async with testing.app(app, disk=disk) as live, live.crash_at(DIES):
            await live.send(Job(who="a"))
        for _ in range(3):
            for _ in range(deaths):
                await testing.crash_starting(app, DIES, disk=disk)
            fails.append(1)
        async with testing.app(app, disk=disk) as live:
            await live.settled()
            assert not await live.dead_letters()

    run_virtually(main())
