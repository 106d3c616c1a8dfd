"""Cases of event patterns, one JSON object a line, and whether we answer as what recorded them did.

A case was judged either by EventBridge, which takes only whole events and refuses patterns that are too complex, or by
event-ruler alone, which takes any object. Its `source` says which.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from penstock.cli.case_files import read_cases
from penstock.core.patterns.documents import read_event
from penstock.core.patterns.reading import parse_pattern
from penstock.core.patterns.rules import RuleSet
from penstock.core.patterns.wildcards import COMPLEXITY_MAX
from penstock.errors import Finding, Invalid

REQUIRED = ("id", "account", "source", "time", "region", "detail-type")
REFUSALS = "Event pattern is not valid. Reason: "
RULER = "event-ruler"


@dataclass(frozen=True, slots=True)
class Graded:
    """A case and what became of it."""

    name: str
    operators: tuple[str, ...]
    expected: str
    got: str
    passed: bool
    same_words: bool | None = None
    """Whether the reason of a refusal is told in the recorded words; none where no words were recorded."""


def cases_in(file: Path) -> Iterator[dict[str, object]]:
    """Yield the cases of a file, as `read_cases` does."""
    return read_cases(file, read_event)


def graded(case: Mapping[str, object]) -> Graded:
    """Answer a case, and compare."""
    operators = tuple(str(each) for each in cast("Sequence[object]", case.get("ops", ()))) or ("-",)
    name = str(case.get("name", "a case without a name"))
    got, reason = _answer(case)
    if "matches" in case:
        expected = "a match" if case["matches"] else "no match"
        return Graded(name, operators, expected, got, got == expected)
    of_event = case.get("error") == "ValidationException"
    expected = "the event refused" if of_event else "the pattern refused"
    words = case.get("error_message")
    same = None if of_event or words is None or not reason else str(words).removeprefix(REFUSALS) == reason
    return Graded(name, operators, expected, got, got.startswith(expected), same)


def by_operator(results: Sequence[Graded]) -> list[dict[str, str | int]]:
    """Return passed, failed and reasons in the recorded words, for each operator that cases use."""
    rows: list[dict[str, str | int]] = []
    for operator in sorted({each for result in results for each in result.operators}):
        here = [each for each in results if operator in each.operators]
        told = [each.same_words for each in here if each.same_words is not None]
        rows.append(
            {
                "operator": operator,
                "passed": sum(each.passed for each in here),
                "failed": sum(not each.passed for each in here),
                "reasons": f"{sum(told)} of {len(told)}" if told else "",
            }
        )
    return rows


def _answer(case: Mapping[str, object]) -> tuple[str, str]:
    """Return what we say to a case, and the reason for a refusal of its pattern."""
    whole = RULER not in str(case.get("source", ""))
    try:
        pattern = parse_pattern(_either(case, "pattern"), complexity_max=COMPLEXITY_MAX if whole else None)
    except Invalid as error:
        return f"the pattern refused: {error.findings[0].problem}", error.findings[0].problem
    try:
        given = _either(case, "event")
        event = read_event(given) if isinstance(given, str) else dict(given)
        if whole:
            _whole(event)
    except Invalid as error:
        return f"the event refused: {error.findings[0]}", ""
    return ("a match" if RuleSet({"rule": pattern}).matching(event) else "no match"), ""


def _either(case: Mapping[str, object], name: str) -> str | Mapping[str, object]:
    value = case.get(f"{name}_text", case.get(name))
    if isinstance(value, str):
        return value
    return cast("Mapping[str, object]", value if isinstance(value, Mapping) else {})


def _whole(event: Mapping[str, object]) -> None:
    """Refuse what EventBridge would not take for an event. Raises `Invalid`."""
    missing = tuple(Finding(f"$.{name}", "is missing") for name in REQUIRED if name not in event)
    if missing:
        raise Invalid("the event", missing)
