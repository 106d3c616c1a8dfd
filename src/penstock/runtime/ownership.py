"""Which partitions this worker works on: it says that it is alive, takes what is free and its share, and hands over the rest.

- A worker that is killed is silent, and after `TTL_MS` the others fence it and take its partitions: nobody has to ask for it.
- What is handed over is drained first: its new owner finds nothing under way. What does not end in time is cut off, as by a
  kill, and done again there, from its journal.
"""

from collections.abc import Awaitable, Callable, Iterable

from penstock.core.events.partitions import shares
from penstock.ports.clock import Clock
from penstock.ports.state import Claim
from penstock.ports.workers import Workers
from penstock.runtime.tasks import Tasks

BEAT_S = 0.5
TTL_MS = 2_500  # five beats: a takeover begins at most three seconds after a kill


class Ownership:
    """The partitions of one of several workers. `own` and `disown` do the work of taking over and of handing over."""

    def __init__(
        self,
        workers: Workers,
        claim: Claim,
        own: Callable[[Iterable[int]], Awaitable[None]],
        disown: Callable[[int], Awaitable[None]],
    ) -> None:
        self._workers = workers
        self._claim = claim
        self._own = own
        self._disown = disown
        self._owned: frozenset[int] = frozenset()
        self._handing_over = False

    async def beat(self) -> frozenset[int]:
        """Say that this worker is alive, take what is free of its share, and return what it owns beyond that."""
        membership = await self._workers.renew(self._claim, ttl_ms=TTL_MS)
        share = shares(membership.workers, membership.owners)[self._claim.epoch]
        free = {part for part in share - self._owned if membership.owners[part] == 0}
        if free:
            taken = await self._workers.take(self._claim, sorted(free)) - self._owned
            self._owned |= taken
            await self._own(sorted(taken))
        return self._owned - share

    async def run(self, clock: Clock, tasks: Tasks, beat_s: float = BEAT_S) -> None:
        """Beat until cancelled; `Fenced` when this worker was silent for too long."""
        while True:
            extra = await self.beat()
            if extra and not self._handing_over:
                self._handing_over = True
                tasks.start(self._hand_over(sorted(extra)))
            await clock.sleep(beat_s)

    async def _hand_over(self, partitions: Iterable[int]) -> None:
        """Hand over one after the other, while the beat goes on."""
        try:
            for each in partitions:
                await self._disown(each)
                self._owned -= {each}
                await self._workers.give(self._claim, [each])
        finally:
            self._handing_over = False
