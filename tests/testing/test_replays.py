"""Runs that exist, led through their journals by other code: what fits, what would break, where, and that nothing is done."""

import asyncio

import pytest

from penstock import App, Context, Event, WorkflowContext, testing
from penstock.adapters.memory.store import MemoryStore
from penstock.errors import Invalid, RunFailed
from penstock.runtime.replaying import Stretch
from penstock.testing.fixtures import anyio_backend, disk

__all__ = ["anyio_backend", "disk"]


class Trip(Event, key="who"):
    who: str


class Leg(Event):
    number: int


executed: list[str] = []


def driving() -> App:
    app = App("trips")

    @app.agent
    async def drive(leg: Leg, ctx: Context) -> int:
        return leg.number

    @app.workflow
    async def rest(leg: Leg, ctx: WorkflowContext) -> None:
        await ctx.wait_for("never")

    return app


def old() -> App:
    app = driving()

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> list[int]:
        async def leg(number: int) -> int:
            return await ctx.call("drive", Leg(number=number))

        await ctx.step("pay", executed.append, "pay")
        legs = await ctx.map(leg, range(3))
        ctx.start("rest", Leg(number=9))
        ctx.emit(Leg(number=8))
        await ctx.sleep(5)
        await ctx.first(ctx.sleep(1000), ctx.wait_for("go"))
        await ctx.step("ship", executed.append, "ship")
        await ctx.wait_for("end")
        return legs

    return app


def new(travel) -> App:
    app = driving()
    app.workflow(travel)
    return app


async def histories(disk) -> None:
    """Leave three runs: one that waits for `go`, one for `end`, one that has ended."""
    async with testing.app(old(), disk=disk) as live:
        for who, signals in (("ada", ""), ("bob", "go"), ("cyd", "go end")):
            run = await live.start("travel", Trip(who=who), id=who)
            await asyncio.sleep(10)
            for signal in signals.split():
                await live.signal(run, signal)
                await asyncio.sleep(1)
    executed.clear()


async def test_code_that_has_not_changed_fits_all_runs_and_nothing_is_done(disk):
    await histories(disk)
    before = dict(disk.memory.runs), {which: len(log) for which, log in disk.memory.logs.items()}
    found = {each.run_id: (each.outcome, each.step) for each in await testing.replays(old(), disk, workflow="travel")}
    assert found == {
        "ada:travel": ("fits", "ship#0"),
        "bob:travel": ("fits", "wait:end#0"),
        "cyd:travel": ("fits", ""),
    }
    assert executed == []
    assert before == (dict(disk.memory.runs), {which: len(log) for which, log in disk.memory.logs.items()})


async def test_another_step_in_its_place_breaks_the_runs_and_is_named_with_its_line_and_what_to_do(disk):
    await histories(disk)

    async def travel(trip: Trip, ctx: WorkflowContext) -> None:
        await ctx.step("check", executed.append, "check")  # the line that is named

    with pytest.raises(AssertionError) as raised:
        await testing.replays(new(travel), disk, workflow="travel")
    said = str(raised.value)
    line = travel.__code__.co_firstlineno + 1
    assert "3 of 3 runs would break" in said
    assert "the code asks for 'check#0' where the journal has 'pay#0'" in said
    assert f"test_replays.py:{line}" in said
    assert "ctx.version(" in said
    assert "@app.workflow(name='travel', version=1)" in said
    assert executed == []


async def test_a_change_behind_where_runs_are_breaks_only_those_that_came_there(disk):
    await histories(disk)

    async def travel(trip: Trip, ctx: WorkflowContext) -> list[int]:
        async def leg(number: int) -> int:
            return await ctx.call("drive", Leg(number=number))

        await ctx.step("pay", executed.append, "pay")
        legs = await ctx.map(leg, range(3))
        ctx.start("rest", Leg(number=9))
        ctx.emit(Leg(number=8))
        await ctx.sleep(5)
        await ctx.first(ctx.sleep(1000), ctx.wait_for("go"))
        await ctx.step("weigh", executed.append, "weigh")
        await ctx.step("ship", executed.append, "ship")
        await ctx.wait_for("end")
        return legs

    with pytest.raises(AssertionError, match=r"2 of 3 runs would break(.|\n)*'weigh#0' where the journal has 'ship#0'"):
        await testing.replays(new(travel), disk, workflow="travel")


