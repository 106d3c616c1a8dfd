"""Runs that live long: they go on with a journal that begins anew, under their id, and stay bounded."""

import asyncio
from collections import Counter

import pytest
from test_workflow_cancel import died_everywhere

from penstock import App, Context, Event, Retry, WorkflowContext, testing, tool
from penstock.core.agents import run_journal
from penstock.errors import LimitReached, Refused, RunFailed
from penstock.testing.fixtures import anyio_backend, disk

__all__ = ["anyio_backend", "disk"]


class Watch(Event, key="who"):
    who: str
    seen: int = 0


class Other(Event):
    number: int


class Look(Event, key="who"):
    who: str
    number: int


ROUNDS = 10_000


async def test_a_run_of_ten_thousand_rounds_keeps_its_journal_bounded_and_its_id(disk):
    app = App("watches")
    keys: Counter[str] = Counter()

    @app.workflow
    async def watch(at: Watch, ctx: WorkflowContext) -> int:
        keys[ctx.idempotency_key("look")] += 1
        await ctx.read("look", str, at.seen)
        if at.seen < ROUNDS:
            await ctx.continue_as(Watch(who=at.who, seen=at.seen + 1))
        return at.seen

    async with testing.app(app, disk=disk) as live:
        assert await live.call("watch", Watch(who="ada"), id="w1", within_s=10_000) == ROUNDS
        (run,) = await live.runs("watch")
        stored = await live.engine.run("w1:watch")
    assert (run.run_id, run.status, run.attempt) == ("w1:watch", "succeeded", 1)
    assert [record.step for record in stored.records] == ["continued", "look#0"]
    assert sum(map(len, disk.memory.chunks["w1:watch"])) < 1000
    assert (len(keys), set(keys.values())) == (ROUNDS + 1, {1}), "each round has keys of its own"


async def test_rounds_go_on_over_every_death_and_each_step_is_done_once():
    """Each effect has a key of its own, each event an id of its own, and a late answer is no other round's."""
    effects: Counter[str] = Counter()
    returned: list[object] = []

    def made():
        app = App("watches")

        @app.agent(retry=Retry(attempts_max=1))
        async def look(at: Look, ctx: Context) -> int:
            return at.number * 10

        @app.workflow
        async def watch(at: Watch, ctx: WorkflowContext) -> list[int]:
            key = ctx.idempotency_key("note")
            await ctx.step("note", effects.update, [key])
            ctx.emit(Other(number=at.seen))
            found = await ctx.call("look", Look(who=at.who, number=at.seen))
            assert found == at.seen * 10
            said = await ctx.wait_for("go", int)
            assert said == at.seen
            if at.seen < 3:
                await ctx.continue_as(Watch(who=at.who, seen=at.seen + 1))
            return [found, said]

        return app

    async def story(live):
        effects.clear()
        run = await live.start("watch", Watch(who="ada"), id="w1")
        for number in range(4):  # all at once: those of later rounds are carried over
            await live.signal(run, "go", number, id=f"s{number}")
        returned.append(await live.result(run, within_s=100))

    async def check(live):
        run = await live.start("watch", Watch(who="ada"), id="w1")
        for number in range(4):
            await live.signal(run, "go", number, id=f"s{number}")
        assert await live.result(run, within_s=1000) == [30, 3]
        assert sorted(effects) == ["w1:watch/1~note#0", "w1:watch/2~note#0", "w1:watch/3~note#0", "w1:watch/note#0"]
        assert sorted(each.number for each in await live.events(Other)) == [0, 1, 2, 3]
        assert sorted(each.number for each in await live.events(Look)) == [0, 1, 2, 3]

    await died_everywhere(made, story, check)


