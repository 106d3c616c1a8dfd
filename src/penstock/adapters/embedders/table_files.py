"""Tables of tokens as files, in the form that `scripts/embedder finalize` writes: 8 bits a number, a scale for each row."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LENGTH_OF_MOST = 99  # of this many in a hundred rows the length is at most 1


def read_vectors(path: Path) -> NDArray[np.float32]:
    """Return the vectors of a table, row 0 being zero."""
    import numpy as np

    with np.load(path, allow_pickle=False) as stored:
        return stored["rows"].astype(np.float32) * stored["scales"].astype(np.float32)[:, None]


def write_table(path: Path, vectors: NDArray[np.float32], like: Path) -> str:
    """Write vectors for the tokens of another table, whole or not at all, and return the version that they are known by."""
    import numpy as np

    with np.load(like, allow_pickle=False) as stored:
        first, packed = stored["first"], stored["tokenizer"]
    longest = float(np.percentile(np.linalg.norm(vectors, axis=1), _LENGTH_OF_MOST)) or 1.0
    table = vectors / longest
    table[0] = 0
    scales = (np.abs(table).max(1) / 127).astype(np.float16)
    rows = np.rint(table / np.maximum(scales.astype(np.float32), 1e-8)[:, None]).clip(-127, 127).astype(np.int8)
    digest = hashlib.sha256(rows.tobytes() + scales.tobytes() + first.tobytes() + packed.tobytes()).digest()
    arrays: dict[str, Any] = {"rows": rows, "scales": scales, "first": first, "tokenizer": packed}
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.part")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
        for name, array in (arrays | {"digest": np.frombuffer(digest, np.uint8)}).items():
            body = io.BytesIO()
            np.save(body, array)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), body.getvalue())
    unfinished.replace(path)
    return digest.hex()[:12]
