"""Any model of the library sentence-transformers (extra `penstock[sentence-transformers]`, which brings torch).

- Queries and passages are told apart by the library (`encode_query`, `encode_document`), for models that were trained so.
- The name holds the commit of a model of the hub, or a digest of a folder's files: other weights, other name (E4).
"""

import asyncio
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from penstock.adapters.embedders.any_text import encodable, to_unit_length
from penstock.errors import Missing
from penstock.ports.embedder import Purpose

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Longer than the window of any model in use (32,768 tokens); it bounds what is tokenized.
_CHARS_MAX = 200_000
_BATCH_TEXTS_MAX = 32


class Encoder(Protocol):
    """What is used of `sentence_transformers.SentenceTransformer`."""

    def encode_query(self, inputs: list[str], *, batch_size: int, show_progress_bar: bool) -> Any: ...

    def encode_document(self, inputs: list[str], *, batch_size: int, show_progress_bar: bool) -> Any: ...


def open_sentence_transformers_embedder(
    model: str, *, revision: str | None = None, device: str | None = None, tokens_max: int | None = None
) -> "SentenceTransformersEmbedder":
    """Load `model`: a folder, or a name on the hub (which may download it). Raises `Missing` without the extra."""
    try:
        library: Any = import_module("sentence_transformers")
    except ImportError as error:
        raise Missing("sentence-transformers", "pip install penstock[sentence-transformers]") from error
    encoder: Any = library.SentenceTransformer(model, revision=revision, device=device)
    if tokens_max is not None:
        encoder.max_seq_length = tokens_max
    folder = Path(model)
    version = _digest(folder) if folder.is_dir() else _commit(encoder) or revision or "unpinned"
    label = f"{folder.name if folder.is_dir() else model}@{version}/{encoder.max_seq_length}"
    # Asked of a vector, because the method that tells it has another name in each major version.
    dims = len(encoder.encode_document(["dims"], batch_size=1, show_progress_bar=False)[0])
    return SentenceTransformersEmbedder(encoder, name=f"sentence-transformers:{label}", dims=dims)


class SentenceTransformersEmbedder:
    """An `Embedder` (guarantees E1 to E5, as far as the model is deterministic). Computes in one thread of its own."""

    def __init__(self, encoder: Encoder, *, name: str, dims: int) -> None:
        self._encoder = encoder
        self._name = name
        self._dims = dims
        # One worker is the limit on CPU use; it ends when the embedder is forgotten.
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="penstock-sentence-transformers")

    @property
    def name(self) -> str:
        return self._name

    @property
    def dims(self) -> int:
        return self._dims

    async def embed(self, texts: Sequence[str], *, purpose: Purpose = "passage") -> "NDArray[np.float32]":
        import numpy as np

        encode = self._encoder.encode_query if purpose == "query" else self._encoder.encode_document
        embedded = np.zeros((len(texts), self._dims), np.float32)
        for start in range(0, len(texts), _BATCH_TEXTS_MAX):
            batch = encodable(texts[start : start + _BATCH_TEXTS_MAX], chars_max=_CHARS_MAX)
            embedded[start : start + len(batch)] = await asyncio.get_running_loop().run_in_executor(
                self._worker, lambda batch=batch: encode(batch, batch_size=_BATCH_TEXTS_MAX, show_progress_bar=False)
            )
        return to_unit_length(embedded)


def _commit(encoder: Any) -> str | None:
    """Find the hub's commit of a downloaded model: transformers keeps it in the first module's configuration."""
    try:
        return getattr(encoder[0].auto_model.config, "_commit_hash", None)
    except (AttributeError, IndexError, KeyError, TypeError):
        return None


def _digest(folder: Path) -> str:
    found = hashlib.sha256()
    for file in sorted(f for f in folder.rglob("*") if f.suffix in {".safetensors", ".bin", ".json", ".txt", ".model"}):
        found.update(file.relative_to(folder).as_posix().encode())
        with file.open("rb") as stream:
            found.update(hashlib.file_digest(stream, "sha256").digest())
    return found.hexdigest()[:12]
