"""How knowledge changes: events, from which an index can be built again at any time.

The form is that of S0: event_id, timestamp, agent_id, action, payload, metadata, embedding. What it is about is apart from the
event's own identity:

- `passage_id`: exactly this passage; its text is indexed as it is.
- else a document, whose passages are cut from the payload: `document_id`, or `metadata["document_id"]`, or, for one that says
  neither, what is derived of it (`derived_id`). An UPDATE or DELETE must say which.
- CREATE and UPDATE both put: who delivers at least once cannot know whether it is the first time. DELETE of what is not there is
  done with.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Literal, Protocol, Self

from penstock.core.events.event import Event
from penstock.errors import Finding, Invalid

Action = Literal["CREATE", "UPDATE", "DELETE"]
DOCUMENT, COLLECTION, EXPIRES = "document_id", "collection", "expires_at"  # in the metadata
SUBJECT = "subject"  # in the metadata: whom it is about; empty: nobody
ID_CHARS_MAX = 1024
NUMBER_MAX = 3.4028234e38  # of a vector
EXPIRES_MS_MAX = 253_402_300_799_000  # the end of the year 9999
EXPIRES_DIGITS_MAX = 20  # zeros at the head included
TIMESTAMP_MAX = 2**63 - 1  # a long, in Avro


def subject_named(event: Any) -> str | None:
    """Return whom an event's metadata says that it is about; None when it says nothing."""
    return event.metadata.get(SUBJECT)


class KnowledgeEvent(Event, topic="knowledge-events", key="agent_id", subject=subject_named):
    """A passage or a document was created, updated or deleted by an agent.

    `embedding` may carry the vector of the payload (as many numbers as the collection's embedder has dimensions): then it is
    not cut. `expires_ms`: from when it is not found any more; of a DELETE: only what had expired by then is removed.
    """

    agent_id: str
    action: Action
    payload: str = ""
    metadata: dict[str, str] = {}
    embedding: list[float] | None = None
    event_id: str = ""
    timestamp: int = 0
    collection: str = ""  # empty: the one in the metadata, or the app's only one
    passage_id: str = ""
    document_id: str = ""
    expires_ms: int = 0

    def inheriting_(self, subject: str) -> Self:
        """Return the event with its subject among its metadata, so that the passages say it too."""
        return self.model_copy(update={"metadata": {**self.metadata, SUBJECT: subject}})


def collection_of(event: KnowledgeEvent) -> str:
    """Return the collection that an event names; empty when it names none."""
    return event.collection or event.metadata.get(COLLECTION, "")


def document_of(event: KnowledgeEvent) -> str:
    """Return the document that an event is about; `Invalid` when it does not say which, and must."""
    named = event.document_id or event.metadata.get(DOCUMENT, "")
    if named:
        if len(named) > ID_CHARS_MAX:
            raise Invalid(
                "the knowledge event", (Finding(DOCUMENT, f"has {len(named)} characters", f"{ID_CHARS_MAX} at most"),)
            )
        return named
    if event.action == "CREATE":
        return derived_id(event)
    hint = 'give metadata {"document_id": "..."}: an event id tells events apart, not documents'
    raise Invalid("the knowledge event", (Finding(DOCUMENT, f"is not given, and this is a {event.action}", hint),))


class Unnamed(Protocol):
    """What a document was created by, that has no id."""

    @property
    def event_id(self) -> str: ...
    @property
    def agent_id(self) -> str: ...
    @property
    def payload(self) -> str: ...


def derived_id(event: Unnamed) -> str:
    """Return the id of a document that was created without one: its event's, or a hash of who says what."""
    if event.event_id:
        return event.event_id
    return blake2b(f"{event.agent_id}\0{event.payload}".encode(errors="surrogatepass"), digest_size=16).hexdigest()


