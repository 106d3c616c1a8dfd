"""How many workers there should be on this machine, by how much waits: `penstock run --workers MIN-MAX`.

More while what waits is much and does not get less, one at a time, since each new one takes partitions from the others;
fewer, one at a time, when nearly nothing has waited for a while.
"""

import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from penstock.errors import PenstockError

GROW_S = 6.0  # so long it must not have become less; a new worker has its partitions by then
IDLE_S = 60.0
LOOK_EVERY_S = 2.0
MANY = 100  # events for each worker; fewer are soon done
FEW = 10


class Fleet:
    """Decides from one look after the other. `wanted`: how many workers there should be."""

    def __init__(self, least: int, most: int, *, grow_s: float = GROW_S, idle_s: float = IDLE_S) -> None:
        self.wanted = least
        self._least = least
        self._most = most
        self._grow_s = grow_s
        self._idle_s = idle_s
        self._rising_from: tuple[float, int] | None = None  # since when, and from how many on
        self._idle_from_s: float | None = None

    def look(self, waiting: int, now_s: float) -> int:
        """Return how many workers there should be, now that so many events wait."""
        self._consider_growing(waiting, now_s)
        self._consider_shrinking(waiting, now_s)
        return self.wanted

    def _consider_growing(self, waiting: int, now_s: float) -> None:
        if waiting <= MANY * self.wanted:
            self._rising_from = None
        elif self._rising_from is None or waiting < self._rising_from[1]:
            self._rising_from = now_s, waiting
        elif now_s - self._rising_from[0] >= self._grow_s and self.wanted < self._most:
            self.wanted += 1
            self._rising_from = None

    def _consider_shrinking(self, waiting: int, now_s: float) -> None:
        if waiting > FEW:
            self._idle_from_s = None
        elif self._idle_from_s is None:
            self._idle_from_s = now_s
        elif now_s - self._idle_from_s >= self._idle_s and self.wanted > self._least:
            self.wanted -= 1
            self._idle_from_s = now_s


@contextmanager
def watched_fleet(fleet: Fleet, waiting: Callable[[], int], *, every_s: float = LOOK_EVERY_S) -> Generator[Fleet]:
    """Have a fleet look at what waits again and again, in a thread of its own, while the block is executed."""
    stopped = threading.Event()

    def watch() -> None:
        while not stopped.wait(every_s):
            before = fleet.wanted
            try:
                count = waiting()
            except (PenstockError, OSError):  # the store or the broker is away: nothing is known, and nothing changes
                continue
            now = fleet.look(count, time.monotonic())
            if now != before:
                said = f"penstock: {count} events wait: {now} workers instead of {before}\n"
                sys.stderr.write(said)
                sys.stderr.flush()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield fleet
    finally:
        stopped.set()
        watcher.join(every_s)
