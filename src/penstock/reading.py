"""Documents to read, of a folder or of what the machine carries."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from penstock.core.knowledge.chunking import Document
from penstock.core.knowledge.judging import Judged
from penstock.core.knowledge.passages import Passage
from penstock.errors import Finding


class Documents:
    """Documents to read, as lists of passages; a finding stands for what could not be read. Iterating blocks."""

    def __init__(self, total: int, each: Iterable["list[Passage] | Finding"]) -> None:
        self.total = total
        self._each = each

    def __iter__(self) -> Iterator["list[Passage] | Finding"]:
        return iter(self._each)


def documents(folder: Path | None) -> Documents:
    """Return the passages of a folder's documents; without one, of those that the running Python carries."""
    if folder is None:
        from penstock.adapters.documents.python_docs import open_python_docs

        docs = open_python_docs()
        return Documents(docs.total, (list(each.passages) for each in docs))
    from penstock.adapters.documents.folder import open_folder
    from penstock.core.knowledge.chunking import passages

    found = open_folder(folder)
    return Documents(found.total, (each if isinstance(each, Finding) else passages(each) for each in found))


def judged_collection(folder: Path, split: str = "") -> Judged:
    """Read a folder of documents, queries and judgements, in the form of BEIR."""
    from penstock.adapters.documents.judged import read_judged

    return read_judged(folder, split=split)


def file_document(name: str, body: bytes) -> Document:
    """Return the document in a file; `Refused` for one that cannot be read, `Missing` for want of a package that reads it."""
    from penstock.adapters.documents.folder import file_document as read

    return read(name, body)
