"""Which events of a partition an agent is done with: a low-water mark, and the ranges done above it.

One slow key must not hold back the others (C2), so events end out of order; ranges keep that small: what is stored
grows with the number of events still open, not with the number done meanwhile.
"""

from collections.abc import Iterable

Ranges = list[tuple[int, int]]


class Progress:
    """The done offsets of one agent in one partition. Offsets count from 1."""

    __slots__ = ("_first_of", "_last_of", "low")

    def __init__(self, low: int = 0, above: Iterable[tuple[int, int]] = ()) -> None:
        self.low = low  # all offsets up to this one are done
        self._last_of = dict(above)
        self._first_of = {last: first for first, last in self._last_of.items()}

    def mark(self, offset: int) -> None:
        """Note that the event at `offset` is done."""
        if offset in self:
            return
        first = self._first_of.pop(offset - 1, offset)
        self._last_of.pop(first, None)
        last = self._last_of.pop(offset + 1, offset)
        self._first_of.pop(last, None)
        if first == self.low + 1:
            self.low = last
        else:
            self._last_of[first] = last
            self._first_of[last] = first

    def __contains__(self, offset: int) -> bool:
        if offset <= self.low:
            return True
        if not self._last_of:
            return False
        return any(first <= offset <= last for first, last in self._last_of.items())

    @property
    def above(self) -> Ranges:
        """The ranges done above the mark, first and last included, in order."""
        return sorted(self._last_of.items())

    def __repr__(self) -> str:
        ranges = "".join(f" {first}-{last}" for first, last in self.above)
        return f"<Progress ..{self.low}{ranges}>"
