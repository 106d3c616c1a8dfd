"""Cuts documents into passages: by structure first (headings, paragraphs, code), then by length.

- Nothing of the text is lost but white space and the mark-up of headings.
- No passage is longer than `words_max`, the heading path before its text included.
- An id hangs on the headings above a passage, not on what stands before it in the document: a change in one
  section leaves the ids of the others alone.
- The same document and options give the same passages.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from penstock.core.knowledge.blocks import Block, Heading, blocks
from penstock.core.knowledge.passages import Passage

WORDS_MAX = 180
OVERLAP_WORDS = 20
WORDS_MAX_LEAST = 20


@dataclass(frozen=True, slots=True)
class Document:
    """A text that is to be searched, under a title. `metadata` is given to each of its passages."""

    id: str
    title: str
    text: str
    metadata: dict[str, str] = field(default_factory=dict[str, str])


def passages(document: Document, *, words_max: int = WORDS_MAX, overlap_words: int = OVERLAP_WORDS) -> list[Passage]:
    """Cut a document into passages of at most `words_max` words (see `size`), in its order.

    Ids are `{document}#{section}`, the section's headings as slugs, or `{document}#{n}` outside of headings; the
    second and later pieces of a section end in `.2`, `.3`. Each passage's text starts with its headings, which are also
    its `title` in the metadata, beside `source` and `document` (the document's id, unless its metadata says
    otherwise). Where a section is cut, the next piece repeats up to `overlap_words` words of prose, and never
    more than a quarter of `words_max`.
    """
    assert words_max >= WORDS_MAX_LEAST, f"words_max is {words_max}: give at least {WORDS_MAX_LEAST}"
    assert overlap_words >= 0, f"overlap_words is {overlap_words}: give 0 or more"
    overlap_words = min(overlap_words, words_max // 4)
    taken: Counter[str] = Counter()
    found: list[Passage] = []
    for path, under in sections(document):
        title = title_of(document.title, path, words_max // 2)
        if lost := [heading for heading in path if heading not in title]:
            under.insert(0, Block("prose", " > ".join(lost)))
        texts = pieces(under, words_max=words_max - size(title), overlap_words=overlap_words)
        section = section_id(path, taken)
        metadata = {"source": document.id, "document": document.id, **document.metadata, "title": title}
        for number, text in enumerate(texts or [""], start=1):
            place = _piece_id(section, number)
            found.append(Passage(f"{document.id}#{place}", f"{title}\n\n{text}".strip(), metadata))
    return found


def pieces(body: Sequence[Block], *, words_max: int, overlap_words: int = 0) -> list[str]:
    """Join blocks into texts of at most `words_max` words; cut a block only if it is longer than that itself."""
    room = words_max - overlap_words
    texts: list[str] = []
    fresh: list[Block] = []
    used = 0
    units = [unit for block in body for unit in cut(block, room)]
    for unit in [*units, None]:
        words = size(unit.text) if unit else 0
        if fresh and (unit is None or used + words > room):
            texts.append("\n\n".join(block.text for block in fresh))
            carried = _tail(fresh[-1], overlap_words) if unit else ""
            fresh = [Block("prose", carried)] if carried else []
            # What is carried over has its own room.
            used = 0
        if unit:
            fresh.append(unit)
            used += words
    return texts


def size(text: str) -> int:
    """Return how many words `text` counts for.

    A word is what stands between white space. One longer than 16 characters counts once for each 16 it has begun,
    and of scripts without spaces two characters count as a word: so that neither base64 nor Chinese has no limit.
    """
    words = text.split()
    if len(text) <= _WORD_CHARS and text.isascii():
        return len(words)
    return sum(_word_size(word) for word in words)


_WORD_CHARS = 16
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=\S)|(?<=[。！？])")  # noqa: RUF001 - the full stops of Chinese and Japanese
_TOP = ""


def _word_size(word: str) -> int:
    if word.isascii():
        return -(-len(word) // _WORD_CHARS)
    dense = sum(character >= "\u2e80" for character in word)
    return max(1, -(-dense // 2) + (len(word) - dense) // _WORD_CHARS)


def sections(document: Document) -> Iterator[tuple[tuple[str, ...], list[Block]]]:
    """Yield each heading path with what stands directly under it."""
    path: list[Heading] = []
    body: list[Block] = []
    for block in blocks(document.text):
        if isinstance(block, Block):
            body.append(block)
            continue
        # A heading straight under another is found in the path of what follows it.
        if body or (path and block.level <= path[-1].level):
            yield tuple(heading.text for heading in path), body
        body = []
        path = [*(heading for heading in path if heading.level < block.level), block]
    if body or path:
        yield tuple(heading.text for heading in path), body


def title_of(document_title: str, path: Sequence[str], words_max: int) -> str:
    """Join title and headings; of what is too long the inner end is kept, since that tells sections apart."""
    parts = list(path)
    if document_title and (not parts or _slug(parts[0]) != _slug(document_title)):
        parts.insert(0, document_title)
    while len(parts) > 1 and size(" > ".join(parts)) > words_max:
        del parts[0]
    title = " ".join(" > ".join(parts).split())
    return title if size(title) <= words_max else next(_by_words(title, words_max))


def _slug(heading: str) -> str:
    plain = unicodedata.normalize("NFKC", heading).casefold()
    return re.sub(r"[^\w]+", "-", plain).strip("-")[:60]


def section_id(path: Sequence[str], taken: Counter[str]) -> str:
    section = "/".join(map(_slug, path)) or _TOP
    if section.isdigit():
        # Bare numbers are the pieces outside of headings.
        section = f"s{section}"
    taken[section] += 1
    return section if taken[section] == 1 else f"{section}~{taken[section]}"


def _piece_id(section: str, number: int) -> str:
    if section == _TOP:
        return str(number)
    return section if number == 1 else f"{section}.{number}"


def sentences(text: str) -> list[str]:
    """Return the sentences of a text."""
    return [part.strip() for part in _SENTENCE_END.split(text) if part.strip()]


def cut(block: Block, words_max: int) -> Iterator[Block]:
    """Yield the block, or where it is too long: lines, sentences, words, characters, as coarse as will do."""
    if size(block.text) <= words_max:
        yield block
        return
    lines = block.text.split("\n") if block.kind == "code" else _SENTENCE_END.split(block.text)
    glue = "\n" if block.kind == "code" else " "
    small = [part for line in lines for part in ([line] if size(line) <= words_max else _by_words(line, words_max))]
    for text in _packed(small, words_max, glue):
        yield Block(block.kind, text)


def _packed(parts: Sequence[str], words_max: int, glue: str) -> Iterator[str]:
    joined: list[str] = []
    used = 0
    for part in parts:
        words = size(part)
        if joined and used + words > words_max:
            yield glue.join(joined)
            joined, used = [], 0
        joined.append(part)
        used += words
    if joined:
        yield glue.join(joined)


def _by_words(line: str, words_max: int) -> Iterator[str]:
    # One character counts for one word at most, so a slice of `words_max` of them always fits.
    chars_max = words_max * (_WORD_CHARS if line.isascii() else 1)
    words = [word[at : at + chars_max] for word in line.split() for at in range(0, len(word), chars_max)]
    return _packed(words, words_max, " ")


def _tail(block: Block, words_max: int) -> str:
    """Return the last sentence if it is short enough, else the last words; nothing of code."""
    if block.kind == "code" or words_max == 0:
        return ""
    last = _SENTENCE_END.split(block.text)[-1].strip()
    if size(last) <= words_max:
        return last
    words = last.split()
    kept: list[str] = []
    while words and size(words[-1]) + size(" ".join(kept)) <= words_max:
        kept.insert(0, words.pop())
    return " ".join(kept)
