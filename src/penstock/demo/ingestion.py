"""Documents into the index: only what changed since the last start, and away with what is gone.

Every passage is an event on the log; the indexer agent takes it from there. What an earlier start had appended and not
indexed yet is indexed first, so that the comparison is with all that was ever appended.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from penstock.app import Running
from penstock.core.knowledge.passages import Passage
from penstock.demo.team import COLLECTION
from penstock.errors import Finding
from penstock.wiring import documents

CHUNK = 512
Progress = Callable[[str, int, int], None]  # what, done, of


@dataclass
class Ingestion:
    """What a start found and did. `seconds` is the time from the first append until all could be found."""

    passages: int = 0
    put: int = 0
    deleted: int = 0
    seconds: float = 0.0
    findings: list[Finding] = field(default_factory=list[Finding])

    @property
    def passages_per_s(self) -> float:
        return (self.put + self.deleted) / self.seconds if self.seconds else 0.0


async def ingest(live: Running, folder: Path | None, progress: Progress) -> Ingestion:
    """Bring the index to where the documents are; without a folder, those that the running Python carries."""
    knowledge = live.knowledge(COLLECTION)
    await knowledge.indexed()
    report = Ingestion()
    passages = await asyncio.to_thread(_read, folder, report, progress)
    report.passages = len(passages)
    indexed = await knowledge.digests()
    changed = [passage for passage in passages.values() if indexed.get(passage.id) != passage.digest]
    gone = [passage_id for passage_id in indexed if passage_id not in passages]
    started = perf_counter()
    total = len(changed) + len(gone)
    for chunk in _chunks(changed):
        await knowledge.put(chunk, agent="ingestion")
        report.put += len(chunk)
        progress("indexing", report.put, total)
        await asyncio.sleep(0)
    if gone:
        await knowledge.delete(gone, agent="ingestion")
        report.deleted = len(gone)
    await knowledge.indexed()
    progress("indexing", total, total)
    report.seconds = perf_counter() - started if total else 0.0
    return report


def _read(folder: Path | None, report: Ingestion, progress: Progress) -> dict[str, Passage]:
    found = documents(folder)
    passages: dict[str, Passage] = {}
    for number, each in enumerate(found, start=1):
        if isinstance(each, Finding):
            report.findings.append(each)
        else:
            passages.update((passage.id, passage) for passage in each)
        progress("reading", number, found.total)
    return passages


def _chunks(passages: list[Passage]) -> Iterator[list[Passage]]:
    for start in range(0, len(passages), CHUNK):
        yield passages[start : start + CHUNK]
