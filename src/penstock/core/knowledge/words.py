"""What a text is found by: its terms, and what a term is worth (BM25).

- The same functions analyse passages and queries, and give the same terms in every process.
- A passage is analysed by its own language, a query by all that it may be asked in (`languages.py`).
- They never fail, and split no character: NFKC, then case folding, for every script.
- Who stores terms stores `ANALYSIS` with them. It is raised whenever `passage_terms` would return something else, or a
  passage be counted otherwise (`rows.packed_terms`).
"""

import math
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from penstock.core.knowledge.languages import COMMON, COMPOUNDING, ENGLISH, GRAM, grams, is_english, language_of, stem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Amount = TypeVar("Amount", float, "NDArray[np.float64]")

ANALYSIS = 3
K1 = 1.2
B = 0.75
# What the parts that a word shares with a compound count, all together, beside the word itself.
GRAMS_WEIGHT = 0.5
# Languages of fewer passages are looked for only in queries that are plainly in them.
SHARE_MIN = 0.02
NONE: Mapping[str, float] = {}

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

_CACHED_WORDS_MAX = 65_536
_CACHED_LENGTH_MAX = 64
_IDENTIFIER_LENGTH_MAX = 256
_TELLING_CHARS = 3_000
_TELLING_WORDS = 200

_ASCII_WORD = re.compile(r"[A-Za-z0-9_]+(?:[.:]+[A-Za-z0-9_]+)*")
_SYMBOLIC = re.compile(r"(?<!\w)[A-Za-z](?:\+\+|#)(?!\w)")  # c++, c#
_GROUPED = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?![\w,])")  # 1,000
_FIRST_LETTERS = re.compile(r"[^\W\d_]+")
_LAST_LETTERS = re.compile(r"(?<![\w])[^\W\d_]+$")
_PIECE = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_JOINT = re.compile(r"[.:_]+")
_GOES_ON = re.compile(r"[\w.,]")
_IDEOGRAPHS = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
# Scripts that put no space between words, or hardly: Chinese, Japanese, Korean; Thai, Lao, Burmese, Khmer.
_UNSPACED = f"{_IDEOGRAPHS}\u3040-\u30ff\uac00-\ud7af\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_UNSPACED_OR_OTHER = re.compile(f"([{_UNSPACED}]+)|([^{_UNSPACED}]+)")
_IDEOGRAPH = re.compile(f"[{_IDEOGRAPHS}]")


def terms(text: str, language: str = ENGLISH) -> list[str]:
    """The terms of a text in its order, repeated as often as they occur.

    `asyncio.Queue.put_nowait` gives itself (folded) and asyncio, queue, put, nowait. Words lose their ending
    (Snowball's stemmer of the language) and their accents; the commonest of English and single letters a to z are
    left out. Runs of Chinese, Japanese, Korean or Thai give overlapping pairs of characters.
    """
    return _terms(_words(text), language)


def text_language(text: str) -> str:
    """The language that a passage is analysed by: English where nothing tells another."""
    return _language(_words(text[:_TELLING_CHARS])) or ENGLISH


def passage_terms(text: str, language: str = "") -> tuple[list[str], str]:
    """All that a passage is found by, and the language it was analysed by, which is told from the text unless it is given.

    These are its terms, other ways to write them (`_respelled`), and in `COMPOUNDING` languages the parts of longer words.
    """
    words = _words(text)
    language = language or _language(words) or ENGLISH
    found = _terms(words, language)
    found += _respelled(text, language)
    if language in COMPOUNDING:
        found += [part for word in words for part in grams(word.casefold())]
    if not text.isascii():
        found += _IDEOGRAPH.findall(text)  # whoever asks for one character, which is in no pair by itself
    return found, language


def query_weights(text: str, others: Mapping[str, float] = NONE) -> dict[str, float]:
    """What a query looks for, and how much each of it counts; `others`: the share of each language beside English.

    The words that questions are built with are not looked for, unless there is nothing else; a passage's own are all kept,
    so that a phrase such as "how to" is found by itself. A word that may be of several languages is looked for in each.
    """
    words = _words(text)
    told = _language(words) if others else ENGLISH
    if told == ENGLISH:
        languages, empty = (ENGLISH,), frozenset[str]()
    elif told in others:
        languages, empty = (told, ENGLISH), COMMON[told]
    else:
        languages = (ENGLISH, *(each for each, share in others.items() if share >= SHARE_MIN))
        empty = frozenset[str]()
    asking = _asking_terms()
    found = _weighed([word for word in words if word.casefold() not in empty], languages)
    kept = {term: weight for term, weight in found.items() if term not in asking}
    kept = kept or found or _weighed(words, languages)
    for language in languages:
        kept.update(dict.fromkeys(_respelled(text, language), 1.0))
    return kept


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


def _weighed(words: Sequence[str], languages: Sequence[str]) -> dict[str, float]:
    found: Counter[str] = Counter()
    for word in words:
        alike: Counter[str] = Counter()
        for language in languages:
            alike |= Counter(_terms([word], language))  # what two languages make of it alike counts once
        found.update(alike)
    weighed: dict[str, float] = {term: float(count) for term, count in found.items()}
    if any(language in COMPOUNDING for language in languages):
        for word in words:
            parts = grams(word.casefold(), letters_min=GRAM)
            for part in parts:
                weighed[part] = weighed.get(part, 0.0) + GRAMS_WEIGHT / len(parts)
    return weighed


