"""The vectors of one tenant in one place, ready to be searched: few as a matrix, exactly; many as an HNSW graph.

A graph is what was saved of it, brought up to the rows: what the file has and the rows have not goes, what it lacks comes.
A file that is missing, cut off or of another kind costs its making, and nothing else.
"""

import os
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.adapters.usearch.rows import Keys, Rows
from penstock.core.knowledge.places import Place
from penstock.errors import Missing

SAVED_AFTER = 20_000  # changes
SAVED_SHARE = 0.2  # or this share of all, where that is more
ADDED_AT_ONCE = 10_000
_ERRORS = (RuntimeError, ValueError, OSError)


class Graph(NamedTuple):
    """How graphs are made. `rows_min`: with fewer, every search is exact."""

    connectivity: int = 16
    expansion_add: int = 128
    expansion_search: int = 128
    rows_min: int = 5_000


class Matrix:
    """Vectors in memory, every one of which a search looks at."""

    def __init__(self, keys: Keys, vectors: NDArray[np.float32]) -> None:
        self._keys = keys
        self._vectors = vectors

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, keys: Keys, vectors: NDArray[np.float32]) -> None:
        self._vectors = vectors if not len(self._keys) else np.concatenate((self._vectors, vectors))
        self._keys = np.concatenate((self._keys, keys))

    def remove(self, keys: Keys) -> None:
        kept = ~np.isin(self._keys, keys)
        self._keys, self._vectors = self._keys[kept], self._vectors[kept]

    def near(self, _query: NDArray[np.float32], _count: int) -> Keys:
        return self._keys

    def vectors(self, keys: Keys) -> tuple[Keys, NDArray[np.float32]]:
        """The vectors of those keys that are there."""
        found = np.isin(self._keys, keys)
        return self._keys[found], self._vectors[found]

    def save(self) -> None:
        """Keep nothing: it is read from the rows."""


class Hnsw:
    """A graph of usearch, with the rows for exact scores."""

    def __init__(self, path: Path, rows: Rows, keys: Keys, dims: int, how: Graph) -> None:
        """`keys`: of all vectors that it must have."""
        self._path = path
        self._rows = rows
        self._how = how
        self._index = self._restored(dims) or self._new(dims)
        self._changes = 0
        there = np.asarray(self._index.keys[:], np.int64) if len(self._index) else np.empty(0, np.int64)
        self.remove(np.setdiff1d(there, keys))
        missing = np.setdiff1d(keys, there)
        for start in range(0, len(missing), ADDED_AT_ONCE):
            self.add(*rows.vectors(missing[start : start + ADDED_AT_ONCE]))
        if len(missing):
            self.save()

    def __len__(self) -> int:
        return len(self._index)

    def add(self, keys: Keys, vectors: NDArray[np.float32]) -> None:
        if len(keys):
            self._index.add(keys.astype(np.uint64), vectors)
            self._count(len(keys))

    def remove(self, keys: Keys) -> None:
        if len(keys):
            self._index.remove(keys.astype(np.uint64))
            self._count(len(keys))

    def near(self, query: NDArray[np.float32], count: int) -> Keys:
        """The keys of what is nearest, nearly all of them."""
        return np.asarray(self._index.search(query, min(count, max(1, len(self)))).keys, np.int64)

    def vectors(self, keys: Keys) -> tuple[Keys, NDArray[np.float32]]:
        return self._rows.vectors(keys)

    def save(self) -> None:
        """Write the graph beside the file that there is, and put it in its place whole."""
        if not self._changes:
            return
        fresh = self._path.with_suffix(".fresh")
        self._index.save(str(fresh))
        with fresh.open("rb") as written:
            os.fsync(written.fileno())
        fresh.replace(self._path)
        self._changes = 0

    def _count(self, changes: int) -> None:
        self._changes += changes
        if self._changes > max(SAVED_AFTER, SAVED_SHARE * len(self)):
            self.save()

    def _new(self, dims: int) -> Any:
        return library().Index(
            ndim=dims,
            metric="cos",
            dtype="f16",
            connectivity=self._how.connectivity,
            expansion_add=self._how.expansion_add,
            expansion_search=self._how.expansion_search,
        )

    def _restored(self, dims: int) -> Any:
        if not self._path.exists():
            return None
        try:
            index = library().Index.restore(str(self._path))
        except _ERRORS:
            return None
        if index is None or index.ndim != dims:
            return None
        index.expansion_add, index.expansion_search = self._how.expansion_add, self._how.expansion_search
        return index


Shelf = Matrix | Hnsw


def shelf_of(rows: Rows, at: Place, tenant: str, path: Path, how: Graph) -> Shelf:
    """The vectors of a tenant in a place, from the rows."""
    keys = rows.keys(at, tenant)
    if len(keys) < how.rows_min:
        return Matrix(*rows.vectors(keys))
    return Hnsw(path, rows, keys, at.dims, how)


def library() -> Any:
    """Return the library; `Missing` without the extra."""
    try:
        return import_module("usearch.index")
    except ImportError as error:
        raise Missing("usearch, which keeps HNSW graphs,", "pip install 'penstock[usearch]'") from error
