"""Errands are workflows that people talk to: signals in order, through rounds that begin anew, and cancellations that reach all."""

import asyncio
from collections import Counter
from functools import partial

from life import PATIENCE_S, RETRY, Life
from scene import Client, Scene
from world import World

from penstock.core.agents.control import Cancel, Signal
from penstock.core.agents.declaration import Agent, Options, declare
from penstock.core.agents.policy import NO_RETRY
from penstock.core.events.event import Event
from penstock.errors import RunFailed
from penstock.runtime.context import Context
from penstock.runtime.engine import Engine
from penstock.runtime.workflow_context import WorkflowContext

SAID = (Signal.type_, Cancel.type_)
KILLED = "the process died"
TOO_LONG = "its clean-up took too long"


class Errand(Event, key="customer"):
    """Something that goes on in rounds, one signal after the other."""

    customer: str
    number: int
    signals: int
    taken: list[int] = []


class Doubt(Event, key="customer"):
    """Something that is cancelled on the way."""

    customer: str
    number: int


class Help(Event, key="who"):
    who: str
    number: int


class Assist(Event):
    number: int


class Errands(Scene):
    """Each signal is taken once and in order; what is cancelled ends with all that works for it, and has cleaned up."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        random = world.random
        self.errands = [
            Errand(customer=world.any_key(), number=number, signals=random.randint(0, 5))
            for number in range(random.randint(0, 2))
        ]
        self.doubts = [Doubt(customer=world.any_key(), number=number) for number in range(random.randint(0, 2))]
        self.given_up: set[str] = set()
        self.unlucky: Counter[str] = Counter()  # run of a helper -> its attempts that bad luck ended

    def agents(self, life: Life) -> list[Agent]:
        at_work, workflow = _AtWork(self, life), Options(retry=NO_RETRY, workflow=True)
        return [
            declare(at_work.errand, "errand", workflow),
            declare(at_work.doubt, "doubt", workflow),
            declare(at_work.help, "help", workflow),
            declare(at_work.assist, "assist", Options(retry=RETRY)),
        ]

    def clients(self, life: Life, engine: Engine) -> list[Client]:
        return [
            *(partial(self._signal, engine, errand, 20.0) for errand in self.errands),
            *(partial(self._cancel, life, engine, doubt, 20.0) for doubt in self.doubts),
        ]

    async def _signal(self, engine: Engine, errand: Errand, within_s: float) -> None:
        """Say one thing after the other, each of them once, and be told that all was heard in that order."""
        run = await engine.start("errand", errand, id=f"errand-{errand.number}")
        for number in range(errand.signals):
            said = Signal(run_id=run, name="next", payload=number)
            await engine.send(said, id=f"errand-{errand.number}-said-{number}")
        heard = await engine.result(run, within_s=within_s)
        expected = str(list(range(errand.signals))).replace(" ", "").encode()
        self.world.expect(heard == expected, f"{run} heard {heard!r}")

    async def _cancel(self, life: Life, engine: Engine, doubt: Doubt, within_s: float) -> None:
        run = await engine.start("doubt", doubt, id=f"doubt-{doubt.number}")
        await asyncio.sleep(0.0 if self.world.healthy else self.world.random.random() * self.world.chances.life_s)
        await engine.send(Cancel(run_id=run, reason="doubtful"), id=f"doubt-{doubt.number}-cancelled")
        await engine.result(run, within_s=within_s)

    async def healed(self, life: Life, engine: Engine) -> None:
        for errand in self.errands:
            try:
                await self._signal(engine, errand, PATIENCE_S)
            except RunFailed as error:
                origin = f"errand-{errand.number}"
                self.world.expect(self._may_fail(origin, error.reason), str(error))
                self.given_up.add(origin)
        for doubt in self.doubts:
            try:
                await self._cancel(life, engine, doubt, PATIENCE_S)
            except RunFailed as error:
                is_expected = error.reason.startswith("doubtful")
                self.world.expect(is_expected or self._may_fail(f"doubt-{doubt.number}", error.reason), str(error))

    def _may_fail(self, origin: str, reason: str) -> bool:
        """Whether a run has a reason to fail: it killed the process, or no attempt of its helper had any luck.

        With six attempts that fail at three of ten, one helper of some 1,400 is given up. The luck is counted here and not
        by the engine, so that an attempt that was counted twice, or lost, is found.
        """
        if KILLED in reason:
            return True
        failed = self._failed_helpers(origin)
        return bool(failed) and all(self.unlucky[each] >= RETRY.attempts_max for each in failed)

    def _failed_helpers(self, origin: str) -> list[str]:
        runs = self.world.disk.runs.values()
        helpers = (each for each in runs if each.agent == "assist" and each.run_id.startswith(f"{origin}."))
        return [each.run_id for each in helpers if each.status == "failed"]

    def check(self) -> None:
        world, runs = self.world, self.world.disk.runs
        for letter in world.disk.dead.values():
            if (said := letter.event.event).type in SAID:  # nobody is there to hear it, once a run has failed
                assert said.id.partition("-said-")[0] in self.given_up, "what was said to a run was not heard"
        for errand in self.errands:
            if (origin := f"errand-{errand.number}") not in self.given_up:
                assert runs[f"{origin}:errand"].status == "succeeded"
                helped = [each for each in world.followed(origin) if each.type == "Assist.v1"]
                assert len(helped) == 1 + errand.signals // 2, "one in each round"
        for doubt in self.doubts:
            run = runs[f"doubt-{doubt.number}:doubt"]
            assert run.status in ("cancelled", "failed")
            steps = world.recorded_steps(run.run_id)
            # One whose helper failed was cleaning up already: a cancellation that finds it there ends that, as a second one would.
            was_cleaning = bool(self._failed_helpers(f"doubt-{doubt.number}"))
            if "act#0" in steps and not was_cleaning and KILLED not in run.reason and TOO_LONG not in run.reason:
                assert "undo#0" in steps, f"{run.run_id} did not clean up"
            for run_id, child in runs.items():
                if run_id.startswith(f"doubt-{doubt.number}.") and child.agent in ("help", "assist"):
                    assert child.status not in ("running", "retrying", "queued"), f"{run_id} goes on for nobody"


class _AtWork:
    """The handlers of one process."""

    def __init__(self, scene: Errands, life: Life) -> None:
        self.world, self.life, self.unlucky = scene.world, life, scene.unlucky

    async def errand(self, errand: Errand, ctx: WorkflowContext) -> list[int]:
        """Take two signals, and go on as another round, until all are taken."""
        run_id = ctx.run_id
        key = ctx.idempotency_key("note")
        await ctx.step("note", self.effect, run_id, key)
        await ctx.call("assist", Assist(number=errand.number))
        taken = [*errand.taken]
        while len(taken) < errand.signals:
            said = await ctx.wait_for("next", int)
            self.world.expect(said == len(taken), f"{run_id} heard {said} after {taken}")
            taken.append(said)
            if len(taken) % 2 == 0:
                await ctx.continue_as(errand.model_copy(update={"taken": taken}))
        return taken

    async def doubt(self, doubt: Doubt, ctx: WorkflowContext) -> None:
        try:
            await ctx.step("act", self.effect, ctx.run_id, ctx.idempotency_key("act"))
            helper = ctx.start("help", Help(who=f"h{doubt.number}", number=doubt.number))
            await ctx.gather(helper.result(), ctx.call("assist", Assist(number=doubt.number)), ctx.wait_for("never"))
        finally:
            await ctx.step("undo", self.effect, ctx.run_id, ctx.idempotency_key("undo"))

    async def help(self, help_: Help, ctx: WorkflowContext) -> None:
        await ctx.wait_for("never")

    async def assist(self, assist: Assist, ctx: Context) -> int:
        try:
            await self.life.trouble()
        except RuntimeError:
            self.unlucky[ctx.run_id] += 1
            raise
        return assist.number

    async def effect(self, run_id: str, key: str) -> None:
        if self.life.owns:
            of_round, _, step = key.removeprefix(f"{run_id}/").rpartition("~")
            now = self.world.rounds[run_id]
            self.world.expect(now == int(of_round or 0), f"effect {key}, and the run is in round {now}")
            done = step in self.world.recorded_steps(run_id)
            self.world.expect(not done, f"effect {key} executed after it was recorded")
        self.world.effects[key] += 1
        await asyncio.sleep(self.world.random.random() * 0.01)
