"""What an index keeps of a passage: made once, when it is written, and stored, so that opening reads no text.

Terms and vectors are bytes in little-endian order, as they lie in a file.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from penstock.core.knowledge.passages import IndexWrite, Passage, Row, Space, Upsert
from penstock.core.knowledge.postings import term_counts
from penstock.errors import Finding, Invalid, Refused

KEY_TYPE = np.dtype("<u8")
COUNT_TYPE = np.dtype("<i4")
VECTOR_TYPE = np.dtype("<f4")


# By id: the passage as it is now, or none where it was taken away.
Changes = Mapping[str, Row | None]


def analysed(passage: Passage, vector: bytes | None) -> Row:
    """Analyse a passage; `vector` as in `Upsert`. Raises `Invalid` for what is no vector, or cannot be written as UTF-8."""
    unit = checked(passage, vector)
    keys, counts = packed_terms(passage.text, passage.metadata)
    return Row(passage.id, keys, counts, unit, passage.metadata)


def prepared(writes: Sequence[IndexWrite]) -> list[IndexWrite]:
    """Analyse passages before they are written: a transaction that does so holds up all others. Raises as `analysed` does."""
    fresh = [write for write in writes if isinstance(write, Upsert) and write.row is None]
    lengths = {len(write.vector) for write in fresh if write.vector is not None}
    vectors = _all_units(fresh) if len(lengths) == 1 else [checked(write.passage, write.vector) for write in fresh]
    analysed_of = {
        id(write): Row(
            write.passage.id, *packed_terms(write.passage.text, write.passage.metadata), unit, write.passage.metadata
        )
        for write, unit in zip(fresh, vectors, strict=True)
    }
    return [
        structs.replace(write, row=row) if (row := analysed_of.get(id(write))) is not None else write
        for write in writes
    ]


def checked(passage: Passage, vector: bytes | None) -> bytes | None:
    """The unit vector of a passage, none for one without direction. Raises `Invalid` as `analysed` does."""
    _require_text(passage)
    return None if vector is None else _unit_bytes(passage.id, vector)


def packed_terms(text: str, metadata: Mapping[str, str]) -> tuple[bytes, bytes]:
    """The keys of a passage's terms, and their counts; what its metadata calls `title` counts more."""
    found = term_counts(text, metadata.get("title", ""))
    keys = np.fromiter(found.keys(), KEY_TYPE, len(found))
    counts = np.fromiter(found.values(), COUNT_TYPE, len(found))
    return keys.tobytes(), counts.tobytes()


def last_writes(writes: Sequence[IndexWrite]) -> dict[Space, dict[str, IndexWrite]]:
    """What writes come to: for each space and id the last of them."""
    last: dict[Space, dict[str, IndexWrite]] = {}
    for write in writes:
        passage_id = write.passage.id if isinstance(write, Upsert) else write.id
        last.setdefault(write.space, {})[passage_id] = write
    return last


def require_rows(writes: Mapping[str, IndexWrite], dims: int | None) -> None:
    """Raise what writing these would raise, in a space whose vectors have `dims` dimensions (None: it has none yet)."""
    vectors: list[bytes] = []
    for write in writes.values():
        if isinstance(write, Upsert):
            _require_text(write.passage)
            if write.vector is not None:
                _require_vector(write.passage.id, write.vector)
                vectors.append(write.vector)
    numbers = np.frombuffer(b"".join(vectors), VECTOR_TYPE)
    if not np.isfinite(numbers).all():
        units(numbers[None])
    for length in sorted({len(each) // VECTOR_TYPE.itemsize for each in vectors if any(each)}):
        if length != (dims or length):
            raise other_length(length, dims or length)
        dims = length


def units(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors (n, dims) at length 1; the all-zero ones stay so. Raises `Invalid` for what is not finite."""
    wide = vectors.astype(np.float64)
    squares = np.einsum("ij,ij->i", wide, wide)
    # In float64 the squares of finite float32 cannot overflow.
    if not np.isfinite(squares).all():
        raise Invalid("the vector", (Finding("$", "holds what is not a finite number", "embed the text again"),))
    lengths = np.sqrt(squares)
    lengths[lengths == 0] = 1
    return (wide / lengths[:, None]).astype(np.float32)


def other_length(dims: int, expected: int) -> Refused:
    """The refusal of a vector of another length than its space's."""
    return Refused(
        f"a vector has {dims} dimensions and the space {expected}", "embed with one model, or build a new generation"
    )


def _require_text(passage: Passage) -> None:
    try:
        "".join((passage.id, passage.text, *passage.metadata, *passage.metadata.values())).encode()
    except UnicodeEncodeError as error:
        finding = Finding(repr(passage.id), f"holds half a character ({error})", "decode the source again")
        raise Invalid("the passage", (finding,)) from error


def _require_vector(id: str, vector: bytes) -> None:
    if not vector or len(vector) % VECTOR_TYPE.itemsize:
        problem = f"has a vector of {len(vector)} bytes"
        raise Invalid("the vector", (Finding(id, problem, "give little-endian float32, at least one"),))


def _all_units(fresh: Sequence[Upsert]) -> list[bytes | None]:
    """As `checked` for each: the vectors are of one length, and their units computed at once."""
    for write in fresh:
        _require_text(write.passage)
        if write.vector is not None:
            _require_vector(write.passage.id, write.vector)
    given = [write.vector for write in fresh if write.vector is not None]
    unit = units(np.frombuffer(b"".join(given), VECTOR_TYPE).reshape(len(given), -1)).astype(VECTOR_TYPE)
    found: list[bytes | None] = []
    at = 0
    for write in fresh:
        if write.vector is None:
            found.append(None)
            continue
        found.append(unit[at].tobytes() if unit[at].any() else None)
        at += 1
    return found


def _unit_bytes(id: str, vector: bytes) -> bytes | None:
    _require_vector(id, vector)
    unit = units(np.frombuffer(vector, VECTOR_TYPE)[None])
    return unit.astype(VECTOR_TYPE).tobytes() if unit.any() else None
