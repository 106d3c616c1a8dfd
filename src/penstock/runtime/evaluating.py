"""How well and how fast a running collection finds, measured on queries that people judged."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from statistics import quantiles
from typing import Any, NamedTuple, Protocol

from msgspec import Struct

from penstock.core.knowledge.judging import DEPTH, Figures, Judged, judged_ranking, mean
from penstock.core.knowledge.passages import Passage
from penstock.errors import Refused, Unavailable
from penstock.ports.clock import Clock
from penstock.runtime.collection import Found
from penstock.runtime.knowledge import QUERY_CHARS_MAX, OpenKnowledge
from penstock.runtime.search_options import Mode


class Way(NamedTuple):
    """A way of searching."""

    mode: Mode
    refine: bool = False


WAYS = {"words": Way("words"), "vectors": Way("vectors"), "hybrid": Way("hybrid")}
REFINED = {"refined": Way("hybrid", refine=True)}  # where a finer model follows
BATCH = 512
TOGETHER = 32
REFINED_TOGETHER = 4  # a finer model takes its time for each
TRIES_MAX = 20
TIMED_MAX = 200
TIMED_LIMIT = 10


class Searchable(Protocol):
    """What is measured: a collection that takes passages and finds them."""

    async def search(self, text: str, *, limit: int, mode: Mode, refine: bool) -> list[Found]: ...

    async def put(self, passages: Sequence[Passage]) -> object: ...

    async def indexed(self) -> None: ...


class Measured(Struct, frozen=True):
    """What one way of searching came to. Times are those of one search at a time, for 10 passages."""

    figures: Figures
    queries: int
    p50_ms: float
    p99_ms: float
    # nDCG@10 by query, for whoever looks at where it fails.
    ndcg_of: Mapping[str, float]


async def fill(into: Searchable, judged: Judged, *, advance: Callable[[int], None]) -> None:
    """Index the documents, each as one passage, and return when all of them can be found."""
    for start in range(0, len(judged.documents), BATCH):
        batch = judged.documents[start : start + BATCH]
        await into.put([Passage(each.id, each.body, {"title": each.title} if each.title else {}) for each in batch])
        await into.indexed()
        advance(len(batch))


async def measured(
    found_in: Searchable,
    judged: Judged,
    clock: Clock,
    *,
    advance: Callable[[int], None],
    ways: Mapping[str, Way] = WAYS,
) -> dict[str, Measured]:
    """Ask all judged queries in each way, and some of them again, one by one, for the time a search takes."""
    return {name: await _measured(found_in, judged, way, clock, advance) for name, way in ways.items()}


async def measured_by_use(
    knowledge: OpenKnowledge, clock: Clock, *, queries_max: int, began: Callable[[int], Callable[[int], None]]
) -> dict[str, Measured]:
    """Ask again what was asked in real use, in each way, and judge by what the answers used; `Refused` where nobody said so.

    `began` is told how many searches there will be, and returns what hears of each step.
    """
    judged = await knowledge.judged_by_use(queries_max=queries_max)
    if not judged.asked:
        hint = "say it with `used(query, passages)` in a handler, or POST /v1/knowledge/NAME/used"
        raise Refused("nobody said which passages an answer used", hint)
    refines = any(each.generation.refines for each in await knowledge.generations.list())
    ways = {**WAYS, **REFINED} if refines else WAYS
    return await measured(knowledge, judged, clock, advance=began(len(judged.asked) * len(ways)), ways=ways)


def figures_of(found: Mapping[str, Measured], *, per_query: bool = False) -> dict[str, dict[str, Any]]:
    """Return what was measured as it is shown everywhere, by way of searching."""
    return {
        name: {
            "ndcg@10": each.figures.ndcg,
            "recall@100": each.figures.recall,
            "mrr": each.figures.mrr,
            "p50_ms": each.p50_ms,
            "p99_ms": each.p99_ms,
            "queries": each.queries,
            **({"ndcg@10_of": each.ndcg_of} if per_query else {}),
        }
        for name, each in found.items()
    }


async def _measured(
    found_in: Searchable, judged: Judged, way: Way, clock: Clock, advance: Callable[[int], None]
) -> Measured:
    asked = judged.asked
    ids, texts = list(asked), [text[:QUERY_CHARS_MAX] for text in asked.values()]
    figures: dict[str, Figures] = {}
    together = REFINED_TOGETHER if way.refine else TOGETHER
    for start in range(0, len(ids), together):
        batch = slice(start, start + together)
        rankings = await asyncio.gather(*(_ranked(found_in, text, way) for text in texts[batch]))
        for query, ranking in zip(ids[batch], rankings, strict=True):
            figures[query] = judged_ranking([each.id for each in ranking], judged.relevant[query])
        advance(len(rankings))
    taken_ms = sorted([await _taken_ms(found_in, text, way, clock) for text in texts[:TIMED_MAX]])
    return Measured(
        mean(list(figures.values())),
        len(ids),
        _share(taken_ms, 50),
        _share(taken_ms, 99),
        {query: each.ndcg for query, each in figures.items()},
    )


async def _ranked(found_in: Searchable, text: str, way: Way) -> list[Found]:
    """Search as is wanted: where the finer model was late, ask again, for what it is and not how busy the machine is."""
    problem = ""
    for _ in range(TRIES_MAX):
        found = await found_in.search(text, limit=DEPTH, **way._asdict())
        problem = found[0].degraded if found else ""
        if not problem:
            return found
    raise Unavailable("the embedder", "evaluate", problem)


async def _taken_ms(found_in: Searchable, text: str, way: Way, clock: Clock) -> float:
    begun_s = clock.monotonic_s()
    # With a blank more it is another text to the cache of embeddings, which has the one that was asked.
    await found_in.search(f"{text[: QUERY_CHARS_MAX - 1]} ", limit=TIMED_LIMIT, **way._asdict())
    return (clock.monotonic_s() - begun_s) * 1000


def _share(values: Sequence[float], percent: int) -> float:
    if len(values) == 1:
        return values[0]
    return quantiles(values, n=100, method="inclusive")[percent - 1]
