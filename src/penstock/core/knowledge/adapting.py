"""A static table adapted to one corpus: mixed with what the corpus itself says of which tokens belong together.

Tokens that come in the same passages get near vectors by latent semantic analysis (Deerwester et al. 1990): the leading singular
vectors of passages by tokens. They are put beside the table's own vectors, and both are turned back to the table's dimensions,
along those in which the corpus differs most. So the outcome is a table like the one before, and nothing else has to know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Tokens = NDArray[np.int64]  # of one passage: rows of the table, 0 for what means nothing

LATENT_DIMS = 96
_MORE = 16  # columns beyond those that are wanted, which make them exact
ROUNDS = 4  # passes over the corpus
ROWS = 256  # passages that are worked on at once
TOKENS_MAX = 12_000  # of the vocabulary: those that most passages have
PASSAGES_MIN_OF_TOKEN = 2


def sums(table: Vectors, passages: Sequence[Tokens]) -> Vectors:
    """Return the sum of each passage's vectors."""
    found = np.zeros((len(passages), table.shape[1]), np.float32)
    for place, tokens in enumerate(passages):
        if len(tokens):
            found[place] = table[tokens].sum(0)
    return found


def unit(rows: Vectors) -> Vectors:
    """Return the rows at length 1; those that are zero stay so."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def latent(passages: Sequence[Tokens], size: int, advance: Callable[[int], None]) -> Vectors:
    """Return a table (size x dims) of which tokens come together. `advance` hears of each passage, `ROUNDS + 1` times."""
    counts = np.zeros(size)
    for tokens in passages:
        counts[np.unique(tokens)] += 1
    counts[0] = 0
    known = np.argsort(-counts, kind="stable")[:TOKENS_MAX]
    known = np.sort(known[counts[known] >= PASSAGES_MIN_OF_TOKEN])
    dims = min(LATENT_DIMS, len(known) - 1, len(passages) - 1)
    table = np.zeros((size, max(dims, 0)), np.float32)
    if dims < 1:
        advance(len(passages) * (ROUNDS + 1))
        return table
    weights = np.log(len(passages) / counts[known]).astype(np.float32)
    places = np.full(size, -1)
    places[known] = np.arange(len(known))
    # Randomised subspace iteration (Halko, Martinsson and Tropp 2011), from a start that is always the same.
    basis = np.random.default_rng(20_110_217).standard_normal((len(known), dims + _MORE)).astype(np.float32)
    spread = np.zeros(0)
    for _ in range(ROUNDS):
        basis = np.linalg.qr(_turned(passages, places, weights, basis, advance))[0]
    inner = basis.T @ _turned(passages, places, weights, basis, advance)
    spread, turn = np.linalg.eigh((inner + inner.T) / 2)
    leading = np.argsort(-spread)[:dims]
    scale = np.sqrt(np.sqrt(np.maximum(spread[leading], 0)))  # the root of the singular value
    table[known] = weights[:, None] * (basis @ turn[:, leading]) * scale
    return table


def _turned(
    passages: Sequence[Tokens], places: Tokens, weights: Vectors, basis: Vectors, advance: Callable[[int], None]
) -> Vectors:
    """Return X' X basis, X being passages by weighed tokens, a stretch of passages at a time."""
    found = np.zeros_like(basis)
    for start in range(0, len(passages), ROWS):
        part = passages[start : start + ROWS]
        rows = np.zeros((len(part), len(weights)), np.float32)
        for row, tokens in zip(rows, part, strict=True):
            own = places[tokens]
            used, times = np.unique(own[own >= 0], return_counts=True)
            row[used] = (1 + np.log(times)) * weights[used]
        rows = unit(rows)
        found += rows.T @ (rows @ basis)
        advance(len(part))
    return found


def mixed(table: Vectors, learned: Vectors, passages: Sequence[Tokens], share: float) -> Vectors:
    """Return a table of the first one's size: `share` (0 to 1) of what a passage's vector says is of the learned one."""
    if not share or not learned.shape[1]:
        return table
    parts: list[Vectors] = []
    for each, part in ((table, 1 - share), (learned, share)):
        length = float(np.linalg.norm(sums(each, passages), axis=1).mean()) or 1.0
        parts.append((each * (np.sqrt(part) / length)).astype(np.float32))
    wide = np.concatenate(parts, axis=1)
    rows = unit(sums(wide, passages))
    _, axes = np.linalg.eigh(rows.T @ rows)
    return (wide @ axes[:, ::-1][:, : table.shape[1]]).astype(np.float32)
