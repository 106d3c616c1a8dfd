"""What writes come to for a store outside: by space, what goes to its vectors, what has none, and what is taken away."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from penstock.core.knowledge.passages import IndexWrite, Passage, Space, Upsert
from penstock.core.knowledge.rows import VECTOR_TYPE, checked, last_writes, other_length
from penstock.core.knowledge.sealed_form import rounded, widened
from penstock.errors import Finding, Invalid


class SpaceWrites(Struct, frozen=True):
    """The last write of each id of one space. Vectors have length 1, in the precision of the embedded index: equal ones tie."""

    space: Space
    dims: int  # 0: none has a vector
    placed: list[tuple[Passage, NDArray[np.float32]]]
    bare: list[Passage]
    gone: list[str]

    @property
    def ids(self) -> list[str]:
        return [*(passage.id for passage, _ in self.placed), *(passage.id for passage in self.bare), *self.gone]


def placing(writes: Sequence[IndexWrite]) -> list[SpaceWrites]:
    """Check writes and sort them by where they go; `Invalid` or `Refused` before anything was written."""
    found: list[SpaceWrites] = []
    for space, of_space in last_writes(writes).items():
        _require_text(space)
        placed: list[tuple[Passage, NDArray[np.float32]]] = []
        bare: list[Passage] = []
        for write in of_space.values():
            if isinstance(write, Upsert):
                unit = checked(write.passage, write.vector)
                if unit is None:
                    bare.append(write.passage)
                else:
                    placed.append((write.passage, widened(rounded(np.frombuffer(unit, VECTOR_TYPE)))))
        gone = [key for key, write in of_space.items() if not isinstance(write, Upsert)]
        lengths: list[int] = [len(vector) for _, vector in placed]
        for each in lengths:
            if each != lengths[0]:
                raise other_length(each, lengths[0])
        found.append(SpaceWrites(space, lengths[0] if lengths else 0, placed, bare, gone))
    return found


def cosine_of(vector: Any, query: NDArray[np.float32]) -> float:
    """The cosine of a vector that a store gave, with a query of length 1."""
    wide = np.asarray(vector, np.float64)
    length = float(np.sqrt(wide @ wide))
    return clamped(float(wide @ query.astype(np.float64)) / length) if length else 0.0


def clamped(score: float) -> float:
    """A store's score as a cosine."""
    return min(1.0, max(-1.0, score))


def _require_text(space: Space) -> None:
    try:
        f"{space.tenant}{space.collection}".encode()
    except UnicodeEncodeError as error:
        finding = Finding("tenant or collection", f"holds half a character ({error})", "decode it again")
        raise Invalid("the space", (finding,)) from error
