"""What the words of a query are worth in a space, whatever layers its passages lie in."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from penstock.core.knowledge.postings import LANGUAGE_KEYS, OTHER_LANGUAGE, query_counts
from penstock.core.knowledge.words import idf


class Term(NamedTuple):
    """A word of a query, by its key, with its weight in the whole space."""

    key: int
    weight: float


class Counted(Protocol):
    """Passages of a space: how many of them have any terms, how many terms in all, how many have a certain one."""

    @property
    def with_terms(self) -> int: ...
    @property
    def total_length(self) -> int: ...
    def containing(self, key: int) -> int: ...


def weighed(query: str, layers: Sequence[Counted]) -> tuple[list[Term], float]:
    """Return the words of a query that any passage has, and how many terms a passage has on average.

    Passages without any term do not count (as in Lucene).
    """
    passages = sum(layer.with_terms for layer in layers)
    if not passages:
        return [], 1.0
    terms: list[Term] = []
    for key, times in query_counts(query, _OtherLanguages(layers, passages)).items():
        containing = sum(layer.containing(key) for layer in layers)
        if containing:
            terms.append(Term(key, times * idf(passages, containing)))
    return terms, sum(layer.total_length for layer in layers) / passages


class _OtherLanguages(Mapping[str, float]):
    """The languages beside English that passages are in, each with its share of them: counted once a query asks for it."""

    def __init__(self, layers: Sequence[Counted], passages: int) -> None:
        self._layers = layers
        self._passages = passages
        self._known: dict[str, float] | None = None

    def __bool__(self) -> bool:
        return any(layer.containing(OTHER_LANGUAGE) for layer in self._layers)

    def __getitem__(self, language: str) -> float:
        return self._shares[language]

    def __iter__(self) -> Iterator[str]:
        return iter(self._shares)

    def __len__(self) -> int:
        return len(self._shares)

    @property
    def _shares(self) -> dict[str, float]:
        if self._known is None:
            counts = {
                language: sum(layer.containing(key) for layer in self._layers)
                for language, key in LANGUAGE_KEYS.items()
            }
            self._known = {language: count / self._passages for language, count in counts.items() if count}
        return self._known
