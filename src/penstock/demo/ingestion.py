"""The documents of the demo, into its index."""

import asyncio
from pathlib import Path

from penstock.app import Running
from penstock.demo.team import COLLECTION
from penstock.reading import Documents, documents
from penstock.runtime.ingestion import Ingestion, Progress, read_all
from penstock.runtime.ingestion import ingest as ingested


async def found_documents(docs: Path | None) -> Documents:
    """List what there is to read (names only); without a path, what the running Python carries.

    Raises `Missing` and `Refused` when there is nothing at that path.
    """
    return await asyncio.to_thread(documents, docs)


async def ingest(live: Running, found: Documents, progress: Progress) -> Ingestion:
    """Bring the index to where the documents are."""
    read = await asyncio.to_thread(read_all, found, found.total, progress)
    return await ingested(live.knowledge(COLLECTION), read, progress)


async def warm(live: Running, progress: Progress) -> None:
    """Search once: the first search loads the index, which is no question's time."""
    progress("loading", 0, 1)
    await live.knowledge(COLLECTION).search("documents", limit=1)
    progress("loading", 1, 1)
