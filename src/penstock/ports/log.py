"""Where events are kept in order. Its contract, as tests: `penstock.testing.log_contract`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from penstock.core.events.envelope import Envelope, Position, Recorded


class EventLog(Protocol):
    """Topics of events, split into partitions, each with its own offsets 1, 2, 3...

    Every implementation guarantees:

    L1 order      `read` returns the events of a partition in the order of their offsets, which is that of the appends.
    L2 durable    What `append` returned from survives a kill of every process.
    L3 together   The events of one `append` are written all or none.
    L4 once       An event whose id is in the log already is not written again: its first position is returned.
    L5 isolation  Topics and partitions do not see each other.
    L6 wake       After each append the watchers are called, soon and at least once.

    A log that lies in the state store (one database) belongs to the holder of the newest claim, who gives out the offsets
    of the events in his commits; an `append` beside him takes the claim away from him.
    """

    async def append(self, topic: str, events: Sequence[Envelope]) -> Sequence[Position]:
        """Write events and return where they are, in the same order."""
        ...

    async def read(self, topic: str, partition: int, *, after: int, limit: int) -> Sequence[Recorded]:
        """Return up to `limit` events that follow offset `after`; for an unknown topic, none."""
        ...

    async def ends(self) -> Mapping[tuple[str, int], int]:
        """Return the last offset of every (topic, partition) that has events."""
        ...

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` after appends, until the returned function is called."""
        ...
