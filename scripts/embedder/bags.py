"""Texts as bags of tokens: sparse matrices of counts, and what training on them needs (rows of length 1, Adam)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from teacher import tokenizer

Matrix = NDArray[np.float32]


def counts(texts: Sequence[str], tokens_max: int) -> csr_matrix:
    """One row per text, one column per token of the vocabulary; at most `tokens_max` tokens of a text count."""
    known = tokenizer(None)
    rows, lengths = list[NDArray[np.int32]](), list[int]()
    for start in range(0, len(texts), 10_000):
        for encoding in known.encode_batch_fast(list(texts[start : start + 10_000]), add_special_tokens=False):
            ids = np.array(encoding.ids[:tokens_max], np.int32)
            rows.append(ids)
            lengths.append(len(ids))
    ends = np.concatenate([[0], np.cumsum(lengths)])
    columns = np.concatenate(rows) if rows else np.zeros(0, np.int32)
    matrix = csr_matrix((np.ones(len(columns), np.float32), columns, ends), shape=(len(texts), known.get_vocab_size()))
    matrix.sum_duplicates()
    return matrix


def unit(rows: Matrix) -> Matrix:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def through_unit(rows: Matrix, gradient: Matrix) -> Matrix:
    """The gradient with respect to `rows`, given that with respect to `unit(rows)`."""
    length = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    direction = rows / length
    return (gradient - (gradient * direction).sum(1, keepdims=True) * direction) / length


class Adam:
    """Kingma and Ba 2014 (arXiv:1412.6980) with a short warm-up and a cosine down to 2 % of the rate."""

    def __init__(self, shape: tuple[int, ...], *, rate: float, steps: int, warmup: int = 30) -> None:
        self._mean = np.zeros(shape, np.float32)
        self._square = np.zeros(shape, np.float32)
        self._rate, self._steps, self._warmup, self._step = rate, steps, warmup, 0

    def update(self, table: Matrix, gradient: Matrix) -> None:
        self._step += 1
        rate = (
            self._rate
            * min(1.0, self._step / self._warmup)
            * (0.5 * (1 + np.cos(np.pi * self._step / self._steps)) + 0.02)
        )
        self._mean += 0.1 * (gradient - self._mean)
        self._square += 0.01 * (gradient * gradient - self._square)
        corrected = self._mean / (1 - 0.9**self._step)
        table -= np.float32(rate) * corrected / (np.sqrt(self._square / (1 - 0.99**self._step)) + 1e-8)
