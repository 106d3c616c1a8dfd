"""Two generations asked the same questions: how much of what they find is the same, and which is better where people judged."""

from collections.abc import Mapping, Sequence
from math import fsum

from msgspec import Struct

from penstock.core.knowledge.judging import Figures, is_telling, judged_ranking, mean
from penstock.errors import Finding, Invalid, LimitReached
from penstock.runtime.collection import Collection, Found, Mode, Search

QUERIES_MAX = 10_000
EXAMPLES_MAX = 5


class Differing(Struct, frozen=True):
    """A question to which two generations give different answers."""

    query: str
    overlap: float
    before: list[str]
    after: list[str]


class Comparison(Struct):
    """`overlap`: the share of the best passages that both find, in the mean. `first`: the share of questions with the same best.

    `before`, `after`: by people's judgements, where there are some.
    """

    before_generation: int
    after_generation: int
    queries: int
    limit: int
    overlap: float
    first: float
    examples: list[Differing]
    judged: int = 0
    before: Figures | None = None
    after: Figures | None = None


class Question(Struct, frozen=True):
    """What is asked, and how relevant passages are to it, where people said so (id -> grade)."""

    text: str
    grades: Mapping[str, float] = {}


async def compared(
    collection: Collection, after: int, questions: Sequence[Question], *, tenant: str, limit: int, mode: Mode
) -> Comparison:
    """Ask the generation that serves, and another one."""
    if not questions:
        hint = "give some, or search the collection first: the last questions of this process are kept in memory"
        raise Invalid("the comparison", (Finding("queries", "there are none", hint),))
    if len(questions) > QUERIES_MAX:
        raise LimitReached("the number of queries", len(questions), QUERIES_MAX)
    before = collection.generations.searching.number
    depth = max(limit, 100) if any(is_telling(each.grades) for each in questions) else limit
    pairs: list[tuple[Question, list[str], list[str]]] = []
    for each in questions:
        one, other = [
            await collection.search(Search(each.text, depth, mode, generation=number), tenant)
            for number in (before, after)
        ]
        pairs.append((each, _ids(one), _ids(other)))
    differing = sorted(
        (
            Differing(each.text, _overlap(one[:limit], other[:limit]), one[:limit], other[:limit])
            for each, one, other in pairs
        ),
        key=lambda each: each.overlap,
    )
    count = len(pairs)
    comparison = Comparison(
        before,
        after,
        count,
        limit,
        overlap=fsum(each.overlap for each in differing) / count,
        first=sum(one[:1] == other[:1] for _, one, other in pairs) / count,
        examples=[each for each in differing if each.overlap < 1][:EXAMPLES_MAX],
    )
    telling = [each for each in pairs if is_telling(each[0].grades)]
    if telling:
        comparison.judged = len(telling)
        comparison.before = mean([judged_ranking(one, each.grades) for each, one, _ in telling])
        comparison.after = mean([judged_ranking(other, each.grades) for each, _, other in telling])
    return comparison


def _ids(found: Sequence[Found]) -> list[str]:
    return [each.id for each in found]


def _overlap(one: Sequence[str], other: Sequence[str]) -> float:
    """Return the share of the longer list that is in both; 1 where both are empty."""
    return len(set(one) & set(other)) / max(len(one), len(other)) if one or other else 1.0
