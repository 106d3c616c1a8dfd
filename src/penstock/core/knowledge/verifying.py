"""What a comparison of an index with its log comes to."""

from typing import Literal

from msgspec import Struct

EXAMPLES_MAX = 20

# "missing": the log has it, the index does not. "extra": the index has it, the log does not (any more). "stale": its text or
# metadata are not those of the log. "damaged": its vector or its words are not those of its text.
Kind = Literal["missing", "extra", "stale", "damaged"]


class Difference(Struct, frozen=True, order=True):
    """One passage that is not what the log says."""

    tenant: str
    id: str
    kind: Kind


class Verified(Struct):
    """What was compared, and what differed. `deep`: passages whose text, vector and words were looked at."""

    collection: str
    generation: int
    through: int | str  # the last event that counted; of each partition where there are several
    passages: int = 0  # that the log says there are
    deep: int = 0
    missing: int = 0
    extra: int = 0
    stale: int = 0
    damaged: int = 0
    moving: int = 0  # passages that were changed meanwhile, and are not compared
    repaired: int = 0
    examples: list[Difference] = []

    @property
    def is_equal(self) -> bool:
        return not (self.missing or self.extra or self.stale or self.damaged)

    def count(self, found: list[Difference]) -> None:
        """Count differences, and keep some of them to show."""
        for each in sorted(found):
            setattr(self, each.kind, getattr(self, each.kind) + 1)
        self.examples = sorted(found)[:EXAMPLES_MAX]
