"""The agent that keeps the indexes: it takes knowledge events in batches, embeds their texts, and writes.

Where the index lies in the state store, its writes are part of the same commit as the progress (C3): a passage is indexed
exactly if its event is done with. Elsewhere they come first, and are idempotent.
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack

from penstock.core.agents.declaration import Agent, Options, declare
from penstock.core.agents.policy import Retry
from penstock.core.knowledge.events import KnowledgeEvent
from penstock.core.knowledge.passages import Delete, IndexWrite, Passage, Space, Upsert
from penstock.errors import Finding, Invalid
from penstock.runtime.context import Context
from penstock.runtime.generations import Built

NAME = "indexer"
BATCH = 256


def indexer() -> Agent:
    """Return the agent that indexes into the collections of an app."""
    return declare(index, NAME, Options(retry=Retry(attempts_max=8), batch=BATCH, timeout_s=600))


async def index(events: list[KnowledgeEvent], ctx: Context) -> None:
    """Bring the collections to where the events say."""
    by_collection: dict[str, list[KnowledgeEvent]] = {}
    for event in events:
        by_collection.setdefault(event.collection, []).append(event)
    async with AsyncExitStack() as gates:  # nobody changes which generation serves until this handling has ended
        for name, changes in sorted(by_collection.items()):
            into = ctx.collection(name)
            await gates.enter_async_context(into.generations.inside(ctx.events[-1].position.offset))
            writes = await written(changes, into.generations.space(ctx.tenant), into.generations.writing)
            if into.index.in_store:
                ctx.index.extend(writes)
            else:
                await into.apply(writes)


def embedder_of(collection: str) -> str:
    """Return the name of the value under which versions before 0.2 kept which embedder a collection was indexed with."""
    return f"embedder of {collection}"


async def written(events: Sequence[KnowledgeEvent], space: Space, into: Built) -> list[IndexWrite]:
    """Return what events of one tenant come to in the index: the last one of a passage decides."""
    changes = list({event.passage_id: event for event in events}.values())
    given = into.record.model == into.given_model  # vectors that came with events are of that model
    texts = [each.payload for each in changes if each.action != "DELETE" and not (given and each.embedding is not None)]
    vectors = iter(await into.embedder.embed(texts, purpose="passage")) if texts else iter(())
    writes: list[IndexWrite] = []
    for each in changes:
        if each.action == "DELETE":
            writes.append(Delete(space, each.passage_id))
            continue
        own = each.embedding if given else None
        vector = next(vectors).tobytes() if own is None else _given(own, into.embedder.dims)
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
