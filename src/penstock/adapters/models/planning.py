"""Splits a question into parts that can be searched on their own, without a language model.

- There are 1 to 4 parts, and each can be understood alone: what "it" stands for is written beside it.
- The same question and history give the same parts.
"""

import re
from collections.abc import Iterator, Sequence

PARTS_MAX = 4
TOPIC_WORDS_MAX = 6
_TELLING_WORDS_MIN = 3


def parts(question: str, history: Sequence[str] = ()) -> list[str]:
    """Return the sub-questions of `question`; `history` is what the same person asked before, oldest first."""
    before = [asked for asked in history if asked.strip() != question.strip()]
    topics = (topic_words(_resolved(asked)) for asked in reversed(before))
    topic = next((words for words in topics if len(words) > 1), list[str]())
    found: list[str] = []
    plain = " ".join(question.split())
    for part in _split(plain):
        own = topic_words(part)
        whole = part
        leans = (
            bool(_REFERENCE.search(part)) or not own or (not found and len(own) == 1 and bool(_LEANING.match(plain)))
        )
        if topic and leans:
            missing = [word for word in topic if word.casefold() not in {each.casefold() for each in own}]
            whole = f"{part.rstrip(' ?')} ({' '.join(missing)})?" if missing else part
        elif own:
            topic = own
        found.append(whole)
    found = list(dict.fromkeys(found)) or [question.strip()]
    return [*found[: PARTS_MAX - 1], " ".join(found[PARTS_MAX - 1 :])] if len(found) > PARTS_MAX else found


def topic_words(text: str) -> list[str]:
    """Return the words that say what a text is about, as they are written, at most six."""
    return content_words(text)[:TOPIC_WORDS_MAX]


def content_words(text: str) -> list[str]:
    """Return the words that are not there for the sentence's sake only, as they are written, each once."""
    return list(dict.fromkeys(word for word in _WORD.findall(text) if word.casefold() not in _EMPTY_WORDS))


_WORD = re.compile(r"\w+(?:[.\-']\w+)*")
_EMPTY_WORDS = frozenset(
    (  # noqa: SIM905 - a line of words is read sooner than a column
        "a about after all also am an and another any are as at be been before being best better but by can could did do "
        "does doing done explain find for from get give go had has have having help how i if in instead into is it its "
        "just kind know let like made make many may me mean might more most much must my need no not now of on one ones "
        "only or other our out over own please possible really same shall should show so some something such tell than "
        "that the their them then there these they thing things this those through to too up us use used using very want "
        "was way we were once several every each everything something nothing itself myself together given stay stays "
        "already again what when where whether which while who whom whose why will with without work works would write "
        "you your python python's program code it's what's i'm don't doesn't isn't can't there's"
    ).split()
)
_REFERENCE = re.compile(r"(?i)\b(?:it|its|that|this|them|they|their|those|these|the same|one|there)\b")
# "And the timeout?", "what about errors?"
_LEANING = re.compile(r"(?i)^(?:and|but|also|or|what about|how about)\b")
_ASKING = (
    r"how|what|what's|which|where|when|why|who|whose|can|could|is|are|do|does|did|should|would|will|may|must|has|have|"
    r"explain|tell|show|describe|compare"
)
_QUESTION_START = re.compile(rf"(?i)^(?:{_ASKING})\b")
# "and" joins two questions only where a question follows: "read and write a file" stays whole.
_JOINT = re.compile(
    rf"(?i)\s*(?:[,;]\s*)?\b(?:and|also|then|plus|but|or)(?:\s+(?:also|then))?\s+(?=(?:{_ASKING})\b)|\s*;\s+"
)
_COMPARISON = re.compile(r"(?i)\bdifferen(?:ce|t)\w*\s+(?:is\s+there\s+)?between\s+(.+?)\s+and\s+(.+?)\s*\??$")
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+(?=\S)")


def _split(question: str) -> Iterator[str]:
    context = ""
    for sentence in _SENTENCE_END.split(question):
        if not sentence.endswith("?") and not _QUESTION_START.match(_begun(sentence)):
            # A statement says what the questions after it are about.
            context = f"{context} {sentence}".strip()
            continue
        for number, part in enumerate(_JOINT.split(sentence)):
            if plain := _begun(part):
                lead = f"{context} " if context and number == 0 else ""
                yield f"{lead}{plain[0].upper()}{plain[1:].rstrip(' ,;.?!')}?"
                yield from _compared(plain)
        context = ""
    if context:
        yield context


def _compared(part: str) -> Iterator[str]:
    if compared := _COMPARISON.search(part):
        yield from (f"What is {side.strip()}?" for side in compared.groups())


def _begun(text: str) -> str:
    return re.sub(r"(?i)^(?:and|but|so|also|then|or|ok|okay|thanks|well)\b[,\s]*", "", text.strip()).strip()


def _resolved(asked: str) -> str:
    # A question that itself leans on an earlier one tells less of the topic than that one.
    return "" if _REFERENCE.search(asked) and len(topic_words(asked)) < _TELLING_WORDS_MIN else asked
