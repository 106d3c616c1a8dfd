"""A `Life` is one process on the world's disk, until it is killed.

The real engine, lanes, committer and retry layer run over a store that loses requests and answers, in virtual time.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from brokered import over_its_broker
from troubles import troubles_of
from watching import WatchedStore
from world import World

from penstock.adapters.memory.passages import MemoryPassages
from penstock.core.agents.policy import Retry
from penstock.errors import PenstockError
from penstock.layers.retrying_store import RetryingStore
from penstock.runtime.control import NAME as CONTROL
from penstock.runtime.control import control
from penstock.runtime.engine import Engine, Parts, running
from penstock.runtime.generations import Embedding
from penstock.runtime.index import Index
from penstock.runtime.models import Models, Prompts
from penstock.runtime.ownership import BEAT_S
from penstock.runtime.schedules import Schedules
from penstock.runtime.topology import Topology
from penstock.runtime.write_points import WritePoint
from penstock.testing.crashing import Crashed, Fate, mortal
from penstock.testing.faults import Faults, Weather
from penstock.testing.faulty_store import FaultyStore
from penstock.testing.virtual_time import VirtualClock

if TYPE_CHECKING:
    from scene import Client, Scene

RETRY = Retry(attempts_max=6, delay_s=0.05)
PATIENCE_S = 3600.0  # within which a healed world must come to rest; virtual, so a bound and no cost
NTH_MAX = 20


class Life:
    """One process: an engine on the world's disk, and what handlers need to know of it."""

    def __init__(self, world: World, name: str, scenes: "Sequence[Scene]", faults: Faults | None = None) -> None:
        self.world = world
        self.name = name
        self.epoch = 0
        world.lives.append(self)
        self.active: Counter[tuple[str, str]] = Counter()
        self.fate = Fate()
        self.is_doomed = False
        random, chances = world.random, world.chances
        self.clock = VirtualClock(random, name, world.pace)
        self.clock.skew_ms = random.choice([0, 0, -60_000, 60_000])
        self.clock.drift = chances.drift
        self.troubles: list[Any] = []
        if faults is None and not world.healthy:
            faults = Weather(
                random, loss=chances.loss, delay_s=chances.delay_s, repeats=chances.repeats, torn=chances.torn
            )
            self.troubles = troubles_of(world, faults, self.clock)
        self.schedules: Schedules | None = None  # of the scene that has some
        self.collections: dict[str, Index] = {}  # of the one that has knowledge, as the next
        self.embedding: Embedding | None = None
        agents = {agent.name: agent for scene in scenes for agent in scene.agents(self)} | {CONTROL: control()}
        self.backend = FaultyStore(WatchedStore(world, agents), faults or Faults())
        store = RetryingStore(self.backend, self.clock)
        models = Models(_no_model, Prompts(None))
        beat_s = 30.0 if world.healthy else BEAT_S  # alone in a healed world, for hours
        self.parts = Parts(
            "sim",
            Topology(agents),
            store,
            self.clock,
            models,
            self.embedding,
            self.collections,
            _scratch,
            schedules=self.schedules,
            beat_s=beat_s,
        )
        if self.schedules is not None:
            self.schedules.over(store, self.parts.topology)

    def doomed(self, point: WritePoint, nth: int) -> None:
        """Have it die at a write point."""
        self.fate.decide(point, nth)
        self.is_doomed = True

    @property
    def mortal_parts(self) -> Parts:
        """What its engine is made of; with write points, if it is to die at one."""
        if not self.is_doomed:
            return self.parts
        return replace(self.parts, store=mortal(self.parts.store, self.fate), reached=self.fate.reached)

    @property
    def owns(self) -> bool:
        """Whether the claim of this process has not ended: one who lost it may go on for a while, and commits nothing."""
        return self.epoch in self.world.disk.members

    async def trouble(self) -> None:
        """Be slow or fail, as handlers do."""
        random, chances = self.world.random, self.world.chances
        if self.world.healthy:
            return
        if self.world.lucky(chances.slow):
            await asyncio.sleep(30)
        if random.random() < 0.5:
            await asyncio.sleep(random.random() * 0.01)
        if self.world.lucky(chances.failure):
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


async def live(life: Life, scenes: "Sequence[Scene]") -> None:
    """Run one process until it ends or is killed. In a healed world whatever ends it is a fault."""
    world = life.world
    dying = world.lucky(world.chances.deaths) and not world.healthy
    if dying:
        life.doomed(world.random.choice(world.write_points), world.random.randint(1, NTH_MAX))
    befalling: list[asyncio.Future[Any]] = []
    try:
        async with over_its_broker(life):
            befalling = [asyncio.ensure_future(trouble()) for trouble in life.troubles]
            async with running(life.mortal_parts, owner=life.name, beside=world.shared) as engine:
                life.epoch = engine.services.committer.claim.epoch
                await _ask(life, scenes, engine)
                if world.healthy:
                    await _heal(life, scenes, engine)
    except* PenstockError:
        if world.healthy:
            raise
        # Fenced by a rival, or the store stayed away: the next life goes on.
    except* Crashed:
        assert life.fate.dead
    finally:
        for each in befalling:
            each.cancel()


async def _heal(life: Life, scenes: "Sequence[Scene]", engine: Engine) -> None:
    """Have everything come to its end, and to rest."""
    for scene in scenes:
        await scene.healed(life, engine)
    began_s = life.clock.monotonic_s()
    await taken_over(life.world, engine)
    assert await engine.settled(PATIENCE_S), "the healed world never came to rest"
    took_s = life.clock.monotonic_s() - began_s
    assert took_s <= PATIENCE_S, f"the healed world came to rest only after {took_s:.0f} s"
    await taken_over(life.world, engine)


async def taken_over(world: World, engine: Engine) -> None:
    """Wait until nothing is left to those who were killed, and nothing waits for them, nor in the broker."""

    def left() -> object:
        away = world.chances.partitions - len(engine.partitions)
        return away or world.disk.waiting or (world.broker is not None and world.broker.left(world.disk))

    try:
        async with asyncio.timeout(PATIENCE_S):
            while left():  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"{left()} is left for ever") from None


async def _ask(life: Life, scenes: "Sequence[Scene]", engine: Engine) -> None:
    """Be all the clients, who begin at some moment and ask once."""
    world = life.world

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


def _scratch() -> Index:
    passages = MemoryPassages()
    return Index(passages, passages, passages, in_store=False, spaces=passages)


def _no_model(name: str) -> Any:
    raise AssertionError(name)
