"""A kill at each write point leaves one effect, or what the tool's policy says (C4).

Born from langgraph #8039, crewAI #5802 and stripe/ai #402: effects that happened twice, or not at all.
"""

import asyncio
from collections import Counter

import pytest

from penstock import NOT_DONE, App, Context, Event, Reconcile, Skip, WorkflowContext, testing, tool
from penstock.runtime.write_points import OF_ENGINES
from penstock.testing import WritePoint, run_virtually

STARTING = (WritePoint.BEFORE_CLAIM, WritePoint.AFTER_CLAIM, WritePoint.WHILE_RESUMING)
POINTS = [point for point in OF_ENGINES if point not in STARTING]
KILLS_MAX = 8
# policy -> which (effects, result) may follow; where a person is asked, the person says 5
ALLOWED = {
    "retry": {(1, 5), (2, 5)},  # the same key each time: the receiver can tell
    "reconcile": {(1, 5)},
    "skip": {(1, 5), (1, 0), (0, 0)},
    "ask": {(1, 5), (0, 5)},
}


class Buy(Event, key="who"):
    who: str = "ada"


class Bought(Event, key="who"):
    who: str
    cents: int


class Outside:
    """What happened, by key."""

    def __init__(self) -> None:
        self.effects: Counter[str] = Counter()

    async def charge(self, key: str) -> int:
        await asyncio.sleep(0.01)
        self.effects[key] += 1
        return 5

    async def happened(self, key: str):
        return 5 if self.effects[key] else NOT_DONE


def shop(outside: Outside, policy: str, kind: str) -> App:
    app = App("shop")
    unknown = {"retry": "retry", "skip": Skip(0), "ask": "ask", "reconcile": Reconcile(outside.happened)}[policy]

    @tool(unknown=unknown)
    async def charge(idempotency_key: str = "") -> int:
        return await outside.charge(idempotency_key)

    async def in_agent(event: Buy, ctx: Context) -> Bought:
        return Bought(who=event.who, cents=await ctx.step("charge", charge))

    async def in_workflow(event: Buy, ctx: WorkflowContext) -> Bought:
        return Bought(who=event.who, cents=await ctx.step("charge", charge))

    if kind == "agent":
        app.agent(in_agent, name="buy")
    else:
        app.workflow(in_workflow, name="buy")
    return app


async def killed(app: App, disk: testing.Disk, point: WritePoint, nth: int) -> bool:
    """Send event `k1` and what follows from it, and die at a point; False when it was not reached any more."""
    try:
        async with testing.app(app, disk=disk) as live, live.crash_at(point, nth):
            await live.ask(Buy(), Bought, id="k1", within_s=1000)
    except testing.NotReached:
        return False
    return True


async def ended(live: testing.Live) -> int:
    """Return what the run came to; a person says of every question that it was done."""
    await live.send(Buy(), id="k1")
    ending = asyncio.ensure_future(live.ask(Buy(), Bought, id="k1", within_s=1000))
    while not ending.done():
        for question in await live.questions():
            await live.decide(question.run_id, question.step, "done", 5)
        await asyncio.sleep(1)
    return ending.result().cents


@pytest.mark.parametrize("kind", ["agent", "workflow"])
@pytest.mark.parametrize("policy", ALLOWED)
@pytest.mark.parametrize("point", POINTS)
def test_c4_a_kill_at_each_write_point_leaves_one_effect_or_what_the_policy_says(point, policy, kind):
    async def tried(nth: int) -> bool:
        outside, disk = Outside(), testing.Disk()
        app = shop(outside, policy, kind)
        reached = await killed(app, disk, point, nth)
        async with testing.app(app, disk=disk) as live:
            cents = await ended(live)
        assert set(outside.effects) <= {"k1:buy/charge#0"}
        assert (outside.effects["k1:buy/charge#0"], cents) in ALLOWED[policy]
        return reached

    async def main() -> int:
        return [await tried(nth) for nth in range(1, KILLS_MAX)].count(True)

    assert run_virtually(main()), f"{point} was never reached"


@pytest.mark.parametrize("kind", ["agent", "workflow"])
def test_c4_a_kill_while_a_decision_is_taken_neither_loses_it_nor_takes_it_twice(kind):
    async def tried(point: WritePoint, nth: int) -> bool:
        outside, disk = Outside(), testing.Disk()
        app = shop(outside, "ask", kind)
        assert await killed(app, disk, WritePoint.AFTER_EFFECT, 1)
        try:
            async with testing.app(app, disk=disk) as live, live.crash_at(point, nth):
                assert await live.engine.drained(100)
                await asyncio.sleep(1)
                (question,) = await live.questions()
                await live.decide(question.run_id, question.step, "done", 7)
                await live.ask(Buy(), Bought, id="k1", within_s=1000)
            reached = True
        except testing.NotReached:
            reached = False
        async with testing.app(app, disk=disk) as live:
            assert await ended(live) in (7, 5)  # 5: it died before the first decision was accepted
            assert not await live.dead_letters()
            assert await live.questions() == []
        assert outside.effects.total() == 1
        return reached

    async def main() -> int:
        return [await tried(point, nth) for point in POINTS for nth in range(1, 6)].count(True)

    assert run_virtually(main()) > len(POINTS)
