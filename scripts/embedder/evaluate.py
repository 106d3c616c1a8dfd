"""Step `evaluate`: how well the finished table ranks, on collections that people judged. Nothing is chosen by it.

nDCG@10 as trec_eval counts it (gain = judgement, discount log2(rank + 1)), times 100, over the queries with a relevant document:
BM25 alone (Lucene's, k1 1.2, b 0.75, Snowball stems, English stop words), the table alone, and both as Penstock fuses them.
It also counts the texts of training that share a run of words with a judged document, which must stay at (nearly) none.
"""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SETS = ("cranfield", "med", "cacm", "adi", "xquad-en")
DEPTH = 10
STATIC_WEIGHT = 0.3
RUN_WORDS = 12

Scores = NDArray[np.float32]


@dataclass(frozen=True)
class Judged:
    documents: list[str]
    queries: list[str]
    # For each query: position of a document -> its judgement, above 0.
    relevant: list[dict[int, int]]


def evaluate(judged: Path, table: Path, work: Path) -> None:
    print(f"{'':10} {'BM25':>6} {'static':>6} {'fused':>6}   queries")
    rows = list[list[float]]()
    for name in SETS:
        found = _read(judged / name)
        words = _bm25(found)
        meanings = asyncio.run(_cosines(found, table))
        rows.append([_ndcg(scores, found.relevant) for scores in (words, meanings, _fused(words, meanings))])
        print(f"{name:10} " + " ".join(f"{value:6.1f}" for value in rows[-1]) + f"   {len(found.queries)}", flush=True)
    print(f"{'mean':10} " + " ".join(f"{value:6.1f}" for value in np.mean(rows, axis=0)))
    _count_overlap(judged, work)


def _read(folder: Path) -> Judged:
    documents = [json.loads(line) for line in (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
    queries = [json.loads(line) for line in (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    position = {document["_id"]: n for n, document in enumerate(documents)}
    relevant: dict[str, dict[int, int]] = {}
    for line in (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, document, score = line.split("\t")
        if int(score) > 0 and document in position:
            relevant.setdefault(query, {})[position[document]] = int(score)
    asked = [q for q in queries if q["_id"] in relevant]
    texts = [f"{d.get('title') or ''} {d['text']}".strip() for d in documents]
    return Judged(texts, [q["text"] for q in asked], [relevant[q["_id"]] for q in asked])


def _bm25(found: Judged) -> Scores:
    import bm25s
    import Stemmer

    stems = Stemmer.Stemmer("english")
    index = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    index.index(
        bm25s.tokenize(found.documents, stemmer=stems, stopwords="en", show_progress=False), show_progress=False
    )
    words = bm25s.tokenize(found.queries, stemmer=stems, stopwords="en", return_ids=False, show_progress=False)
    return np.stack([np.asarray(index.get_scores(query), np.float32) for query in words])


async def _cosines(found: Judged, table: Path) -> Scores:
    from penstock.adapters.embedders.static import open_static_embedder

    embedder = open_static_embedder(table)
    return await embedder.embed(found.queries, purpose="query") @ (await embedder.embed(found.documents)).T


def _fused(words: Scores, meanings: Scores) -> Scores:
    low, high = meanings.min(1, keepdims=True), meanings.max(1, keepdims=True)
    scaled = (meanings - low) / np.maximum(high - low, 1e-9)
    return (1 - STATIC_WEIGHT) * words / np.maximum(words.max(1, keepdims=True), 1e-9) + STATIC_WEIGHT * scaled


def _ndcg(scores: Scores, relevant: Sequence[dict[int, int]]) -> float:
    discount = 1 / np.log2(np.arange(2, DEPTH + 2))
    values = list[float]()
    for row, judgements in zip(scores, relevant, strict=True):
        best = np.argsort(-row, kind="stable")[:DEPTH]
        gained = np.array([judgements.get(int(d), 0) for d in best])
        ideal = np.sort(list(judgements.values()))[::-1][:DEPTH]
        values.append(float((gained * discount[: len(gained)]).sum() / (ideal * discount[: len(ideal)]).sum()))
    return 100 * float(np.mean(values))


def _count_overlap(judged: Path, work: Path) -> None:
    known = {run for name in SETS for text in _read(judged / name).documents for run in _runs(text)}
    known |= {run for name in SETS for text in _read(judged / name).queries for run in _runs(text)}
    for name in ("passages", "shorts", "pairs"):
        with (work / f"{name}.jsonl").open(encoding="utf-8") as file:
            texts = [" ".join(json.loads(line)[1:]) for line in file]
        shared = [text for text in texts if any(run in known for run in _runs(text))]
        print(
            f"{name}: {len(shared)} of {len(texts)} share {RUN_WORDS} words in a row with a judged text",
            *shared[:3],
            sep="\n  ",
        )


def _runs(text: str) -> Iterator[int]:
    words = text.lower().split()
    return (hash(tuple(words[i : i + RUN_WORDS])) for i in range(len(words) - RUN_WORDS + 1))
