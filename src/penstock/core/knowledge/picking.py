"""The best hits of a store that breaks ties as it likes, or lets too much through: more are asked for until they are certain."""

from collections.abc import Callable, Mapping, Sequence

from penstock.core.knowledge.passages import Hit

ROWS_MAX = 16_384  # what the most frugal store gives at once

Metadata = Mapping[str, str]


class Picking:
    """One query. Ask the store for the best `count` rows, and `take` them, until nothing more is wanted.

    Equal scores come by id, so all rows with the score of the last hit must have been seen.
    """

    def __init__(self, limit: int, accepts: Callable[[Metadata], bool] | None = None) -> None:
        self._limit = limit
        self._accepts = accepts
        self.count = min(limit + 1, ROWS_MAX)
        self.hits: list[Hit] = []

    def take(self, rows: Sequence[tuple[Hit, Metadata]]) -> bool:
        """Take the best `count` rows, best first; whether that is enough. Otherwise `count` has grown."""
        accepts = self._accepts
        kept = [hit for hit, metadata in rows if accepts is None or accepts(metadata)]
        self.hits = sorted(kept, key=lambda hit: (-hit.score, hit.id))[: self._limit]
        if len(rows) < self.count or self.count == ROWS_MAX:
            return True
        if len(self.hits) == self._limit and rows[-1][0].score < self.hits[-1].score:
            return True
        self.count = min(self.count * 4, ROWS_MAX)
        return False
