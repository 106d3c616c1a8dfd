"""Step `distil`: a table of token vectors whose sum over a text points where the teacher's vector points.

The start is Model2Vec's recipe: the teacher's vector of each token alone, turned by an (uncentred) PCA of the passage vectors and weighted
by SIF (Arora et al. 2017) with Zipf probabilities from the rank in the vocabulary. Then the table is regressed on the teacher's vectors of
whole texts, with the cosine as its loss. Writes table.npz: `table` (vocabulary x dims) and `turn` (384 x dims).
"""

import time
from pathlib import Path

import numpy as np
from bags import Adam, Matrix, counts, through_unit, unit
from teacher import Teacher, taught, tokenizer

TOKENS_MAX = 256
HELD_OUT = 4_000
BATCH = 2_048
SIF = 3e-5


def distil(work: Path, *, dims: int, epochs: int, rate: float, threads: int) -> None:
    texts, vectors = taught(work, "passages")
    shorts, short_vectors = taught(work, "shorts")
    rng = np.random.default_rng(0)
    order = rng.permutation(len(texts) + len(shorts))
    everything = texts + shorts
    bags = counts([everything[i] for i in order], TOKENS_MAX)
    wanted = unit(np.concatenate([vectors, short_vectors])[order])
    held, kept = np.arange(HELD_OUT), np.arange(HELD_OUT, len(order))
    turn = _turn(unit(vectors[:60_000]), dims)
    wanted = unit(wanted @ turn)
    table = _start(work, turn, threads)
    table /= np.linalg.norm(bags[held] @ table, axis=1).mean()
    print(
        f"{len(order)} texts, {bags.getnnz() / len(order):.0f} distinct tokens each, {np.count_nonzero(np.diff(bags.tocsc().indptr))} tokens seen"
    )
    print(f"held-out cosine at the start {_cosine(bags[held] @ table, wanted[held]):.4f}", flush=True)
    adam = Adam(table.shape, rate=rate, steps=epochs * (len(kept) // BATCH))
    started = time.monotonic()
    for epoch in range(epochs):
        for rows in np.array_split(rng.permutation(kept), len(kept) // BATCH):
            batch = bags[rows]
            gradient = through_unit(batch @ table, -wanted[rows]) / len(rows)
            adam.update(table, batch.T.tocsr() @ gradient)
        cosine = _cosine(bags[held] @ table, wanted[held])
        print(f"epoch {epoch + 1}: held-out cosine {cosine:.4f}, {time.monotonic() - started:.0f} s", flush=True)
    np.savez(work / "table.npz", table=table, turn=turn)


def _turn(vectors: Matrix, dims: int) -> Matrix:
    """The main directions. Uncentred, because a shift would change the cosines that are to be kept."""
    energy, directions = np.linalg.eigh((vectors.T @ vectors).astype(np.float64))
    print(f"{dims} of {len(energy)} directions keep {energy[::-1][:dims].sum() / energy.sum():.3f} of the energy")
    return np.ascontiguousarray(directions[:, ::-1][:, :dims], np.float32)


def _start(work: Path, turn: Matrix, threads: int) -> Matrix:
    cached = work / "tokens.npy"
    if cached.exists():
        alone = np.load(cached)
    else:
        known = tokenizer(None)
        alone = Teacher(work, threads).embed_tokens(range(known.get_vocab_size()))
        np.save(cached, alone)
    share = 1 / (np.arange(len(alone)) + 1.0)
    share /= share.sum()
    weight = (SIF / (SIF + share)).astype(np.float32)
    return ((alone - alone.mean(0)) @ turn) * weight[:, None]


def _cosine(rows: Matrix, wanted: Matrix) -> float:
    return float((unit(rows) * wanted).sum(1).mean())
