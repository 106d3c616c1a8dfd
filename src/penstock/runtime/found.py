"""What is looked for in a collection, and what is found."""

from collections.abc import Mapping

from msgspec import Struct

from penstock.core.knowledge.as_of import AsOf
from penstock.core.knowledge.filters import Filter
from penstock.core.knowledge.highlights import Highlights
from penstock.core.knowledge.ordering import Point
from penstock.runtime.search_options import WITHIN_S, Fusion, Mode, Place, cursor_of


class Found(Struct, frozen=True, eq=False):
    """A passage that was found, with its score: higher is better, and comparable within one search only.

    Two are equal when the same was found with the same score, in whatever generation and whenever.
    """

    id: str
    score: float
    text: str
    metadata: Mapping[str, str]
    generation: int = 0  # in which it was found
    as_of: Point = 0  # up to where of the log the collection was seen
    highlights: Highlights | None = None
    degraded: str = ""  # why it was searched in another way than was asked for, if it was

    @property
    def cursor(self) -> str:
        """What a search for the next page goes on after."""
        return cursor_of(self.score, self.id)

    @property
    def source(self) -> str:
        return self.metadata.get("source", self.id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Found) and self._content == other._content

    def __hash__(self) -> int:
        return hash((self.id, self.score))

    @property
    def _content(self) -> tuple[object, ...]:
        return self.id, self.score, self.text, self.metadata


class Search(Struct, frozen=True):
    """What is looked for."""

    text: str
    limit: int = 5
    mode: Mode = "hybrid"
    filter: Filter | None = None
    generation: int | None = None  # None: the one that serves
    as_of: AsOf | None = None  # None: now
    fusion: Fusion = "scores"
    diversity: float = 0.0
    score_min: float | None = None
    page_after: Place | None = None
    is_highlighted: bool = False
    is_refined: bool = True  # by a finer model, where one follows
    boost: float = 0.0
    rerank: int | None = None  # how many; None: as the collection does
    rerank_within_s: float = WITHIN_S
    uses_by_ms: int = 0  # by when uses count; 0: now, or the moment of `as_of`
