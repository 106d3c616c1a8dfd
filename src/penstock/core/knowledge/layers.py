"""One space: sealed parts, oldest first, and on top of them a segment with what changed since.

- A passage lives in one layer. Writing it again, or taking it away, makes it dead in the others.
- Statistics are those of all layers together, so a score does not depend on where a passage lies.
- When the segment on top has grown, it is frozen, and a new one takes its place. The part that it becomes is written aside,
  and put here by `seal`. Parts that are not much larger than what follows them become one, by `merge`. Both take their time,
  beside each other; searches go on meanwhile and see no difference.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from penstock.core.knowledge.filters import Filter
from penstock.core.knowledge.merging import Source, sources
from penstock.core.knowledge.nearest import EXACT_MAX
from penstock.core.knowledge.passages import Hit, Row
from penstock.core.knowledge.relevance import weighed
from penstock.core.knowledge.rows import Changes, other_length, units
from penstock.core.knowledge.sealed import Sealed, nearest
from penstock.core.knowledge.sealed_form import Columns, hashes_of
from penstock.core.knowledge.segment import Segment
from penstock.errors import LimitReached

HITS_MAX = 10_000

MadePart = Callable[[NDArray[np.bool_]], Sealed]  # the part that was written, given the marks of its dead

# A scan of this many vectors on top of the parts takes about as long as theirs.
_TOP_EXACT_MAX = 8_192
_TOP_RESCORED_MIN = 400
# Parts that are not so many times larger than all that comes after them are merged with it, once they are so many.
_TIMES_LARGER = 4
_MERGED_MIN = 4
_DEAD_SHARE_MAX = 0.25
_WAITING_TIMES = 4
_WORTH_A_PART = 8
_ROOM_EIGHTHS = 9


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many passages may be in memory before they become a part: the first time, and when there are parts.

    Up to `whole` every search is exact.
    """

    whole: int = EXACT_MAX
    top: int = 16_384


SIZES = Sizes()


