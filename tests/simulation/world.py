"""A `World` is what outlives the crashes: the disk, the outside that steps act upon, and what was found wrong."""

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from chances import Chances

from penstock.adapters.memory.store import Disk
from penstock.core.agents.journal import decode_chunk
from penstock.core.events.envelope import Envelope

KEYS = 4


@dataclass
class World:
    """What the crashes do not touch."""

    random: Random
    chances: Chances
    disk: Disk = field(default_factory=Disk)
    effects: Counter[str] = field(default_factory=Counter)  # idempotency key -> calls
    faults: list[str] = field(default_factory=list)
    healthy: bool = False

    def any_key(self) -> str:
        return f"c{self.random.randrange(KEYS)}"

    def recorded_steps(self, run_id: str) -> set[str]:
        """The steps of a run that are on the disk."""
        bodies = list(self.disk.chunks.get(run_id, []))
        if (change := self.disk.runs.get(run_id)) is not None and change.records:
            bodies.append(change.records)
        return {record.step for body in bodies for record in decode_chunk(body)}

    def followed(self, event_id: str) -> list[Envelope]:
        """The events on the disk that one event led to, itself included."""
        return [each.event for each in self.disk.ids.values() if each.event.correlation_id == event_id]

    def expect(self, holds: bool, fault: str) -> None:
        """Note what is wrong; the seed fails at its end, when all of it is known."""
        if not holds:
            self.faults.append(fault)
