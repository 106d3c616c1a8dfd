"""Refunds die easily, alone and in workflows that wait for them, and people redrive them again and again, or drop one."""

import asyncio
from functools import partial

from life import PATIENCE_S, Alone, Life
from scene import Client, Scene
from world import World

from penstock.core.agents.declaration import Agent, Options, declare
from penstock.core.agents.policy import NO_RETRY, Retry
from penstock.core.events.event import Event
from penstock.ports.state import DeadFilter
from penstock.runtime.asking_again import AskingAgain
from penstock.runtime.context import Context
from penstock.runtime.engine import Engine
from penstock.runtime.workflow_context import WorkflowContext

ROUNDS_MAX = 500  # of redrives in a healed world: what is still dead then was redriven in vain


class Refund(Event, key="customer"):
    customer: str
    number: int


class Refunded(Event, key="customer"):
    customer: str
    number: int


class Complaint(Event):
    customer: str
    number: int


class Refunds(Scene):
    """Every refund is made once in the end, however often it died and was redriven, by however many people at once."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        random = world.random
        self.refunds = [Refund(customer=world.any_key(), number=number) for number in range(random.randint(0, 8))]
        self.complaints = [
            Complaint(customer=world.any_key(), number=100 + number) for number in range(random.randint(0, 3))
        ]
        self.redrives = random.randint(0, 6)
        self.drops = random.random() < 0.2

    def agents(self, life: Life) -> list[Agent]:
        at_work = _AtWork(self, life)
        return [
            declare(at_work.refund, "refund", Options(retry=Retry(attempts_max=2, delay_s=0.05))),
            declare(at_work.complain, "complain", Options(retry=NO_RETRY, workflow=True)),
        ]

    def clients(self, life: Life, engine: Engine) -> list[Client]:
        again = AskingAgain(engine, engine.parts.store, engine.parts.topology)
        clients: list[Client] = [partial(self._sent, engine, each) for each in (*self.refunds, *self.complaints)]
        clients += [
            partial(self._redrive, again, agent) for agent in ("refund", "complain") for _ in range(self.redrives)
        ]
        if self.drops:
            clients.append(partial(again.drop, ["refund-0:refund"]))
        return clients

    async def _sent(self, engine: Engine, event: Refund | Complaint) -> None:
        kind = "refund" if isinstance(event, Refund) else "complaint"
        await engine.send(event, id=f"{kind}-{event.number}")

    async def _redrive(self, again: AskingAgain, agent: str) -> None:
        await again.redrive([DeadFilter(agent=agent, limit=5)])

    async def healed(self, life: Life, engine: Engine) -> None:
        again = AskingAgain(engine, engine.parts.store, engine.parts.topology)
        for event in (*self.refunds, *self.complaints):
            await self._sent(engine, event)
        assert await engine.settled(PATIENCE_S)
        for _ in range(ROUNDS_MAX):
            if not await engine.parts.store.dead_letters(DeadFilter(agent="refund")):
                break
            await self._redrive(again, "refund")
            assert await engine.settled(PATIENCE_S)
        for _ in range(ROUNDS_MAX):
            dead = await engine.parts.store.dead_letters(DeadFilter(agent="complain"))
            if not (dead or await self._unfinished(engine)):
                break
            await self._redrive(again, "complain")
            assert await engine.settled(PATIENCE_S)
            await asyncio.sleep(1)

    async def _unfinished(self, engine: Engine) -> bool:
        """Whether a complaint is under way: those that have died are found by their letters."""
        runs = [await engine.parts.store.run(f"complaint-{each.number}:complain") for each in self.complaints]
        return any(run is not None and run.change.status in ("queued", "running") for run in runs)

    def check(self) -> None:
        for refund in self.refunds:
            run_id = f"refund-{refund.number}:refund"
            made = [each for each in self.world.followed(f"refund-{refund.number}") if each.type == "Refunded.v1"]
            change = self.world.disk.runs[run_id]
            dropped = change.status == "failed" and change.reason.startswith("dropped")
            assert len(made) == (0 if dropped else 1), f"{run_id}: {change}"
            assert not dropped or (self.drops and refund.number == 0)
        for complaint in self.complaints:
            change = self.world.disk.runs[f"complaint-{complaint.number}:complain"]
            made = [each for each in self.world.followed(f"complaint-{complaint.number}") if each.type == "Refunded.v1"]
            assert (change.status, len(made)) == ("succeeded", 1), str(change)


class _AtWork:
    """The handlers of one process."""

    def __init__(self, scene: Refunds, life: Life) -> None:
        self.world, self.life = scene.world, life

    async def refund(self, refund: Refund, ctx: Context) -> Refunded:
        with Alone(self.life, "refund", refund.customer):
            await ctx.step("pay", self.pay, ctx, ctx.idempotency_key("pay"))
            if not self.world.healthy and self.world.random.random() < 0.6:
                raise RuntimeError("the bank is closed")
            made = await ctx.values.get("made", [], to=list[str])
            twice = ctx.run_id in made and self.life.owns
            self.world.expect(not twice, f"{ctx.run_id} was handled twice")
            await ctx.values.set("made", [*made, ctx.run_id])
            return Refunded(customer=refund.customer, number=refund.number)

    async def complain(self, complaint: Complaint, ctx: WorkflowContext) -> str:
        await ctx.step("pay", self.pay, ctx, ctx.idempotency_key("pay"))
        refunded = await ctx.call("refund", Refund(customer=complaint.customer, number=complaint.number))
        return f"{refunded.number}"

    async def pay(self, ctx: Context | WorkflowContext, key: str) -> None:
        if self.life.owns:
            recorded = self.world.recorded_steps(ctx.run_id)
            self.world.expect("pay#0" not in recorded, f"pay of {ctx.run_id} executed after it was recorded")
        self.world.effects[key] += 1
        await asyncio.sleep(self.world.random.random() * 0.01)
