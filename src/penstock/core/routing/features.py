"""A text as what tells routes apart: its words, pairs of words and runs of four letters, each hashed, beside its meaning.

How it was chosen: docs/decisions/0043-routing-by-similarity.md.
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from penstock.core.knowledge.words import terms

TEXT_CHARS_MAX = 2_000  # of which features are made: what somebody wants stands at the beginning
FIRST_WORDS = 3
LETTERS = 4

Keys = NDArray[np.uint64]
Floats = NDArray[np.float32]
Places = NDArray[np.int32]


class Vocabulary(Struct, frozen=True):
    """The features that were seen (hashes, rising), and what each tells: the fewer texts have it, the more."""

    keys: Keys
    worth: Floats


class Rows(Struct, frozen=True):
    """Texts as rows of features: `places` into the vocabulary (its length: none), `values` of length 1 a row, and meanings."""

    places: Places
    values: Floats
    meanings: Floats

    def __len__(self) -> int:
        return len(self.places)

    def of(self, which: NDArray[np.intp]) -> "Rows":
        """Some of the rows."""
        return Rows(self.places[which], self.values[which], self.meanings[which])


def features_of(text: str) -> Keys:
    """The features of a text, each once."""
    text = text[:TEXT_CHARS_MAX]
    words = text.casefold().split()
    # Short words tell intents apart ("how do I", "why is my"), and where they stand: none is left out, as a search would.
    own = [*(f"^{word}" for word in words[:FIRST_WORDS]), *terms(text)]
    pairs = [f"{left} {right}" for left, right in pairwise(own)]
    line = f" {' '.join(words)} "
    runs = [f"#{line[at : at + LETTERS]}" for at in range(len(line) - LETTERS + 1)]
    return np.unique(np.fromiter(map(_hashed, {*own, *pairs, *runs}), np.uint64))


def vocabulary_of(texts: Sequence[Keys]) -> Vocabulary:
    """What the features of texts tell (inverse document frequency)."""
    keys, counts = np.unique(np.concatenate([np.zeros(0, np.uint64), *texts]), return_counts=True)
    return Vocabulary(keys, (np.log((1 + len(texts)) / (1 + counts)) + 1).astype(np.float32))


def rows_of(texts: Sequence[Keys], meanings: Floats, known: Vocabulary) -> Rows:
    """Texts as rows; features that are not known are left out."""
    found = [_known(each, known.keys) for each in texts]
    longest = max((len(each) for each in found), default=0) or 1
    places = np.full((len(texts), longest), len(known.keys), np.int32)
    values = np.zeros((len(texts), longest), np.float32)
    for row, each in enumerate(found):
        places[row, : len(each)] = each
        values[row, : len(each)] = known.worth[each]
    values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9)
    return Rows(places, values, meanings.astype(np.float32))


def _known(keys: Keys, among: Keys) -> NDArray[np.intp]:
    if not len(among):
        return np.zeros(0, np.intp)
    at = np.minimum(np.searchsorted(among, keys), len(among) - 1)
    return at[among[at] == keys]


@lru_cache(maxsize=200_000)
def _hashed(feature: str) -> int:
    return int.from_bytes(blake2b(feature.encode(errors="surrogatepass"), digest_size=8).digest())
