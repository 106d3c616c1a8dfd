"""What a search can be asked for, beside its text: one list of options for handlers, callers from outside, and HTTP."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import datetime
from math import isnan
from typing import Any, Literal, NamedTuple, TypedDict, get_args

import msgspec

from penstock.core.knowledge.as_of import AsOf
from penstock.core.knowledge.filters import Filter
from penstock.errors import Finding, Invalid

CANDIDATES_MAX = 200  # that a re-ranker may be asked about
WITHIN_S = 5.0  # that it gets, unless a search says otherwise
WITHIN_S_MAX = 60.0
Mode = Literal["hybrid", "vectors", "words"]
Fusion = Literal["scores", "ranks"]
Moment = int | datetime | str | AsOf | None  # an offset of the log, a time, the id of a run; None: now


class SearchOptions(TypedDict, total=False):
    """`limit`: how many passages at most (5). `mode`: by words, by vectors, or by both. `filter`: on metadata.

    `fusion`: how both are put together: by standard scores, or by reciprocal ranks. `diversity`: from 0 (the best, alike or
    not) to 1 (as different as can be). `score_min`: leave out what scores less; the scale is that of the mode: BM25, cosine,
    or deviations from the mean of the candidates. `page_after`: go on after this passage (`found[-1].cursor` of the page before).
    `highlight`: say where the words of the query are, and show the stretch that has most of them. `generation`: search that
    build of the collection. `as_of`: as it was, at an offset of its log, at a time, or when a run (its id) began.
    `refine`: False for the first vectors alone, where a finer model follows in the background.
    `boost`: from 0 to 1, how much use lifts a passage (`used`). `rerank`: how many of the best are judged anew by the
    collection's re-ranker (where it has one: 50); 0 for none; `rerank_within_s`: how long that may take, else the order before.
    """

    limit: int
    mode: Mode
    filter: Filter | Mapping[str, Any] | None
    generation: int | None
    as_of: Moment
    fusion: Fusion
    diversity: float
    score_min: float | None
    page_after: str
    highlight: bool
    refine: bool
    boost: float
    rerank: int | None
    rerank_within_s: float


class Place(NamedTuple):
    """The place of a passage in an order: by falling score, equal ones by id."""

    score: float
    id: str

    def is_before(self, score: float, passage_id: str) -> bool:
        return (-self.score, self.id) < (-score, passage_id)


def cursor_of(score: float, passage_id: str) -> str:
    """Return a place in an order as a short text."""
    return urlsafe_b64encode(msgspec.json.encode([score, passage_id])).decode().rstrip("=")


def place_of(cursor: str) -> Place:
    """Return what `cursor_of` was made from; `Invalid` for any other text."""
    try:
        body = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        score, passage_id = msgspec.json.decode(body, type=tuple[float, str])
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise Invalid(
            "the search", (Finding("page_after", "is no cursor", "give `cursor` of a passage found"),)
        ) from error
    return Place(score, passage_id)


def wrong_options(options: SearchOptions) -> list[Finding]:
    """Return all that is wrong with options that have a few values or a range."""
    findings: list[Finding] = []
    for name, kind in (("mode", Mode), ("fusion", Fusion)):
        value, allowed = options.get(name), get_args(kind)
        if value is not None and value not in allowed:
            findings.append(Finding(name, f"is {value!r}", f"one of {', '.join(allowed)}"))
    findings += _wrong_order(options)
    if (least := options.get("score_min")) is not None and isnan(least):
        findings.append(Finding("score_min", "is no number", "give the score that a passage must have"))
    diversity = options.get("diversity", 0.0)
    if not 0 <= diversity <= 1:
        findings.append(Finding("diversity", f"is {diversity!r}", "from 0 to 1"))
    if diversity and options.get("page_after"):
        findings.append(
            Finding(
                "page_after", "has no meaning with diversity", "ask for more at once: the order depends on those before"
            )
        )
    return findings


def _wrong_order(options: SearchOptions) -> list[Finding]:
    findings: list[Finding] = []
    boost, rerank = options.get("boost", 0.0), options.get("rerank")
    if not 0 <= boost <= 1:
        findings.append(Finding("boost", f"is {boost!r}", "from 0 to 1"))
    if rerank is not None and not 0 <= rerank <= CANDIDATES_MAX:
        findings.append(Finding("rerank", f"is {rerank!r}", f"from 0 to {CANDIDATES_MAX}"))
    if not 0 < (within_s := options.get("rerank_within_s", WITHIN_S)) <= WITHIN_S_MAX:
        findings.append(Finding("rerank_within_s", f"is {within_s!r}", f"more than 0, {WITHIN_S_MAX:g} at most"))
    for name, is_given in (("boost", boost), ("rerank", rerank)):
        if is_given and (options.get("page_after") or options.get("diversity")):
            other = "page_after" if options.get("page_after") else "diversity"
            findings.append(Finding(other, f"has no meaning with {name}", "choose one: each has an order of its own"))
    return findings
