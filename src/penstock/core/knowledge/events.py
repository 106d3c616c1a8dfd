"""How knowledge changes: one event per passage, so that an index can be built again from the log at any time."""

from typing import Literal

from penstock.core.events.event import Event

Action = Literal["CREATE", "UPDATE", "DELETE"]


class KnowledgeEvent(Event, topic="knowledge-events", key="agent_id"):
    """A passage was created, updated or deleted by an agent. Its id is apart from the event's own.

    `embedding` may carry the vector (as many numbers as the collection's embedder has dimensions); the indexer makes it
    when it is missing.
    """

    collection: str
    passage_id: str
    agent_id: str
    action: Action
    payload: str = ""
    metadata: dict[str, str] = {}
    embedding: list[float] | None = None
