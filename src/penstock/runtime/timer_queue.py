"""The timers of one clock that are due soonest. The rest is in the store, and comes in pages: memory is bounded.

Everything that is due before `covers_ms`, and was not read from the store after `after`, is in here; `is_whole` says that the
store has nothing more.
"""

from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappop, heappush

from penstock.core.timing.timers import FIRST, Place, Timer, TimerClock

PAGE = 512
LOW = 128  # so few are left that the next page is fetched
HELD_MAX = 4096


class TimerQueue:
    """A heap of places, and the timers by their ids; a place whose timer has gone or moved is passed over."""

    def __init__(self, clock: TimerClock, now_ms: Callable[[], int]) -> None:
        self.clock: TimerClock = clock
        self.now_ms = now_ms
        self.timers: dict[str, Timer] = {}
        self._heap: list[Place] = []
        self.forget()

    def forget(self) -> None:
        """Begin anew, from the store."""
        self.timers.clear()
        self._heap.clear()
        self.after = FIRST
        self.covers_ms = FIRST[0]
        self.is_whole = False

    @property
    def wants_page(self) -> bool:
        return not self.is_whole and len(self.timers) < LOW

    def put(self, timer: Timer) -> None:
        """Keep a timer that is set, unless it is due so late that it waits in the store."""
        self.drop(timer.id)
        if not self.is_whole and timer.due_ms >= self.covers_ms:
            return
        self._keep(timer)
        if len(self.timers) > HELD_MAX:
            self._shrink()

    def drop(self, timer_id: str) -> None:
        self.timers.pop(timer_id, None)
        if len(self._heap) > 2 * len(self.timers) + LOW:  # one that is set again and again must not fill the heap
            self._rebuild(self.timers.values())

    def extend(self, page: Sequence[Timer], limit: int) -> None:
        """Take a page of the store that begins at `after`."""
        for timer in page:
            self._keep(timer)
        if len(page) < limit:
            self.is_whole = True
            return
        self.after = page[-1].place
        self.covers_ms = self.after[0] + 1

    def next_due_ms(self) -> int | None:
        """Return when the first one is due."""
        while self._heap and not self._is_current(self._heap[0]):
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take_due(self) -> Timer | None:
        """Return the first one, and let go of it, if it is due."""
        due_ms = self.next_due_ms()
        if due_ms is None or due_ms > self.now_ms():
            return None
        return self.timers.pop(heappop(self._heap)[1])

    def _keep(self, timer: Timer) -> None:
        self.timers[timer.id] = timer
        heappush(self._heap, timer.place)

    def _is_current(self, place: Place) -> bool:
        timer = self.timers.get(place[1])
        return timer is not None and timer.due_ms == place[0]

    def _shrink(self) -> None:
        """Leave the later half to the store, cut between two moments: there the order by id does not matter."""
        in_order = sorted(self.timers.values(), key=lambda each: each.place)
        cut_ms = in_order[len(in_order) // 2].due_ms
        kept = [each for each in in_order if each.due_ms < cut_ms]
        if not kept:  # they are all due at one moment, or nearly all: what is here fires before more is fetched
            return
        self.timers = {each.id: each for each in kept}
        self._rebuild(kept)
        self.after, self.covers_ms, self.is_whole = (cut_ms, ""), cut_ms, False

    def _rebuild(self, timers: Iterable[Timer]) -> None:
        self._heap = [each.place for each in timers]
        heapify(self._heap)
