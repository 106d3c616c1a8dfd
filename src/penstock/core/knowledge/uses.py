"""What passages were used for: events, what they come to, and how much that lifts a passage in a search.

A use counts 1, and half of that after `HALF_LIFE_MS`; one that did not help counts -1. What they come to is the same in whatever
order they come, and follows from the log alone.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from penstock.core.events.event import Event

HALF_LIFE_MS = 30 * 24 * 3600 * 1000
ENOUGH = 3.0  # so much use lifts by half of what is possible
PASSAGES_MAX = 10_000  # of a tenant and collection, whose use is known: the least used ones are forgotten
USED_MAX = 100  # of one event
TOPIC = "knowledge-used"
USES = "knowledge-uses"  # the agent that counts
Verdict = Literal["used", "helpful", "unhelpful"]


class KnowledgeUsed(Event, topic=TOPIC, key="collection"):
    """An answer used passages that a query found: `used`, the most important first, of all that were `shown`."""

    collection: str
    query: str
    used: list[str]
    shown: list[str] = []
    verdict: Verdict = "used"
    agent_id: str = ""


class Use(Struct, frozen=True, array_like=True):
    """How much a passage was used, as of the last use."""

    weight: float
    at_ms: int

    def now(self, now_ms: int) -> float:
        """How much that still is."""
        return self.weight * decay(now_ms - self.at_ms)


def decay(age_ms: int) -> float:
    """What is left of a use after a while."""
    return 0.5 ** (max(0, age_ms) / HALF_LIFE_MS)


def with_use(before: Use | None, verdict: Verdict, at_ms: int) -> Use:
    """Return what one more use comes to."""
    more = -1.0 if verdict == "unhelpful" else 1.0
    if before is None:
        return Use(more, at_ms)
    last = max(before.at_ms, at_ms)
    return Use(before.now(last) + more * decay(last - at_ms), last)


def least_used(uses: Mapping[str, Use]) -> str:
    """The passage whose use is to be forgotten first."""
    now_ms = max(each.at_ms for each in uses.values())
    return min(uses, key=lambda each: (abs(uses[each].now(now_ms)), each))


def lifted(scores: Sequence[float], weights: Sequence[float], boost: float) -> list[float]:
    """Return scores with what use adds: at most `boost` times the distance between the best and the last of them."""
    if not scores:
        return []
    spread = (max(scores) - min(scores)) or 1.0  # of equal ones use alone decides
    return [
        score + boost * spread * weight / (abs(weight) + ENOUGH) for score, weight in zip(scores, weights, strict=True)
    ]
