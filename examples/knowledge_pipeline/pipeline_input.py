"""What goes into the pipeline: the documentation that the running Python carries, or a folder, as events of S0."""

import json
from pathlib import Path

from penstock.core.knowledge.events import AVRO as _AVRO
from penstock.core.knowledge.events import JSON_SCHEMA as _JSON_SCHEMA
from penstock.errors import Finding
from penstock.reading import documents

QUESTIONS = 200
QUESTIONS_ON_A_STACK = 40  # Milvus Lite takes a tenth of a second for each
AVRO, JSON_SCHEMA = json.dumps(_AVRO), json.dumps(_JSON_SCHEMA)
# A schema that cannot read what was written: it wants a field that no event has.
NARROWER = json.dumps({**_AVRO, "fields": [*_AVRO["fields"], {"name": "colour", "type": "string"}]})


def read_documents(folder: Path | None, limit: int | None, say=lambda _text: None) -> dict[str, str]:
    """Return id -> text of documents: of a folder, or of the modules of Python's library."""
    found, read = {}, documents(folder)
    for number, each in enumerate(read):
        say(f"{number:,} of {read.total:,} documents")
        if not isinstance(each, Finding) and each:
            found[each[0].metadata["document"]] = "\n\n".join(passage.text for passage in each)
        if limit is not None and len(found) == limit:
            break
    return found


def questions_about(texts: dict[str, str], count: int = QUESTIONS) -> list[str]:
    """Return questions, spread over all documents: some words from each."""
    words = [(name, text.split()) for name, text in texts.items()]
    each = max(1, -(-count // len(words)))
    asked = [
        " ".join([name, *own[len(own) * part // (each + 1) :][:7]])[:200] for part in range(each) for name, own in words
    ]
    return asked[:: max(1, len(asked) // count)][:count]


def document_event(document: str, text: str, *, edition: int = 1, action: str = "UPDATE") -> dict:
    """Return an event in the form of S0: which document it is about stands in its metadata, its own id beside it."""
    desk = document.partition("/")[0].partition(".")[0]
    return {
        "event_id": f"{document}@{edition}",
        "timestamp": 1_764_000_000_000 + edition,
        "agent_id": desk,
        "action": "CREATE" if edition == 1 else action,
        "payload": text,
        "metadata": {"document_id": document} | ({"edition": str(edition)} if edition > 1 else {}),
        "embedding": None,
    }
