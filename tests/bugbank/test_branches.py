"""Many branches at once: no result is lost, whatever order they go on in, and who waits costs nothing."""

import asyncio
from random import Random

import pytest

from penstock import App, Context, Event, WorkflowContext, testing
from penstock.testing import WritePoint, run_virtually

INTERLEAVINGS = 1000
WIDE = 5000
POINTS = (WritePoint.AFTER_EFFECT, WritePoint.BEFORE_COMMIT, WritePoint.AFTER_COMMIT, WritePoint.AFTER_HANDLING)

pytestmark = pytest.mark.timeout(200)


class Task(Event):
    branches: int


class Piece(Event):
    number: int


class Done(Event):
    results: list[int]


class Heap(Event, key="owner"):
    owner: str


class Grain(Event, key="owner"):
    owner: str
    number: int


def branching(random: Random) -> App:
    app = App("branching")

    async def compute(number: int) -> int:
        await asyncio.sleep(random.random())
        return number * number

    @app.agent
    async def square(piece: Piece, ctx: Context) -> int:
        return await ctx.step("compute", compute, piece.number)

    @app.workflow
    async def spread(task: Task, ctx: WorkflowContext) -> Done:
        results: list[int] = []

        async def branch(number: int) -> None:
            await ctx.sleep(random.random())
            kind = number % 3
            if kind == 0:
                results.append(await ctx.call("square", Piece(number=number)))
            elif kind == 1:
                results.append(await ctx.step("compute", compute, number))
            else:
                results.append(await ctx.read("compute", compute, number))

        await ctx.map(branch, range(task.branches))
        return Done(results=sorted(results))

    del square, spread
    return app


@pytest.mark.parametrize("seeds", [range(at, at + 100) for at in range(0, INTERLEAVINGS, 100)], ids=str)
def test_branches_that_write_results_side_by_side_lose_none(seeds):
    """langgraph #8115: of branches that wrote their results at the same time, some were lost."""

    async def one(seed: int) -> None:
        random, disk = Random(seed), testing.Disk()
        app, task = branching(random), Task(branches=5)
        try:
            async with testing.app(app, disk=disk) as live, live.crash_at(random.choice(POINTS), random.randint(1, 8)):
                await live.ask(task, Done, id="task")
        except testing.NotReached:
            pass  # it was done before the place where it would have died
        async with testing.app(app, disk=disk) as live:
            assert (await live.ask(task, Done, id="task")).results == [0, 1, 4, 9, 16], f"seed {seed}"

    for seed in seeds:
        run_virtually(one(seed))


async def test_a_fan_out_of_five_thousand_comes_back_whole_over_a_kill(disk):
    """dapr #7321, and Temporal's limit of 2,000 pending activities: a wide fan-out broke the workflow."""
    app, task = branching(Random(1)), Task(branches=WIDE)
    async with testing.app(app, disk=disk) as live, live.crash_at(WritePoint.AFTER_EFFECT, nth=WIDE // 4):
        await live.ask(task, Done, id="task", within_s=1000)
    async with testing.app(app, disk=disk) as live:
        assert (await live.ask(task, Done, id="task", within_s=1000)).results == [n * n for n in range(WIDE)]


async def test_an_agent_that_emits_five_thousand_events_loses_none_and_keeps_their_order(disk):
    """dapr #7321: the same for events that one handling emits, to one key."""
    app, got = App("grains"), []

    @app.agent
    async def scatter(heap: Heap, ctx: Context) -> None:
        for number in range(WIDE):
            ctx.emit(Grain(owner=heap.owner, number=number))

    @app.agent
    async def gather(grain: Grain, ctx: Context) -> None:
        got.append(grain.number)
        await ctx.values.set("last", grain.number)

    async with testing.app(app, disk=disk) as live:
        await live.send(Heap(owner="a"))
        await live.settled()
        assert len(await live.events(Grain)) == WIDE
    assert got == list(range(WIDE))


async def test_those_who_wait_do_not_poll(disk):
    """dbos-ts #1267: each waiter of a wide fan-out polled the database, and filled its connection pool."""
    app = App("waiting")

    @app.workflow
    async def wait(piece: Piece, ctx: WorkflowContext) -> int:
        return await ctx.wait_for("go", int)

    async with testing.app(app, disk=disk) as live:
        await live.engine.send_many([Piece(number=number) for number in range(1000)])
        await live.settled()
        live.fate.seen.clear()
        before = live.engine.services.committer.number
        await asyncio.sleep(600)
        assert live.engine.services.committer.number - before <= 10, "commits while nothing happens"
        assert sum(live.fate.seen.values()) <= 40
    del wait
