"""What was read of a broker's partitions before anybody asked, so that to ask costs no round trip.

A reader (a consumer of the broker) adds what comes; where something else is asked for than what comes next, it is told from where
to read.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct, field

from penstock.core.events.messages import Lane

HELD_MAX = 4096  # messages of one partition that are held


class Placed(Protocol):
    """A message, in whatever form, that says where it is in the broker."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def position(self) -> int: ...


M = TypeVar("M", bound=Placed)


class _Held(Struct, Generic[M]):
    after: int  # the position that the first message follows
    messages: deque[M] = field(default_factory=deque[Any])

    @property
    def end(self) -> int:
        return self.messages[-1].position if self.messages else self.after


class ReadAhead(Generic[M]):
    """What is held of each partition that was asked for last."""

    def __init__(self, held_max: int = HELD_MAX) -> None:
        self._held_max = held_max
        self._held: dict[Lane, _Held[M]] = {}

    def ask(self, after: Mapping[Lane, int]) -> dict[Lane, int]:
        """Hold these partitions alone, and return those to be read anew: after which position."""
        for lane in self._held.keys() - after.keys():
            del self._held[lane]
        moved: dict[Lane, int] = {}
        for lane, position in after.items():
            held = self._held.get(lane)
            if held is None or not held.after <= position <= held.end:
                self._held[lane] = _Held(position)
                moved[lane] = position
                continue
            while held.messages and held.messages[0].position <= position:
                held.messages.popleft()
            held.after = position
        return moved

    def take(self, *, limit: int) -> list[M]:
        """Return what is held, up to `limit` messages, a part of each partition; it stays held."""
        found: list[M] = []
        waiting = [iter(held.messages) for held in self._held.values() if held.messages]
        while waiting and (room := limit - len(found)) > 0:
            share = max(1, room // len(waiting))
            more: list[Iterator[M]] = []
            for each in waiting:
                part = list(islice(each, min(share, limit - len(found))))
                found += part
                if len(part) == share:
                    more.append(each)
            waiting = more
        return found

    def add(self, carried: M) -> bool:
        """Hold a message, if it is one that comes next; return whether it was taken."""
        held = self._held.get((carried.topic, carried.partition))
        if held is None or carried.position <= held.end:
            return False
        held.messages.append(carried)
        return True

    def is_full(self, lane: Lane) -> bool:
        """Whether a partition need not be read on for now."""
        held = self._held.get(lane)
        return held is None or len(held.messages) >= self._held_max

    @property
    def places(self) -> dict[Lane, int]:
        """After which position each partition is read on."""
        return {lane: held.end for lane, held in self._held.items()}
