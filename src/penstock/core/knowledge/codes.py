"""One bit for each dimension: what makes a scan of a million vectors take milliseconds.

A vector is rotated by a fixed random rotation and only the signs are kept; the fewer bits two codes differ
in, the nearer the vectors are likely to be. The result is a list of candidates, never an answer: the caller
scores them exactly. The rotation matters: without it recall falls by a tenth (vectors whose dimensions
differ in weight waste bits).

The codes lie in columns of 64 bits, which numpy counts about seven times as fast as rows of 32 bytes. With many
vectors the first half of the columns chooses whom the others are looked at for.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from penstock.core.knowledge.growing import Growing

Columns = Sequence[NDArray[np.uint64]]

_WORD = 64
_SCANNED = 32_768
_FIRST_MIN = 2
# Of whom the first columns choose, so many times those wanted are looked at with all columns, and at least such a share.
_LOOKED_AT_PER_WANTED = 10
_LOOKED_AT_SHARE = 96


class Codes:
    """The codes of vectors at places 0, 1, 2...; a place may be overwritten, and the last ones dropped."""

    def __init__(self, dims: int) -> None:
        self._rotation = rotation(dims)
        self._words = [Growing(np.uint64) for _ in range(words_of(dims))]

    def __len__(self) -> int:
        return len(self._words[0])

    def extend(self, vectors: NDArray[np.float32]) -> None:
        """Append the codes of vectors (n, dims)."""
        packed = codes(vectors, self._rotation)
        for at, word in enumerate(self._words):
            word.extend(packed[:, at])

    def move(self, source: int, target: int) -> None:
        for word in self._words:
            word.view[target] = word.view[source]

    def shorten(self, size: int) -> None:
        for word in self._words:
            word.shorten(size)

    def likely(self, query: NDArray[np.float32], count: int, places: NDArray[np.intp] | None) -> NDArray[np.intp]:
        """About `count` places (more on ties) whose codes differ least from the query's, of all or of `places`."""
        return likely(self.columns(), codes(query[None], self._rotation)[0], count, places)

    def columns(self) -> Columns:
        """The codes, by 64 bits each."""
        return [word.view for word in self._words]


def likely(
    columns: Columns, code: NDArray[np.uint64], count: int, places: NDArray[np.intp] | None = None
) -> NDArray[np.intp]:
    """About `count` places (more on ties) whose codes differ least from `code`, of all or of `places`."""
    if places is not None:
        columns = [column[places] for column in columns]
    first = max(_FIRST_MIN, len(columns) // 2)
    looked_at = max(count * _LOOKED_AT_PER_WANTED, len(columns[0]) // _LOOKED_AT_SHARE)
    differing = _differing(columns[:first], code[:first])
    near: NDArray[np.intp] | None = None
    if first < len(columns):
        if looked_at < len(columns[0]) // 2:
            near = _least(differing, looked_at)
            differing = differing[near] + _differing([column[near] for column in columns[first:]], code[first:])
        else:
            differing += _differing(columns[first:], code[first:])
    least = _least(differing, count)
    found = least if near is None else near[least]
    return found if places is None else places[found]


def likely_within(
    columns: Columns, code: NDArray[np.uint64], count: int, stretches: Sequence[slice]
) -> NDArray[np.intp]:
    """About `count` places (more on ties) whose codes differ least from `code`, of those in some stretches."""
    least = _least(_differing(columns, code, stretches), count)
    sizes = np.array([each.stop - each.start for each in stretches])
    ends = np.cumsum(sizes)
    shifts = np.array([each.start for each in stretches]) - (ends - sizes)
    return least + shifts[np.searchsorted(ends, least, "right")]


def codes(vectors: NDArray[np.float32], rotated_by: NDArray[np.float32]) -> NDArray[np.uint64]:
    """The codes of vectors (n, dims), a row each."""
    signs = vectors @ rotated_by > 0
    missing = words_of(len(rotated_by)) * _WORD - len(rotated_by)
    padded = np.pad(signs, ((0, 0), (0, missing))) if missing else signs
    return np.packbits(padded, axis=1).view(np.uint64)


def words_of(dims: int) -> int:
    """How many columns a code has."""
    return -(-dims // _WORD)


@lru_cache(maxsize=8)
def rotation(dims: int) -> NDArray[np.float32]:
    """The rotation of this process. Who stores codes stores it with them: another machine's may differ in signs."""
    gaussian = np.random.default_rng(20_090_719).standard_normal((dims, dims))
    orthogonal, _ = np.linalg.qr(gaussian)
    return orthogonal.astype(np.float32)


def _least(differing: NDArray[np.uint16], count: int) -> NDArray[np.intp]:
    if len(differing) <= count:
        return np.arange(len(differing))
    return np.flatnonzero(differing <= np.partition(differing, count - 1)[count - 1])


def _differing(
    columns: Columns, code: NDArray[np.uint64], stretches: Sequence[slice] | None = None
) -> NDArray[np.uint16]:
    """In how many bits the codes differ, of all or of stretches, one behind the other."""
    stretches = [slice(0, len(columns[0]))] if stretches is None else stretches
    differing = np.empty(sum(each.stop - each.start for each in stretches), np.uint16)
    words = np.empty(min(_SCANNED, len(differing)), np.uint64)
    counts = np.empty(len(words), np.uint8)
    done = 0
    # In pieces that stay in the processor's cache over all the columns.
    for start, stop in _pieces(stretches):
        size = stop - start
        total = differing[done : done + size]
        for number, (column, word) in enumerate(zip(columns, code, strict=True)):
            np.bitwise_xor(column[start:stop], word, out=words[:size])
            np.bitwise_count(words[:size], out=counts[:size])
            if number:
                np.add(total, counts[:size], out=total)
            else:
                total[:] = counts[:size]
        done += size
    return differing


def _pieces(stretches: Sequence[slice]) -> Iterator[tuple[int, int]]:
    for each in stretches:
        for start in range(each.start, each.stop, _SCANNED):
            yield start, min(start + _SCANNED, each.stop)
