"""Claims wait for events of another partition and for people, and show how far they are, under kills, losses and rivals.

What a claim listens to is numbered: it must hear a row of numbers without a gap, from wherever it began to listen.
"""

import asyncio
from contextlib import suppress
from functools import partial

import msgspec
from life import PATIENCE_S, Life
from scene import Client, Scene
from world import World

from penstock.core.agents.declaration import Agent, Options, declare
from penstock.core.agents.policy import NO_RETRY
from penstock.core.events.event import Event
from penstock.errors import Missing, PenstockError, Refused
from penstock.runtime.engine import Engine
from penstock.runtime.listeners import OWNER
from penstock.runtime.people import ForPeople
from penstock.runtime.workflow_context import WorkflowContext

LAST = 5  # the number that ends the listening, or one after it


class Claimed(Event, key="customer"):
    customer: str
    number: int


class Progressed(Event, key="claim"):
    claim: int
    seq: int


class Any(Event):
    claim: int
    seq: int


class Claims(Scene):
    """Nothing that a claim listens to is lost or heard twice, and it gets the answers that people were told to count."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        random = world.random
        self.claims = [Claimed(customer=world.any_key(), number=n) for n in range(random.randint(0, 4))]
        self.kinds: dict[int, type[Progressed | Any]] = {
            each.number: random.choice([Progressed, Any]) for each in self.claims
        }
        self.counted: dict[str, int] = {}  # answers that people were told to count, by approval
        self.tried: dict[str, set[int]] = {}  # those of which nobody knows
        self.shown: dict[str, int] = {}  # the most that a run was seen to expose
        self.sent: dict[int, int] = {}  # claim -> how many of its events were sent

    def agents(self, life: Life) -> list[Agent]:
        return [declare(self.handle, "handle", Options(retry=NO_RETRY, workflow=True))]

    async def handle(self, claim: Claimed, ctx: WorkflowContext) -> list[list[int]]:
        async def approved(number: int) -> int:
            approval = await ctx.approval(f"answer {number}", to=int)
            assert approval.value is not None
            return approval.value

        async def heard() -> list[int]:
            events = ctx.listen(self.kinds[claim.number], match={"claim": claim.number})
            seen: list[int] = []
            while not seen or seen[-1] < LAST:
                seen.append((await events.next()).seq)
                ctx.expose("heard", len(seen))
            return seen

        async def lost() -> list[int]:
            await ctx.first(ctx.sleep(0.2), ctx.approval("loses"), ctx.wait_for(Progressed, key="nobody"))
            return []

        return await ctx.gather(heard(), ctx.map(approved, range(2)), lost())

    def clients(self, life: Life, engine: Engine) -> list[Client]:
        clients: list[Client] = []
        for claim in self.claims:
            clients += [partial(self._began, engine, claim), partial(self._looked, engine, claim)]
            clients.append(partial(self._told, engine, claim.number, LAST + 1))
        return [*clients, partial(self._answered, engine), partial(self._answered, engine)]

    async def _began(self, engine: Engine, claim: Claimed) -> None:
        await engine.send(claim, id=f"claim-{claim.number}")

    async def _told(self, engine: Engine, claim: int, count: int) -> None:
        """Send the events of a claim, each after the one before it is durable."""
        kind = self.kinds[claim]
        for seq in range(count):
            await engine.send(kind(claim=claim, seq=seq), id=f"progress-{claim}-{seq}")
            self.sent[claim] = max(self.sent.get(claim, 0), seq + 1)

    async def _answered(self, engine: Engine) -> None:
        """Be a person who answers whatever is asked; several may answer at once."""
        people = ForPeople(None, engine)
        for asked in await people.approvals(limit=100):
            if asked.title == "loses":
                continue
            value = self.world.random.randint(0, 1000)
            self.tried.setdefault(asked.id, set()).add(value)
            with suppress(Missing, Refused):
                await people.approve(asked.id, value, by=engine.services.committer.claim.owner)
                before = self.counted.setdefault(asked.id, value)
                self.world.expect(before == value, f"{asked.id} was answered twice: {before} and {value}")

    async def _looked(self, engine: Engine, claim: Claimed) -> None:
        run = f"claim-{claim.number}:handle"
        before = self.shown.get(run, 0)
        with suppress(Missing):
            now = await ForPeople(None, engine).query(run, "heard", int)
            self.world.expect(now >= before, f"{run} shows {now} after {before}")
            self.shown[run] = max(now, self.shown.get(run, 0))

    async def healed(self, life: Life, engine: Engine) -> None:
        for claim in self.claims:
            await self._began(engine, claim)
            await self._told(engine, claim.number, LAST + 1)
        async with asyncio.timeout(PATIENCE_S):
            while await self._unfinished(engine):
                with suppress(PenstockError):
                    await self._answered(engine)
                for claim in self.claims:
                    await self._told(engine, claim.number, self.sent[claim.number] + 1)
                    await self._looked(engine, claim)
                await asyncio.sleep(1)

    async def _unfinished(self, engine: Engine) -> bool:
        runs = [await engine.parts.store.run(f"claim-{each.number}:handle") for each in self.claims]
        return any(run is None or run.change.status != "succeeded" for run in runs)

    def check(self) -> None:
        disk = self.world.disk
        for claim in self.claims:
            run_id = f"claim-{claim.number}:handle"
            seen, answers, _ = msgspec.json.decode(disk.runs[run_id].result)
            if self.kinds[claim.number] is Progressed:  # in order; the others lie anywhere
                assert seen == list(range(seen[0], seen[-1] + 1)), f"{run_id} heard {seen}"
            assert len(seen) == len(set(seen)), f"{run_id} heard {seen}"
            for number, value in enumerate(answers):
                asked = f"{run_id}/gather#0[1]/map#0[{number}]/approval#0"
                assert value == self.counted.get(asked, value), f"{asked}: {value}, not {self.counted[asked]}"
                assert value in self.tried[asked], f"{asked}: {value}"
        left = [name for key, kept in disk.values.items() if key[1] == OWNER for name in kept]
        assert not left, left
