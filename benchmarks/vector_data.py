"""Texts, their vectors, questions and exact answers, made once and kept for the next run."""

import json
from pathlib import Path
from time import monotonic

import numpy as np
from vector_measures import Data
from vector_texts import texts

QUERIES = 300
AT_ONCE = 4_096


async def prepared(folder: Path, size: int) -> dict[str, float]:
    """Make what is not there yet for `size` passages; return how fast they were embedded."""
    from penstock.adapters.embedders.static import open_static_embedder

    known = folder / "embedded.json"
    if known.exists() and json.loads(known.read_text())["size"] >= size:
        return json.loads(known.read_text())
    _forget_answers(folder)
    passages, questions = texts(size)
    if len(passages) < size:
        raise SystemExit(f"this machine has only {len(passages)} distinct texts: give smaller --sizes")
    embedder = open_static_embedder()
    await embedder.embed(["to begin with"])
    vectors = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float32, (size, embedder.dims))
    began = monotonic()
    for start in range(0, size, AT_ONCE):
        vectors[start : start + AT_ONCE] = await embedder.embed(passages[start : start + AT_ONCE])
    took_s = monotonic() - began
    np.save(folder / "queries.npy", await embedder.embed(questions[:QUERIES], purpose="query"))
    with (folder / "texts.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(each) + "\n" for each in passages)
    (folder / "questions.json").write_text(json.dumps(questions[:QUERIES]))
    figures = {"size": size, "chars": sum(map(len, passages)) / size, "a_second": size / took_s}
    known.write_text(json.dumps(figures))
    return figures


def answered(folder: Path, size: int) -> None:
    """Find the exact answers among the first `size` passages, unless they are known."""
    Data(folder, size).truth()


def _forget_answers(folder: Path) -> None:
    for old in folder.glob("truth-*.json"):
        old.unlink()