async def test_a_version_marker_lets_the_same_change_pass(disk):
    await histories(disk)

    async def travel(trip: Trip, ctx: WorkflowContext) -> list[int]:
        async def leg(number: int) -> int:
            return await ctx.call("drive", Leg(number=number))

        await ctx.step("pay", executed.append, "pay")
        legs = await ctx.map(leg, range(3))
        ctx.start("rest", Leg(number=9))
        ctx.emit(Leg(number=8))
        await ctx.sleep(5)
        await ctx.first(ctx.sleep(1000), ctx.wait_for("go"))
        await ctx.step("ship", executed.append, "ship")
        await ctx.wait_for("end")
        if ctx.version("weigh", 2) == 2 and trip.who == "ada":
            await ctx.step("weigh", executed.append, "weigh")
        return legs

    assert {each.outcome for each in await testing.replays(new(travel), disk, workflow="travel")} == {"fits"}


async def test_a_branch_that_is_gone_is_found_where_the_engine_would_find_it_at_the_end(disk):
    """The code rests elsewhere, and would halt only when it ends: a check says so before."""
    await histories(disk)

    async def travel(trip: Trip, ctx: WorkflowContext) -> None:
        await ctx.step("pay", executed.append, "pay")
        await ctx.gather(ctx.wait_for("something else"))

    with pytest.raises(AssertionError, match="without asking for"):
        await testing.replays(new(travel), disk, workflow="travel")


async def test_code_that_raises_or_ends_early_or_returns_elsewhere_is_found(disk):
    await histories(disk)

    async def raises(trip: Trip, ctx: WorkflowContext) -> None:
        await ctx.step("pay", executed.append, "pay")
        raise KeyError(trip.who)

    async def ends(trip: Trip, ctx: WorkflowContext) -> None:
        await ctx.step("pay", executed.append, "pay")

    for travel in (raises, ends):
        travel.__name__ = "travel"
        with pytest.raises(AssertionError, match="the code ends without asking for 'start:rest#0"):
            await testing.replays(new(travel), disk, workflow="travel")


async def test_code_that_raises_where_a_run_waits_would_fail_it(disk):
    app, broken = App("trips"), App("trips")

    @app.workflow(name="travel")
    async def waits(trip: Trip, ctx: WorkflowContext) -> None:
        await ctx.wait_for("go")

    @broken.workflow(name="travel")
    async def raises(trip: Trip, ctx: WorkflowContext) -> None:
        raise KeyError(trip.who)

    async with testing.app(app, disk=disk) as live:
        await live.start("travel", Trip(who="ada"))
        await asyncio.sleep(1)
    line = raises.__code__.co_firstlineno + 2
    with pytest.raises(AssertionError, match=rf"the code fails: KeyError: 'ada'(.|\n)*test_replays.py:{line}"):
        await testing.replays(broken, disk)


async def test_a_result_of_another_type_and_a_name_that_is_gone_are_found(disk):
    await histories(disk)
    app = driving()

    def number() -> int:
        raise AssertionError

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> None:
        await ctx.step("pay", number)

    with pytest.raises(AssertionError, match="'pay#0' returned does not fit any more"):
        await testing.replays(app, disk, workflow="travel")
    with pytest.raises(AssertionError, match=r"2 of 2 (.|\n)*the app has no workflow 'travel' any more"):
        await testing.replays(driving(), disk, workflow="travel")


async def test_a_pinned_version_is_replayed_by_its_own_code_and_one_that_is_gone_is_found(disk):
    await histories(disk)
    both, newer = old(), driving()

    async def travel(trip: Trip, ctx: WorkflowContext) -> None:
        await ctx.step("check", executed.append, "check")

    for app in (both, newer):
        app.workflow(version=2)(travel)
    assert {each.version for each in await testing.replays(both, disk, workflow="travel")} == {1}
    with pytest.raises(AssertionError, match="version 1 of 'travel' no more"):
        await testing.replays(newer, disk, workflow="travel")


async def test_histories_are_kept_in_a_file_and_replayed_from_it(disk, tmp_path):
    await histories(disk)
    file = tmp_path / "runs.jsonl"
    assert await testing.save_histories(old(), disk, file) == 18
    found = await testing.replays(old(), file)
    assert {each.outcome for each in found} == {"fits"}
    assert len(found) == 18
    with pytest.raises(AssertionError, match="there are no workflow runs"):
        await testing.replays(old(), file, workflow="other")
    file.write_bytes(file.read_bytes() + b"{}\n")
    with pytest.raises(Invalid, match="line 19"):
        await testing.replays(old(), file)
    with pytest.raises(Invalid, match="is no file"):
        await testing.replays(old(), tmp_path / "other.jsonl")


