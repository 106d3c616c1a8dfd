"""The agent that keeps the indexes: it takes knowledge events in batches, embeds their texts, and writes.

Where the index lies in the state store, its writes are part of the same commit as the progress (C3): a passage is indexed
exactly if its event is done with. Elsewhere they come first, and are idempotent.
"""

from penstock.core.agents.declaration import Agent, Options, declare
from penstock.core.agents.policy import Retry
from penstock.core.knowledge.events import KnowledgeEvent
from penstock.core.knowledge.passages import Delete, IndexWrite, Passage, Space, Upsert
from penstock.errors import Finding, Invalid, Refused
from penstock.runtime.collection import Collection
from penstock.runtime.context import Context

NAME = "indexer"
BATCH = 256
CHANGED_EMBEDDER = "use that embedder, or another store and index again"


def indexer() -> Agent:
    """Return the agent that indexes into the collections of an app."""
    return declare(index, NAME, Options(retry=Retry(attempts_max=8), batch=BATCH, timeout_s=600))


async def index(events: list[KnowledgeEvent], ctx: Context) -> None:
    """Bring the collections to where the events say."""
    by_collection: dict[str, dict[str, KnowledgeEvent]] = {}
    for event in events:  # the last event of a passage decides
        by_collection.setdefault(event.collection, {})[event.passage_id] = event
    for name, changes in by_collection.items():
        into = ctx.collection(name)
        await _require_one_embedder(into, ctx)
        writes = await _writes(into, list(changes.values()), ctx)
        if into.index.in_store:
            ctx.index.extend(writes)
        else:
            await into.apply(writes)


def embedder_of(collection: str) -> str:
    """Return the name of the value under which the indexer keeps which embedder a collection was indexed with."""
    return f"embedder of {collection}"


async def _require_one_embedder(into: Collection, ctx: Context) -> None:
    """Vectors of two embedders cannot be compared: the first one that indexes into a collection stays."""
    mine, first = into.embedder.name, await ctx.values.get(embedder_of(into.name))
    if first is None:
        await ctx.values.set(embedder_of(into.name), mine)
    elif first != mine:
        raise Refused(f"{into.name!r} was indexed with {first}, and {mine} gives other vectors", CHANGED_EMBEDDER)


async def _writes(into: Collection, changes: list[KnowledgeEvent], ctx: Context) -> list[IndexWrite]:
    space = Space(into.name, ctx.tenant)
    texts = [each.payload for each in changes if each.action != "DELETE" and each.embedding is None]
    vectors = iter(await into.embedder.embed(texts, purpose="passage")) if texts else iter(())
    writes: list[IndexWrite] = []
    for each in changes:
        if each.action == "DELETE":
            writes.append(Delete(space, each.passage_id))
            continue
        vector = next(vectors).tobytes() if each.embedding is None else _given(each.embedding, into.embedder.dims)
        writes.append(Upsert(space, Passage(each.passage_id, each.payload, each.metadata), vector))
    return writes


def _given(embedding: list[float], dims: int) -> bytes:
    """Return a vector that came with its event, at length 1; `Invalid` when it is of another size."""
    import numpy as np

    if len(embedding) != dims:
        finding = Finding("embedding", f"has {len(embedding)} numbers, the collection's embedder gives {dims}")
        raise Invalid("the knowledge event", (finding,))
    vector = np.asarray(embedding, np.float32)
    length = float(np.linalg.norm(vector))
    return (vector / length if length > 0 else vector).tobytes()
