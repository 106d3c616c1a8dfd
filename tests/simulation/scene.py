"""A scene is one feature at work in the simulation: its agents, who asks them, and what must hold.

To have a feature simulated, write a module with a subclass of `Scene`, and add it to `scenes.py`. A scene lives as long as
the world: what clients were told is kept in it, over all crashes.
"""

from collections.abc import Awaitable, Callable

from life import Life
from world import World

from penstock.core.agents.declaration import Agent
from penstock.runtime.engine import Engine

Client = Callable[[], Awaitable[None]]


class Scene:
    """Draw from `world.random` in `__init__` what is asked, so that each life asks for the same."""

    def __init__(self, world: World) -> None:
        self.world = world

    def agents(self, life: Life) -> list[Agent]:
        """Return the agents of one process."""
        raise NotImplementedError

    def clients(self, life: Life, engine: Engine) -> list[Client]:
        """Return what callers do while a process lives: each begins at some moment, and a `PenstockError` ends only it."""
        return []

    async def healed(self, life: Life, engine: Engine) -> None:
        """Ask for what must come once nothing fails any more, whatever became of the clients' patience."""

    def check(self) -> None:
        """Assert what must hold at the end, when everything has come to rest."""
