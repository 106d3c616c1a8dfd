"""An app that has knowledge and a schema registry registers the schemas of knowledge events by itself, for `DEFAULT_TENANT`.

Both are registered once for each form that they have: their events' ids follow from the documents. A subject that somebody holds
to something else stays as it is, and the log says so.
"""

import json
import logging
from hashlib import blake2b

from penstock.core.events.envelope import DEFAULT_TENANT
from penstock.core.knowledge.events import AVRO, JSON_SCHEMA, KnowledgeEvent
from penstock.core.schemas.events import NAME, SchemaOffered
from penstock.core.schemas.registry import digest_of
from penstock.errors import Invalid, LimitReached
from penstock.runtime.engine import Engine
from penstock.runtime.schemas import Schemas

# As Confluent's clients name the values of a topic; a subject has one kind, so the JSON schema has one of its own.
SUBJECTS = {
    f"{KnowledgeEvent.topic_}-value": ("AVRO", json.dumps(AVRO)),
    f"{KnowledgeEvent.topic_}-json-value": ("JSON", json.dumps(JSON_SCHEMA)),
}
_log = logging.getLogger("penstock.knowledge")


async def register_schemas(engine: Engine) -> None:
    """Have the registry know the schemas of knowledge events, if the app has one, and knowledge."""
    if NAME not in engine.parts.topology.agents or not engine.services.collections:
        return
    schemas = Schemas(engine, DEFAULT_TENANT)
    for subject, (kind, document) in SUBJECTS.items():
        digest = digest_of("JSON" if kind == "JSON" else "AVRO", document)
        if any(each.digest == digest for each in await schemas.versions(subject, missing_ok=True)):
            continue
        if engine.elsewhere is not None:
            # The worker that keeps the registry may begin after this one: it will have it when it does.
            offered = SchemaOffered(subject=subject, kind=kind, document=document)
            about = blake2b(f"{subject}\0{digest}".encode(), digest_size=16).hexdigest()
            await engine.send(offered, id=f"{DEFAULT_TENANT}~schema~{about}", tenant=DEFAULT_TENANT)
            continue
        try:
            await schemas.register(subject, document, kind=kind)
        except (Invalid, LimitReached) as error:
            _log.warning("the schema of knowledge events is not registered: %s", error)
