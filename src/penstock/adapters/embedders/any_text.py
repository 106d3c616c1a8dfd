"""What every embedder needs so that no text is refused, and no row has another length than 1 or 0 (E2, E5)."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def encodable(texts: Iterable[str], *, chars_max: int) -> list[str]:
    """Return the texts cut to `chars_max`, with `?` for half characters (lone surrogates), which UTF-8 cannot carry."""
    return [text[:chars_max].encode(errors="replace").decode() for text in texts]


def to_unit_length(rows: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """Divide each row by its Euclidean length, in place; a row that is zero, or not finite, becomes zero."""
    import numpy as np

    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    known = np.isfinite(lengths) & (lengths > 0)
    rows[~known] = 0
    lengths[~known] = 1
    rows /= lengths[:, None]
    return rows
