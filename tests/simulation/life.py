"""A `Life` is one process on the world's disk, until it is killed.

The real engine, lanes, committer and retry layer run over a store that loses requests and answers, in virtual time.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from world import World

from penstock.adapters.memory.store import MemoryStore
from penstock.core.agents.policy import Retry
from penstock.errors import PenstockError
from penstock.layers.retrying_store import RetryingStore
from penstock.runtime.engine import Parts, running
from penstock.runtime.models import Models, Prompts
from penstock.runtime.topology import Topology
from penstock.testing.faulty_store import FaultyStore
from penstock.testing.virtual_time import VirtualClock

if TYPE_CHECKING:
    from scene import Client, Scene

RETRY = Retry(attempts_max=6, delay_s=0.05)
PATIENCE_S = 100_000


class Life:
    """One process: an engine on the world's disk, and what handlers need to know of it."""

    def __init__(self, world: World, name: str, scenes: "Sequence[Scene]") -> None:
        self.world = world
        self.name = name
        self.epoch = 0
        self.active: Counter[tuple[str, str]] = Counter()
        random, chances = world.random, world.chances
        loss, delay_s = (0.0, 0.0) if world.healthy else (chances.loss, chances.delay_s)
        faulty = FaultyStore(MemoryStore(world.disk), random, loss=loss, delay_s=delay_s)
        clock = VirtualClock(random, name)
        clock.skew_ms = random.choice([0, 0, -60_000, 60_000])
        agents = {agent.name: agent for scene in scenes for agent in scene.agents(self)}
        models = Models(_no_model, Prompts(None))
        self.parts = Parts("sim", Topology(agents), RetryingStore(faulty, clock), clock, models)

    @property
    def owns(self) -> bool:
        """Whether this process still holds the newest claim: one who lost it may go on for a while, and commits nothing."""
        return self.epoch == self.world.disk.claim.epoch

    async def trouble(self) -> None:
        """Be slow or fail, as handlers do."""
        random, chances = self.world.random, self.world.chances
        if self.world.healthy:
            return
        if random.random() < chances.slow:
            await asyncio.sleep(30)
        if random.random() < 0.5:
            await asyncio.sleep(random.random() * 0.01)
        if random.random() < chances.failure:
            raise RuntimeError("bad luck")


class Alone:
    """Check that one key is handled one event at a time within a process (C2)."""

    def __init__(self, life: Life, agent: str, key: str) -> None:
        self._life, self._which = life, (agent, key)

    def __enter__(self) -> None:
        self._life.active[self._which] += 1
        self._life.world.expect(self._life.active[self._which] == 1, f"{self._which} is handled twice at once")

    def __exit__(self, *_: object) -> None:
        self._life.active[self._which] -= 1


async def live(world: World, scenes: "Sequence[Scene]", name: str) -> None:
    """Run one process until it ends or is killed."""
    life = Life(world, name, scenes)
    try:
        async with running(life.parts, owner=name) as engine:
            life.epoch = engine.services.committer.claim.epoch

            async def client(ask: "Client", at_s: float) -> None:
                await asyncio.sleep(at_s)
                try:
                    await ask()
                except PenstockError:
                    if engine.services.committer.failure is not None:
                        raise

            async with asyncio.TaskGroup() as clients:
                for scene in scenes:
                    for ask in scene.clients(life, engine):
                        clients.create_task(client(ask, world.random.random() * world.chances.life_s))
            if world.healthy:
                for scene in scenes:
                    await scene.healed(life, engine)
                assert await engine.settled(PATIENCE_S), "the healed world never came to rest"
    except* PenstockError:
        pass  # fenced by a rival, or the store stayed away: the next life goes on


def _no_model(name: str) -> Any:
    raise AssertionError(name)
