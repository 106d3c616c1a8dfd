"""A `World` is what outlives the crashes: the disk, the outside that steps act upon, and what was found wrong."""

from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from chances import Chances

from penstock.adapters.memory.passages import MemoryPassages
from penstock.adapters.memory.store import Disk
from penstock.core.events.envelope import Envelope

if TYPE_CHECKING:
    from life import Life

KEYS = 4


@dataclass
class World:
    """What the crashes do not touch."""

    random: Random
    chances: Chances
    disk: Disk = field(default_factory=Disk)
    passages: MemoryPassages = field(default_factory=MemoryPassages)
    effects: Counter[str] = field(default_factory=Counter)  # idempotency key -> calls
    faults: list[str] = field(default_factory=list)
    healthy: bool = False
    lives: list["Life"] = field(default_factory=list)  # all processes so far
    # what `WatchedStore` saw being written
    steps: dict[str, set[str]] = field(default_factory=dict)  # run -> its recorded steps
    rounds: Counter[str] = field(default_factory=Counter)  # run -> how often its journal began anew
    redriven: set[str] = field(default_factory=set)  # runs that began again after their end
    ended: set[str] = field(default_factory=set)  # runs
    attempts: dict[str, int] = field(default_factory=dict)  # run -> its last attempt that failed
    last_ended: dict[tuple[str, str, int, str, str], int] = field(default_factory=dict)  # lane -> offset
    by_origin: dict[str, list[Envelope]] = field(default_factory=dict)  # event from outside -> all that followed

    def any_key(self) -> str:
        return f"c{self.random.randrange(KEYS)}"

    def recorded_steps(self, run_id: str) -> set[str]:
        """The steps of a run that are on the disk."""
        return self.steps.get(run_id, set())

    def followed(self, event_id: str) -> list[Envelope]:
        """The events on the disk that one event led to, itself included."""
        return self.by_origin.get(event_id, [])

    def durable(self, origin: str, type: str) -> list[Envelope]:
        """The events of a type that one event led to, with those that wait for the owner of their partition."""
        waiting = [each.event for each in self.disk.waiting.values() if each.event.correlation_id == origin]
        return [event for event in (*self.followed(origin), *waiting) if event.type == type]

    def lucky(self, chance: float) -> bool:
        return chance > 0 and self.random.random() < chance

    def expect(self, holds: bool, fault: str) -> None:
        """Note what is wrong; the seed fails at its end, when all of it is known."""
        if not holds:
            self.faults.append(fault)
