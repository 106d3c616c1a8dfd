"""Turns texts into vectors. Its contract, as tests: `penstock.testing.embedder_contract`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:  # numpy costs 50 ms, and `import penstock` does not need it
    import numpy as np
    from numpy.typing import NDArray

Purpose = Literal["passage", "query"]


class Embedder(Protocol):
    """A model that places texts so that near vectors mean near meanings.

    Every implementation guarantees:

    E1 shape     `embed` returns float32 of shape (len(texts), dims), row i for text i.
    E2 length    Each row has Euclidean length 1, or is all zero when the text has nothing the model knows.
    E3 sameness  A text has the same vector (to 1e-4) whatever else is in the batch, in every process.
    E4 name      `name` changes whenever the vectors of the same texts would.
    E5 any text  No text is refused for its content or length; what exceeds the model's window is cut.
    """

    @property
    def name(self) -> str: ...

    @property
    def dims(self) -> int: ...

    async def embed(self, texts: Sequence[str], *, purpose: Purpose = "passage") -> NDArray[np.float32]:
        """Return one row per text; `Unavailable` when a remote model did not answer."""
        ...
