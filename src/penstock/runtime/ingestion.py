"""Documents into a collection: only what changed since the last time, and away with what is gone.

- Every passage is an event on the log; the indexer agent takes it from there. What an earlier start had appended and not
  indexed yet is indexed first, so that the comparison is with all that was ever appended.
- What could not be read this time is not gone: its passages stay. Where nothing could be read, nothing is changed.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from penstock.core.knowledge.passages import Passage
from penstock.errors import Finding, Invalid, Refused
from penstock.runtime.knowledge import OpenKnowledge

CHUNK = 512
Progress = Callable[[str, int, int], None]  # what, done, of; of 0: there was nothing to do


def unseen(what: str, done: int, of: int) -> None:
    """Stand in for nobody who looks on."""


@dataclass
class Ingestion:
    """What was found and done. `seconds` is the time from the first append until all that is new could be found.

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


@dataclass(frozen=True, slots=True)
class Read:
    """The passages of all documents that could be read, by id, and what is to be said of the others."""

    passages: dict[str, Passage]
    findings: list[Finding]


def read_all(found: Iterable[list[Passage] | Finding], total: int, progress: Progress = unseen) -> Read:
    """Read documents, one after the other. It blocks."""
    read = Read({}, [])
    for number, each in enumerate(found, start=1):
        if isinstance(each, Finding):
            read.findings.append(each)
        else:
            read.passages.update((passage.id, passage) for passage in each)
        progress("reading", number, total)
    return read


async def ingest(knowledge: OpenKnowledge, read: Read, progress: Progress = unseen) -> Ingestion:
    """Bring a collection to where the documents are.

    Raises `Invalid`, with all findings, and `Refused` when there is not one passage, neither read nor kept.
    """
    report = Ingestion(findings=read.findings)
    await knowledge.indexed()
    indexed = await knowledge.digests()
    changed = [passage for passage in read.passages.values() if indexed.get(passage.id) != passage.digest]
    missing = [passage_id for passage_id in indexed if passage_id not in read.passages]
    gone = [each for each in missing if not _is_unread(each, report.findings)]
    report.kept = len(missing) - len(gone)
    report.passages = len(read.passages) + report.kept
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
