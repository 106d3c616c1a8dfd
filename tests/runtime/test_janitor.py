"""What has been dealt with goes after its time; what is under way, dead or needed stays, and goes on as before (C9)."""

import asyncio

import pytest

from penstock import App, Context, Event, Keep, Retention, Retry, WorkflowContext
from penstock.errors import Invalid
from penstock.runtime.janitor import FIRST_S, Janitor
from penstock.testing.virtual_time import VirtualClock, run_virtually

DAY_S = 86_400


class Asked(Event, key="who"):
    who: str
    text: str = ""


class Told(Event, key="who"):
    who: str


class Trip(Event):
    to: str


def shop(**options):
    app = App("shop", **options)

    @app.agent(retry=Retry(attempts_max=1))
    async def answer(asked: Asked, ctx: Context) -> Told:
        if asked.text == "poison":
            raise ValueError("poison")
        await ctx.session.add("user", asked.text)
        await ctx.step("think", str.upper, asked.text)
        return Told(who=asked.who)

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> str:
        await ctx.step("book", str.upper, trip.to)
        return f"{await ctx.wait_for('go', str)} to {trip.to}"

    return app


async def passes(days):
    await asyncio.sleep(days * DAY_S + 3600 + FIRST_S)


def test_after_its_time_all_of_a_turn_is_gone_and_what_is_needed_is_not():
    async def main():
        async with shop().running(store="memory:", clock=VirtualClock()) as live:
            store = live.engine.parts.store
            await live.ask(Asked(who="a", text="hello"), Told, id="one")
            await live.send(Asked(who="b", text="poison"), id="bad")
            trip = await live.send(Trip(to="Rome"))
            await passes(29)
            assert await live.send(Asked(who="a", text="hello"), id="one") == "one"  # known: nothing happens anew
            assert len(await store.origin("one")) == 2
            await live.ask(Asked(who="a"), Told)  # the last event of a topic stays, and what it followed from
            await passes(12)
            assert [await store.event("one"), await store.run("one:answer")] == [None, None]
            assert await store.origin("one") == []
            assert [each.content for each in (await store.history("default", "a", now_ms=0)).messages] == [""]
            [letter] = await store.dead_letters()
            assert (letter.run_id, (await store.run("bad:answer")).change.status) == ("bad:answer", "failed")
            await live.signal(f"{trip}:travel", "go", "walk")
            assert await live.engine.settled(10)
            stored = await store.run(f"{trip}:travel")
            assert (stored.change.status, stored.change.result) == ("succeeded", b'"walk to Rome"')
            # An id that is forgotten is new: its run begins from the beginning.
            assert (await live.ask(Asked(who="a", text="hello"), Told, id="one")).who == "a"

    run_virtually(main())


def test_a_journal_goes_before_the_result():
    async def main():
        async with shop().running(store="memory:", clock=VirtualClock()) as live:
            await live.call("answer", Asked(who="a"), id="one")
            await passes(6)
            assert len((await live.engine.run("one:answer")).records) == 1
            await passes(2)
            stored = await live.engine.run("one:answer")
            assert (stored.change.status, stored.records) == ("succeeded", [])
            assert await live.call("answer", Asked(who="a"), id="one") == {"who": "a"}

    run_virtually(main())


@pytest.mark.parametrize(
    ("retention", "left"),
    [
        (Retention(topics={"asked": Keep(days=None, count=3)}, events=Keep(days=1), runs_days=0), 3),
        (Retention(events=Keep(days=1), runs_days=1), 1),
        (Retention(events=Keep(days=1)), 20),  # their runs are kept for 30 days
        (Retention(topics={"told": Keep(days=None)}, events=Keep(days=1), runs_days=1), 20),  # what followed is kept
    ],
    ids=["by number", "by age", "longer for runs", "longer for what followed"],
)
def test_a_topic_keeps_what_is_asked_for(retention, left):
    async def main():
        async with shop(retention=retention).running(store="memory:", clock=VirtualClock()) as live:
            for number in range(20):
                await live.call("answer", Asked(who=str(number)))
            await passes(3)
            asked = await live.engine.parts.store.read("asked", 0, after=0, limit=100)
            assert len(asked) == left

    run_virtually(main())


def test_an_agent_that_comes_later_begins_with_what_is_left(tmp_path):
    clock = VirtualClock()
    path = f"sqlite:{tmp_path / 'app.db'}"

    async def before():
        app = App("shop", events=[Asked], retention=Retention(events=Keep(count=5)))
        async with app.running(store=path) as live:
            await live.engine.send_many([Asked(who=str(number)) for number in range(40)])
            await live.engine.services.committer.durable()
            janitor = Janitor(live.engine.parts.store, clock, live.engine.parts.household, live.engine)
            assert (await janitor.tidy()).events == 35
            assert await live.engine.parts.store.ends() == {("asked", 0): 40}

    async def later():
        app = App("shop", retention=Retention(events=Keep(count=5)))
        seen = []

        @app.agent
        async def late(asked: Asked) -> None:
            seen.append(int(asked.who))

        async with app.running(store=path) as live:
            await live.engine.caught_up("late")
            assert seen == [35, 36, 37, 38, 39]
            progress = (await live.engine.parts.store.progress())["late", "asked", 0]
            assert (progress.low, progress.above) == (40, [])

    asyncio.run(before())
    asyncio.run(later())


def test_wrong_numbers_are_all_said():
    wrong = Retention(events=Keep(days=-1, count=0), topics={"asked": Keep(days=1e9)}, journals_days=-2, every_s=0)
    with pytest.raises(Invalid) as caught:
        App("shop", retention=wrong)
    assert [each.path for each in caught.value.findings] == [
        "retention.events.days",
        "retention.topics['asked'].days",
        "retention.journals_days",
        "retention.events.count",
        "retention.every_s",
    ]
    with pytest.raises(Invalid, match="retention: is 7"):

        @App("shop").agent(retention=7)
        async def answer(asked: Asked) -> None: ...


def test_an_agent_says_for_itself():
    app = App("shop")

    @app.agent(retention=Retention(journals_days=1))
    async def answer(asked: Asked, ctx: Context) -> None:
        await ctx.step("think", str.upper, "x")

    async def main():
        async with app.running(store="memory:", clock=VirtualClock()) as live:
            await live.call("answer", Asked(who="a"), id="one")
            await passes(2)
            assert (await live.engine.run("one:answer")).records == []

    run_virtually(main())
