"""The vectors of parts that become one, and the order in which the codes of a large one lie (`neighbourhoods.py`)."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from penstock.core.knowledge.codes import codes, rotation, words_of
from penstock.core.knowledge.neighbourhoods import NEIGHBOURED_MIN, Centers, centers_of, in_order, sampled
from penstock.core.knowledge.sealed_form import Chunks, Columns, pieces, widened

_COMPARED_AT_ONCE = 2_048
_SAMPLED_AT_ONCE = 16
_ALIKE = 1e-3
_BY_ROW = ("has_vector", "near", "near_scales", "exact")


class Part(Protocol):
    """What is merged."""

    arrays: Columns
    alive: NDArray[np.bool_]

    def whole(self, name: str) -> NDArray[Any]: ...


def vectors(parts: Sequence[Part], *, neighboured_min: int = NEIGHBOURED_MIN) -> Chunks:
    """Yield the arrays of all vectors, nothing where no part has any. `neighboured_min`: so many have centres."""
    turned = next((part.whole("rotation") for part in parts if "rotation" in part.arrays), None)
    if turned is None:
        return
    mine = rotation(int(len(turned) ** 0.5))
    yield "rotation", mine.ravel()
    centers = _centers(parts, neighboured_min)
    if centers is None:
        for part in parts:
            for piece, made in _rows(part, mine):
                yield from piece.items()
                yield from zip(_names(mine), np.ascontiguousarray(made.T), strict=True)
        return
    size = sum(int(np.count_nonzero(part.alive)) for part in parts)
    made_codes = np.empty((size, words_of(len(mine))), np.uint64)
    nearest = np.empty(size, np.int32)
    done = 0
    for part in parts:
        for piece, made in _rows(part, mine):
            rows = slice(done, done + len(made))
            made_codes[rows], nearest[rows] = made, _nearest(piece, centers)
            done = rows.stop
            yield from piece.items()
    yield "center_vectors", centers.vectors.ravel()
    yield "center_share", np.array([centers.share], np.float32)
    arrays = in_order(nearest, len(centers.vectors))
    yield from arrays.items()
    yield from _ordered(made_codes, arrays["code_rows"], mine)


def named_codes(of: NDArray[np.float32], rotated_by: NDArray[np.float32]) -> Chunks:
    """Yield the codes of vectors, a column each."""
    yield from zip(_names(rotated_by), np.ascontiguousarray(codes(of, rotated_by).T), strict=True)


def _names(rotated_by: NDArray[np.float32]) -> list[str]:
    return [f"code_{at}" for at in range(words_of(len(rotated_by)))]


def _ordered(made: NDArray[np.uint64], rows: NDArray[Any], rotated_by: NDArray[np.float32]) -> Chunks:
    for at, name in enumerate(_names(rotated_by)):
        for piece in pieces(len(rows)):
            yield name, made[rows[piece], at]


def _nearest(piece: dict[str, NDArray[Any]], centers: Centers) -> NDArray[np.int32]:
    """The centre of each row, or the number behind the last one."""
    nearest = np.full(len(piece["has_vector"]), len(centers.vectors), np.int32)
    for start in range(0, len(nearest), _COMPARED_AT_ONCE):
        rows = start + np.flatnonzero(piece["has_vector"][start : start + _COMPARED_AT_ONCE])
        nearest[rows] = centers.nearest(widened(piece["exact"][rows]))
    return nearest


def _centers(parts: Sequence[Part], least: int) -> Centers | None:
    having = [part.whole("has_vector") & part.alive if "rotation" in part.arrays else None for part in parts]
    size = sum(int(np.count_nonzero(each)) for each in having if each is not None)
    if size < least:
        return None
    # A few rows here and there: most of the vectors are not read for this.
    every = max(1, size // sampled(size)) * _SAMPLED_AT_ONCE
    found: list[NDArray[np.int16]] = []
    for part, has in zip(parts, having, strict=True):
        for start in range(0, 0 if has is None else len(has), every):
            assert has is not None
            rows = slice(start, start + _SAMPLED_AT_ONCE)
            found.append(part.arrays["exact"][rows][has[rows]])
    return centers_of(widened(np.concatenate(found)), size)


def _rows(part: Part, rotated_by: NDArray[np.float32]) -> Iterator[tuple[dict[str, NDArray[Any]], NDArray[np.uint64]]]:
    """The living rows of a part in pieces: what is kept of each by its row, and their codes."""
    arrays, width = part.arrays, words_of(len(rotated_by))
    has = "rotation" in arrays
    same = has and np.allclose(part.whole("rotation").reshape(rotated_by.shape), rotated_by, atol=_ALIKE)
    known = [part.whole(name) for name in _names(rotated_by)] if same else []
    places = part.whole("code_places") if same and "code_places" in arrays else None
    for piece in pieces(len(part.alive)):
        alive = part.alive[piece]
        if not has:
            size = int(np.count_nonzero(alive))
            yield _nothing(size, len(rotated_by)), np.zeros((size, width), np.uint64)
            continue
        kept = {name: arrays[name][piece][alive] for name in _BY_ROW}
        if known:
            at = np.flatnonzero(alive) + piece.start if places is None else places[piece][alive]
            yield kept, np.stack([column[at] for column in known], axis=1)
        else:  # it was sealed on a machine that rotates otherwise
            yield kept, codes(widened(kept["exact"]), rotated_by)


def _nothing(rows: int, dims: int) -> dict[str, NDArray[Any]]:
    return {
        "has_vector": np.zeros(rows, np.bool_),
        "near": np.zeros((rows, dims), np.int8),
        "near_scales": np.zeros(rows, np.float32),
        "exact": np.zeros((rows, dims), np.int16),
    }
