"""Reminders wait for their time: set by handlers and by callers, moved, called off, over every crash and clock that is set."""

import asyncio
from collections import Counter
from functools import partial

from life import RETRY, Life
from scene import Client, Scene
from world import World

from penstock.core.agents.declaration import Agent, Options, declare
from penstock.core.events.event import Event
from penstock.core.timing.timers import When
from penstock.runtime.context import Context
from penstock.runtime.engine import Engine

SKEW_MS = 60_000  # between two processes, at most twice this
LONGEST_S = 8 * 3600.0  # a clock that was an hour ahead three times has set its timers so late, and ours may be slow


class Plan(Event, key="who"):
    """Remind somebody, some time later; `call_off` what was planned before."""

    who: str
    number: int
    after_s: float
    call_off: bool = False


class Nudge(Event, key="who"):
    who: str
    number: int
    named: bool


class Reminders(Scene):
    """Each plan has its nudge, once, and no earlier than clocks differ; of one name only the last one is left."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        draw = world.random
        self.plans = [
            Plan(
                who=world.any_key(),
                number=number,
                after_s=draw.choice([0.0, 0.3, 5.0, 3600.0]),
                call_off=draw.random() < 0.2,
            )
            for number in range(draw.randint(0, 8))
        ]
        self.sent_s: dict[str, float] = {}  # when a nudge was accepted that a caller sent
        self.came_s: dict[str, float] = {}

    def agents(self, life: Life) -> list[Agent]:
        at_work = _AtWork(self, life)
        return [
            declare(at_work.plan, "plan", Options(retry=RETRY)),
            declare(at_work.nudge, "nudge", Options(retry=RETRY)),
        ]

    def clients(self, life: Life, engine: Engine) -> list[Client]:
        return [partial(self._send, engine, plan) for plan in self.plans]

    async def _send(self, engine: Engine, plan: Plan) -> None:
        await engine.send(plan, id=f"plan-{plan.number}")
        later = Nudge(who=plan.who, number=plan.number, named=False)
        event_id = f"nudge-{plan.number}"
        self.sent_s.setdefault(event_id, asyncio.get_running_loop().time())
        await engine.send(later, id=event_id, when=When(after_s=plan.after_s))

    async def healed(self, life: Life, engine: Engine) -> None:
        for plan in self.plans:
            await self._send(engine, plan)
        await asyncio.sleep(LONGEST_S)
        left = [each for each in self.world.disk.timers.values() if each.topic == "nudge"]
        assert not left, "timers are left that should have fired"

    def check(self) -> None:
        disk = self.world.disk
        nudges = [each.event for each in disk.ids.values() if each.event.type == "Nudge.v1"]
        ids = Counter(each.id for each in nudges)
        assert set(ids.values()) <= {1}
        buried = {letter.event.event.id for letter in disk.dead.values()}
        assert {f"nudge-{plan.number}" for plan in self.plans} <= ids.keys()
        for plan in self.plans:
            planned = f"plan-{plan.number}"
            mine = [each for each in nudges if each.correlation_id == planned and b'"named":false' in each.data]
            # One who died before its commit has set nothing; whose commit was made has set all of it (C3).
            assert len(mine) == (0 if planned in buried else 1)
            later = [each for each in nudges if each.correlation_id == planned and b'"named":true' in each.data]
            assert len(later) <= (0 if planned in buried or plan.call_off else 1)
        for who in {plan.who for plan in self.plans}:
            log = [each.event for each in disk.log("plan") if each.event.key == who and each.event.id not in buried]
            last = Plan.decoded(log[-1].data) if log else None
            if last is not None and not last.call_off:
                assert any(
                    each.correlation_id == f"plan-{last.number}" and b'"named":true' in each.data for each in nudges
                )
        honest = not (self.world.chances.jumps or self.world.chances.drift)  # then no clock was set while it ran
        for event_id, came_s in self.came_s.items() if honest else ():
            plan = self.plans[int(event_id.rpartition("-")[2])]
            assert came_s >= self.sent_s[event_id] + plan.after_s - 2 * SKEW_MS / 1000 - 1


class _AtWork:
    """The handlers of one process."""

    def __init__(self, scene: Reminders, life: Life) -> None:
        self.scene, self.life = scene, life

    async def plan(self, plan: Plan, ctx: Context) -> None:
        await self.life.trouble()
        ctx.emit(Nudge(who=plan.who, number=plan.number, named=False), after_s=plan.after_s)
        if plan.call_off:
            ctx.cancel_timer("nag")
        else:
            ctx.emit(Nudge(who=plan.who, number=plan.number, named=True), after_s=plan.after_s, timer="nag")
        await self.life.trouble()

    async def nudge(self, nudge: Nudge, ctx: Context) -> None:
        if ctx.event.id in self.scene.sent_s:
            self.scene.came_s.setdefault(ctx.event.id, asyncio.get_running_loop().time())
        await self.life.trouble()
        count = await ctx.values.get(f"{ctx.event.id}", 0, to=int)
        self.life.world.expect(count == 0 or not self.life.owns, f"{ctx.event.id} was handled twice")
        await ctx.values.set(f"{ctx.event.id}", count + 1)
