"""Step `finalize`: writes the table as it is shipped: int8 per row, one float16 scale per row, and the vocabulary.

static256.npz holds, uncompressed so that it loads in milliseconds:
  rows       int8     (tokens, dims)
  scales     float16  (tokens,)           vector of token t = rows[i] * scales[i] with i = max(t - first, 0); row 0 is zero
  first      int64    ()                  the tokens up to here are the model's own marks ([CLS], [UNK], [unused7], ...): no meaning
  tokenizer  uint8    zlib-compressed JSON of the tokenizer, without truncation and padding
  digest     uint8    SHA-256 of the four above, which is also the version in the embedder's name
"""

import hashlib
import io
import json
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from teacher import model_folder

BYTES_MAX = 8_000_000


def finalize(work: Path, target: Path) -> None:
    source = work / "table2.npz"
    table = np.load(source if source.exists() else work / "table.npz")["table"].astype(np.float32)
    settings = json.loads((model_folder() / "tokenizer.json").read_text(encoding="utf-8"))
    # The published tokenizer cuts at 128 tokens and pads to them; a sum over tokens needs neither.
    settings["truncation"] = settings["padding"] = None
    vocabulary: dict[str, int] = settings["model"]["vocab"]
    # BERT's vocabulary begins with its marks; leaving them out saves 250 kB.
    marks = [
        i
        for token, i in vocabulary.items()
        if token.startswith("[unused") or token in {"[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]"}
    ]
    first = max(marks)
    assert len(marks) == first + 1, "the marks must come first in the vocabulary"
    table = table[first:]
    table[0] = 0
    table /= np.percentile(np.linalg.norm(table, axis=1), 99)
    scales = (np.abs(table).max(1) / 127).astype(np.float16)
    rows = np.rint(table / np.maximum(scales.astype(np.float32), 1e-8)[:, None]).clip(-127, 127).astype(np.int8)
    text = json.dumps(settings, ensure_ascii=False, separators=(",", ":")).encode()
    packed = np.frombuffer(zlib.compress(text, 9), np.uint8)
    offset = np.array(first, np.int64)
    digest = hashlib.sha256(rows.tobytes() + scales.tobytes() + offset.tobytes() + packed.tobytes()).digest()
    arrays: dict[str, NDArray[np.generic]] = {"rows": rows, "scales": scales, "first": offset, "tokenizer": packed}
    _save(target, arrays | {"digest": np.frombuffer(digest, np.uint8)})
    size = target.stat().st_size
    print(
        f"{target.name}: {size} bytes, digest {digest.hex()}, sha256 {hashlib.sha256(target.read_bytes()).hexdigest()}"
    )
    if size > BYTES_MAX:
        raise SystemExit(f"{size} bytes are more than the {BYTES_MAX} that may be shipped: use fewer dims")


def _save(target: Path, arrays: dict[str, NDArray[np.generic]]) -> None:
    """Like `numpy.savez`, but the same arrays give the same bytes: no time of writing."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, array)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), buffer.getvalue())
