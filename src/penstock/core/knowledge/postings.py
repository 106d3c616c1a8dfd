"""Which rows have a term, and how often: what BM25 is computed from.

- A term is known by a 64-bit hash, the same in every process. Nothing has to be looked up to store terms, and
  one of a million terms shares its key with another at odds of 1 to 40 million; then both rank as one.
- A term's postings are one byte string of (row, occurrences) pairs, so that those of a whole query are
  joined and scored at once.
- Postings of dead rows stay until `renumber`. The caller says which rows are alive, and the number of
  passages that have a term counts those only.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import cast

import numpy as np
from numpy.typing import NDArray

from penstock.core.knowledge.languages import ENGLISH, LANGUAGES
from penstock.core.knowledge.words import NONE, passage_terms, query_weights, saturation

# As in BM25F with one saturation for all fields (Robertson, Zaragoza and Taylor, CIKM 2004). A text usually begins with
# its title, so this is in addition to once.
TITLE_WEIGHT = 2

_PAIR_BYTES = 8
_TERM_BYTES_MAX = 1_024
_LET_GO_AT_ONCE = 2_000


def term_counts(text: str, title: str = "") -> dict[int, int]:
    """How often each term of a text occurs, by the term's key; those of its title count `TITLE_WEIGHT` more times.

    A passage in another language than English is marked as such: with two keys that occur 0 times, and so change no length.
    """
    found_by, language = passage_terms(text)
    counts = Counter(found_by)
    if title:
        for term in passage_terms(title, language)[0]:
            counts[term] += TITLE_WEIGHT
    found = {_key(term): count for term, count in counts.items()}
    return found if language == ENGLISH else {OTHER_LANGUAGE: 0, LANGUAGE_KEYS[language]: 0, **found}


def query_counts(text: str, others: Mapping[str, float] = NONE) -> dict[int, float]:
    """How much each term that a query looks for counts, by the term's key; `others` as in `query_weights`."""
    return {_key(term): weight for term, weight in query_weights(text, others).items()}


class Postings:
    """The postings of one segment."""

    def __init__(self) -> None:
        self._of: dict[int, bytearray] = {}

    def add(self, rows: NDArray[np.int32], keys: NDArray[np.uint64], counts: NDArray[np.int32]) -> None:
        """Add that row `rows[i]` has the term `keys[i]` `counts[i]` times."""
        order = np.argsort(keys, kind="stable")
        pairs = memoryview(np.stack((rows[order], counts[order]), axis=1).tobytes())
        ordered = keys[order]
        starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if len(ordered) else order
        ends = np.append(starts[1:], len(ordered)) * _PAIR_BYTES
        firsts = (starts * _PAIR_BYTES).tolist()
        for key, start, end in zip(ordered[starts].tolist(), firsts, ends.tolist(), strict=False):
            known = self._of.get(key)
            if known is None:
                self._of[key] = bytearray(pairs[start:end])
            else:
                known += pairs[start:end]

    def by_term(self) -> Mapping[int, bytearray]:
        """The postings of each term, by its key: pairs of row and occurrences (int32)."""
        return self._of

    def containing(self, key: int, dead: NDArray[np.bool_] | None) -> int:
        """How many rows have a term, without those of `dead`."""
        known = self._of.get(key)
        if known is None:
            return 0
        rows = np.frombuffer(bytes(known), np.int32)[::2]
        return len(rows) if dead is None else len(rows) - int(np.count_nonzero(dead[rows]))

    def scores(
        self, query: Sequence[tuple[int, float]], average_length: float, *, lengths: NDArray[np.int32]
    ) -> NDArray[np.float64]:
        """The BM25 score of every row, 0 for one without a term of the query; `query` has the keys of terms, and their weights.

        `lengths` are the rows' numbers of terms. What dead rows get has no meaning.
        """
        known = [(self._of[key], weight) for key, weight in query if key in self._of]
        pairs = np.frombuffer(b"".join([postings for postings, _ in known]), np.int32).reshape(-1, 2)
        rows, occurrences = pairs[:, 0], pairs[:, 1]
        if not len(rows):
            return np.zeros(len(lengths))
        weights = np.repeat([weight for _, weight in known], [len(postings) // _PAIR_BYTES for postings, _ in known])
        worth = saturation(
            occurrences.astype(np.float64), lengths[rows].astype(np.float64), average_length=average_length
        )
        # With weights the sums are float64, which numpy's types do not say.
        return cast("NDArray[np.float64]", np.bincount(rows, weights * worth, minlength=len(lengths)))

    def let_go(self, pause: Callable[[], None]) -> None:
        """Give up all postings, some at a time."""
        while self._of:
            for _ in range(min(_LET_GO_AT_ONCE, len(self._of))):
                self._of.popitem()
            pause()

    def renumber(self, new_row: NDArray[np.int32]) -> None:
        """Rows have new numbers, `new_row[old]`; those below 0 are gone."""
        keys = np.repeat(
            np.fromiter(self._of, np.uint64, len(self._of)), [len(each) // _PAIR_BYTES for each in self._of.values()]
        )
        pairs = np.frombuffer(b"".join(self._of.values()), np.int32).reshape(-1, 2)
        rows = new_row[pairs[:, 0]]
        kept = rows >= 0
        self._of = {}
        self.add(rows[kept], keys[kept], pairs[kept, 1])


@lru_cache(maxsize=65_536)
def _key(term: str) -> int:
    return int.from_bytes(blake2b(term.encode(errors="surrogatepass")[:_TERM_BYTES_MAX], digest_size=8).digest())


# No term has a space in it.
OTHER_LANGUAGE = _key("\0another language")
LANGUAGE_KEYS = {language: _key(f"\0language {language}") for language in LANGUAGES}