async def test_whoever_waits_gets_the_last_rounds_result_and_a_parent_too(disk):
    app = App("watches")

    @app.workflow
    async def watch(at: Watch, ctx: WorkflowContext) -> str:
        await ctx.sleep(10)
        if at.seen < 5:
            await ctx.continue_as(Watch(who=at.who, seen=at.seen + 1))
        return f"{at.who} {at.seen}"

    @app.workflow
    async def outer(other: Other, ctx: WorkflowContext) -> list[str]:
        child = ctx.start("watch", Watch(who="bob"))
        return [await ctx.call("watch", Watch(who="cyd")), await child.result()]

    async with testing.app(app, disk=disk) as live:
        run = await live.start("watch", Watch(who="ada"))
        waiting = asyncio.ensure_future(live.result(run, within_s=1000))
        asked = asyncio.ensure_future(live.call("outer", Other(number=1), within_s=1000))
        await asyncio.sleep(25)
    async with testing.app(app, disk=disk) as live:
        waiting.cancel()
        asked.cancel()
        assert await live.result(run, within_s=1000) == "ada 5"
        (parent,) = await live.runs("outer")
        assert await live.result(parent.run_id, within_s=1000) == ["cyd 5", "bob 5"]


async def test_what_a_round_has_begun_ends_with_it_but_for_what_is_left_alone(disk):
    app = App("watches")

    @app.workflow
    async def rest(other: Other, ctx: WorkflowContext) -> int:
        await ctx.wait_for("never")
        return other.number

    @app.agent(retry=Retry(attempts_max=1))
    async def slow(at: Look, ctx: Context) -> int:
        await asyncio.sleep(50)
        return at.number

    @app.workflow
    async def watch(at: Watch, ctx: WorkflowContext) -> object:
        if at.seen:
            return await ctx.call("slow", Look(who=at.who, number=2))
        ctx.start("rest", Other(number=1))
        ctx.start("rest", Other(number=2), on_end="leave")

        async def onwards() -> None:
            await ctx.sleep(10)
            await ctx.continue_as(Watch(who=at.who, seen=1))

        await ctx.gather(ctx.call("slow", Look(who="other", number=1)), onwards())
        raise AssertionError("not reached")

    async with testing.app(app, disk=disk) as live:
        assert await live.call("watch", Watch(who="ada"), within_s=1000) == 2
        await live.settled()
        statuses = {(run.agent, run.status) for run in await live.runs() if run.agent != "runs"}
        assert statuses == {
            ("watch", "succeeded"),
            ("slow", "cancelled"),
            ("slow", "succeeded"),
            ("rest", "cancelled"),
            ("rest", "running"),
        }


async def test_the_next_round_is_led_by_the_newest_version_and_finally_may_ask_for_nothing(disk):
    cleaned: list[str] = []

    def made(*versions):
        app = App("watches")

        async def one(at: Watch, ctx: WorkflowContext) -> str:
            try:
                await ctx.wait_for("go")
                await ctx.continue_as(Watch(who=at.who, seen=at.seen + 1))
            finally:
                cleaned.append("finally")
                await ctx.step("undo", cleaned.append, "never")

        async def two(at: Watch, ctx: WorkflowContext) -> str:
            await ctx.wait_for("end")
            return f"two {at.seen}"

        for version in versions:
            app.workflow(name="watch", version=version)(one if version == 1 else two)
        return app

    async with testing.app(made(1), disk=disk) as live:
        run = await live.start("watch", Watch(who="ada"))
        await asyncio.sleep(1)
    async with testing.app(made(1, 2), disk=disk) as live:
        await live.signal(run, "go")
        await asyncio.sleep(1)
    async with testing.app(made(2), disk=disk) as live:
        await live.signal(run, "end")
        assert await live.result(run) == "two 1"
    assert "never" not in cleaned


async def test_what_cannot_go_on_says_so_and_changes_nothing(disk):
    app = App("watches")
    refused: list[str] = []

    @app.workflow
    async def watch(at: Watch, ctx: WorkflowContext) -> str:
        for event in (Other(number=1), "text"):
            try:
                await ctx.continue_as(event)
            except Refused as error:
                refused.append(str(error))
        try:
            await ctx.wait_for("go")
        finally:
            try:
                await ctx.continue_as(Watch(who="bob"))
            except Refused as error:
                refused.append(str(error))
        return "went"

    async with testing.app(app, disk=disk) as live:
        run = await live.start("watch", Watch(who="ada"))
        await live.cancel(run)
        with pytest.raises(RunFailed):
            await live.result(run)
    expected = ("'watch' does not take Other.v1:", "str is no event:", f"run {run} is made to end:")
    assert len(refused) == len(expected)
    assert all(said.startswith(begin) for said, begin in zip(refused, expected, strict=True))


