"""What events of one tenant come to: which documents and passages are to be what, and which of that is new.

The last event about a document or a passage decides; one that removes what has expired leaves alone what has not.
"""

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from penstock.core.knowledge.chunking import Document
from penstock.core.knowledge.documents import Chunking, document_passages, prefix_of, root_of
from penstock.core.knowledge.events import EXPIRES, KnowledgeEvent, document_of, expiry_of
from penstock.core.knowledge.passages import Passage


class Wanted(Struct, frozen=True):
    """What one document or passage is to be: its passages, or none. `vector` came with the event."""

    passages: tuple[Passage, ...] = ()
    vector: tuple[float, ...] | None = None
    expires_ms: int = 0
    if_expired_ms: int = 0  # of a removal: only what had expired by then


class Wishes(Struct, frozen=True):
    """By document, and by passage for events about single ones; in the order of the last event about each."""

    documents: dict[str, Wanted]
    passages: dict[str, Wanted]


Cut = Callable[[Document], list[Passage]]


def wishes_of(events: Sequence[KnowledgeEvent], chunking: Chunking, *, given: bool) -> Wishes:
    """Return what events want. `given`: vectors that came with them count. `Invalid` and `LimitReached` for what cannot be."""
    documents: dict[str, KnowledgeEvent] = {}
    passages: dict[str, KnowledgeEvent] = {}
    for event in events:
        if event.passage_id:
            _put(passages, event.passage_id, event)
        else:
            document = document_of(event)
            for each in [each for each in passages if _is_of(each, document)] if passages else ():
                del passages[each]  # what the document becomes decides
            _put(documents, document, event)
    return Wishes(
        {each: _document(each, event, chunking, given=given) for each, event in documents.items()},
        {each: _passage(each, event, given=given) for each, event in passages.items()},
    )


def _is_of(passage: str, document: str) -> bool:
    return passage == root_of(document) or passage.startswith(prefix_of(document))


def _put(taken: dict[str, KnowledgeEvent], id: str, event: KnowledgeEvent) -> None:
    before = taken.get(id)
    is_late = event.action == "DELETE" and event.expires_ms and before is not None
    if is_late and before is not None and before.action != "DELETE" and not 0 < expiry_of(before) <= event.expires_ms:
        return  # what is to be there now has not expired by then
    taken.pop(id, None)
    taken[id] = event


def _document(id: str, event: KnowledgeEvent, chunking: Chunking, *, given: bool) -> Wanted:
    if event.action == "DELETE":
        return Wanted(if_expired_ms=event.expires_ms)
    expires_ms, vector = expiry_of(event), _vector(event, given=given)
    metadata = _metadata(event, expires_ms)
    if event.embedding is not None:
        return Wanted((Passage(root_of(id), event.payload, metadata),), vector, expires_ms)
    cut = document_passages(Document(id, metadata.get("title", ""), event.payload, metadata), chunking)
    return Wanted(tuple(cut), None, expires_ms)


def _passage(id: str, event: KnowledgeEvent, *, given: bool) -> Wanted:
    if event.action == "DELETE":
        return Wanted(if_expired_ms=event.expires_ms)
    expires_ms = expiry_of(event)
    passage = Passage(id, event.payload, _metadata(event, expires_ms))
    return Wanted((passage,), _vector(event, given=given), expires_ms)


def _metadata(event: KnowledgeEvent, expires_ms: int) -> dict[str, str]:
    return {**event.metadata, EXPIRES: str(expires_ms)} if expires_ms else event.metadata


def _vector(event: KnowledgeEvent, *, given: bool) -> tuple[float, ...] | None:
    return tuple(event.embedding) if given and event.embedding is not None else None


def has_expired(metadata: Mapping[str, str], now_ms: int) -> bool:
    """Whether a passage is not to be found any more at a time."""
    said = metadata.get(EXPIRES)
    return said is not None and said.isdecimal() and int(said) <= now_ms
