"""What was found is put into a better order by a finer model, as far as that has come: it holds no write up, and no search long.

The finer model's vectors are those of a generation that follows the log in the background (`refines`). A passage is searchable at
once by the first vectors; as soon as it has a finer one, that counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from penstock.core.knowledge.fusion import best
from penstock.core.knowledge.passages import Hit, Space
from penstock.core.knowledge.refining import mixed
from penstock.errors import Unavailable
from penstock.ports.vectors import VectorIndex

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from penstock.runtime.generations import Generations

WITHIN_S = 1.0  # how long a finer model may take for the queries; then it goes on without


class Readable(Protocol):
    """What is searched: where the vectors are, and where passages are read."""

    @property
    def vectors(self) -> VectorIndex: ...
    @property
    def reads(self) -> VectorIndex: ...


class Finer(Struct, frozen=True):
    """The finer model's view of some queries. `checked`: some of its passages may be older than those that are searched."""

    space: Space
    queries: NDArray[np.float32]
    checked: bool


async def finer_of(generations: Generations, tenant: str, texts: Sequence[str]) -> tuple[Finer | None, str]:
    """Return the finer model's view, and why there is none where there should be one."""
    record = generations.catalogue.refining
    if record is None:
        return None, ""
    if record.number not in generations.embedders:
        return None, f"not refined: {generations.unopened[record.number]}"
    embedder = generations.embedders[record.number]
    try:
        async with asyncio.timeout(WITHIN_S):
            queries = await embedder.embed(texts, purpose="query")
    except Unavailable as error:
        return None, f"not refined: {error}"
    except TimeoutError:
        return None, f"not refined: {record.embedder} took longer than {WITHIN_S:g} s"
    space = Space(generations.name, tenant, record.number)
    return Finer(space, queries, generations.is_behind(record.number)), ""


async def cosines_of(
    index: Readable, finer: Finer, ids: Sequence[Sequence[str]], found_in: Space
) -> Sequence[Mapping[str, float]]:
    """Return what the finer model says of each query's candidates: id -> cosine, of those that it knows as they are."""
    cosines = await index.vectors.cosines(finer.space, finer.queries, ids)
    if not finer.checked:
        return cosines
    wanted = list({each for some in cosines for each in some})
    now, then = await index.reads.passages(found_in, wanted), await index.reads.passages(finer.space, wanted)
    same = {each for each in wanted if each in now and each in then and now[each].text == then[each].text}
    return [{each: cosine for each, cosine in some.items() if each in same} for some in cosines]


async def refined_nearest(
    index: Readable, finer: Finer, hits: Sequence[Sequence[Hit]], found_in: Space
) -> list[list[Hit]]:
    """Put what vectors found into the finer model's order; scores stay on the scale of the first vectors."""
    first = [{hit.id: hit.score for hit in each} for each in hits]
    theirs_of = await cosines_of(index, finer, [list(each) for each in first], found_in)
    return [best(mine | mixed(mine, theirs), len(mine)) for mine, theirs in zip(first, theirs_of, strict=True)]


def by_score(cosines: Mapping[str, float]) -> list[Hit]:
    """Return what a model says of candidates as a list of hits, best first."""
    return best(cosines, len(cosines))
