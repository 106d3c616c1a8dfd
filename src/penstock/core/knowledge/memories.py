"""What agents remember: who is reminded of it, and how much each memory counts.

A memory is a passage. Whom it reaches, when it was, how much it matters, and what it sums up stand in its metadata. How it is
scored follows Park et al. 2023, "Generative Agents: Interactive Simulacra of Human Behavior" (arXiv 2304.03442), section 4.1: the
sum of relevance, recency and importance, each with a weight of 1. It departs from it in three ways:

- Recency and importance lie on fixed scales from 0 to 1; only relevance is stretched over the candidates. So a minute between
  the oldest and the newest candidate does not count as much as a year.
- Recency counts from when something was, not from when it was last recalled: a recall only reads.
- How much something matters is said by who remembers it, from 1 to 10 as in the paper.
"""

import math
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Literal, Protocol, TypeVar, get_args

import msgspec
from msgspec import Struct

from penstock.core.events.subjects import SHARED
from penstock.core.knowledge.events import COLLECTION, DOCUMENT, EXPIRES, SUBJECT
from penstock.core.knowledge.filters import All, Any, Equal, Exists, Filter, Not, number
from penstock.errors import Finding

Scope = Literal["session", "user", "agent", "tenant"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
SCOPE, AGENT, SESSION, AT_MS, IMPORTANCE = "memory", "agent", "session", "at_ms", "importance"  # in the metadata
SUMMARY, SUMMARISES = "summary", "summarises"  # which memory stands for it; which ones it stands for
NAMED = "named"  # it was given an id
RESERVED = frozenset(
    (SCOPE, AGENT, SESSION, SUBJECT, AT_MS, IMPORTANCE, SUMMARY, SUMMARISES, NAMED, COLLECTION, DOCUMENT, EXPIRES)
)
IMPORTANCE_MIN, IMPORTANCE_MAX = 1.0, 10.0
HALF_LIFE_S = 3600 * math.log(0.5) / math.log(0.995)  # the paper's decay: 0.995 an hour, so half in 138 hours
TEXT_CHARS_MAX = 20_000
RECALLED_MAX = 50
SUMMARISED_MAX = 50
SUMMARISED_CHARS_MAX = 60_000
_DIGITS_MAX = 15  # of a time
_CANDIDATES_PER_MEMORY, _CANDIDATES_MIN, _CANDIDATES_MAX = 4, 20, 200


class RecallWeights(Struct, frozen=True):
    """How much each part of a score counts, and after how long something is half as fresh."""

    relevance: float = 1.0
    recency: float = 1.0
    importance: float = 1.0
    half_life_s: float = HALF_LIFE_S


class Whose(Struct, frozen=True):
    """Who remembers, or is reminded. Empty: not said."""

    session: str = ""
    user: str = ""
    agent: str = ""


class Recalled(Struct, frozen=True):
    """A memory that came up. `score` is the weighted sum of the three parts, each from 0 to 1, within one recall."""

    id: str
    text: str
    score: float
    relevance: float
    recency: float
    importance: float
    at_ms: int
    scope: str
    agent: str = ""
    session: str = ""
    user: str = ""
    summarises: tuple[str, ...] = ()  # ids of the memories that it stands for
    metadata: Mapping[str, str] = {}
    degraded: str = ""  # why it was searched in another way than was asked for, if it was


class Candidate(Protocol):
    """A passage that was found."""

    @property
    def id(self) -> str: ...
    @property
    def score(self) -> float: ...
    @property
    def text(self) -> str: ...
    @property
    def metadata(self) -> Mapping[str, str]: ...
    @property
    def degraded(self) -> str: ...


C = TypeVar("C", bound=Candidate)


def candidates_of(limit: int) -> int:
    """Return how many memories are looked at for so many."""
    return max(_CANDIDATES_MIN, min(_CANDIDATES_MAX, _CANDIDATES_PER_MEMORY * limit))


def ranked(candidates: Sequence[Candidate], weights: RecallWeights, now_ms: int, limit: int) -> list[Recalled]:
    """Return the memories that count most, best first; of equal ones the newer, then by id."""
    scores = [each.score for each in candidates]
    least, span = min(scores, default=0.0), max(scores, default=0.0) - min(scores, default=0.0)
    found = [_scored(each, (each.score - least) / span if span else 1.0, weights, now_ms) for each in candidates]
    return sorted(found, key=lambda each: (-each.score, -each.at_ms, each.id))[:limit]


def oldest(memories: Sequence[C], keep: int, least: int) -> list[C]:
    """Return what is to be summed up, oldest first: all but the newest, as far as one summary goes; none if it is too little."""
    # A summary has the time of its newest part: within one millisecond it comes before what was remembered after that.
    in_time = sorted(memories, key=lambda each: (time_of(each.metadata), SUMMARISES not in each.metadata, each.id))
    older = in_time[: max(0, len(in_time) - keep)]
    if len(older) < least:
        return []
    taken: list[C] = []
    chars = 0
    for each in older[:SUMMARISED_MAX]:
        chars += len(each.text)
        if chars > SUMMARISED_CHARS_MAX:
            break
        taken.append(each)
    return taken


def summary_id(parts: Sequence[str]) -> str:
    """Return the id of the summary of these memories: summing up the same again replaces it."""
    return "summary/" + blake2b(msgspec.json.encode(parts), digest_size=16).hexdigest()


def recency(at_ms: int, now_ms: int, half_life_s: float) -> float:
    """Return how fresh something is: 1 for now, half of it after each half-life. What is to come counts as now."""
    return 0.5 ** (max(0, now_ms - at_ms) / 1000 / half_life_s)


def importance_of(metadata: Mapping[str, str]) -> float:
    """Return how much a memory matters, from 1 to 10; 1 where it does not say."""
    said = number(metadata.get(IMPORTANCE, "")) or IMPORTANCE_MIN
    return min(IMPORTANCE_MAX, max(IMPORTANCE_MIN, said))


def time_of(metadata: Mapping[str, str]) -> int:
    """Return when a memory was, in ms since 1970; 0 where it does not say."""
    said = metadata.get(AT_MS, "")
    return int(said) if said.isascii() and said.isdecimal() and len(said) <= _DIGITS_MAX else 0


def parts_of(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Return the ids of the memories that one stands for."""
    try:
        return msgspec.json.decode(metadata.get(SUMMARISES, "[]"), type=tuple[str, ...])
    except msgspec.MsgspecError:
        return ()


def metadata_of(whose: Whose, scope: Scope, importance: float, at_ms: int) -> dict[str, str]:
    """Return what a memory says of itself. Its user is said even if there is none: then it is about nobody."""
    return {
        SCOPE: scope,
        AGENT: whose.agent,
        SESSION: whose.session,
        SUBJECT: whose.user,
        AT_MS: str(at_ms),
        IMPORTANCE: f"{importance:g}",
    }


def reaching(whose: Whose, scope: Scope | None, further: Filter | None, *, summarised: bool = False) -> Filter:
    """Return which memories reach somebody: of one scope, or of all of them that can be told.

    What a summary stands for is left out, unless `summarised`.
    """
    names = {"session": (SESSION, whose.session), "user": (SUBJECT, whose.user), "agent": (AGENT, whose.agent)}
    reached: list[Filter] = []
    for each in SCOPES if scope is None else (scope,):
        field, value = names.get(each, ("", ""))
        if not field:
            reached.append(Equal(SCOPE, each))
        elif value and value != SHARED:
            reached.append(All((Equal(SCOPE, each), Equal(field, value))))
    filters: list[Filter] = [Any(tuple(reached))]
    if not summarised:
        filters.append(Not(Exists(SUMMARY)))
    if further is not None:
        filters.append(further)
    return All(tuple(filters))


def wrong_memory(text: str, whose: Whose, scope: str, importance: float, more: Mapping[str, str]) -> list[Finding]:
    """Return all that is wrong with something to remember."""
    findings = wrong_scope(whose, scope)
    if not text.strip():
        findings.append(Finding("text", "is empty", "say what is to be remembered"))
    if len(text) > TEXT_CHARS_MAX:
        findings.append(Finding("text", f"has {len(text)} characters", f"{TEXT_CHARS_MAX} at most: sum it up"))
    if not IMPORTANCE_MIN <= importance <= IMPORTANCE_MAX:
        findings.append(Finding("importance", f"is {importance!r}", "from 1, everyday, to 10, once in a life"))
    if whose.user == SHARED:
        findings.append(Finding("user", "is not one: the batch is about several", 'say whom it is about, or user=""'))
    findings += [
        Finding(f"metadata.{name}", "is a memory's own", "use another name") for name in sorted(RESERVED & more.keys())
    ]
    return findings


def wrong_scope(whose: Whose, scope: str | None) -> list[Finding]:
    """Return what is wrong with whom something is to reach."""
    if scope is None:
        return []
    if scope not in SCOPES:
        return [Finding("scope", f"is {scope!r}", f"one of {', '.join(SCOPES)}")]
    of = {"session": whose.session, "user": whose.user, "agent": whose.agent}.get(scope, "said")
    if of and of != SHARED:
        return []
    hints = {
        "user": 'say user="...", or whom the event is about: class Said(Event, subject="user_id")',
        "session": 'say session="...", or order the agent by a key: class Said(Event, key="session")',
        "agent": 'say agent="..."',
    }
    return [Finding(scope, f"is not known, and the scope is {scope!r}", hints[scope])]


def wrong_weights(weights: RecallWeights) -> list[Finding]:
    """Return all that is wrong with weights."""
    named = {"relevance": weights.relevance, "recency": weights.recency, "importance": weights.importance}
    findings = [
        Finding(f"weights.{name}", f"is {value!r}", "a number, 0 or more")
        for name, value in named.items()
        if not (math.isfinite(value) and value >= 0)
    ]
    if not findings and not any(named.values()):
        findings.append(Finding("weights", "are all 0", "have one part count at least"))
    if not (math.isfinite(weights.half_life_s) and weights.half_life_s > 0):
        findings.append(Finding("weights.half_life_s", f"is {weights.half_life_s!r}", "a number of seconds above 0"))
    return findings


def _scored(found: Candidate, relevance: float, weights: RecallWeights, now_ms: int) -> Recalled:
    said = found.metadata
    at_ms = time_of(said)
    fresh = recency(at_ms, now_ms, weights.half_life_s)
    matters = (importance_of(said) - IMPORTANCE_MIN) / (IMPORTANCE_MAX - IMPORTANCE_MIN)
    score = weights.relevance * relevance + weights.recency * fresh + weights.importance * matters
    return Recalled(
        found.id,
        found.text,
        score,
        relevance,
        fresh,
        matters,
        at_ms,
        said.get(SCOPE, ""),
        said.get(AGENT, ""),
        said.get(SESSION, ""),
        said.get(SUBJECT, ""),
        parts_of(said),
        {name: value for name, value in said.items() if name not in RESERVED},
        found.degraded,
    )