def expiry_of(event: KnowledgeEvent) -> int:
    """Return from when what an event puts is not found any more, in ms since 1970; 0: never. `Invalid` for what is no time."""
    given = event.metadata.get(EXPIRES, "")
    expires = str(event.expires_ms) if event.expires_ms or not given else given
    if not expires.isdecimal() or len(expires) > EXPIRES_DIGITS_MAX or int(expires) > EXPIRES_MS_MAX:
        raise Invalid("the knowledge event", (Finding(EXPIRES, f"is {expires[:80]!r}", "milliseconds since 1970"),))
    return int(expires)


def wrong_with(event: KnowledgeEvent) -> list[Finding]:
    """Return what the indexer could only give up on, for who is asked to accept it."""
    findings: list[Finding] = []
    if event.action != "DELETE":
        try:
            expiry_of(event)
        except Invalid as error:
            findings += error.findings
    if not -TIMESTAMP_MAX <= event.timestamp <= TIMESTAMP_MAX:
        findings.append(Finding("timestamp", f"is {event.timestamp!r:.40}", "milliseconds since 1970"))
    # Not `>`: what is no number at all is greater than nothing.
    if event.embedding is not None and not all(abs(each) <= NUMBER_MAX for each in event.embedding):
        findings.append(Finding("embedding", "holds numbers that no 32 bits can hold", "embed the payload again"))
    return findings


def require_right(events: Sequence[KnowledgeEvent]) -> None:
    """Raise `Invalid` with all that is wrong with events (`wrong_with`), each by its number where there are several."""
    findings = [
        Finding(f"[{number}].{each.path}" if len(events) > 1 else each.path, each.problem, each.hint)
        for number, event in enumerate(events)
        for each in wrong_with(event)
    ]
    if findings:
        raise Invalid("the knowledge events" if len(events) > 1 else "the knowledge event", tuple(findings))


def read_event(plain: Any) -> KnowledgeEvent:
    """Return the event in plain data, in S0's form or ours; `Invalid` with all findings."""
    return KnowledgeEvent.checked(plain)


S0_FIELDS = ("event_id", "timestamp", "agent_id", "action", "payload", "metadata", "embedding")


def s0_form(event: KnowledgeEvent, event_id: str, at_ms: int) -> dict[str, Any]:
    """Return an event in the form of S0 exactly: what else it says stands in its metadata."""
    said = {COLLECTION: event.collection, DOCUMENT: event.document_id, "passage_id": event.passage_id}
    metadata = {**event.metadata, **{name: value for name, value in said.items() if value}}
    if event.expires_ms:
        metadata[EXPIRES] = str(event.expires_ms)
    return {
        "event_id": event.event_id or event_id,
        "timestamp": event.timestamp or at_ms,
        "agent_id": event.agent_id,
        "action": event.action,
        "payload": event.payload,
        "metadata": metadata,
        "embedding": event.embedding,
    }


AVRO: dict[str, Any] = {
    "type": "record",
    "name": "KnowledgeEvent",
    "namespace": "penstock",
    "fields": [
        {"name": "event_id", "type": "string"},
        {"name": "timestamp", "type": "long"},
        {"name": "agent_id", "type": "string"},
        {"name": "action", "type": {"type": "enum", "name": "Action", "symbols": ["CREATE", "UPDATE", "DELETE"]}},
        {"name": "payload", "type": "string"},
        {"name": "metadata", "type": {"type": "map", "values": "string"}},
        {"name": "embedding", "type": ["null", {"type": "array", "items": "float"}], "default": None},
    ],
}
JSON_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "KnowledgeEvent",
    "type": "object",
    "properties": {
        "event_id": {"type": "string"},
        "timestamp": {"type": "integer"},
        "agent_id": {"type": "string"},
        "action": {"enum": ["CREATE", "UPDATE", "DELETE"]},
        "payload": {"type": "string"},
        "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
        "embedding": {"anyOf": [{"type": "null"}, {"type": "array", "items": {"type": "number"}}], "default": None},
    },
    "required": list(S0_FIELDS[:-1]),
    "additionalProperties": False,
}
