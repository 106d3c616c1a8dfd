"""Where in a passage the words of a query are, and the stretch of it that has most of them.

Offsets count characters of the passage's text, as Python does.
"""

import re
from bisect import bisect_left

from msgspec import Struct

from penstock.core.knowledge.languages import LANGUAGES
from penstock.core.knowledge.words import query_weights, terms, text_language

SNIPPET_CHARS = 240
SPANS_MAX = 100
_TEXT_CHARS_MAX = 50_000
_WORD = re.compile(r"[^\W_]+")


class Highlights(Struct, frozen=True):
    """`spans` are (start, end) of words that the query looks for; `snippet` is text[start:end], with the densest of them."""

    spans: tuple[tuple[int, int], ...]
    start: int
    end: int
    snippet: str


def highlights(text: str, query: str) -> Highlights:
    """Find the words of a query in a passage: the same word in another form counts too, as it does for the search."""
    text = text[:_TEXT_CHARS_MAX]
    language = text_language(text)
    wanted = query_weights(query, {each: 1.0 for each in LANGUAGES if each == language and each != "english"})
    spans: list[tuple[int, int]] = []
    weights: list[float] = []
    seen: dict[str, float] = {}
    for word in _WORD.finditer(text):
        found = sum(wanted.get(term, 0.0) for term in set(terms(word.group(), language)))
        if found > 0:
            spans.append(word.span())
            key = word.group().casefold()
            weights.append(found if key not in seen else found / 4)  # one word again tells less than another word
            seen[key] = found
            if len(spans) == SPANS_MAX:
                break
    start, end = _densest(text, spans, weights)
    return Highlights(tuple(spans), start, end, text[start:end].strip())


def _densest(text: str, spans: list[tuple[int, int]], weights: list[float]) -> tuple[int, int]:
    if len(text) <= SNIPPET_CHARS or not spans:
        return 0, _cut(text, min(len(text), SNIPPET_CHARS))
    ends = [end for _, end in spans]
    best, at = -1.0, 0
    for number, (start, _) in enumerate(spans):
        within = bisect_left(ends, start + SNIPPET_CHARS)
        total = sum(weights[number:within])
        if total > best:
            best, at = total, start
    # A little of what stands before is shown too, from the beginning of a word on.
    start = max(0, min(at - SNIPPET_CHARS // 8, len(text) - SNIPPET_CHARS))
    while start and start < at and not text[start - 1].isspace():
        start += 1
    return start, _cut(text, min(len(text), start + SNIPPET_CHARS))


def _cut(text: str, end: int) -> int:
    """`end`, or that of the last whole word before it, unless that is far."""
    if end == len(text) or text[end].isspace():
        return end
    space = max(text.rfind(" ", 0, end), text.rfind("\n", 0, end))
    return space if space > end - SNIPPET_CHARS // 4 else end
