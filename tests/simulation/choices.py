"""Parcels go to the agents whose pattern they match, and are done with for the others, over every crash."""

from functools import partial

from life import RETRY, Life
from scene import Client, Scene
from world import World

from penstock.core.agents.declaration import Agent, Options, declare
from penstock.core.agents.progress import Progress
from penstock.core.agents.selection import Selection
from penstock.core.events.event import Event
from penstock.runtime.engine import Engine

HEAVY = {"weight": [{"numeric": [">", 50]}]}
LIGHT = {"weight": [{"numeric": ["<=", 50]}]}


class Parcel(Event, key="to"):
    to: str
    weight: int


class Choices(Scene):
    """Each parcel is handled once by the one agent that takes it, and never by the other."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        draw = world.random
        self.parcels = {
            f"parcel-{number}": Parcel(to=world.any_key(), weight=draw.randint(0, 100))
            for number in range(draw.randint(0, 3))
        }

    def agents(self, life: Life) -> list[Agent]:
        async def carry(parcel: Parcel) -> int:
            await life.trouble()
            return parcel.weight

        return [
            declare(carry, "heavy", Options(retry=RETRY, pattern=Selection(HEAVY))),
            declare(carry, "light", Options(retry=RETRY, pattern=Selection(LIGHT))),
        ]

    def clients(self, life: Life, engine: Engine) -> list[Client]:
        return [partial(self._send, engine, each) for each in self.parcels]

    async def _send(self, engine: Engine, id: str) -> None:
        await engine.send(self.parcels[id], id=id)

    async def healed(self, life: Life, engine: Engine) -> None:
        for each in self.parcels:
            await self._send(engine, each)

    def check(self) -> None:
        disk = self.world.disk
        for name, parcel in self.parcels.items():
            taker, other = ("heavy", "light") if parcel.weight > 50 else ("light", "heavy")
            assert disk.runs[f"{name}:{taker}"].status in ("succeeded", "failed"), f"{taker} has not handled {name}"
            assert f"{name}:{other}" not in disk.runs, f"{other} has handled {name}"
            place = disk.ids[name].position
            for agent in (taker, other):
                done = disk.progress.get((agent, place.topic, place.partition), Progress())
                assert place.offset in done, f"{agent} is not done with {name}"
