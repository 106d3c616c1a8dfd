"""A routine is a schedule: each due time has its event, once, over every crash and clock that is set."""

import asyncio
from datetime import UTC, datetime

from life import RETRY, Life
from scene import Scene
from world import World

from penstock.core.agents.declaration import Agent, Options, declare
from penstock.core.events.event import Event
from penstock.core.timing.plans import planned
from penstock.core.timing.timers import moment_ms, moment_text
from penstock.runtime.engine import Engine
from penstock.runtime.schedules import Schedules

MINUTE_MS = 60_000
END = datetime(
    2026, 1, 1, 0, 4, tzinfo=UTC
)  # four minutes after the virtual clock begins: each write is one to fail at


class Tick(Event):
    """The routine's event."""


class Routine(Scene):
    """Every minute, and all that was missed: no due time is left out, and none comes twice."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        options = {"catch_up": "all", "catch_up_max": 1000, "end": END}
        self.plans = {"tick": planned("tick", "rate(1 minute)", Tick(), options)}

    def agents(self, life: Life) -> list[Agent]:
        async def tick(event: Tick) -> None:
            await life.trouble()

        life.schedules = Schedules(self.plans)
        return [life.schedules.agent(), declare(tick, "tick", Options(retry=RETRY))]

    async def healed(self, life: Life, engine: Engine) -> None:
        await asyncio.sleep(600)

    def check(self) -> None:
        due: dict[int, list[str]] = {}  # in each partition
        for each in self.world.disk.log("tick"):
            due.setdefault(each.position.partition, []).append(each.event.id.split("@")[1].partition("Z.")[0])
        prefixes = sorted(each for times in due.values() for each in times)
        assert len(prefixes) == len(set(prefixes)), "a due time came twice"
        assert all(times == sorted(times) for times in due.values()), "a due time came out of order"
        if not prefixes:  # a clock that was far ahead when the routine began: it was over by then
            assert self.world.chances.jumps or self.world.chances.drift
            return
        first_ms, last_ms = (self._minute_of(each) for each in (prefixes[0], prefixes[-1]))
        assert prefixes == [moment_text(each)[:-1] for each in range(first_ms, last_ms + 1, MINUTE_MS)]
        assert last_ms == moment_ms(END)

    def _minute_of(self, text: str) -> int:
        return moment_ms(datetime.fromisoformat(f"{text}+00:00"))
