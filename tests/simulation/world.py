"""A `World` is what outlives the crashes: the disk, the outside that steps act upon, and what was found wrong."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from brokered import SimulatedBroker
from chances import Chances

from penstock.adapters.memory.passages import MemoryPassages
from penstock.adapters.memory.store import Disk
from penstock.core.agents.unit import Sent
from penstock.core.events.envelope import Envelope
from penstock.runtime.write_points import OF_ENGINES, WritePoint
from penstock.testing.pacing import Pace

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
    broker: SimulatedBroker | None = None  # the events go over it
    pace: Pace = "steady"  # of the wall clocks
    healthy: bool = False
    lives: list["Life"] = field(default_factory=list)  # all processes so far
    # what `WatchedStore` saw being written
    steps: dict[str, set[str]] = field(default_factory=dict)  # run -> its recorded steps
    rounds: Counter[str] = field(default_factory=Counter)  # run -> how often its journal began anew
    redriven: set[str] = field(default_factory=set)  # runs that began again after their end
    ended: set[str] = field(default_factory=set)  # runs
    attempts: dict[str, int] = field(default_factory=dict)  # run -> its last attempt that failed
    last_ended: dict[tuple[str, str, int, str, str], int] = field(default_factory=dict)  # lane -> offset
    senders: dict[str, list[int]] = field(default_factory=dict)  # event -> the processes that sent it
    lines: dict[tuple[int, str, int, str, str], list[str]] = field(default_factory=dict)  # what each sent for a key
    by_origin: dict[str, list[Envelope]] = field(default_factory=dict)  # event from outside -> all that followed

    @property
    def shared(self) -> bool:
        """Whether processes work beside others: so does whoever comes over a broker."""
        return self.chances.partitions > 1 or self.broker is not None

    @property
    def write_points(self) -> tuple[WritePoint, ...]:
        """Where a process can die."""
        return OF_ENGINES if self.broker is None else tuple(WritePoint)

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

    def sent(self, epoch: int, events: Sequence[Sent]) -> None:
        """Note who sent an event, and after what."""
        for each in events:
            senders = self.senders.setdefault(each.event.id, [])
            if not senders and each.event.id not in self.disk.ids:
                lane = epoch, each.topic, each.partition, each.event.tenant, each.event.key
                self.lines.setdefault(lane, []).append(each.event.id)
            senders.append(epoch)

    def expect_in_line(self) -> None:
        """What one process sent for one key has its places in the log in that order (C2).

        Over a broker what another one sent too, under the same id, may come by the other one's message, before what went before it
        here, and so may what was sent after it: the order is that on either side of it.
        """
        for (epoch, _, _, _, key), ids in self.lines.items():
            for mine in self._stretches(ids) if key else ():
                offsets = [self.disk.ids[each].position.offset for each in mine]
                assert offsets == sorted(offsets), f"what {epoch} sent for {key} came as {offsets}: {mine}"

    def _stretches(self, ids: Sequence[str]) -> list[list[str]]:
        """Return what one process sent in the pieces between what another one sent too."""
        stretches: list[list[str]] = [[]]
        for each in ids:
            if self.broker is None or len(set(self.senders[each])) == 1:
                stretches[-1].append(each)
            else:
                stretches.append([])
        return stretches

    def lucky(self, chance: float) -> bool:
        return chance > 0 and self.random.random() < chance

    def expect(self, holds: bool, fault: str) -> None:
        """Note what is wrong; the seed fails at its end, when all of it is known."""
        if not holds:
            self.faults.append(fault)
