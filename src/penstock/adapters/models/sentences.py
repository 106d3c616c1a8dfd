"""What of a passage can be quoted: its sentences, as they stand there but for white space.

- A quote is found again in its passage (`is_quoted`), whatever marks and spaces stand between its words.
- Code, tables and doctests are not quoted: out of their place they say nothing.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from msgspec import Struct

from penstock.adapters.models.planning import content_words
from penstock.core.knowledge.blocks import Block, Heading, blocks
from penstock.core.knowledge.words import idf, terms

TEXT_CHARS_MAX = 20_000
SENTENCE_CHARS_MAX = 600
LABEL_CHARS_MAX = 100
_WORDS_MIN = 3
_PARAGRAPH_WORDS_MIN = 8


class GivenPassage(Struct, frozen=True):
    """A passage that an answer may cite, as the prompt's inputs give it."""

    id: str
    source: str
    text: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence at `index` among those of the passage at `passage` (both from 0), with the terms it is found by."""

    passage: int
    index: int
    text: str
    terms: frozenset[str]


def label(passage: GivenPassage) -> str:
    """Return the signature that a passage starts with, if it documents a name; else nothing."""
    first = " ".join(passage.text.partition("\n\n")[0].split())
    if not first.startswith(passage.source):
        return ""
    rest = first[len(passage.source) :]
    if rest and not rest.startswith("("):
        return ""
    return first if len(first) <= LABEL_CHARS_MAX else passage.source


def about(passage: GivenPassage) -> frozenset[str]:
    """Return the terms of a passage's heading, and of the lines that say where it belongs ("In csv: ...")."""
    heading = passage.text.partition("\n\n")[0]
    return frozenset(terms("\n".join([heading, *_CONTEXT.findall(passage.text[:TEXT_CHARS_MAX])])))


def sentences(passage: GivenPassage, number: int) -> list[Sentence]:
    """Return what can be quoted of a passage, in its order; not the heading that it starts with."""
    heading, _, body = passage.text[:TEXT_CHARS_MAX].partition("\n\n")
    texts = list(_texts(body)) or list(_texts(heading))
    return [Sentence(number, index, text, frozenset(terms(text))) for index, text in enumerate(texts)]


def split(text: str) -> list[str]:
    """Cut prose into sentences. An abbreviation, a decimal point or a dot within a name ends none."""
    return [part for part in _SENTENCE_END.split(" ".join(text.split())) if part]


def is_quoted(sentence: str, passage: GivenPassage) -> bool:
    """Whether the words of a sentence stand in the passage one after the other, its name before them left out."""
    said, text = bare(sentence), f" {bare(passage.text)} "
    if f" {said} " in text:
        return bool(said)
    unnamed = said.removeprefix(bare(label(passage))).removeprefix(bare(passage.source)).strip()
    return bool(unnamed) and f" {unnamed} " in text


def bare(text: str) -> str:
    """Return the words of a text alone, folded, with one space between them."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def weights(question: str, passages: Sequence[GivenPassage]) -> dict[str, float]:
    """Return how much each term of the question counts: 1, and idf over the passages for what is found there.

    The 1 is needed since the passages were found by these very terms: what they all share is the topic, and no noise.
    """
    asked = dict.fromkeys(terms(" ".join(content_words(question))))
    known = [frozenset(terms(passage.text[:TEXT_CHARS_MAX])) for passage in passages]
    found = {term: sum(term in each for each in known) for term in asked}
    return {term: 1.0 + (idf(len(known), count) if count else 0.0) for term, count in found.items()}


_SENTENCE_END = re.compile(
    r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)(?<!etc\.)(?<!\bvs\.)\s+(?=[\"'(`*\[]*[A-Z0-9`_])|(?<=[.!?][\"')])\s+(?=[A-Z])|(?<=[。！？])"  # noqa: RUF001 - the full stops of Chinese and Japanese
)
# `ctime(seconds) -> string` is a signature.
_SIGNATURE = re.compile(r"[\w.]+\([^)]*\)\s*(?:->|--)?\s*[\w\[\], ]*$")
_CODE_LINE = re.compile(r"^\s*(?:>>>|\.\.\. |[|+][-=|+ ]|\.\. )")
_CONTEXT = re.compile(r"(?m)^In [\w.]+: .*$")
_CITATION = re.compile(r"\[\d+\]")


def _texts(body: str) -> Iterator[str]:
    for block in blocks(body):
        if isinstance(block, Heading) or (block.kind == "code" and not _is_prose(block)):
            continue
        if _CONTEXT.match(block.text):
            continue
        lines = [line for line in block.text.splitlines() if not _CODE_LINE.match(line)]
        if len(lines) < len(block.text.splitlines()):
            continue
        for sentence in split(re.sub(r"^[-*+]\s+", "", "\n".join(lines))):
            # A bracketed number could not be told from a citation.
            fits = len(sentence) <= SENTENCE_CHARS_MAX and len(sentence.split()) >= _WORDS_MIN
            if fits and not _CITATION.search(sentence) and not _SIGNATURE.match(sentence):
                yield sentence


def _is_prose(block: Block) -> bool:
    """Whether an indented block is an indented paragraph, as docstrings have them."""
    if block.text.startswith(("`", "~", " `", " ~")):
        return False
    words = block.text.split()
    marks = sum(block.text.count(mark) for mark in "=(){}[]<>:;")
    return len(words) >= _PARAGRAPH_WORDS_MIN and marks * 6 < len(words) and block.text.strip()[0].isupper()