def _language(words: Sequence[str]) -> str:
    if is_english(words):
        return ENGLISH
    return language_of([word.casefold() for word in words[:_TELLING_WORDS]])


def _respelled(text: str, language: str) -> list[str]:
    """What is written in several ways: `e-mail` as `email`, `1,000` as `1000`; and names whose symbols are no letters: `c++`."""
    found: list[str] = []
    if "-" in text:
        found += [term for word in _joined(text) for term in _of_plain(word.casefold(), language)]
    if "," in text:
        found += [
            each.group().replace(",", "")
            for each in _GROUPED.finditer(text)
            if not _GOES_ON.match(text, each.start() - 1, each.start())
        ]
    if "++" in text or "#" in text:
        found += [name.lower() for name in _SYMBOLIC.findall(text)]
    return found


def _joined(text: str) -> list[str]:
    # Hyphens are few: looking around each is four times as quick as a pattern over the whole text.
    before, *others = text.split("-")
    found: list[str] = []
    word, is_joined = _last_letters(before), False
    for part in others:
        first = _FIRST_LETTERS.match(part)
        if word and first:
            word, is_joined = word + first.group(), True
            if first.end() == len(part):
                continue
        if is_joined:
            found.append(word)
        word, is_joined = _last_letters(part), False
    return [*found, word] if is_joined else found


def _last_letters(part: str) -> str:
    found = _LAST_LETTERS.search(part[-_CACHED_LENGTH_MAX:])
    return found.group() if found else ""


def _words(text: str) -> list[str]:
    if text.isascii():
        return _ASCII_WORD.findall(text)
    # A soft hyphen is no part of its word.
    return _any_word().findall(unicodedata.normalize("NFKC", text.replace("\xad", "")))


@cache
def _asking_terms() -> frozenset[str]:
    return frozenset(terms(_ASKING))


def _terms(words: Sequence[str], language: str) -> list[str]:
    cached = _cached_of(language)
    if max(map(len, words), default=0) <= _CACHED_LENGTH_MAX:
        return list(chain.from_iterable(map(cached, words)))
    found: list[str] = []
    for word in words:
        found += cached(word) if len(word) <= _CACHED_LENGTH_MAX else _of_word(word, language)
    return found


@cache
def _cached_of(language: str) -> Callable[[str], tuple[str, ...]]:
    @lru_cache(maxsize=_CACHED_WORDS_MAX if language == ENGLISH else _CACHED_WORDS_MAX // 4)
    def cached(word: str) -> tuple[str, ...]:
        return tuple(sys.intern(term) for term in _of_word(word, language))

    return cached


def _of_word(word: str, language: str) -> list[str]:
    if not word.isascii():
        return _of_wide_word(word, language)
    if word.isalpha() and (word.islower() or word.istitle() or word.isupper()):
        return _of_plain(word.lower(), language)
    if _NUMBER.fullmatch(word):
        return [word]
    return _of_identifier(word, language)


def _of_plain(word: str, language: str) -> list[str]:
    if word in STOP_WORDS or (len(word) == 1 and word.isascii() and word.isalpha()):
        return []
    return [stem(word, language) if word.isalpha() or not word.isascii() else word]


def _of_identifier(word: str, language: str) -> list[str]:
    parts = [hump for piece in _PIECE.findall(word) for hump in _HUMP.findall(piece)]
    if len(parts) == 1 and parts[0] == word:
        return _of_plain(word.lower(), language)
    kept = _whole(word, language) if len(parts) > 1 else []
    for part in parts:
        kept += _of_plain(part.lower(), language)
    return kept


def _whole(word: str, language: str) -> list[str]:
    whole = word.strip("_.:").lower()
    if len(whole) > _IDENTIFIER_LENGTH_MAX:
        return []
    # `iPhone` must be found by "iphone": what reads as a plain word is treated as one.
    return _of_plain(whole, language) if whole.isascii() and whole.isalpha() else [whole]


def _of_wide_word(word: str, language: str) -> list[str]:
    found: list[str] = []
    for unspaced, other in _UNSPACED_OR_OTHER.findall(word):
        if unspaced:
            found += [unspaced[at : at + 2] for at in range(max(1, len(unspaced) - 1))]
        else:
            # Folding can undo the normal form, and a part may have become ASCII: "ﬁle", "Ⅳ".
            folded = unicodedata.normalize("NFKC", other.casefold())
            found += _of_word(folded, language) if folded.isascii() else _of_folded(folded, language)
    return found


def _of_folded(word: str, language: str) -> list[str]:
    pieces = [piece for piece in _JOINT.split(word) if piece]
    if len(pieces) <= 1:
        return [stem(piece, language) for piece in pieces]
    found = _whole(word, language)
    for piece in pieces:
        found += _of_word(piece, language) if piece.isascii() else [stem(piece, language)]
    return found


@cache
def _any_word() -> re.Pattern[str]:
    # Vowel signs and accents that stand alone are no word characters for `re`, and Hindi would fall to pieces.
    marks = [code for code in range(0x300, 0xABFF) if unicodedata.category(chr(code)) in {"Mn", "Mc"}]
    letter = "[\\w" + "".join(map(chr, marks)) + "]"
    return re.compile(rf"{letter}+(?:[.:]+{letter}+)*")
