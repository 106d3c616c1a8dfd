"""From whole documents to passages, so that a change of one paragraph changes few of them.

- A document that fits into one passage is one, under its own id and with its text as it came. A longer one is cut; the ids of its
  passages begin with the document's, escaped, and `#`: so those of "a" are never taken for those of "a#b".
- Passages of a long section are named by what they say, and their edges are found in the text itself: what stands before them in
  the section may change without their becoming others.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Literal, get_args
from zlib import crc32

from msgspec import Struct

from penstock.core.knowledge.blocks import Block
from penstock.core.knowledge.chunking import (
    WORDS_MAX,
    WORDS_MAX_LEAST,
    Document,
    cut,
    section_id,
    sections,
    sentences,
    size,
    title_of,
)
from penstock.core.knowledge.passages import Passage
from penstock.errors import Finding, Invalid, LimitReached

By = Literal["structure", "sentences", "tokens"]
PASSAGES_MAX = 10_000  # of one document
WORDS_MAX_MOST = 100_000  # of one passage
_WHOLE = re.compile("[0-9]{1,9}")
_ESCAPED = re.compile(r"#|%(?=23|25)")
_EDGES = 3  # one unit of so many may end a passage before it is full


class Chunking(Struct, frozen=True):
    """How documents are cut: by their headings and paragraphs, by sentences, or by so many words, whatever they are."""

    by: By = "structure"
    words_max: int = WORDS_MAX


def chunking_of(options: Mapping[str, str]) -> Chunking:
    """Return how the options of a generation say that documents are cut; `Invalid` with all findings."""
    findings: list[Finding] = []
    by, words = options.get("by", "structure"), options.get("words_max", str(WORDS_MAX))
    if by not in get_args(By):
        findings.append(Finding("by", f"is {by!r}", f"one of {', '.join(get_args(By))}"))
    if not _WHOLE.fullmatch(words) or not WORDS_MAX_LEAST <= int(words) <= WORDS_MAX_MOST:
        problem, hint = f"is {words[:40]!r}", f"a whole number from {WORDS_MAX_LEAST} to {WORDS_MAX_MOST:,}"
        findings.append(Finding("words_max", problem, hint))
    if findings:
        raise Invalid("how documents are cut", tuple(findings))
    return Chunking(by=_by(by), words_max=int(words))


def options_after(serving: Mapping[str, str], asked: Mapping[str, str]) -> Mapping[str, str]:
    """Return a new generation's options: those of the one that serves but for what is asked; `Invalid` with all findings."""
    known = Chunking.__struct_fields__
    findings = [
        Finding(each, "is no option of a generation", f"{' or '.join(known)}") for each in asked if each not in known
    ]
    try:
        chunking_of(asked)
    except Invalid as error:
        findings += error.findings
    if findings:
        raise Invalid("the build", tuple(findings))
    return {**serving, **asked}


def _by(name: str) -> By:
    kinds: dict[str, By] = {each: each for each in get_args(By)}
    return kinds[name]


def root_of(document: str) -> str:
    """Return the id of the passage that is a whole document: the document's, with a `#` in it escaped."""
    return _ESCAPED.sub(lambda found: "%25" if found[0] == "%" else "%23", document)


def prefix_of(document: str) -> str:
    """Return what the ids of all other passages of a document begin with."""
    return root_of(document) + "#"


def document_passages(document: Document, chunking: Chunking = Chunking()) -> list[Passage]:  # noqa: B008 - it is frozen
    """Cut a document; `LimitReached` when it has more than 10,000 passages. The same document gives the same passages."""
    if size(document.text) <= chunking.words_max:
        return [Passage(root_of(document.id), document.text, document.metadata)]
    found: list[Passage] = []
    for place, title, text in _pieces(document, chunking):
        metadata = {"document": document.id, **document.metadata, **({"title": title} if title else {})}
        found.append(Passage(prefix_of(document.id) + place, f"{title}\n\n{text}".strip(), metadata))
        if len(found) > PASSAGES_MAX:
            raise LimitReached("the number of passages of a document", len(found), PASSAGES_MAX, "split the document")
    return found


def titled(document: Document) -> Document:
    """Return a document as an event has it: with its title among its metadata."""
    if not document.title or "title" in document.metadata:
        return document
    return replace(document, metadata={"title": document.title, **document.metadata})


def _pieces(document: Document, chunking: Chunking) -> Iterator[tuple[str, str, str]]:
    """Yield place, title and text of each passage."""
    taken: Counter[str] = Counter()
    if chunking.by != "structure":
        title = title_of(document.title, (), chunking.words_max // 2)
        room = chunking.words_max - size(title)
        whole = sentences(document.text) if chunking.by == "sentences" else document.text.split()
        units = [each.text for unit in whole for each in cut(Block("prose", unit), room)]
        for text in _joined(units, room, " ", edges=chunking.by == "sentences"):
            yield _named("", text, taken), title, text
        return
    of_section: Counter[str] = Counter()
    for path, body in sections(document):
        title = title_of(document.title, path, chunking.words_max // 2)
        if lost := [heading for heading in path if heading not in title]:
            body.insert(0, Block("prose", " > ".join(lost)))
        room = chunking.words_max - size(title)
        units = [unit.text for block in body for unit in cut(block, room)]
        section = section_id(path, of_section)
        texts = list(_joined(units, room, "\n\n", edges=True)) or [""]
        for text in texts:
            # A section that is one passage is named by its headings alone.
            yield section if len(texts) == 1 and section else _named(section, text, taken), title, text


def _joined(units: Sequence[str], words_max: int, glue: str, *, edges: bool) -> Iterator[str]:
    """Join units to texts of at most `words_max` words. Where a unit is an edge, a text of a third of that ends, too."""
    fresh: list[str] = []
    used = 0
    for unit in units:
        words = size(unit)
        if fresh and (used + words > words_max or (edges and used * _EDGES >= words_max and _is_edge(unit))):
            yield glue.join(fresh)
            fresh, used = [], 0
        fresh.append(unit)
        used += words
    if fresh:
        yield glue.join(fresh)


def _is_edge(unit: str) -> bool:
    return crc32(unit.encode(errors="replace")) % _EDGES == 0


def _named(section: str, text: str, taken: Counter[str]) -> str:
    """Name a piece by what it says; the second one that says the same ends in ~2."""
    name = f"{section}.{blake2b(text.encode(errors='replace'), digest_size=6).hexdigest()}".removeprefix(".")
    taken[name] += 1
    return name if taken[name] == 1 else f"{name}~{taken[name]}"
