"""The documents that an app declares for its collections, brought into them when it starts."""

import logging
from collections.abc import Mapping
from pathlib import Path

from penstock.core.knowledge.passages import DEFAULT_TENANT
from penstock.reading import documents
from penstock.runtime.engine import Engine
from penstock.runtime.ingestion import Read, ingest, read_all
from penstock.runtime.knowledge import OpenKnowledge
from penstock.runtime.knowledge_schemas import register_schemas

_log = logging.getLogger("penstock")


def read_documents(places: Mapping[str, Path]) -> dict[str, Read]:
    """Read what lies at each collection's place. It blocks. `Missing` and `Refused` when there is nothing."""
    found = {name: documents(place) for name, place in places.items()}
    return {name: read_all(each, each.total) for name, each in found.items()}


async def load(engine: Engine, reads: Mapping[str, Read]) -> None:
    """Bring each collection to where its documents are, and return when all of it can be found; register its events' schemas."""
    await register_schemas(engine)
    for name, read in reads.items():
        report = await ingest(OpenKnowledge(name, engine, DEFAULT_TENANT), read)
        for finding in report.findings:
            _log.warning("knowledge %r: %s", name, finding)
        if report.put or report.deleted:
            _log.info(
                "knowledge %r: %d passages, %d of them new, %d removed, in %.1f s",
                name,
                report.passages,
                report.put,
                report.deleted,
                report.seconds,
            )
