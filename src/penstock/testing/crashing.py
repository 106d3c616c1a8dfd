"""Dying at a named place, as a killed process does: from then on nothing is written, told or begun.

A `Fate` counts how often each write point is reached, and ends the process at the n-th time that one is. What "ends" means is
the caller's: in one process it raises `Crashed`; in a process of its own it is SIGKILL.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NoReturn, cast

from penstock.core.agents.unit import Writes
from penstock.core.events.messages import Carried, Lane, Message
from penstock.ports.broker import Broker
from penstock.ports.state import Claim, StoredRun
from penstock.ports.store import Store
from penstock.runtime.write_points import WritePoint


class Crashed(BaseException):
    """The process was killed here. It is no `Exception`: code that handles errors does not handle its own death."""


class NotReached(AssertionError):
    """The process was to die at a place that it did not come to."""


class Fate:
    """Where a process dies, if it is to die at all."""

    def __init__(self, kill: Callable[[], object] | None = None) -> None:
        self.seen: Counter[WritePoint] = Counter()
        self.dead = False
        self.on_death: Callable[[], object] = kill or _nothing
        self._point: WritePoint | None = None
        self._left = 0

    def decide(self, point: WritePoint, nth: int) -> None:
        """Die when `point` is reached for the `nth` time from now on."""
        self._point, self._left = WritePoint(point), nth
        self.seen.clear()

    def spare(self) -> None:
        """Do not die any more."""
        self._point = None

    def reached(self, point: WritePoint) -> None:
        """Note that a point is reached, and die there if so decided."""
        self.require_alive()
        self.seen[point] += 1
        if point is self._point:
            self._left -= 1
            if self._left == 0:
                self._die()

    @property
    def next_is_last(self) -> WritePoint | None:
        """The point whose next time is the one to die at."""
        return self._point if self._left == 1 else None

    def require_alive(self) -> None:
        """Raise `Crashed` in whatever goes on after the death: nothing of it may be seen."""
        if self.dead:
            raise Crashed

    def _die(self) -> NoReturn:
        self.dead = True
        self.on_death()
        raise Crashed(self._point)


class MortalStore:
    """A layer that says the write points of the store, and lets nothing through after the death.

    In memory a commit is made at once: who dies "during commit" dies with it written, and without having been told.
    """

    def __init__(self, inner: Store, fate: Fate) -> None:
        self._inner = inner
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        """Return an operation that has no write point of its own."""
        self._fate.require_alive()
        return getattr(self._inner, name)

    async def claim(self, owner: str) -> Claim:
        self._fate.reached(WritePoint.BEFORE_CLAIM)
        claim = await self._inner.claim(owner)
        self._fate.reached(WritePoint.AFTER_CLAIM)
        return claim

    async def commit(self, claim: Claim, number: int, writes: Writes) -> None:
        self._fate.require_alive()
        await self._inner.commit(claim, number, writes)
        self._fate.reached(WritePoint.DURING_COMMIT)

    async def run(self, run_id: str) -> StoredRun | None:
        self._fate.require_alive()
        found = await self._inner.run(run_id)
        if found is not None:
            self._fate.reached(WritePoint.WHILE_RESUMING)
        return found


class MortalBroker:
    """A layer that says the write points of a broker, and lets nothing through after the death."""

    def __init__(self, inner: Broker, fate: Fate) -> None:
        self._inner = inner
        self._fate = fate
        self.bytes_max = inner.bytes_max
        self.structured = inner.structured

    async def require(self, topics: Collection[str], partitions: int) -> None:
        self._fate.require_alive()
        await self._inner.require(topics, partitions)

    async def publish(self, messages: Sequence[tuple[str, int, Message]]) -> None:
        self._fate.reached(WritePoint.BEFORE_PUBLISH)
        await self._inner.publish(messages)
        self._fate.reached(WritePoint.AFTER_PUBLISH)

    async def fetch(self, after: Mapping[Lane, int], *, limit: int) -> Sequence[Carried]:
        self._fate.require_alive()
        found = await self._inner.fetch(after, limit=limit)
        if found:
            self._fate.reached(WritePoint.AFTER_RECEIVE)
        return found

    async def ends(self, lanes: Collection[Lane]) -> Mapping[Lane, int]:
        self._fate.require_alive()
        return await self._inner.ends(lanes)

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        return self._inner.watch(wake)


def mortal(store: Store, fate: Fate) -> Store:
    """Return the store with its write points."""
    return cast("Store", MortalStore(store, fate))


def _nothing() -> None:
    """Stand in for no way of dying but `Crashed`."""
