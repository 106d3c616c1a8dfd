"""Payments with each policy, in agents and in workflows, under kills, losses and rivals: nothing unknown is done blindly."""

import asyncio
from collections import Counter
from contextlib import suppress
from functools import partial
from typing import Any

from life import PATIENCE_S, RETRY, Life
from scene import Client, Scene
from world import World

from penstock.core.agents.control import Decide
from penstock.core.agents.declaration import Agent, Options, declare
from penstock.core.agents.policy import NO_RETRY, Retry
from penstock.core.agents.tools import NOT_DONE, Reconcile, Skip, Tool, Unknown, tool
from penstock.core.events.event import Event
from penstock.errors import Missing, Refused
from penstock.runtime.context import Context
from penstock.runtime.control import control
from penstock.runtime.engine import Engine
from penstock.runtime.workflow_context import WorkflowContext

POLICIES = ("retry", "skip", "ask", "reconcile")
STEP = "pay#0"
STEP_RETRY = Retry(attempts_max=3, delay_s=0.2, delay_max_s=1)


class Payment(Event):
    number: int
    policy: str


class BigPayment(Event):
    number: int
    policy: str


class Payments(Scene):
    """Each payment is made at most once, but where its policy is to call again; and a person is asked where it says so."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        random = world.random
        self.payments: list[Payment | BigPayment] = [
            random.choice([Payment, BigPayment])(number=number, policy=random.choice(POLICIES))
            for number in range(random.randint(0, 10))
        ]
        self.happened: Counter[str] = Counter()  # by key
        self.asked: set[str] = set()

    def agents(self, life: Life) -> list[Agent]:
        at_work = _AtWork(self, life)
        agents = [
            declare(at_work.pay, "pay", Options(retry=RETRY)),
            declare(at_work.pay_much, "pay_much", Options(retry=NO_RETRY, workflow=True)),
        ]
        return [*agents, control()]

    def clients(self, life: Life, engine: Engine) -> list[Client]:
        clients: list[Client] = [partial(self._sent, engine, each) for each in self.payments]
        return [*clients, partial(self._answered, engine), partial(self._answered, engine)]

    async def _sent(self, engine: Engine, payment: Payment | BigPayment) -> None:
        await engine.send(payment, id=f"payment-{payment.number}")

    async def _answered(self, engine: Engine) -> None:
        """Be a person who knows what happened; several may answer at once."""
        for question in await engine.services.questions.listed(limit=100):
            self.asked.add(question.run_id)
            outcome = "done" if self.happened[question.idempotency_key] else "retry"
            with suppress(Missing, Refused):
                await engine.services.questions.require_asked(question.tenant, question.run_id, question.step)
                said = Decide(run_id=question.run_id, step=question.step, outcome=outcome, value=1)
                await engine.send(said)

    async def healed(self, life: Life, engine: Engine) -> None:
        for payment in self.payments:
            await self._sent(engine, payment)
        async with asyncio.timeout(PATIENCE_S):
            while await self._unfinished(engine):
                await self._answered(engine)
                await asyncio.sleep(1)

    async def _unfinished(self, engine: Engine) -> bool:
        runs = [await engine.parts.store.run(_run_of(each)) for each in self.payments]
        return any(run is None or run.change.status not in ("succeeded", "failed") for run in runs)

    def check(self) -> None:
        for payment in self.payments:
            run_id = _run_of(payment)
            times, change = self.happened[f"{run_id}/{STEP}"], self.world.disk.runs[run_id]
            told = f"{payment.policy} {run_id} {change.status}: {times} times, {change.result!r}, {change.reason}"
            if payment.policy == "skip":
                assert times <= 1, told
            elif payment.policy != "retry":
                assert times <= 1, told
                assert times == 1 or change.status == "failed", told
            if change.status == "succeeded":
                assert change.result == b"1" or payment.policy == "skip", told
                assert times or payment.policy == "skip", told
            if run_id in self.asked:
                assert payment.policy == "ask", told
        notes = {key: kept for key, kept in self.world.disk.values.items() if key[1] == ":steps" and kept}
        assert not notes, notes


class _AtWork:
    """The handlers of one process."""

    def __init__(self, scene: Payments, life: Life) -> None:
        self.scene, self.world, self.life = scene, scene.world, life
        policies: dict[str, Unknown] = {
            "retry": "retry",
            "skip": Skip(0),
            "ask": "ask",
            "reconcile": Reconcile(self.known),
        }
        self.tools: dict[str, Tool[..., Any]] = {
            name: tool(unknown=unknown, retry=STEP_RETRY)(self.paid) for name, unknown in policies.items()
        }

    async def pay(self, payment: Payment, ctx: Context) -> int:
        await self.life.trouble()
        paid = await ctx.step("pay", self.tools[payment.policy], payment.policy)
        await self.life.trouble()
        return paid

    async def pay_much(self, payment: BigPayment, ctx: WorkflowContext) -> int:
        return await ctx.step("pay", self.tools[payment.policy], payment.policy)

    async def paid(self, policy: str, idempotency_key: str = "") -> int:
        random, run_id = self.world.random, idempotency_key.rpartition("/")[0]
        if not self.life.owns:
            raise RuntimeError("too late: who lost the claim acts on what is no longer so")
        recorded = self.world.recorded_steps(run_id)
        self.world.expect(STEP not in recorded, f"{STEP} of {run_id} executed after it was recorded")
        marked = policy == "retry" or f"{STEP}/open" in recorded
        self.world.expect(marked, f"{STEP} of {run_id} executed before its mark was durable")
        if not self.world.healthy and random.random() < self.world.chances.failure:
            raise RuntimeError("the bank is closed")
        self.scene.happened[idempotency_key] += 1
        await asyncio.sleep(random.random() * 0.05)
        if not self.world.healthy and random.random() < self.world.chances.failure:
            raise TimeoutError("the bank did not answer")
        return 1

    async def known(self, key: str) -> Any:
        await self.life.trouble()
        return 1 if self.scene.happened[key] else NOT_DONE


def _run_of(payment: Payment | BigPayment) -> str:
    return f"payment-{payment.number}:{'pay' if isinstance(payment, Payment) else 'pay_much'}"
