"""Which events of a partition an agent is done with: a low-water mark, and the ranges done above it.

One slow key must not hold back the others (C2), so events end out of order; ranges keep that small: what is stored
grows with the number of events still open, not with the number done meanwhile.
"""

from bisect import bisect_right
from collections.abc import Iterable

Ranges = list[tuple[int, int]]


class Progress:
    """The done offsets of one agent in one partition. Offsets count from 1."""

    __slots__ = ("_firsts", "_lasts", "low")

    def __init__(self, low: int = 0, above: Iterable[tuple[int, int]] = ()) -> None:
        self.low = low  # all offsets up to this one are done
        ranges = sorted(above)
        self._firsts = [first for first, _ in ranges]
        self._lasts = [last for _, last in ranges]

    def mark(self, offset: int) -> None:
        """Note that the event at `offset` is done."""
        if offset == self.low + 1 and not self._firsts:  # nearly always
            self.low = offset
            return
        if offset in self:
            return
        at = bisect_right(self._firsts, offset)  # the range before it is at - 1, the one after it at
        joins_before = at > 0 and self._lasts[at - 1] == offset - 1
        joins_after = at < len(self._firsts) and self._firsts[at] == offset + 1
        if joins_before and joins_after:
            self._lasts[at - 1] = self._lasts.pop(at)
            del self._firsts[at]
        elif joins_before:
            self._lasts[at - 1] = offset
        elif joins_after:
            self._firsts[at] = offset
        else:
            self._firsts.insert(at, offset)
            self._lasts.insert(at, offset)
        if self._firsts[0] == self.low + 1:
            self.low = self._lasts.pop(0)
            del self._firsts[0]

    def mark_all(self, first: int, last: int) -> None:
        """Note that all from `first` to `last` are done."""
        self.mark(first)
        if last in self:
            return
        ranges = sorted([(first, last), *self.above])
        low = self.low
        merged: Ranges = []
        for start, end in ranges:
            if start <= low + 1:
                low = max(low, end)
            elif merged and start <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(merged[-1][1], end))
            else:
                merged.append((start, end))
        self.low = low
        self._firsts, self._lasts = [start for start, _ in merged], [end for _, end in merged]

    def __contains__(self, offset: int) -> bool:
        if offset <= self.low:
            return True
        at = bisect_right(self._firsts, offset) - 1
        return at >= 0 and offset <= self._lasts[at]

    @property
    def above(self) -> Ranges:
        """The ranges done above the mark, first and last included, in order."""
        return list(zip(self._firsts, self._lasts, strict=True))

    def __repr__(self) -> str:
        ranges = "".join(f" {first}-{last}" for first, last in self.above)
        return f"<Progress ..{self.low}{ranges}>"
