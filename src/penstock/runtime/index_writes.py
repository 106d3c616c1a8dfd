"""From knowledge events to writes of an index: what is new is cut and embedded, what is gone is removed."""

import asyncio
from collections.abc import Mapping, Sequence

from penstock.core.knowledge.changes import Wanted, has_expired, wishes_of
from penstock.core.knowledge.documents import chunking_of
from penstock.core.knowledge.events import KnowledgeEvent
from penstock.core.knowledge.passages import Delete, IndexWrite, Passage, Space, Upsert
from penstock.errors import Finding, Invalid, PenstockError, Refused
from penstock.ports.embedder import Embedder
from penstock.runtime.collection import Collection, Index
from penstock.runtime.generations import Built
from penstock.runtime.indexing import Changed

TEXTS_AT_ONCE = 1024  # that an embedder gets in one call
LONG_CHARS = 100_000  # of all texts together, from where on they are cut beside the event loop


async def written(events: Sequence[KnowledgeEvent], space: Space, built: Built, into: Collection) -> Changed:
    """Return what events of one tenant come to in a space, whose earlier writes are durable or about to be."""
    given = built.record.model == built.given_model  # vectors that came with events are of that model
    chunking = chunking_of(built.record.options)
    if sum(len(each.payload) for each in events) > LONG_CHARS:
        wishes = await asyncio.to_thread(wishes_of, events, chunking, given=given)
    else:
        wishes = wishes_of(events, chunking, given=given)
    changed = Changed()
    put: list[tuple[Passage, tuple[float, ...] | None]] = []
    for key, wanted in wishes.passages.items():
        if wanted.passages:
            put.append((wanted.passages[0], wanted.vector))
            if wanted.expires_ms:
                changed.expiring.append(("", key, wanted.expires_ms))
        elif not wanted.if_expired_ms:
            changed.writes.append(Delete(space, key))
    expired = {key: each for key, each in wishes.passages.items() if each.if_expired_ms}
    if wishes.documents or expired:
        await into.durable()  # what was written before is seen when it is committed
    if wishes.documents:
        put += await _documents(wishes.documents, space, into.index, changed)
    if expired:
        found = await into.index.reads.passages(space, list(expired))
        changed.writes += [
            Delete(space, key) for key, each in found.items() if has_expired(each.metadata, expired[key].if_expired_ms)
        ]
    changed.writes += await _upserts(put, space, built.embedder)
    if into.index.checks is not None:
        await into.index.checks.require(changed.writes)
        changed.writes = await into.index.checks.prepared(changed.writes)
    changed.embedded = sum(vector is None for _, vector in put)
    changed.deleted = sum(isinstance(each, Delete) for each in changed.writes)
    return changed


async def read_into(events: Sequence[KnowledgeEvent], space: Space, built: Built, into: Collection) -> Changed:
    """As `written`, for who reads the log again: whatever else an embedder raises is a refusal of these events."""
    try:
        return await written(events, space, built, into)
    except PenstockError:
        raise
    except Exception as error:
        raise Refused(f"{type(error).__name__}: {error}"[:500], "it is left out") from error


async def _documents(
    documents: Mapping[str, Wanted], space: Space, index: Index, changed: Changed
) -> list[tuple[Passage, tuple[float, ...] | None]]:
    """Return the passages of documents that are new or other, and have those removed that are gone."""
    known = await index.documents.parts(space, list(documents))
    put: list[tuple[Passage, tuple[float, ...] | None]] = []
    for document, wanted in documents.items():
        there = known.get(document, {})
        if wanted.if_expired_ms:
            found = await index.reads.passages(space, list(there))
            there = {key: "" for key, each in found.items() if has_expired(each.metadata, wanted.if_expired_ms)}
        for passage in wanted.passages:
            # A vector that came with its event may be another one than before.
            if there.get(passage.id) == passage.digest and wanted.vector is None:
                changed.kept += 1
            else:
                put.append((passage, wanted.vector))
        staying = {each.id for each in wanted.passages}
        changed.writes += [Delete(space, each) for each in there if each not in staying]
        if wanted.expires_ms:
            changed.expiring.append((document, "", wanted.expires_ms))
    return put


async def _upserts(
    put: Sequence[tuple[Passage, tuple[float, ...] | None]], space: Space, embedder: Embedder
) -> list[IndexWrite]:
    texts = [passage.text for passage, vector in put if vector is None]
    made: list[bytes] = []
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        made += await _embedded(texts[start : start + TEXTS_AT_ONCE], embedder)
    vectors = iter(made)
    return [
        Upsert(space, passage, next(vectors) if vector is None else _given(vector, embedder.dims))
        for passage, vector in put
    ]


async def _embedded(texts: list[str], embedder: Embedder) -> list[bytes]:
    import numpy as np

    rows = await embedder.embed(texts, purpose="passage")
    if rows.shape != (len(texts), embedder.dims):
        problem = f"is {' x '.join(map(str, rows.shape))} numbers for {len(texts)} texts"
        hint = f"{embedder.name} says that it gives {embedder.dims} for each"
        raise Invalid("the embedder's answer", (Finding("vector", problem, hint),))
    if not np.isfinite(rows).all():
        # Written, it would end the engine within the commit: here it ends the event that is to blame.
        raise Invalid("the embedder's answer", (Finding("vector", "holds what is not a finite number", embedder.name),))
    return [row.tobytes() for row in rows]


def _given(embedding: Sequence[float], dims: int) -> bytes:
    """Return a vector that came with its event, at length 1; `Invalid` when it is none of this collection."""
    import numpy as np

    if len(embedding) != dims:
        finding = Finding("embedding", f"has {len(embedding)} numbers, the collection's embedder gives {dims}")
        raise Invalid("the knowledge event", (finding,))
    vector = np.asarray(embedding, np.float64)
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length):
        raise Invalid("the knowledge event", (Finding("embedding", "has numbers that are too large"),))
    return (vector / length if length > 0 else vector).astype(np.float32).tobytes()
