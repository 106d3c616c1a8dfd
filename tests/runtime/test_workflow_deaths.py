"""A workflow run that kills the process each time it is resumed is found and given up (C6); those beside it are not."""

import asyncio
from contextlib import suppress

from penstock import App, Event, WorkflowContext, testing
from penstock.errors import RunFailed
from penstock.runtime.suspects import DEATHS_MAX
from penstock.testing import run_virtually

DIES = "before effect"
REASON = f"the process died {DEATHS_MAX} times while it was resumed"


class Job(Event, key="who"):
    who: str
    deadly: bool = False


class All(Event):
    who: str


def works(executed: list[str]) -> App:
    """Return an app whose workflow comes to a step with effects only with a deadly event, and is killed there."""
    app = App("works")

    @app.workflow
    async def work(job: Job, ctx: WorkflowContext) -> str:
        await ctx.read("look", executed.append, f"look {job.who}")
        await ctx.wait_for("go")
        if job.deadly:
            await ctx.step("boom", lambda: None)
        await ctx.wait_for("end")
        return job.who

    return app


async def died(app: App, disk: testing.Disk, jobs: list[Job]) -> int:
    """Begin runs, and let the process die of them again and again; return how often it did."""
    async with testing.app(app, disk=disk) as live, live.crash_at(DIES):
        for job in jobs:
            run = await live.start("work", job, id=job.who)
            await live.signal(run, "go")
        await asyncio.sleep(1)
    deaths = 1
    with suppress(testing.NotReached):
        while deaths < 4 * DEATHS_MAX:
            await testing.crash_starting(app, DIES, disk=disk)
            deaths += 1
    return deaths


def test_c6_a_run_that_kills_is_given_up_and_those_that_died_beside_it_go_on():
    executed: list[str] = []

    async def main():
        app, disk = works(executed), testing.Disk()
        jobs = [Job(who=f"w{number}", deadly=number == 39) for number in range(40)]
        deaths = await died(app, disk, jobs)
        async with testing.app(app, disk=disk) as live:
            await live.settled()
            (letter,) = await live.dead_letters()
            assert (letter.run_id, letter.reason) == ("w39:work", REASON)
            for job in jobs[:-1]:
                await live.signal(f"{job.who}:work", "end")
                assert await live.result(f"{job.who}:work") == job.who
            assert deaths == DEATHS_MAX + 1
            assert {run.attempt for run in await live.runs("work")} == {1}
        assert len(executed) == len(jobs), "recorded steps are not executed again"

    run_virtually(main())


def test_c6_two_that_kill_are_both_found_and_their_parent_is_told():
    async def main():
        app, disk = works([]), testing.Disk()

        @app.workflow
        async def both(all: All, ctx: WorkflowContext) -> list[str]:
            async def one(who):
                child = ctx.start("work", Job(who=who, deadly=True))
                ctx.signal(child.run_id, "go")
                try:
                    return await child.result()
                except RunFailed as error:
                    return error.reason

            return await ctx.gather(one("a"), one("b"))

        async with testing.app(app, disk=disk) as live, live.crash_at(DIES):
            await live.start("both", All(who="all"), id="all")
            await asyncio.sleep(1)
        with suppress(testing.NotReached):
            for _ in range(4 * DEATHS_MAX):
                await testing.crash_starting(app, DIES, disk=disk)
        async with testing.app(app, disk=disk) as live:
            assert await live.result("all:both") == [REASON, REASON]

    run_virtually(main())


def test_c6_a_run_that_kills_before_it_is_recorded_is_found_too():
    """It is begun, and its code called, before the commit that says so: it is found by its event, not by its record."""

    async def main():
        app, disk = App("works"), testing.Disk()

        @app.workflow
        async def work(job: Job, ctx: WorkflowContext) -> None:
            ctx._services.reached(testing.WritePoint("after effect"))

        async with testing.app(App("works", events=[Job]), disk=disk) as live:
            await live.send(Job(who="a"), id="a")  # a workflow that is deployed later finds it in the log
        deaths = 0
        with suppress(testing.NotReached):
            while deaths < 4 * DEATHS_MAX:
                await testing.crash_starting(app, "after effect", disk=disk)
                deaths += 1
        assert deaths == DEATHS_MAX
        async with testing.app(app, disk=disk) as live:
            assert [letter.reason for letter in await live.dead_letters()] == [REASON]

    run_virtually(main())


def test_c6_a_stop_is_no_death_of_a_run_and_neither_are_kills_while_it_waits():
    async def main():
        app, disk = works([]), testing.Disk()
        slow: list[str] = []

        @app.workflow
        async def wait(job: Job, ctx: WorkflowContext) -> None:
            await ctx.read("slow", asyncio.sleep, 1000)
            slow.append(job.who)

        for life in range(2 * DEATHS_MAX):  # stopped in the middle of a step
            async with testing.app(app, disk=disk) as live:
                if not life:
                    await live.send(Job(who="a"))
                await asyncio.sleep(10)
        for life in range(2 * DEATHS_MAX):  # killed while all that was resumed waits, and the slow step goes on
            async with testing.app(app, disk=disk) as live:
                await asyncio.sleep(2000)
                async with live.crash_at("after append"):
                    await live.send(Job(who=f"killed {life}"))
        async with testing.app(app, disk=disk) as live:
            await asyncio.sleep(3000)
            assert not await live.dead_letters()
            assert {run.status for run in await live.runs("wait")} == {"succeeded"}
        assert slow[0] == "a"

    run_virtually(main())


def test_c6_a_redriven_run_has_new_lives():
    async def main():
        app, disk = works([]), testing.Disk()
        await died(app, disk, [Job(who="a", deadly=True)])
        async with testing.app(app, disk=disk) as live, live.crash_at(DIES):
            await live.redrive("a:work")
        async with testing.app(app, disk=disk, tools=lambda *_: "mended") as live:
            await live.signal("a:work", "end")
            assert await live.result("a:work") == "a"

    run_virtually(main())


def test_c6_an_app_that_is_killed_soon_after_each_start_gives_up_no_run_that_waits():
    async def main():
        app, disk = works([]), testing.Disk()
        async with testing.app(app, disk=disk) as live:
            for number in range(50):
                await live.start("work", Job(who=f"w{number}"))
        for life in range(3 * DEATHS_MAX):
            async with testing.app(app, disk=disk) as live:
                await asyncio.sleep(0.1)
                async with live.crash_at("after append"):
                    await live.signal("nobody", f"kill {life}")
        async with testing.app(app, disk=disk) as live:
            await asyncio.sleep(10)
            assert {run.status for run in await live.runs("work")} == {"running"}

    run_virtually(main())
