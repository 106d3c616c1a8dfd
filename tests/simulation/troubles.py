"""What befalls a process from outside while it lives: its claim taken, its disk full, its clock set."""

import asyncio
from collections.abc import Awaitable, Callable

from watching import virtual_ms
from world import World

from penstock.adapters.memory.store import MemoryStore
from penstock.testing.faults import Weather
from penstock.testing.virtual_time import VirtualClock

JUMPS_MS = (-3_600_000, -1_000, 1_000, 3_600_000)
Trouble = Callable[[], Awaitable[None]]


def troubles_of(world: World, weather: Weather, clock: VirtualClock) -> list[Trouble]:
    """Draw what will befall one process."""
    random, chances = world.random, world.chances
    moment_s = random.random() * chances.life_s
    duration_s = random.choice([0.1, 1.0, 60.0])

    async def thief() -> None:
        """Take the claim, as a worker that starts and dies at once."""
        await asyncio.sleep(moment_s)
        await MemoryStore(world.disk, now_ms=virtual_ms).claim("thief")

    async def full() -> None:
        """Have no room for a while; reads go on."""
        await asyncio.sleep(moment_s)
        weather.full = True
        await asyncio.sleep(duration_s)
        weather.full = False

    async def jumps() -> None:
        """Set the wall clock, back and forth."""
        for _ in range(3):
            await asyncio.sleep(random.random() * chances.life_s)
            clock.skew_ms += random.choice(JUMPS_MS)

    kinds = ((thief, chances.thieves), (full, chances.full), (jumps, chances.jumps))
    return [] if world.healthy else [trouble for trouble, chance in kinds if world.lucky(chance)]