async def test_a_journal_that_is_too_long_is_a_typed_error_that_says_how_to_go_on(disk):
    app = App("watches")
    raised: list[LimitReached] = []

    @app.workflow
    async def watch(at: Watch, ctx: WorkflowContext) -> None:
        ctx._run.journal.size_bytes = run_journal.BYTES_MAX + 1
        try:
            await ctx.sleep(1)
        except LimitReached as error:
            raised.append(error)
            raise

    async with testing.app(app, disk=disk) as live:
        with pytest.raises(RunFailed, match=r"await ctx.continue_as\(event\)"):
            await live.call("watch", Watch(who="ada"))
    assert raised[0].maximum == run_journal.BYTES_MAX


async def test_a_run_is_forked_in_its_last_round(disk):
    app = App("watches")

    @app.workflow
    async def watch(at: Watch, ctx: WorkflowContext) -> int:
        number = await ctx.step("look", int, at.seen)
        if at.seen < 2:
            await ctx.continue_as(Watch(who=at.who, seen=at.seen + 1))
        await ctx.step("end", int, 0)
        return number

    async with testing.app(app, disk=disk) as live:
        assert await live.call("watch", Watch(who="ada"), id="w1") == 2
        fork = await live.fork("w1:watch", "end#0")
        await live.settled()
        assert await live.result(fork) == 2


async def test_what_was_told_stands_in_the_rounds_that_follow(disk):
    app = App("watches")

    @app.workflow
    async def watch(at: Watch, ctx: WorkflowContext) -> None:
        ctx.tell(f"round {at.seen}")
        await ctx.wait_for("go")
        if at.seen < 2:
            await ctx.continue_as(Watch(who=at.who, seen=at.seen + 1))

    async def told(live):
        pieces = [piece async for piece in live.stream("w1:watch")]
        gone = [span for piece in pieces if piece.kind == "reset" for span in piece.data["dropped"]]
        return [
            piece.text
            for piece in pieces
            if piece.kind == "token" and not any(first <= piece.offset < end for first, end in gone)
        ]

    for number in range(3):  # each round in a process of its own, that goes on with the one before
        async with testing.app(app, disk=disk) as live:
            await live.start("watch", Watch(who="ada"), id="w1")
            await asyncio.sleep(5)
            await live.signal("w1:watch", "go", id=f"s{number}")
            await asyncio.sleep(5)
            if number == 2:
                assert await told(live) == ["round 0", "round 1", "round 2"]


async def test_a_questions_key_is_that_of_its_round(disk):
    app = App("watches")

    @tool(unknown="ask")
    async def charge(number: int, idempotency_key: str = "") -> str:
        return idempotency_key

    @app.workflow
    async def watch(at: Watch, ctx: WorkflowContext) -> str:
        if not at.seen:
            await ctx.continue_as(Watch(who=at.who, seen=1))
        return await ctx.step("charge", charge, at.seen)

    async with testing.app(app, disk=disk) as live, live.crash_at("after effect"):
        await live.start("watch", Watch(who="ada"), id="w1")
        await asyncio.sleep(1)
    async with testing.app(app, disk=disk) as live:
        await asyncio.sleep(1)
        (question,) = await live.questions()
        assert question.idempotency_key == "w1:watch/1~charge#0"
        await live.decide("w1:watch", "charge#0", "retry")
        assert await live.result("w1:watch") == "w1:watch/1~charge#0"


async def test_an_agent_whose_name_has_blanks_answers_too(disk):
    app = App("watches")

    @app.agent(name="look twice")
    async def twice(at: Look, ctx: Context) -> int:
        return at.number * 2

    @app.agent(name="look")
    async def once(at: Look, ctx: Context) -> int:
        return at.number

    @app.workflow
    async def watch(at: Watch, ctx: WorkflowContext) -> list[int]:
        return [await ctx.call(name, Look(who=at.who, number=3)) for name in ("look twice", "look")]

    async with testing.app(app, disk=disk) as live:
        assert await live.call("watch", Watch(who="ada")) == [6, 3]
