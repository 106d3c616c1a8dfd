"""Answers a question with sentences of the passages, and judges such answers, without a language model.

- An answer holds quotes only, each followed by the number of its passage: `[1]` is the first one.
- Where the passages answer nothing, it quotes what comes nearest, and says that it is no more than that.
- Where no passage shares a word with the question, it says so and cites nothing.
- The same inputs give the same answer; with feedback on it, another one.
"""

import re
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from penstock.adapters.models.planning import topic_words
from penstock.adapters.models.sentences import (
    TEXT_CHARS_MAX,
    GivenPassage,
    Sentence,
    about,
    bare,
    is_quoted,
    label,
    sentences,
    weights,
)
from penstock.core.knowledge.words import terms

SENTENCES_MAX = 4
PASSAGES_MAX = 50
SUPPORT_MIN = 0.25
# One word in common is a coincidence.
SHARED_MIN = 2
COVERAGE_MIN = 0.5
NOTHING = "I found nothing in the documents about"
NEAREST = "I found no direct answer. The nearest in the documents is this:"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an answer stands, and why."""

    supported: bool
    why: str

    def __str__(self) -> str:
        return f"{'YES' if self.supported else 'NO'}\n{self.why}"


def answer(question: str, passages: Sequence[GivenPassage], *, feedback: str | None = None) -> str:
    """Return one to four quotes with citation marks, or one that is called the nearest, or a sentence without any."""
    given = passages[:PASSAGES_MAX]
    chosen = _chosen(question, given, "", set())
    if feedback and chosen:
        first = chosen
        blamed = {sentence for sentence in first if bare(sentence.text) in bare(feedback)}
        chosen = _chosen(question, given, feedback, blamed)
        if chosen == first:
            chosen = _chosen(question, given, feedback, {*blamed, first[0]})
    if chosen:
        return _joined(chosen, given)
    if nearest := _nearest(question, given):
        return f"{NEAREST} {_joined([nearest], given)}"
    return f"{NOTHING} {' '.join(topic_words(question)) or 'that'}."


def verdict(question: str, given_answer: str, passages: Sequence[GivenPassage]) -> Verdict:
    """Judge an answer: every sentence must be quoted from the passage it cites, and together they must fit the question."""
    given = passages[:PASSAGES_MAX]
    text = given_answer.strip()
    if text.startswith(NOTHING):
        return _verdict_on_nothing(question, given)
    claims, rest = _claims(text.removeprefix(NEAREST).strip())
    if rest or not claims:
        return Verdict(supported=False, why=f"This cites no passage: {rest or '(the answer is empty)'}")
    for sentence, numbers in claims:
        cited = [given[number - 1] for number in numbers if 1 <= number <= len(given)]
        if not any(is_quoted(sentence, passage) for passage in cited):
            marks = "".join(f"[{number}]" for number in numbers)
            return Verdict(supported=False, why=f"Passage {marks} does not say: {sentence}")
    cited = [given[number - 1] for _, numbers in claims for number in numbers if 1 <= number <= len(given)]
    if text.startswith(NEAREST):
        return _verdict_on_nearest(question, given, cited)
    left_out = _left_out(question, given_answer, given, cited)
    if left_out:
        return Verdict(supported=False, why=f"The answer says too little about: {', '.join(left_out)}")
    return Verdict(
        supported=True, why="Every sentence stands in the passage it cites, and they speak of what was asked."
    )


def _verdict_on_nothing(question: str, given: Sequence[GivenPassage]) -> Verdict:
    if _nearest(question, given):
        return Verdict(supported=False, why="The passages do speak of it: quote what they say.")
    return Verdict(supported=True, why="The passages do not support an answer, and the answer says so.")


def _verdict_on_nearest(question: str, given: Sequence[GivenPassage], cited: Sequence[GivenPassage]) -> Verdict:
    direct = _chosen(question, given, "", set())
    if direct and not _left_out(question, _joined(direct, given), given, [given[each.passage] for each in direct]):
        return Verdict(supported=False, why="The passages do answer it: quote what they say.")
    if not all(_shares(question, passage) for passage in cited):
        return Verdict(supported=False, why="This has nothing to do with what was asked.")
    return Verdict(
        supported=True, why="It is quoted from the passage it cites, and is not called more than the nearest."
    )


# How much a term counts when it stands only in the name or heading of the passage.
_NAME_SHARE = 0.7
# What each next passage and sentence loses: passages come best first, and docstrings begin with what matters.
_PASSAGE_LOSS = 0.06
_SENTENCE_LOSS = 0.03
_FIRST_BONUS = 0.15
_DEFINITION_BONUS = 0.05
_FEEDBACK_FACTOR = 3.0
# A further sentence has to add this much of the question, or come from the same passage and fit as well.
_GAIN_MIN = 0.12
_DEFINITION = re.compile(
    r"(?i)^(?:returns?\b|(?:an?|the)\s+\w+|[\w.`]+ is (?:an?|the)\b|this (?:class|function|module))"
)
_CLAIM = re.compile(r"(.+?)\s*((?:\[\d+\])+)\.?", re.DOTALL)


def _chosen(
    question: str, passages: Sequence[GivenPassage], feedback: str, blamed: AbstractSet[Sentence]
) -> list[Sentence]:
    """Pick the sentences, best first, each for what it adds to those before."""
    worth = weights(question, passages)
    wanted = frozenset(terms(feedback)) if feedback else frozenset[str]()
    worth = {term: value * (_FEEDBACK_FACTOR if term in wanted else 1.0) for term, value in worth.items()}
    total = sum(worth.values())
    names = [about(passage) for passage in passages]
    pool = [
        each for number, passage in enumerate(passages) for each in sentences(passage, number) if each not in blamed
    ]
    chosen: list[Sentence] = []
    covered: set[str] = set()
    while pool and total and len(chosen) < SENTENCES_MAX:
        scored = [(_score(each, names[each.passage], worth, covered) / total, each) for each in pool]
        _, best = max(((score + _merit(each), each) for score, each in scored), key=_rank)
        support = next(score for score, each in scored if each is best)
        shared = (best.terms | names[best.passage]) & worth.keys()
        if support < (_GAIN_MIN if chosen else SUPPORT_MIN) or len(shared) < min(SHARED_MIN, len(worth)):
            break
        chosen.append(best)
        covered |= shared
        said = bare(best.text)
        pool = [each for each in pool if bare(each.text) != said]
    return chosen


def _nearest(question: str, passages: Sequence[GivenPassage]) -> Sentence | None:
    """Return how the best passage that shares a word with the question begins: that is where a name is defined."""
    for number, passage in enumerate(passages):
        if _shares(question, passage) and (said := sentences(passage, number)):
            return said[0]
    return None


def _shares(question: str, passage: GivenPassage) -> bool:
    return bool(weights(question, [passage]).keys() & set(terms(passage.text[:TEXT_CHARS_MAX])))


def _score(sentence: Sentence, name: AbstractSet[str], worth: dict[str, float], covered: AbstractSet[str]) -> float:
    new = {term: value for term, value in worth.items() if term not in covered}
    said = sum(value for term, value in new.items() if term in sentence.terms)
    named = sum(value for term, value in new.items() if term in name and term not in sentence.terms)
    return said + _NAME_SHARE * named


def _merit(sentence: Sentence) -> float:
    first = _FIRST_BONUS if sentence.index == 0 else 0.0
    defining = _DEFINITION_BONUS if _DEFINITION.match(sentence.text) else 0.0
    return first + defining - _PASSAGE_LOSS * sentence.passage - min(0.3, _SENTENCE_LOSS * sentence.index)


def _rank(scored: tuple[float, Sentence]) -> tuple[float, int, int]:
    return scored[0], -scored[1].passage, -scored[1].index


def _joined(chosen: Iterable[Sentence], passages: Sequence[GivenPassage]) -> str:
    """Put what comes from one passage together, in its order there, under the name it documents."""
    by_passage: dict[int, list[Sentence]] = {}
    for sentence in chosen:
        by_passage.setdefault(sentence.passage, []).append(sentence)
    quotes: list[str] = []
    for number, quoted in by_passage.items():
        name = label(passages[number])
        for place, sentence in enumerate(sorted(quoted, key=lambda each: each.index)):
            named = bare(sentence.text).startswith(bare(name))
            lead = f"{name}: " if name and place == 0 and not named else ""
            quotes.append(f"{lead}{sentence.text} [{number + 1}]")
    return " ".join(quotes)


def _claims(given_answer: str) -> tuple[list[tuple[str, list[int]]], str]:
    """Return each stretch of text with the marks after it, and what comes after the last mark."""
    claims: list[tuple[str, list[int]]] = []
    end = 0
    for claim in _CLAIM.finditer(given_answer):
        claims.append((claim[1].strip(), [int(number) for number in re.findall(r"\d+", claim[2])]))
        end = claim.end()
    return claims, given_answer[end:].strip()


def _left_out(
    question: str, given_answer: str, passages: Sequence[GivenPassage], cited: Sequence[GivenPassage]
) -> list[str]:
    """Return what the answer could have spoken of and did not, if that is more than half of what was asked."""
    worth = weights(question, passages)
    sayable = frozenset(term for passage in passages for term in terms(passage.text))
    names = frozenset(term for passage in cited for term in about(passage))
    said = frozenset(terms(given_answer)) | names
    askable = {term: value for term, value in worth.items() if term in sayable}
    coverage = sum(value for term, value in askable.items() if term in said) / (sum(askable.values()) or 1.0)
    return [] if coverage >= COVERAGE_MIN else [term for term in askable if term not in said]
