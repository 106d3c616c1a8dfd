"""The generations of a collection, as people and programs outside of an engine work with them."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from penstock.core.agents.approvals import raise_refusal
from penstock.core.events.event import Event
from penstock.core.knowledge.generation_events import (
    KEEPER,
    BuildGeneration,
    DropGeneration,
    SwitchGeneration,
    VerifyKnowledge,
)
from penstock.core.knowledge.generations import Generation
from penstock.core.knowledge.passages import DEFAULT_TENANT
from penstock.core.knowledge.verifying import Verified
from penstock.errors import Finding, Invalid, Refused, TimedOut
from penstock.runtime.collection import Mode
from penstock.runtime.comparing_generations import Comparison, Question, compared
from penstock.runtime.engine import Engine
from penstock.runtime.generations import Generations

HEARD_WITHIN_S = 120.0
VERIFIED_WITHIN_S = 3600.0


class GenerationState(Struct, frozen=True):
    """A generation, and how far it is. `behind`: events of the log that it lacks; `passages_per_s`: of its build, lately."""

    generation: Generation
    behind: int
    done: float  # 0 to 1
    passages_per_s: float = 0.0
    left_out: int = 0  # events that could not be indexed, since this process began
    problem: str = ""  # what holds it up


class OpenGenerations:
    """What `live.knowledge("handbook").generations` is."""

    def __init__(self, name: str, engine: Engine) -> None:
        self.name = name
        self._engine = engine
        self._keeper = engine.keepers[name]

    async def list(self) -> Sequence[GenerationState]:
        """Return all generations, the oldest first, and how far each is."""
        await self._known()
        return [self._state(each) for each in self._generations.catalogue.generations]

    async def serving(self) -> Generation:
        """Return the generation that serves."""
        await self._known()
        return self._generations.catalogue.serving

    async def state(self, number: int) -> GenerationState:
        """Return one generation; `Missing` when there is none of that number."""
        await self._known()
        return self._state(self._generations.catalogue.find(number))

    async def build(
        self,
        embedder: str = "",
        *,
        per_s: float = 0.0,
        switch: bool = False,
        replaces: bool = False,
        options: Mapping[str, str] | None = None,
        partial: bool = False,
    ) -> int:
        """Begin to build a generation in the background, and return its number.

        `embedder`: as settings name it; by default that of the one that serves. `per_s`: passages in a second at most.
        `switch`: it takes over when it has everything; `replaces`: the one before is dropped then, without a way back.
        `partial`: also from a log whose beginning was let go, without what was put before; else that is `Refused`.
        """
        _require_rate(per_s)
        said = BuildGeneration(
            collection=self.name,
            embedder=embedder,
            per_s=per_s,
            switch=switch or replaces,
            replaces=replaces,
            options=dict(options or {}),
            partial=partial,
        )
        return await self._said(said)

    async def refine(self, embedder: str, *, per_s: float = 0.0) -> int:
        """Have a better and slower embedder follow in the background, and return its generation's number.

        It does not serve: its vectors refine what is found by the one that does, passage by passage as they come.
        """
        _require_rate(per_s)
        return await self._said(BuildGeneration(collection=self.name, embedder=embedder, per_s=per_s, refines=True))

    async def ready(self, number: int, *, within_s: float = 3600.0) -> GenerationState:
        """Wait until a generation has everything; one that was to take over, until it serves. `Refused` when it was dropped.

        What is written in the very last moments of the build follows at once, as all that is written afterwards.
        """

        def holds() -> bool:
            found = self._generations.catalogue.find(number)
            if found.status in ("dropping", "dropped"):
                raise Refused(f"generation {number} was dropped", found.note or "build a new one")
            is_on_its_way = found.status == "building" or (found.status == "ready" and found.switch)
            return not is_on_its_way and (found.status != "serving" or self._generations.searching.number == number)

        await self._known()
        try:
            async with asyncio.timeout(within_s):
                await self._engine.until(holds)
        except TimeoutError as error:
            raise TimedOut(f"the build of generation {number}", within_s) from error
        return await self.state(number)

    async def refined(self, *, within_s: float = 3600.0) -> bool:
        """Wait until the generation that refines has all that can be found now; False when none does."""
        generations = self._generations
        begun = dict(generations.visible)
        for partition, (low, _) in self._keeper.done_everywhere().items():
            begun[partition] = max(low, begun.get(partition, 0))

        def holds() -> bool:
            found = generations.catalogue.refining
            return found is None or not generations.is_behind(found.number, begun)

        try:
            async with asyncio.timeout(within_s):
                await self._engine.until(holds)
        except TimeoutError as error:
            raise TimedOut("the generation that refines what is found", within_s) from error
        return generations.catalogue.refining is not None

    async def switch(self, number: int, *, grace_s: float | None = None) -> int:
        """Have a generation serve, and return its number: searches that begin from now on are made in it.

        The one that served follows on for `grace_s` (7 days), and can be taken back. `Refused` when it is not ready.
        """
        return await self._said(SwitchGeneration(collection=self.name, generation=number, grace_s=grace_s))

    async def roll_back(self) -> int:
        """Have the generation that served before serve again, and return its number; `Refused` when none is kept."""
        return await self._said(SwitchGeneration(collection=self.name))

    async def drop(self, number: int, reason: str = "") -> int:
        """Let a generation go, or end its build. The one that serves is refused."""
        return await self._said(DropGeneration(collection=self.name, generation=number, reason=reason))

    async def rebuild(self, *, within_s: float = 3600.0) -> GenerationState:
        """Build the index anew from the log, with the same embedder, have it take over, and drop the old one."""
        return await self.ready(await self.build(replaces=True), within_s=within_s)

    async def compare(
        self,
        number: int,
        questions: Sequence[Question] = (),
        *,
        tenant: str = DEFAULT_TENANT,
        limit: int = 10,
        mode: Mode = "hybrid",
    ) -> Comparison:
        """Ask the generation that serves and another one the same, and say how far they agree, and which is better where judged.

        Without `questions` they are the last 200 that this process was asked, each once.
        """
        collection = self._keeper.collection
        recent = dict.fromkeys(text for whose, text in collection.recent if whose == tenant)
        asked = list(questions) or [Question(text) for text in recent]
        return await compared(collection, number, asked, tenant=tenant, limit=limit, mode=mode)

    async def verify(self, *, repair: bool = False, deep_max: int = 10_000) -> Verified:
        """Compare the index of all tenants with the log, and mend it if `repair`. It can be scheduled: `VerifyKnowledge`.

        Text, vector and words are looked at of `deep_max` passages, evenly over all; of the others, whether they are there.
        """
        said = VerifyKnowledge(collection=self.name, repair=repair, deep_max=deep_max)
        return msgspec.convert(await self._told(said, VERIFIED_WITHIN_S), Verified)

    async def _said(self, said: BuildGeneration | SwitchGeneration | DropGeneration) -> int:
        return int((await self._told(said, HEARD_WITHIN_S))["generation"])

    async def _told(self, said: Event, within_s: float) -> dict[str, Any]:
        told = msgspec.json.decode(await self._engine.call(KEEPER, said, within_s=within_s))
        await self._keeper.look()
        raise_refusal(told)
        return told

    async def _known(self) -> None:
        await self._engine.services.committer.durable()
        await self._keeper.look()

    @property
    def _generations(self) -> Generations:
        return self._keeper.collection.generations

    def _state(self, generation: Generation) -> GenerationState:
        building, number = self._keeper.building, generation.number
        total, pace = sum(building.ends().values()), building.pace(number)
        match generation.status:
            case "serving":
                behind = total - sum(low for low, _ in self._keeper.done_everywhere().values())
            case "dropping" | "dropped":
                behind = 0
            case _:
                behind = total - sum(building.at(number).values())
        problem = self._generations.unopened.get(number, pace.outage or pace.reason)
        done = 1.0 if not total else max(0.0, 1 - behind / total)
        return GenerationState(generation, behind, done, round(pace.per_s, 1), pace.left_out, problem)


def _require_rate(per_s: float) -> None:
    if not per_s >= 0:
        raise Invalid("the build", (Finding("per_s", f"is {per_s!r}", "0 (as it comes) or more"),))
