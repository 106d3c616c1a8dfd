"""What a text is found by: its terms, and what a term is worth (BM25).

- The same function analyses passages and queries, and gives the same terms in every process.
- It never fails, and splits no character: NFKC, then case folding, for every script.
- Who stores terms stores `ANALYSIS` with them. It is raised whenever `terms` would return something else, or a passage
  be counted otherwise (`rows.packed_terms`).
"""

import math
import re
import sys
import unicodedata
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from snowballstemmer.english_stemmer import EnglishStemmer  # pyright: ignore[reportMissingTypeStubs]

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Amount = TypeVar("Amount", float, "NDArray[np.float64]")

ANALYSIS = 2
K1 = 1.2
B = 0.75

# Lucene's English set, and the ends of contractions (single letters are no terms anyway).
_STOPPED = """
an and are as at be but by for if in into is it no not of on or such that the their then there these they this
to was will with ll re ve
"""
STOP_WORDS = frozenset(_STOPPED.split())

# What else a question is built with, and is not looked for. Verbs such as find, get or use are not here: they name things.
_ASKING = """
about am any been being can could did do does doing from had has have having he her him his how i its may me might must
my our ours shall she should so than theirs them those we were what when where which while who whom whose why would you
your yours
"""

_CACHED_LENGTH_MAX = 64
_IDENTIFIER_LENGTH_MAX = 256

_ASCII_WORD = re.compile(r"[A-Za-z0-9_]+(?:[.:]+[A-Za-z0-9_]+)*")
_PIECE = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_JOINT = re.compile(r"[.:_]+")
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f"
_CJK_OR_OTHER = re.compile(f"([{_CJK}]+)|([^{_CJK}]+)")


def terms(text: str) -> list[str]:
    """The terms of a text in its order, repeated as often as they occur.

    `asyncio.Queue.put_nowait` gives itself (folded) and asyncio, queue, put, nowait. English words lose their
    ending (Snowball's English stemmer, snowballstem.org); the commonest of them and single letters a to z are
    left out. Runs of Chinese, Japanese or Korean give overlapping pairs of characters.
    """
    found: list[str] = []
    for word in _words(text):
        found += _cached(word) if len(word) <= _CACHED_LENGTH_MAX else _of_word(word)
    return found


def query_terms(text: str) -> list[str]:
    """The terms of a question that tell what is looked for; all of them when it has no others.

    A passage's own terms are all kept, so that a phrase such as "how to" is found by itself.
    """
    found = terms(text)
    empty = _asking_terms()
    return [term for term in found if term not in empty] or found


def idf(passages: int, containing: int) -> float:
    """How much a term tells that `containing` of `passages` have: ln(1 + (N - df + 0.5) / (df + 0.5)).

    Lucene's BM25Similarity (above 0 even for a term that all have), after Robertson and Zaragoza, "The
    Probabilistic Relevance Framework", 2009.
    """
    return math.log1p((passages - containing + 0.5) / (containing + 0.5))


def saturation(occurrences: Amount, length: Amount, *, average_length: float) -> Amount:
    """What occurrences in a passage of `length` terms are worth, 0 to 1: tf / (tf + k1 (1 - b + b length / average)).

    Times `idf`, summed over the query's terms, it is the score. As in Lucene since version 8, the constant
    factor k1 + 1 is left out: it changes no order.
    """
    return occurrences / (occurrences + (K1 * (1 - B) + K1 * B / average_length * length))


def _words(text: str) -> list[str]:
    if text.isascii():
        return _ASCII_WORD.findall(text)
    return _any_word().findall(unicodedata.normalize("NFKC", text))


class _Stemmer(Protocol):
    def stemWord(self, word: str) -> str: ...  # noqa: N802 - the library's name


@cache
def _asking_terms() -> frozenset[str]:
    return frozenset(terms(_ASKING))


@lru_cache(maxsize=65_536)
def _cached(word: str) -> tuple[str, ...]:
    return tuple(sys.intern(term) for term in _of_word(word))


def _of_word(word: str) -> list[str]:
    if not word.isascii():
        return _of_wide_word(word)
    if word.isalpha() and (word.islower() or word.istitle() or word.isupper()):
        return _plain(word.lower())
    if _NUMBER.fullmatch(word):
        return [word]
    return _of_identifier(word)


def _plain(word: str) -> list[str]:
    if word in STOP_WORDS or (len(word) == 1 and word.isalpha()):
        return []
    if not word.isalpha():
        return [word]
    return [_cached_stem(word) if len(word) <= _CACHED_LENGTH_MAX else _stem(word)]


@lru_cache(maxsize=32_768)
def _cached_stem(word: str) -> str:
    # Beside `_cached`: a word comes in several cases and as a part of names, and stemming takes 30 us.
    return sys.intern(_stem(word))


def _stem(word: str) -> str:
    # A stemmer holds the word it works on, and two threads may be here: each word has its own.
    return cast("_Stemmer", EnglishStemmer()).stemWord(word)


def _of_identifier(word: str) -> list[str]:
    parts = [hump for piece in _PIECE.findall(word) for hump in _HUMP.findall(piece)]
    if len(parts) == 1 and parts[0] == word:
        return _plain(word.lower())
    kept = _whole(word) if len(parts) > 1 else []
    for part in parts:
        kept += _plain(part.lower())
    return kept


def _whole(word: str) -> list[str]:
    whole = word.strip("_.:").lower()
    if len(whole) > _IDENTIFIER_LENGTH_MAX:
        return []
    # `iPhone` must be found by "iphone": what reads as a plain word is treated as one.
    return _plain(whole) if whole.isascii() and whole.isalpha() else [whole]


def _of_wide_word(word: str) -> list[str]:
    found: list[str] = []
    for ideographs, other in _CJK_OR_OTHER.findall(word):
        if ideographs:
            found += [ideographs[at : at + 2] for at in range(max(1, len(ideographs) - 1))]
        else:
            # Folding can undo the normal form, and a part may have become ASCII: "ﬁle", "Ⅳ".
            folded = unicodedata.normalize("NFKC", other.casefold())
            found += _of_word(folded) if folded.isascii() else _of_folded(folded)
    return found


def _of_folded(word: str) -> list[str]:
    pieces = [piece for piece in _JOINT.split(word) if piece]
    if len(pieces) <= 1:
        return pieces
    found = _whole(word)
    for piece in pieces:
        found += _of_word(piece) if piece.isascii() else [piece]
    return found


@cache
def _any_word() -> re.Pattern[str]:
    # Vowel signs and accents that stand alone are no word characters for `re`, and Hindi would fall to pieces.
    marks = [code for code in range(0x300, 0xABFF) if unicodedata.category(chr(code)) in {"Mn", "Mc"}]
    letter = "[\\w" + "".join(map(chr, marks)) + "]"
    return re.compile(rf"{letter}+(?:[.:]+{letter}+)*")
