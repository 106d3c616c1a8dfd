"""Tables of tokens as files, in the form that `scripts/embedder finalize` writes: 8 bits a number, a scale for each row."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.errors import Refused

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SUFFIX = ".npz"
_LENGTH_OF_MOST = 99  # of this many in a hundred rows the length is at most 1


def read_vectors(path: Path) -> NDArray[np.float32]:
    """Return the vectors of a table, row 0 being zero."""
    import numpy as np

    with np.load(path, allow_pickle=False) as stored:
        return stored["rows"].astype(np.float32) * stored["scales"].astype(np.float32)[:, None]


def write_table(place: Path, vectors: NDArray[np.float32], like: Path) -> tuple[Path, str]:
    """Write vectors for the tokens of another table, whole or not at all; return the file, and the version that it is known by.

    `place`: a file that ends in .npz, else the beginning of a name that the version completes. A file that holds another table
    is left alone (`Refused`): a generation may be made with it, and needs it as long as it is kept.
    """
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
    version = digest.hex()[:12]
    path = place if place.suffix == SUFFIX else place.with_name(f"{place.name}-{version}{SUFFIX}")
    if path.exists():
        if _digest(path) != digest:
            raise Refused(f"{path} holds another table, with which a generation may be made", "give --out another file")
        return path, version
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.part")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
        for name, array in (arrays | {"digest": np.frombuffer(digest, np.uint8)}).items():
            body = io.BytesIO()
            np.save(body, array)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), body.getvalue())
    unfinished.replace(path)
    return path, version


def _digest(path: Path) -> bytes:
    """Return what a table is known by; nothing for what is none."""
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as stored:
            return bytes(stored["digest"].tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return b""
