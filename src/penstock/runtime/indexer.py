"""The agent that keeps the indexes: it takes knowledge events in batches, embeds what is new of them, and writes.

- Where the index lies in the state store, its writes are part of the same commit as the progress (C3): a passage is indexed
  exactly if its event is done with. Elsewhere they come first, and are idempotent.
- Of a document only passages that are other than those in the index are embedded and written; those that are gone are removed.
- What is redriven is appended anew, and indexed where it then stands: whatever an index has, its log says in the same order, so
  rebuilds, past states and comparisons see it.
- A batch with a poisonous event is taken apart, and only that event goes to the dead letters (C6).
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from hashlib import blake2b

from penstock.core.agents.declaration import Agent, Options, declare
from penstock.core.agents.policy import Retry
from penstock.core.knowledge.events import KnowledgeEvent, collection_of
from penstock.core.knowledge.passages import Space
from penstock.errors import PenstockError, Refused
from penstock.runtime.collection import Collection
from penstock.runtime.context import Context
from penstock.runtime.index_writes import written
from penstock.runtime.indexing import Changed

NAME = "indexer"
TOPIC = KnowledgeEvent.topic_
BATCH = 256
APART = "the events of a batch are then handled one by one"
# An embedder that does not answer is waited for: some three hours. What raises anything else is soon given up on.
RETRY = Retry(attempts_max=200, delay_max_s=60)
POISON_ATTEMPTS = 4


def indexer() -> Agent:
    """Return the agent that indexes into the collections of an app."""
    return declare(index, NAME, Options(retry=RETRY, batch=BATCH, timeout_s=600))


async def index(events: list[KnowledgeEvent], ctx: Context) -> None:
    """Bring the collections to where the events say."""
    if ctx.events[0].position.topic != TOPIC:
        for event in events:  # done again, or another in its place: it gets its place in the log of knowledge
            ctx.emit(event)
        return
    by_collection: dict[str, list[KnowledgeEvent]] = {}
    for event in events:
        by_collection.setdefault(collection_of(event), []).append(event)
    async with AsyncExitStack() as gates:  # nobody changes which generation serves until this handling has ended
        for name, changes in sorted(by_collection.items()):
            into = ctx.collection(name)
            await gates.enter_async_context(into.generations.inside(ctx.events[-1].position))
            changed = await _changed(changes, into, ctx)
            if into.index.in_store:
                ctx.index.extend(changed.writes)
            else:
                await into.apply(changed.writes)
            into.indexing.count(events=len(changes), changed=changed, now_s=ctx.now_ms() / 1000)
            _let_expire(into, changed, events[0].agent_id, ctx)


async def _changed(events: Sequence[KnowledgeEvent], into: Collection, ctx: Context) -> Changed:
    space: Space = into.generations.space(ctx.tenant)
    try:
        return await written(events, space, into.generations.writing, into)
    except PenstockError:
        raise
    except Exception as error:
        if len(ctx.events) == 1 and ctx.attempt < POISON_ATTEMPTS:
            raise
        # Whatever an embedder raises at one text is not tried again with all the others.
        raise Refused(f"{type(error).__name__}: {error}"[:500], APART) from error


def embedder_of(collection: str) -> str:
    """Return the name of the value under which versions before 0.2 kept which embedder a collection was indexed with."""
    return f"embedder of {collection}"


def _let_expire(into: Collection, changed: Changed, agent: str, ctx: Context) -> None:
    """Have what expires be removed then: by an event, so that the log says it too. One timer for each document or passage."""
    for document, passage, expires_ms in changed.expiring:
        event = KnowledgeEvent(
            agent_id=agent or NAME,
            action="DELETE",
            collection=into.name,
            document_id=document,
            passage_id=passage,
            expires_ms=expires_ms,
        )
        about = blake2b(f"{into.name}\0{document}\0{passage}".encode(errors="replace"), digest_size=16).hexdigest()
        ctx.emit(event, at=datetime.fromtimestamp(expires_ms / 1000, UTC), timer=f"expiry {about}")
