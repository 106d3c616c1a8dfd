"""Who is next among those who wait: tenants take turns, and within a tenant the least rank goes first."""

from collections import deque
from heapq import heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T")
Order = tuple[
    float, int
]  # the rank, and a number of its own, so that those of one rank go in the order in which they came


class FairQueue(Generic[T]):
    """With n tenants waiting, each of them gets every n-th turn, however many items another one has put in."""

    __slots__ = ("_length", "_turns", "_waiting")

    def __init__(self) -> None:
        self._waiting: dict[str, list[tuple[Order, T]]] = {}
        self._turns: deque[str] = deque()
        self._length = 0

    def put(self, tenant: str, order: Order, item: T) -> None:
        """Let an item wait. No two items have the same order."""
        waiting = self._waiting.get(tenant)
        if waiting is None:
            waiting = self._waiting[tenant] = []
            self._turns.append(tenant)
        heappush(waiting, (order, item))
        self._length += 1

    def pop(self) -> T:
        """Return the next one, which waits no more; there must be one."""
        tenant = self._turns.popleft()
        waiting = self._waiting[tenant]
        _, item = heappop(waiting)
        if waiting:
            self._turns.append(tenant)
        else:
            del self._waiting[tenant]
        self._length -= 1
        return item

    def again(self, tenant: str) -> None:
        """Give the turn back to the tenant that had the last one: it made no use of it."""
        if self._turns and self._turns[-1] == tenant:
            self._turns.rotate()

    def __len__(self) -> int:
        return self._length
