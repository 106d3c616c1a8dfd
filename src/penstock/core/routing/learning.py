"""Learning a linear model of routes: softmax regression by adaptive gradient steps (AdaGrad, one rate for each feature).

The same examples in the same order make the same model: the order in which they are looked at is fixed, too.
"""

from collections.abc import Callable

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from penstock.core.routing.features import Floats, Places, Rows

ROUNDS = 8
STEPS_MIN = 300  # few examples are looked at more often
BATCH = 256
RATE = 0.3
MEANING = 1.5  # how much meaning counts beside words
BEGIN = 1e-3

Labels = NDArray[np.intp]


class Weights(Struct, frozen=True):
    """Of words and meaning for each route."""

    words: Floats  # one row more than the vocabulary has: that of none, which is zero
    meaning: Floats
    bias: Floats

    def scores(self, rows: Rows) -> Floats:
        """The score of each route for each row."""
        parts = [np.zeros((0, len(self.bias)), np.float32)]
        for start in range(0, len(rows), BATCH):
            of = slice(start, start + BATCH)
            parts.append(self.few(rows.places[of], rows.values[of], rows.meanings[of]))
        return np.concatenate(parts)

    def few(self, places: Places, values: Floats, meanings: Floats) -> Floats:
        """The scores of rows that are not too many for the memory."""
        own = np.matmul(values[:, None, :], self.words[places])[:, 0]
        return own + (meanings * MEANING) @ self.meaning + self.bias


def learned_weights(
    rows: Rows, labels: Labels, routes: int, vocabulary: int, advance: Callable[[int], None]
) -> Weights:
    """Learn from rows whose routes are `labels`; `advance` is told how many rows were looked at."""
    weights = Weights(
        np.zeros((vocabulary + 1, routes), np.float32),
        np.zeros((rows.meanings.shape[1], routes), np.float32),
        np.zeros(routes, np.float32),
    )
    seen_words = np.full(vocabulary + 1, BEGIN, np.float32)
    seen_meaning = np.full((rows.meanings.shape[1], 1), BEGIN, np.float32)
    for batch in _batches(len(rows)):
        places, values, meanings = rows.places[batch], rows.values[batch], rows.meanings[batch] * MEANING
        slope = _slope(weights.few(places, values, rows.meanings[batch]), labels[batch])
        at, steps = _summed(places, values, slope)
        seen_words[at] += (steps * steps).mean(axis=1)
        weights.words[at] -= RATE * steps / np.sqrt(seen_words[at])[:, None]
        weights.words[vocabulary] = 0
        steps = meanings.T @ slope
        seen_meaning += (steps * steps).mean(axis=1, keepdims=True)
        np.subtract(weights.meaning, RATE * steps / np.sqrt(seen_meaning), out=weights.meaning)
        np.subtract(weights.bias, RATE / 50 * slope.sum(axis=0), out=weights.bias)
        advance(len(batch))
    return weights


def looks(count: int) -> int:
    """How many rows are looked at when a model is learned from so many, each as often as it is."""
    return _rounds(count) * count


def _rounds(count: int) -> int:
    batches = -(-count // BATCH)
    return max(ROUNDS, -(-STEPS_MIN // max(1, batches)))


def _batches(count: int) -> list[Labels]:
    chance = np.random.default_rng(0)  # a fixed order, not chance
    found: list[Labels] = []
    for _ in range(_rounds(count)):
        order = chance.permutation(count)
        found += [order[start : start + BATCH] for start in range(0, count, BATCH)]
    return found


def _slope(scores: Floats, labels: Labels) -> Floats:
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    shares[np.arange(len(labels)), labels] -= 1
    return shares


def _summed(places: Places, values: Floats, slope: Floats) -> tuple[NDArray[np.int32], Floats]:
    """The step of each feature that occurs."""
    flat = places.ravel()
    order = np.argsort(flat, kind="stable")
    ordered = flat[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    each = values.ravel()[order, None] * slope[order // places.shape[1]]
    return ordered[starts], np.add.reduceat(each, starts, axis=0)