async def test_runs_that_were_cancelled_failed_or_clean_up_fit(disk):
    def made(cleaned: list[str]) -> App:
        app = App("trips")

        @app.workflow
        async def travel(trip: Trip, ctx: WorkflowContext) -> None:
            try:
                await ctx.step("pay", executed.append, "pay")
                await ctx.wait_for("go")
                raise ValueError("no")
            finally:
                await ctx.step("undo", executed.append, "undo")
                cleaned.append(trip.who)

        return app

    async with testing.app(made([]), disk=disk) as live:
        for who in ("ada", "bob"):
            await live.start("travel", Trip(who=who), id=who)
        await live.cancel("ada:travel")
        await live.signal("bob:travel", "go")
        for who in ("ada", "bob"):
            with pytest.raises(RunFailed):
                await live.result(f"{who}:travel")
    found = await testing.replays(made([]), disk)
    assert [(each.outcome, each.reason) for each in found] == [("fits", "")] * 2


async def test_a_wait_for_something_that_is_no_operation_is_unclear_and_no_failure(disk):
    app = App("trips")

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> None:
        await ctx.step("pay", executed.append, "pay")
        await asyncio.Event().wait()

    async with testing.app(app, disk=disk) as live:
        await live.start("travel", Trip(who="ada"))
        await asyncio.sleep(1)
    assert [each.outcome for each in await testing.replays(app, disk)] == ["unclear"]


async def test_c8_a_topic_that_starts_workflows_is_replayed_and_compared(disk):
    """What ended comes from its journal: it is the same, returns something else, or asks for something else."""
    await histories(disk)

    async def verdicts(app):
        stretch = Stretch("trip", agent="travel")
        found = [each async for each in app.replay(MemoryStore(disk.memory), stretch)]
        return {each.run_id: (each.outcome, each.where) for each in found}

    skipped = {"ada:travel": ("skipped", ()), "bob:travel": ("skipped", ())}
    assert await verdicts(old()) == {**skipped, "cyd:travel": ("same", ())}

    shorter, other = old(), driving()
    handler = shorter.agents.pop("travel").handler

    async def travel(trip: Trip, ctx: WorkflowContext) -> list[int]:
        return (await handler(trip, ctx))[:1]

    shorter.workflow(travel)
    assert await verdicts(shorter) == {**skipped, "cyd:travel": ("differs", ("result",))}

    @other.workflow(name="travel")
    async def elsewhere(trip: Trip, ctx: WorkflowContext) -> None:
        await ctx.step("check", executed.append, "check")

    assert await verdicts(other) == {**skipped, "cyd:travel": ("differs", ("steps",))}
    assert executed == []


async def test_runs_that_wait_for_events_and_people_fit_too(disk):
    app = App("trips")

    class Ping(Event):
        number: int

    @app.agent(key="number")  # what orders the events is said by those who take them
    async def count(ping: Ping) -> None:
        return None

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> str:
        first = await ctx.wait_for(Ping, match={"number": 1})
        listener = ctx.listen(Ping, key="2")
        ctx.expose("at", first.number)
        second = await listener.next()
        approval = await ctx.approval("May it?")
        return f"{second.number} {approval.approved}"

    async with testing.app(app, disk=disk) as live:
        await live.start("travel", Trip(who="ada"))
        for number in (1, 2):
            await asyncio.sleep(1)
            await live.send(Ping(number=number))
        await asyncio.sleep(1)
    found = await testing.replays(app, disk, workflow="travel")
    assert [(each.outcome, each.step) for each in found] == [("fits", "approval#0")]


async def test_runs_that_wait_for_events_and_people_fit_their_own_code_and_nothing_is_written(disk):
    def asking() -> App:
        app = App("asking", events=[Leg])

        @app.workflow
        async def ask(trip: Trip, ctx: WorkflowContext) -> int:
            ctx.expose("who", trip.who)
            leg = await ctx.wait_for(Leg, match={"number": 1})
            both = await ctx.gather(ctx.approval("first"), ctx.approval("second", to=int), ctx.wait_for(Leg))
            return leg.number + (both[1].value or 0)

        return app

    async with testing.app(asking(), disk=disk) as live:
        for who in ("ada", "bob"):
            await live.start("ask", Trip(who=who))
        await live.settled()
        await live.send(Leg(number=1))
        await asyncio.sleep(1)
        asked = [each for each in await live.approvals() if each.title == "second"]
        await live.approve(asked[0].id, 7)
        await asyncio.sleep(1)
    before = {key: dict(kept) for key, kept in disk.memory.values.items()}
    found = await testing.replays(asking(), disk)
    assert sorted(each.outcome for each in found) == ["fits", "fits"]
    assert {key: dict(kept) for key, kept in disk.memory.values.items()} == before

    @(changed := App("asking", events=[Leg])).workflow
    async def ask(trip: Trip, ctx: WorkflowContext) -> int:
        return (await ctx.wait_for(Leg, match={"number": 2})).number

    with pytest.raises(AssertionError, match=r"2 of 2 runs would break"):
        await testing.replays(changed, disk)
