"""Where timers wait. Its contract, as tests: `penstock.testing.timer_contract`."""

from collections.abc import Sequence
from typing import Protocol

from penstock.core.timing.timers import Place, Timer, TimerClock


class TimerStore(Protocol):
    """The timers that were set and have not fired, written and removed by the commits of the state store (`Writes.timers`).

    Every implementation guarantees:

    T1 order     `timers_due` returns the timers of one clock by when they are due, then by id; pages put together hold each
                 of them once, however many there are.
    T2 atomic    A timer is set, moved or removed exactly if the rest of the commit is written; the last write of an id wins.
    T3 found     What a commit set is found by its id and in the lists, until a commit removes it, over a kill too.
    T4 apart     Partitions that are not asked for, and other tenants' timers, are not in the answer.
    """

    async def timers_due(
        self, clock: TimerClock, *, after: Place, limit: int, partitions: Sequence[int] | None = None
    ) -> Sequence[Timer]:
        """Return up to `limit` timers that stand after a place, of these partitions (None: of all)."""
        ...

    async def timers_set_ms(self, *, partitions: Sequence[int] | None = None) -> int:
        """Return the latest `set_ms` of the timers by elapsed time, 0 when there are none."""
        ...

    async def timer(self, id: str) -> Timer | None:
        """Return a timer by its id."""
        ...

    async def timers(self, *, tenant: str | None = None, limit: int = 50) -> Sequence[Timer]:
        """Return those that are due soonest."""
        ...
