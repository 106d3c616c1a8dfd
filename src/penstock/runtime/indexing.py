"""What the indexer did for a collection since the start, and how far behind the log it is."""

from dataclasses import dataclass, field

from msgspec import Struct

from penstock.core.knowledge.passages import IndexWrite

WINDOW_S = 10.0


class IndexingStatus(Struct, frozen=True):
    """Figures of one worker. `lag` counts events that wait for the indexer, of all collections and in its partitions."""

    lag: int
    events: int
    embedded: int
    kept: int
    deleted: int
    passages_per_s: float
    cache_hits: int
    cache_misses: int
    by_words: int = 0  # searches that went by words alone, though they asked for vectors too
    vectors_down: str = ""  # why searches go by words alone at present
    searches: int = 0
    search_p50_ms: float = 0.0  # of the last 1,000 searches
    search_p99_ms: float = 0.0


@dataclass(slots=True)
class Changed:
    """What events come to. `expiring`: document or passage (the other is empty), and when."""

    writes: list[IndexWrite] = field(default_factory=list[IndexWrite])
    expiring: list[tuple[str, str, int]] = field(default_factory=list[tuple[str, str, int]])
    embedded: int = 0
    kept: int = 0  # passages of documents that were there as they are
    deleted: int = 0


@dataclass(slots=True)
class Indexing:
    """Counters of one collection."""

    events: int = 0
    embedded: int = 0
    kept: int = 0
    deleted: int = 0
    by_words: int = 0
    _rates: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])

    def count(self, *, events: int, changed: Changed, now_s: float) -> None:
        """Count a batch."""
        self.events += events
        self.embedded += changed.embedded
        self.kept += changed.kept
        self.deleted += changed.deleted
        self._rates.append((now_s, len(changed.writes)))
        while self._rates[0][0] < now_s - WINDOW_S:
            del self._rates[0]

    def passages_per_s(self, now_s: float) -> float:
        """Return how many passages were written a second, of the last ten seconds."""
        recent = [(at_s, count) for at_s, count in self._rates if at_s >= now_s - WINDOW_S]
        if not recent:
            return 0.0
        return round(sum(count for _, count in recent) / max(1.0, now_s - recent[0][0]), 1)
