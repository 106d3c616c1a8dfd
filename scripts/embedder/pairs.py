"""Step `pairs`: teaches the table which section a heading leads to, and which code a docstring's sentence describes.

InfoNCE in both directions over the pairs of a batch, kept near the teacher by the loss of `distil` on passages beside it: without that
second term the table forgets what the pairs do not show. Reads and writes table.npz (as table2.npz).
"""

import json
import time
from pathlib import Path

import numpy as np
from bags import Adam, Matrix, counts, through_unit, unit
from teacher import taught

QUERY_TOKENS_MAX = 64
PASSAGE_TOKENS_MAX = 300
HELD_OUT = 1_500
BATCH = 1_024
TEMPERATURE = 0.05
TEACHER_WEIGHT = 5.0


def pair(work: Path, *, epochs: int, rate: float) -> None:
    start = np.load(work / "table.npz")
    table, turn = start["table"].astype(np.float32), start["turn"].astype(np.float32)
    with (work / "pairs.jsonl").open(encoding="utf-8") as file:
        found = [json.loads(line) for line in file]
    queries = counts([p[1] for p in found], QUERY_TOKENS_MAX)
    passages = counts([p[2] for p in found], PASSAGE_TOKENS_MAX)
    texts, vectors = taught(work, "passages")
    bags, wanted = counts(texts, 256), unit(unit(vectors) @ turn)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(found))
    held, kept = order[:HELD_OUT], order[HELD_OUT:]
    adam = Adam(table.shape, rate=rate, steps=epochs * (len(kept) // BATCH), warmup=20)
    print(
        f"{len(found)} pairs, held-out reciprocal rank {_reciprocal_rank(queries[held] @ table, passages[held] @ table):.4f}",
        flush=True,
    )
    started = time.monotonic()
    for epoch in range(epochs):
        for rows in np.array_split(rng.permutation(kept), len(kept) // BATCH):
            left, right = queries[rows], passages[rows]
            toward_left, toward_right = _info_nce(left @ table, right @ table)
            gradient = left.T.tocsr() @ toward_left + right.T.tocsr() @ toward_right
            near = rng.integers(0, len(texts), 2 * BATCH)
            batch = bags[near]
            gradient += batch.T.tocsr() @ through_unit(batch @ table, -wanted[near]) * (TEACHER_WEIGHT / len(near))
            adam.update(table, gradient)
        rank = _reciprocal_rank(queries[held] @ table, passages[held] @ table)
        print(f"epoch {epoch + 1}: held-out reciprocal rank {rank:.4f}, {time.monotonic() - started:.0f} s", flush=True)
    np.savez(work / "table2.npz", table=table, turn=turn)


def _info_nce(left: Matrix, right: Matrix) -> tuple[Matrix, Matrix]:
    """The gradients of the mean cross entropy with respect to both sides; row i of one belongs to row i of the other."""
    a, b = unit(left), unit(right)
    logits = a @ b.T / TEMPERATURE
    gradient = (_softmax(logits) + _softmax(logits.T).T) / 2 - np.eye(len(a), dtype=np.float32)
    gradient /= TEMPERATURE * len(a)
    return through_unit(left, gradient @ b), through_unit(right, gradient.T @ a)


def _softmax(logits: Matrix) -> Matrix:
    weights = np.exp(logits - logits.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


def _reciprocal_rank(left: Matrix, right: Matrix) -> float:
    scores = unit(left) @ unit(right).T
    ranks = (scores > np.diag(scores)[:, None]).sum(1) + 1
    return float((1 / ranks).mean())
