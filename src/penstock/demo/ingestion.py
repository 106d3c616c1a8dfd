"""Documents into the index: only what changed since the last start, and away with what is gone.

- Every passage is an event on the log; the indexer agent takes it from there. What an earlier start had appended and not
  indexed yet is indexed first, so that the comparison is with all that was ever appended.
- What could not be read this time is not gone: its passages stay. Where nothing could be read, nothing is changed.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from penstock.app import Running
from penstock.core.knowledge.passages import Passage
from penstock.demo.team import COLLECTION
from penstock.errors import Finding, Invalid, Refused
from penstock.wiring import Documents, documents

CHUNK = 512
Progress = Callable[[str, int, int], None]  # what, done, of; of 0: there was nothing to do


@dataclass
class Ingestion:
    """What a start found and did. `seconds` is the time from the first append until all that is new could be found.

    `passages` are in the index now, `kept` of them of documents that could not be read this time.
    """

    passages: int = 0
    put: int = 0
    deleted: int = 0
    kept: int = 0
    seconds: float = 0.0
    findings: list[Finding] = field(default_factory=list[Finding])

    @property
    def passages_per_s(self) -> float:
        return self.put / self.seconds if self.seconds else 0.0


async def found_documents(docs: Path | None) -> Documents:
    """List what there is to read (names only); without a path, what the running Python carries.

    Raises `Missing` and `Refused` when there is nothing at that path.
    """
    return await asyncio.to_thread(documents, docs)


async def ingest(live: Running, found: Documents, progress: Progress) -> Ingestion:
    """Bring the index to where the documents are.

    Raises `Invalid`, with all findings, and `Refused` when there is not one passage, neither read nor kept.
    """
    knowledge = live.knowledge(COLLECTION)
    await knowledge.indexed()
    report = Ingestion()
    passages = await asyncio.to_thread(_read, found, report, progress)
    indexed = await knowledge.digests()
    changed = [passage for passage in passages.values() if indexed.get(passage.id) != passage.digest]
    missing = [passage_id for passage_id in indexed if passage_id not in passages]
    gone = [each for each in missing if not _is_unread(each, report.findings)]
    report.kept = len(missing) - len(gone)
    report.passages = len(passages) + report.kept
    if not report.passages:
        raise _nothing(report.findings)
    started = perf_counter()
    for chunk in _chunks(changed):
        await knowledge.put(chunk, agent="ingestion")
        report.put += len(chunk)
        progress("indexing", report.put, len(changed))
        await asyncio.sleep(0)
    await knowledge.indexed()
    report.seconds = perf_counter() - started if changed else 0.0
    if changed or not gone:
        progress("indexing", len(changed), len(changed))
    if gone:
        await knowledge.delete(gone, agent="ingestion")
        await knowledge.indexed()
        report.deleted = len(gone)
        progress("removing", len(gone), len(gone))
    return report


async def warm(live: Running, progress: Progress) -> None:
    """Search once: the first search loads the index, which is no question's time."""
    progress("loading", 0, 1)
    await live.knowledge(COLLECTION).search("documents", limit=1)
    progress("loading", 1, 1)


def _read(found: Documents, report: Ingestion, progress: Progress) -> dict[str, Passage]:
    passages: dict[str, Passage] = {}
    for number, each in enumerate(found, start=1):
        if isinstance(each, Finding):
            report.findings.append(each)
        else:
            passages.update((passage.id, passage) for passage in each)
        progress("reading", number, found.total)
    return passages


def _is_unread(passage_id: str, findings: Sequence[Finding]) -> bool:
    """Whether a passage is of a document, or of a folder, that there was a finding about ("." is the whole folder)."""
    document = passage_id.rpartition("#")[0]
    return any(each.path in (document, ".") or document.startswith(f"{each.path}/") for each in findings)


def _nothing(findings: Sequence[Finding]) -> Invalid | Refused:
    if findings:
        return Invalid("the documents", tuple(findings))
    return Refused("no text found in the documents", "give documents that say something")


def _chunks(passages: list[Passage]) -> Iterator[list[Passage]]:
    for start in range(0, len(passages), CHUNK):
        yield passages[start : start + CHUNK]
