"""The metadata of several sealed parts as that of one: field by field, values in their order, each once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.core.knowledge.sealed_form import Chunks, Columns, joined, picked, texts_of

Part = tuple[Columns, NDArray[np.int32]]  # its arrays, and where each row comes to lie (-1: nowhere)

# A field that so large a share of the rows has gets a column with a value for each row.
_COMMON = 8
_NOT_COMMON = -1


@dataclass(frozen=True, slots=True)
class _Piece:
    """A field in one part: its values, and their rows."""

    is_text: NDArray[np.bool_]
    first: NDArray[np.uint64]
    second: NDArray[np.uint64]
    hashes: NDArray[np.uint64]
    bytes: NDArray[np.uint8]
    ends: NDArray[np.int64]
    owners: NDArray[np.int32]
    rows: NDArray[np.int32]


@dataclass(slots=True)
class _Written:
    """How far the arrays have come that all fields share."""

    values: int = 0
    rows: int = 0
    bytes: int = 0
    columns: int = 0


def fields(parts: Sequence[Part], size: int) -> Chunks:
    """Yield the arrays of the metadata of the `size` rows that parts come to."""
    numbers = [
        {name: at for at, name in enumerate(texts_of(_whole(arrays, "field_bytes"), _whole(arrays, "field_ends")))}
        for arrays, _ in parts
    ]
    names: list[str] = []
    written = _Written()
    for name in sorted({name for known in numbers for name in known}):
        pieces = [_piece(part, known[name]) for part, known in zip(parts, numbers, strict=True) if name in known]
        if any(len(piece.rows) for piece in pieces):
            names.append(name)
            yield from _field(pieces, written, size)
    data, ends = joined(names)
    yield "field_bytes", data
    yield "field_ends", ends
    # So that each array is there, also when nothing has any metadata.
    yield from no_values()


def no_values() -> Chunks:
    """Yield each of the arrays of values, empty."""
    for name in ("field_value_ends", "field_texts"):
        yield name, np.zeros(0, np.int64)
    yield "field_columns", np.zeros(0, np.int32)
    for name in ("value_first", "value_second", "value_hashes"):
        yield name, np.zeros(0, np.uint64)
    yield "value_bytes", np.zeros(0, np.uint8)
    for name in ("value_ends", "value_row_ends"):
        yield name, np.zeros(0, np.int64)
    for name in ("value_rows", "columns"):
        yield name, np.zeros(0, np.int32)


def _whole(arrays: Columns, name: str) -> NDArray[Any]:
    column = arrays[name]
    return column[0 : len(column)]


def _piece(part: Part, number: int) -> _Piece:
    arrays, new_rows = part
    value_ends = _whole(arrays, "field_value_ends")
    begin, end = int(value_ends[number - 1]) if number else 0, int(value_ends[number])
    texts = int(arrays["field_texts"][number : number + 1][0])
    ends = arrays["value_ends"][begin:end]
    row_ends = arrays["value_row_ends"][begin:end]
    first_byte, first_row = _before(arrays, "value_ends", begin), _before(arrays, "value_row_ends", begin)
    rows = new_rows[arrays["value_rows"][first_row : int(row_ends[-1])]]
    owners = np.repeat(np.arange(end - begin, dtype=np.int32), np.diff(row_ends, prepend=first_row))
    return _Piece(
        np.arange(begin, end) >= texts,
        arrays["value_first"][begin:end],
        arrays["value_second"][begin:end],
        arrays["value_hashes"][begin:end],
        arrays["value_bytes"][first_byte : int(ends[-1])],
        ends - first_byte,
        owners[rows >= 0],
        rows[rows >= 0],
    )


def _before(arrays: Columns, name: str, at: int) -> int:
    return int(arrays[name][at - 1 : at][0]) if at else 0


def _field(pieces: Sequence[_Piece], written: _Written, size: int) -> Chunks:
    is_text, first, second, hashes = (
        np.concatenate(each)
        for each in (
            [piece.is_text for piece in pieces],
            [piece.first for piece in pieces],
            [piece.second for piece in pieces],
            [piece.hashes for piece in pieces],
        )
    )
    order = np.lexsort((hashes, second, first, is_text))
    # Those with the same keys and hash are one value.
    starts = np.ones(len(order), np.bool_)
    starts[1:] = (
        (np.diff(hashes[order]) != 0)
        | (np.diff(first[order]) != 0)
        | (np.diff(second[order]) != 0)
        | (is_text[order][1:] != is_text[order][:-1])
    )
    value_of = np.empty(len(order), np.int32)
    value_of[order] = np.cumsum(starts) - 1
    before = np.cumsum([0, *(len(piece.ends) for piece in pieces)])
    owners = np.concatenate([value_of[piece.owners + start] for piece, start in zip(pieces, before, strict=False)])
    rows = np.concatenate([piece.rows for piece in pieces])
    counts = np.bincount(owners, minlength=int(value_of.max()) + 1)
    left = np.flatnonzero(counts)
    kept = order[starts][left]
    yield "value_first", first[kept]
    yield "value_second", second[kept]
    yield "value_hashes", hashes[kept]
    yield from _texts(pieces, kept, written)
    yield "field_texts", np.array([written.values + int(np.count_nonzero(~is_text[kept]))], np.int64)
    renumbered = np.cumsum(counts > 0) - 1
    owners = renumbered[owners].astype(np.int32)
    yield "value_rows", rows[np.argsort(owners, kind="stable")]
    yield "value_row_ends", np.cumsum(counts[left]) + written.rows
    common = len(rows) * _COMMON >= size
    yield "field_columns", np.array([written.columns if common else _NOT_COMMON], np.int32)
    if common:
        column = np.full(size, -1, np.int32)
        column[rows] = owners + written.values
        yield "columns", column
        written.columns += 1
    written.rows += len(rows)
    written.values += len(left)
    yield "field_value_ends", np.array([written.values], np.int64)


def _texts(pieces: Sequence[_Piece], kept: NDArray[np.intp], written: _Written) -> Iterator[tuple[str, NDArray[Any]]]:
    data = np.concatenate([piece.bytes for piece in pieces])
    shifts = np.cumsum([0, *(len(piece.bytes) for piece in pieces)])
    ends = np.concatenate([piece.ends + shift for piece, shift in zip(pieces, shifts, strict=False)])
    for chunk, sizes in picked(data, ends, kept):
        yield "value_bytes", chunk
        stops = np.cumsum(sizes) + written.bytes
        written.bytes = int(stops[-1])
        yield "value_ends", stops
