"""Many ranges of numbers, and which of them hold one: a tree of middles, each with the ranges around it.

The tree is made when it is first asked after a change. While few ranges came since, they are tried one by one instead, so
that rules that come and go do not make it anew each time.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Generic, TypeVar

from penstock.core.patterns.conditions import Between

WAITING_MAX = 64

Owner = TypeVar("Owner")


class _Middle(Generic[Owner]):
    """The ranges that hold one number, by where they begin and where they end; those below and above it apart."""

    __slots__ = ("above", "at", "below", "by_high", "by_low", "highs", "lows")

    def __init__(self, ranges: list[tuple[Between, Owner]]) -> None:
        ends = sorted(end for each, _ in ranges for end in (each.low, each.high))
        self.at = ends[len(ends) // 2]
        here = [pair for pair in ranges if pair[0].low <= self.at <= pair[0].high]
        self.by_low = sorted(here, key=lambda pair: pair[0].low)
        self.by_high = sorted(here, key=lambda pair: pair[0].high)
        self.lows = [pair[0].low for pair in self.by_low]
        self.highs = [pair[0].high for pair in self.by_high]
        below = [pair for pair in ranges if pair[0].high < self.at]
        above = [pair for pair in ranges if pair[0].low > self.at]
        self.below = _Middle(below) if below else None
        self.above = _Middle(above) if above else None

    def around(self, number: float) -> Iterator[tuple[Between, Owner]]:
        middle: _Middle[Owner] | None = self
        while middle is not None:
            if number < middle.at:
                yield from middle.by_low[: bisect_right(middle.lows, number)]
                middle = middle.below
            else:
                yield from middle.by_high[bisect_left(middle.highs, number) :]
                middle = middle.above


class Ranges(Generic[Owner]):
    """Ranges with their owners; the same owner may have several."""

    __slots__ = ("_all", "_gone", "_tree", "_waiting")

    def __init__(self) -> None:
        self._all: dict[tuple[Between, Owner], None] = {}
        self._waiting: dict[tuple[Between, Owner], None] = {}
        self._tree: _Middle[Owner] | None = None
        self._gone = 0

    def __len__(self) -> int:
        return len(self._all)

    def add(self, between: Between, owner: Owner) -> None:
        """Add a range."""
        self._all[between, owner] = None
        self._waiting[between, owner] = None

    def discard(self, between: Between, owner: Owner) -> None:
        """Take a range away; the tree goes on naming it until most that it names are gone."""
        del self._all[between, owner]
        if (between, owner) in self._waiting:
            del self._waiting[between, owner]
        else:
            self._gone += 1

    def holding(self, number: float) -> Iterator[Owner]:
        """Give the owners of the ranges that hold the number."""
        if len(self._waiting) + self._gone > WAITING_MAX + len(self._all) // 8:
            self._tree = _Middle(list(self._all)) if self._all else None
            self._waiting.clear()
            self._gone = 0
        for between, owner in self._waiting:
            if between.holds(number):
                yield owner
        if self._tree is not None:
            for pair in self._tree.around(number):
                if pair[0].holds(number) and pair in self._all:
                    yield pair[1]