class Layers:
    """The passages of one space."""

    def __init__(self, parts: Sequence[Sealed] = (), *, sizes: Sizes = SIZES) -> None:
        self.parts = list(parts)
        self._frozen: Segment | None = None
        self._sizes = sizes
        dims = next((part.dims for part in parts if part.dims is not None), None)
        self._top = self._new_top(dims) if parts else Segment(exact_max=sizes.whole)

    def __len__(self) -> int:
        return sum(part.alive for part in self.parts) + sum(map(len, self._segments))

    @property
    def _segments(self) -> list[Segment]:
        return [self._top] if self._frozen is None else [self._frozen, self._top]

    @property
    def dims(self) -> int | None:
        """The length of the vectors, once there was one."""
        return self._top.dims or (None if self._frozen is None else self._frozen.dims)

    @property
    def on_top(self) -> int:
        """How many rows are in memory, dead ones too."""
        return sum(len(segment.ids) for segment in self._segments)

    @property
    def must_seal(self) -> bool:
        """Whether the segment on top has become too large; not while one is frozen."""
        return self._frozen is None and len(self._top.ids) > (self._sizes.top if self.parts else self._sizes.whole)

    @property
    def should_seal(self) -> bool:
        """Whether there is enough on top that whoever opens the space next should not have to read it from its rows."""
        return self.must_seal or (
            self._frozen is None and bool(self.parts) and len(self._top.ids) * _WORTH_A_PART > self._sizes.top
        )

    @property
    def must_wait(self) -> bool:
        """Whether so much waits for the next seal that whoever can wait with writing should, while one goes on."""
        is_sealed = bool(self.parts) or self._frozen is not None
        return is_sealed and len(self._top.ids) > _WAITING_TIMES * self._sizes.top

    @property
    def must_hurry(self) -> bool:
        """Whether the next seal is due already while one goes on."""
        return self._frozen is not None and len(self._top.ids) > self._sizes.top

    def to_merge(self) -> slice | None:
        """Which of the parts should become one now."""
        stay = max(0, len(self.parts) - 1)
        after = sum(part.alive for part in self.parts[stay:])
        while stay and self.parts[stay - 1].alive < _TIMES_LARGER * after:
            stay -= 1
            after += self.parts[stay].alive
        if len(self.parts) - stay >= _MERGED_MIN:
            return slice(stay, len(self.parts))
        gone = next((at for at, part in enumerate(self.parts) if _mostly_gone(part)), None)
        return None if gone is None else slice(gone, gone + 1)

    def change(self, changes: Changes) -> None:
        """Drop the ids that have no row, put the others."""
        self.drop([gone for gone, row in changes.items() if row is None])
        self.put([row for row in changes.values() if row is not None])

    def put(self, rows: Sequence[Row]) -> None:
        """Add passages, or replace those of the same ids. Raises `Refused` for vectors of another length."""
        self._top.put(rows)
        self._drop_below([row.id for row in rows])

    def drop(self, ids: Iterable[str]) -> None:
        """Take passages away; what is not there is passed over."""
        ids = list(ids)
        self._top.drop(ids)
        self._drop_below(ids)

    def nearest(self, queries: NDArray[np.float32], *, limit: int, filter: Filter | None = None) -> list[list[Hit]]:
        """The passages whose vectors have the highest cosines, for each row of `queries`.

        Raises `Refused` for queries of another length, `LimitReached` for a limit above `HITS_MAX`.
        """
        _check_limit(limit)
        if self.dims is None or not len(queries) or limit < 1:
            return [[] for _ in queries]
        self._check_length(queries)
        unit = units(queries)
        found = [segment.nearest(unit, limit=limit, filter=filter) for segment in self._segments if len(segment)]
        if parts := [part for part in self.parts if part.alive]:
            found.append(nearest(parts, unit, limit=limit, filter=filter, passages=len(self)))
        return [_best(hits, limit) for hits in zip(*found, strict=True)] if found else [[] for _ in queries]

    def matching(self, queries: Sequence[str], *, limit: int, filter: Filter | None = None) -> list[list[Hit]]:
        """The passages with the highest BM25 scores above 0, for each query.

        Raises `LimitReached` for a limit above `HITS_MAX`.
        """
        _check_limit(limit)
        if limit < 1:
            return [[] for _ in queries]
        # The largest first: what it has tells what the others must reach.
        parts = sorted(self.parts, key=lambda part: -part.alive)
        found: list[list[Hit]] = []
        for query in queries:
            terms, average = weighed(query, [*self._segments, *parts])
            best: list[Hit] = []
            for part in parts if terms else ():
                floor = best[-1].score if len(best) == limit else 0.0
                hits = part.matching(terms, average, limit=limit, filter=filter, floor=floor)
                best = _best([best, hits], limit) if best else hits
            tops = [each.matching(terms, average, limit=limit, filter=filter) for each in self._segments if terms]
            found.append(_best([best, *tops], limit))
        return found

    def cosines(self, queries: NDArray[np.float32], ids: Sequence[Sequence[str]]) -> list[dict[str, float]]:
        """For each query the cosines of those of its `ids` that have a vector. Raises as `nearest` does."""
        if self.dims is None or not len(queries):
            return [{} for _ in queries]
        self._check_length(queries)
        found: list[dict[str, float]] = []
        for query, wanted in zip(units(queries), ids, strict=True):
            mine: dict[str, float] = {}
            for segment in self._segments:
                mine |= segment.cosines(query, wanted)
            hashes = hashes_of(wanted) if self.parts else _NO_HASHES
            for part in self.parts:
                mine |= part.cosines(query, wanted, hashes)
            found.append(mine)
        return found

    def relevances(self, queries: Sequence[str], ids: Sequence[Sequence[str]]) -> list[dict[str, float]]:
        """For each query the BM25 scores of those of its `ids` that are here; 0 without a word of it."""
        found: list[dict[str, float]] = []
        for query, wanted in zip(queries, ids, strict=True):
            terms, average = weighed(query, [*self._segments, *self.parts])
            mine: dict[str, float] = {}
            for segment in self._segments:
                mine |= segment.relevances(terms, average, wanted)
            hashes = hashes_of(wanted) if self.parts else _NO_HASHES
            for part in self.parts:
                mine |= part.relevances(terms, average, wanted, hashes)
            found.append(mine)
        return found

    def freeze(self) -> Segment:
        """Begin to seal: return the segment that becomes a part."""
        assert self._frozen is None, "one is being sealed"
        self._top.freeze()
        self._frozen = self._top
        self._top = self._new_top(self._frozen.dims)
        return self._frozen

    def seal(self, found: Sequence[Source], made: MadePart, size: int) -> None:
        """Put a part in the place of the frozen segment; what died meanwhile is dead in it too."""
        assert self._frozen is not None, "nothing is being sealed"
        dead = _dead(found, [self._frozen.dead], size)
        self.parts += [made(dead)] if size else []
        self._frozen = None

    def merge(self, place: slice, found: Sequence[Source], made: MadePart, size: int) -> None:
        """Put a part in the place of the parts that it was made of; what died meanwhile is dead in it too."""
        dead = _dead(found, [part.dead for part in self.parts[place]], size)
        self.parts[place] = [made(dead)] if size else []

    def _new_top(self, dims: int | None) -> Segment:
        # A little more than it is to hold: what comes while the one before is being sealed may be more, and then it grows.
        room = self._sizes.top * _ROOM_EIGHTHS // 8 + 1
        return Segment(exact_max=_TOP_EXACT_MAX, rescored_min=_TOP_RESCORED_MIN, dims=dims, coded_room=room)

    def _drop_below(self, ids: Sequence[str]) -> None:
        if self._frozen is not None:
            self._frozen.drop(ids)
        if self.parts:
            hashes = hashes_of(ids)
            for part in self.parts:
                part.drop(ids, hashes)

    def _check_length(self, queries: NDArray[np.float32]) -> None:
        if self.dims is not None and queries.shape[1] != self.dims:
            raise other_length(queries.shape[1], self.dims)


def _dead(found: Sequence[Source], now: Sequence[NDArray[np.bool_]], size: int) -> NDArray[np.bool_]:
    dead = np.zeros(size, np.bool_)
    for source, gone in zip(found, now, strict=True):
        dead[source.new_rows[source.alive & gone]] = True
    return dead


def merge_sources(parts: Sequence[tuple[Columns, NDArray[np.bool_]]]) -> tuple[list[Source], int]:
    """Return what is merged, and how many rows the part will have."""
    found = sources(parts)
    return found, sum(each.kept for each in found)


_NO_HASHES = np.zeros(0, np.uint64)


def _mostly_gone(part: Sealed) -> bool:
    return part.size - part.alive > _DEAD_SHARE_MAX * part.size


def _best(found: Sequence[list[Hit]], limit: int) -> list[Hit]:
    if len(found) == 1:
        return found[0]
    return sorted(chain.from_iterable(found), key=lambda hit: (-hit.score, hit.id))[:limit]


def _check_limit(limit: int) -> None:
    if limit > HITS_MAX:
        raise LimitReached("limit", limit, HITS_MAX)
