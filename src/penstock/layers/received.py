"""How far the partitions of a broker were received, and what was shown of what follows."""

from collections import deque
from collections.abc import Collection, Iterable

from msgspec import Struct, field

from penstock.core.events.messages import Lane

RECENT_MAX = 8192  # ids of a partition that are remembered


class Mark(Struct, frozen=True):
    """What a number stands for: a message, and the event in it."""

    lane: Lane
    position: int
    id: str


class Received(Struct):
    """How far a partition of a topic was received: through `low`; of what comes after it, what was fetched."""

    low: int = 0
    fetched: dict[int, bool] = field(default_factory=dict[int, bool])  # position -> whether a commit has received it
    recent: set[str] = field(default_factory=set[str])  # ids that were shown
    _shown: deque[str] = field(default_factory=deque[str])  # the same, the newest last

    def is_new(self, position: int) -> bool:
        """Note that a message was fetched; return whether no commit has received it."""
        return position > self.low and not self.fetched.setdefault(position, False)

    def through(self, more: Collection[int]) -> int:
        """Return how far it would be with more positions received."""
        low = self.low
        for position, received in self.fetched.items():
            if not received and position not in more:
                break
            low = position
        return low

    def receive(self, positions: Iterable[int]) -> None:
        """A commit has received these positions."""
        for position in positions:
            if position in self.fetched:
                self.fetched[position] = True
        self.low = self.through(())
        while self.fetched and next(iter(self.fetched)) <= self.low:
            del self.fetched[next(iter(self.fetched))]

    def show(self, event_id: str) -> None:
        """Remember that an event of this id was shown."""
        if event_id not in self.recent:
            self.recent.add(event_id)
            self._shown.append(event_id)
        if len(self._shown) > RECENT_MAX:
            self.recent.discard(self._shown.popleft())


def by_lane(marks: Iterable[Mark]) -> dict[Lane, set[int]]:
    """Return the positions that marks stand for, by partition."""
    found: dict[Lane, set[int]] = {}
    for each in marks:
        found.setdefault(each.lane, set()).add(each.position)
    return found
