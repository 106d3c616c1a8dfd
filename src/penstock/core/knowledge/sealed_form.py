"""The form of a sealed part: arrays by name, from which all of it is found without making a single object for each passage.

A part is never changed. Its arrays may lie in files that are mapped into memory: what is not looked at takes no memory, and
opening one takes no time. Rows are numbered from 0; texts are UTF-8, one behind the other, with the ends of each.

| arrays | one for each |
| --- | --- |
| `lengths`, `has_vector`, `near`, `near_scales`, `exact`, `code_0`... | row: number of terms; its vector, in three precisions |
| `id_bytes`, `id_ends`; `id_hashes`, `id_rows` | row; and rows by the hash of their id |
| `term_keys`, `term_ends`, `term_most`, `term_least`; `term_rows`, `term_counts` | term by key; its postings, by row |
| `field_bytes`, `field_ends`, `field_value_ends`, `field_texts`, `field_columns` | field of the metadata, by name |
| `value_first`, `value_second`, `value_hashes`, `value_bytes`, `value_ends`, `value_row_ends` | value, in order in its field |
| `value_rows`; `columns` | rows by value; for common fields, values by row |
| `rotation` | what the codes were rotated by |
| `center_vectors`, `center_ends`; `code_rows`; `code_places` | centre (large parts); place of a code among them; row |
| `center_share` | the share of the codes that is looked through |
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from penstock.core.knowledge.filters import number

# Unit vectors as whole numbers of 16 bits: a cosine is off by 1e-5 at most times, and read back they are the same to the bit.
STEPS = 32_767
KEY_BYTES = 16
# Raised whenever the arrays would mean something else: parts of another form are made again from the rows.
FORM = 2

_ABSENT = -1
_BYTES_AT_ONCE = 4_000_000
_ROWS_AT_ONCE = 16_384
_SIGN = np.uint64(1 << 63)


class Column(Protocol):
    """An array that can be read in pieces; an ndarray is one."""

    def __len__(self) -> int: ...
    def __getitem__(self, piece: slice, /) -> NDArray[Any]: ...


Arrays = Mapping[str, NDArray[Any]]
Columns = Mapping[str, Column]
Chunks = Iterator[tuple[str, NDArray[Any]]]  # of each array its pieces in order; those of several arrays may alternate


def pieces(size: int) -> Iterator[slice]:
    """Yield the rows of a part in stretches that take little memory."""
    for start in range(0, size, _ROWS_AT_ONCE):
        yield slice(start, min(start + _ROWS_AT_ONCE, size))


def hash_of(text: str) -> int:
    """A hash of 64 bits, the same in every process: one of a million texts shares it with another at odds of 1 to 37 million."""
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest())


def hashes_of(texts: Iterable[str]) -> NDArray[np.uint64]:
    return np.fromiter(map(hash_of, texts), np.uint64)


def text_at(data: NDArray[np.uint8], ends: NDArray[np.int64], at: int) -> str:
    """Return one of texts that lie one behind the other."""
    return data[int(ends[at - 1]) if at else 0 : int(ends[at])].tobytes().decode()


def texts_of(data: NDArray[np.uint8], ends: NDArray[np.int64]) -> list[str]:
    """Return all of them."""
    whole, stops = data.tobytes(), ends.tolist()
    return [whole[start:stop].decode() for start, stop in zip([0, *stops], stops, strict=False)]


def joined(texts: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return texts one behind the other, and their ends."""
    encoded = [text.encode() for text in texts]
    ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)))
    return np.frombuffer(b"".join(encoded), np.uint8), ends


def picked(
    data: NDArray[np.uint8], ends: NDArray[np.int64], places: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """Yield the texts at `places`, in their order, in pieces: the bytes, and the length of each."""
    starts = np.concatenate(([0], ends[:-1])) if len(ends) else ends
    sizes = (ends - starts)[places]
    total = np.cumsum(sizes)
    begin = 0
    while begin < len(places):
        before = int(total[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(total, before + _BYTES_AT_ONCE, "right")))
        size = sizes[begin:end]
        # Of each byte: where its text starts, less where that text's first byte comes to lie.
        shift = np.repeat(starts[places[begin:end]] - (total[begin:end] - size - before), size)
        yield data[shift + np.arange(len(shift))], size
        begin = end


def number_key(value: float | np.float64) -> np.uint64:
    """A whole number in the order of numbers."""
    return np.uint64(number_keys(np.array([value], np.float64))[0])


def number_keys(values: NDArray[np.float64]) -> NDArray[np.uint64]:
    bits = (values + 0.0).view(np.uint64)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def text_key(text: str) -> tuple[np.uint64, np.uint64]:
    """Two whole numbers in the order of texts, as far as their first 16 bytes tell."""
    head = text.encode(errors="surrogatepass")[:KEY_BYTES].ljust(KEY_BYTES, b"\0")
    return np.uint64(int.from_bytes(head[:8])), np.uint64(int.from_bytes(head[8:]))


def value_keys(texts: Sequence[str]) -> tuple[NDArray[np.bool_], NDArray[np.uint64], NDArray[np.uint64]]:
    """Return for each value whether it is no number, and two numbers in whose order values of one kind lie."""
    read = [number(text) for text in texts]
    is_text = np.fromiter((each is None for each in read), np.bool_, len(read))
    first = number_keys(np.fromiter((0.0 if each is None else each for each in read), np.float64, len(read)))
    second = np.zeros(len(read), np.uint64)
    for at in np.flatnonzero(is_text).tolist():
        first[at], second[at] = text_key(texts[at])
    return is_text, first, second


def rounded(vectors: NDArray[np.float32]) -> NDArray[np.int16]:
    """Unit vectors in the precision in which all of them are searched."""
    return np.rint(vectors * np.float32(STEPS)).astype(np.int16)


def widened(exact: NDArray[np.int16]) -> NDArray[np.float32]:
    """The numbers that `rounded` vectors stand for."""
    return exact.astype(np.float32) / np.float32(STEPS)


def coarse(exact: NDArray[np.int16]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Vectors in one byte for each dimension, with a scale for each: to find out which ones are worth reading."""
    largest = np.abs(exact).max(axis=1, initial=1).astype(np.float32)
    scales = largest / np.float32(127)
    return np.rint(exact / scales[:, None]).astype(np.int8), scales / np.float32(STEPS)
