"""`make bench-vectors`: the embedded index beside other embedded engines, on the same real texts, vectors and questions.

- Each engine runs in a process of its own, one after the other, at each size: it is built, searched with and without filters,
  written to, closed and opened. Recall is against exact answers.
- An engine that cannot be had or run, or takes too long, is said so; so is what an engine cannot do.
- Peers are not dependencies of penstock: `--peers PYTHON` names an interpreter that has them (benchmarks/vector_peers.txt).
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from machine import machine
from sides import REPOSITORY
from vector_page import page
from vector_texts import texts

OURS = "penstock"
PEERS = ("usearch", "faiss-ivf", "faiss-hnsw", "zvec", "qdrant-edge", "lancedb", "milvus-lite")
QUERIES = 300
WITHIN_S = 1_800
DOCUMENT = REPOSITORY / "docs" / "benchmarks-vectors.md"


def main() -> int:
    given = _arguments()
    folder = given.data or Path(tempfile.mkdtemp(prefix="penstock-vectors-"))
    folder.mkdir(parents=True, exist_ok=True)
    began_s = monotonic()
    embedded = asyncio.run(_data(folder, max(given.sizes)))
    results: list[dict[str, Any]] = []
    for size in given.sizes:
        _truth(folder, size)
        for engine in given.engines:
            results.append(_measured(engine, size, folder, given))
            sys.stderr.write(f"{json.dumps(results[-1])}\n")
            (folder / "results.json").write_text(json.dumps(results))
    if given.document is not None:
        for path, text in page(results, machine(), embedded, given.document).items():
            path.write_text(text, encoding="utf-8")
    if given.json:
        sys.stdout.write(json.dumps(results) + "\n")
    sys.stderr.write(f"{(monotonic() - began_s) / 60:.1f} minutes\n")
    return 1 if any("failed" in each for each in results) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-vectors", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--sizes", type=_sizes, default=[10_000, 100_000, 1_000_000], help="such as 10k,100k,1M")
    parser.add_argument("--engines", type=lambda text: text.split(","), default=[OURS, *PEERS])
    parser.add_argument("--peers", default=sys.executable, help="a Python that has the other engines")
    parser.add_argument("--data", type=Path, help="keep texts and vectors there, for the next run")
    parser.add_argument("--within", type=float, default=WITHIN_S, help="seconds an engine may take at one size")
    parser.add_argument(
        "--document", type=Path, nargs="?", const=DOCUMENT, help="write the page (docs/benchmarks-vectors.md)"
    )
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _sizes(text: str) -> list[int]:
    units = {"k": 1_000, "M": 1_000_000}
    return [int(each[:-1]) * units[each[-1]] if each[-1] in units else int(each) for each in text.split(",")]


async def _data(folder: Path, size: int) -> dict[str, float]:
    """Texts and their vectors, made once; how fast they were embedded."""
    from penstock.adapters.embedders.static import open_static_embedder

    known = folder / "embedded.json"
    if known.exists() and json.loads(known.read_text())["size"] >= size:
        return json.loads(known.read_text())
    passages, queries = texts(size)
    embedder = open_static_embedder()
    await embedder.embed(["to begin with"])
    vectors = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float32, (len(passages), embedder.dims))
    began = monotonic()
    for start in range(0, len(passages), 4_096):
        vectors[start : start + 4_096] = await embedder.embed(passages[start : start + 4_096])
    took_s = monotonic() - began
    np.save(folder / "queries.npy", await embedder.embed(queries[:QUERIES], purpose="query"))
    with (folder / "texts.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(each) + "\n" for each in passages)
    (folder / "questions.json").write_text(json.dumps(queries[:QUERIES]))
    figures = {
        "size": len(passages),
        "chars": sum(map(len, passages)) / len(passages),
        "a_second": len(passages) / took_s,
    }
    known.write_text(json.dumps(figures))
    return figures


def _truth(folder: Path, size: int) -> None:
    path = folder / f"truth-{size}.npy"
    if path.exists():
        return
    queries, vectors = np.load(folder / "queries.npy"), np.load(folder / "vectors.npy", mmap_mode="r")
    scores = np.zeros((len(queries), 0), np.float32)
    rows = np.zeros((len(queries), 0), np.int64)
    for start in range(0, size, 50_000):
        some = queries @ vectors[start : min(size, start + 50_000)].T
        best = np.argpartition(-some, 10, axis=1)[:, :10]
        scores, rows = np.hstack([scores, np.take_along_axis(some, best, 1)]), np.hstack([rows, best + start])
    np.save(path, np.take_along_axis(rows, np.argsort(-scores, axis=1)[:, :10], 1))


def _measured(engine: str, size: int, folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    python = sys.executable if engine == OURS else given.peers
    script = Path(__file__).with_name("vector_ours.py" if engine == OURS else "vector_side.py")
    command = [python, str(script), engine, str(size), str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=given.within, check=False)
    except subprocess.TimeoutExpired:
        return {"engine": engine, "size": size, "failed": f"not done within {given.within:.0f} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        return {"engine": engine, "size": size, "failed": last[:200]}
    return {"engine": engine, "size": size, **json.loads(lines[-1])}


if __name__ == "__main__":
    sys.exit(main())
