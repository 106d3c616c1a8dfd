"""What people used as judgements: queries, and how relevant the passages are that their answers used, by the last word on each.

It is said of what was shown: a passage that no search brought up was never judged. So figures compare ways of searching among
each other; they do not say how much there was to be found.
"""

from collections.abc import Sequence

from penstock.core.knowledge.judging import Judged, is_telling
from penstock.core.knowledge.uses import KnowledgeUsed, Verdict

GRADES: dict[Verdict, float] = {"unhelpful": 0.0, "used": 1.0, "helpful": 2.0}
QUERIES_MAX = 10_000


def judged_by_use(said: Sequence[tuple[KnowledgeUsed, int]], *, queries_max: int = QUERIES_MAX) -> Judged:
    """Return the queries that were answered last, each known by its text, and the grades of what was used for them."""
    relevant: dict[str, dict[str, float]] = {}
    for each, _ in sorted(said, key=lambda one: one[1]):
        query = " ".join(each.query.split())
        if query:
            relevant[query] = {**relevant.pop(query, {}), **dict.fromkeys(each.used, GRADES[each.verdict])}
    telling = {query: grades for query, grades in relevant.items() if is_telling(grades)}
    last = list(telling)[-queries_max:] if queries_max else []
    return Judged((), {query: query for query in last}, {query: telling[query] for query in last})
