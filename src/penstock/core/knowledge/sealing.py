"""A segment as a source of a sealed part: its arrays, in memory.

This runs beside searches, which need the interpreter too: what takes long in Python calls `pause` between its pieces.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.core.knowledge.codes import rotation, words_of
from penstock.core.knowledge.merging_fields import no_values
from penstock.core.knowledge.merging_vectors import named_codes
from penstock.core.knowledge.sealed_form import coarse, hashes_of, joined, rounded, value_keys
from penstock.core.knowledge.segment import Segment

Pause = Callable[[], None]
Made = dict[str, NDArray[Any]]

# Each of these takes less than a millisecond, in which nobody else has the interpreter.
_TEXTS_AT_ONCE = 250
_TERMS_AT_ONCE = 4_000
_ROWS_AT_ONCE = 1_024


def arrays_of(segment: Segment, pause: Pause) -> Made:
    """The arrays of a frozen segment, its dead rows included."""
    made = _ids(segment.ids, pause)
    made["lengths"] = segment.lengths
    made |= _terms(segment.postings.by_term(), pause)
    made |= _fields(segment.fields.by_field(), pause)
    if segment.dims is not None:
        made |= _vectors(segment, pause)
    return made


def _ids(ids: Sequence[str], pause: Pause) -> Made:
    data, ends = joined(ids)
    hashes = _hashes(ids, pause)
    order = np.argsort(hashes, kind="stable")
    return {"id_bytes": data, "id_ends": ends, "id_hashes": hashes[order], "id_rows": order.astype(np.int32)}


def _hashes(texts: Sequence[str], pause: Pause) -> NDArray[np.uint64]:
    hashes = np.empty(len(texts), np.uint64)
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        hashes[start : start + _TEXTS_AT_ONCE] = hashes_of(texts[start : start + _TEXTS_AT_ONCE])
        pause()
    return hashes


def _terms(by_term: Mapping[int, bytearray], pause: Pause) -> Made:
    found, given = [np.zeros(0, np.uint64)], iter(by_term)
    while len(some := np.fromiter(islice(given, _TERMS_AT_ONCE), np.uint64)):
        found.append(some)
        pause()
    keys = np.concatenate(found)
    order = np.argsort(keys)
    postings, pieces, sizes = list(by_term.values()), [b""], [np.zeros(0, np.int64)]
    for start in range(0, len(order), _TERMS_AT_ONCE):
        pause()
        places: list[int] = order[start : start + _TERMS_AT_ONCE].tolist()
        ordered = [postings[at] for at in places]
        pieces.append(b"".join(ordered))
        sizes.append(np.fromiter(map(len, ordered), np.int64, len(ordered)))
    pairs = np.frombuffer(b"".join(pieces), np.int32).reshape(-1, 2)
    ends = np.cumsum(np.concatenate(sizes)) // pairs.strides[0]
    rows, counts = np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])
    pause()
    most = np.maximum.reduceat(counts, np.concatenate(([0], ends[:-1]))) if len(counts) else counts
    # The lengths that bound a term's worth are looked up when parts are merged.
    least = np.zeros(len(most), np.int32)
    return {
        "term_keys": keys[order],
        "term_ends": ends,
        "term_most": most,
        "term_least": least,
        "term_rows": rows,
        "term_counts": counts,
    }


def _fields(by_field: Mapping[str, tuple[Sequence[str], NDArray[np.int32], NDArray[np.int32]]], pause: Pause) -> Made:
    found: dict[str, list[NDArray[Any]]] = {name: [empty] for name, empty in no_values()}
    values = entries = size = 0
    names = sorted(by_field)
    for name in names:
        texts, rows, value_of = by_field[name]
        keys = [_keys(texts[start : start + _TEXTS_AT_ONCE], pause) for start in range(0, len(texts), _TEXTS_AT_ONCE)]
        is_text, first, second = (np.concatenate([key[at] for key in keys]) for at in range(3))
        order = np.argsort(is_text, kind="stable")  # numbers first; the rest of the order comes with merging
        numbers_first: list[int] = order.tolist()
        place = np.empty(len(order), np.int32)
        place[order] = np.arange(len(order), dtype=np.int32)
        data, ends = joined([texts[at] for at in numbers_first])
        owners = place[value_of]
        found["field_texts"].append(np.array([values + int(np.count_nonzero(~is_text))]))
        found["value_first"].append(first[order])
        found["value_second"].append(second[order])
        found["value_hashes"].append(_hashes(texts, pause)[order])
        found["value_bytes"].append(data)
        found["value_ends"].append(ends + size)
        found["value_rows"].append(rows[np.argsort(owners, kind="stable")])
        found["value_row_ends"].append(np.cumsum(np.bincount(owners, minlength=len(texts))) + entries)
        found["field_columns"].append(np.array([-1], np.int32))
        values, entries, size = values + len(texts), entries + len(rows), size + len(data)
        found["field_value_ends"].append(np.array([values]))
        pause()
    made = {name: np.concatenate(pieces) for name, pieces in found.items()}
    made["field_bytes"], made["field_ends"] = joined(names)
    return made


def _keys(texts: Sequence[str], pause: Pause) -> tuple[NDArray[np.bool_], NDArray[np.uint64], NDArray[np.uint64]]:
    keys = value_keys(texts)
    pause()
    return keys


def _vectors(segment: Segment, pause: Pause) -> Made:
    (vectors, rows), known = segment.placed_vectors(), segment.placed_codes()
    size, dims = len(segment.ids), vectors.shape[1]
    made: Made = {
        "rotation": rotation(dims).ravel(),
        "has_vector": np.zeros(size, np.bool_),
        "near": np.zeros((size, dims), np.int8),
        "near_scales": np.zeros(size, np.float32),
        "exact": np.zeros((size, dims), np.int16),
    }
    made |= {f"code_{at}": np.zeros(size, np.uint64) for at in range(words_of(dims))}
    made["has_vector"][rows] = True
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        piece = slice(start, start + _ROWS_AT_ONCE)
        mine, exact = rows[piece], rounded(vectors[piece])
        made["exact"][mine] = exact
        made["near"][mine], made["near_scales"][mine] = coarse(exact)
        if known is None:
            for name, column in named_codes(vectors[piece], rotation(dims)):
                made[name][mine] = column
        for at, column in enumerate(known or ()):
            made[f"code_{at}"][mine] = column[piece]
        pause()
    return made
