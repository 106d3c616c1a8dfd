"""Splits a goal into tasks that depend on each other, without a language model.

- A task's type is what its verb says: `retrieve`, `compare`, `summarize`, or the verb itself, whether anybody can do that or not.
- A task depends on those before it where it works on what they find: it compares, it sums up, it says "then" or "it".
- The same goal gives the same tasks, 12 at most, and none that depends on one after it.
"""

import re
from collections.abc import Iterator
from typing import TypedDict

TASKS_MAX = 12
GOAL_CHARS_MAX = 4000


class Task(TypedDict):
    """One task, as planners write it."""

    id: str
    type: str
    description: str
    depends_on: list[str]


def tasks(goal: str) -> list[Task]:
    """Return the tasks of a goal, in an order in which they can be done."""
    found: list[Task] = []
    for clause, is_after in _clauses(" ".join(goal[:GOAL_CHARS_MAX].split())):
        kind = _type_of(clause)
        works_on = kind in ("compare", "summarize")
        if works_on and (kind == "compare" or not found) and not _REFERENCE.search(clause):
            for question in _sides(clause):  # what it works on must be found first
                _add(found, "retrieve", question, [])
        leans = is_after or works_on or bool(_REFERENCE.search(clause))
        known = [each["id"] for each in found if each["type"] in _TYPES]  # others leave nothing to work on
        _add(found, kind, clause, known if leans else [])
    return found


_RETRIEVE = "find|find out|look up|search|research|get|list|name|tell|show|check|read|collect|gather"
_ASKING = "what|how|when|where|which|who|why|is|are|can|do|does"
_SUMMARIZE = "summari[sz]e|sum up|write|draft|report|explain|describe|conclude|recommend|decide"
_OTHER = (
    "send|mail|e-?mail|book|buy|order|call|translate|post|pay|cancel|delete|schedule|remind|print|draw|calculate|deploy"
)
_TYPES = {
    "compare": re.compile(r"(?i)^(?:compare|contrast)\b"),
    "summarize": re.compile(rf"(?i)^(?:{_SUMMARIZE})\b"),
    "retrieve": re.compile(rf"(?i)^(?:{_RETRIEVE}|{_ASKING})\b"),
}
_ANY = rf"(?:compare|contrast|{_SUMMARIZE}|{_RETRIEVE}|{_ASKING}|{_OTHER})"
# "and" joins two tasks only where a verb or a question follows: "Kafka and NATS" stays whole.
_JOINT = re.compile(
    r"(?i)(?:[.;?!]\s+|,?\s*\b(?:and\s+)?(then|finally|afterwards)\b,?\s+"
    rf"|,?\s*\band\s+(?={_ANY}\b)|,\s+(?={_ANY}\b))"
)
# "how long Kafka, NATS and Redis Streams keep events": the names, and what is before and after them.
_NAMES = re.compile(
    r"(?P<before>.*?)(?P<left>(?:[A-Z]\S*,\s+)*(?:[A-Z]\w*\s+)*[^\s,]+),?\s+(?:and|with|to|or)\s+"
    r"(?P<right>(?:[A-Z]\S*\s*)+|\S+)(?P<after>.*)"
)
_HOW = re.compile(r"(?i)^(?:how(?: \w+)?|when|where|why) $")
_REFERENCE = re.compile(
    r"(?i)\b(?:it|them|that|this|those|these|both|results?|the difference)\b",
)


def _clauses(goal: str) -> Iterator[tuple[str, bool]]:
    """Yield each part of the goal, and whether it comes after those before it."""
    pieces = _JOINT.split(f"{goal} ")
    is_after = False
    for number in range(0, len(pieces), 2):
        clause = re.sub(r"(?i)^(?:please|first|and)\b[,\s]*", "", (pieces[number] or "").strip(" ,;.!?"))
        if clause:
            yield f"{clause[0].upper()}{clause[1:]}", is_after
        is_after = number + 1 < len(pieces) and pieces[number + 1] is not None


def _sides(clause: str) -> Iterator[str]:
    """Yield what must be looked up to compare, or to sum up, what a clause names."""
    about = clause.partition(" ")[2].strip(" ,.?")
    names = _NAMES.fullmatch(about)
    whole = [about]
    if names is not None:
        each_name = [*names["left"].split(","), names["right"]]
        before = _HOW.sub(r"\g<0>does ", names["before"])  # "how long A and B keep": "how long does A keep"
        whole = [f"{before}{each.strip()} {names['after'].strip()}".strip() for each in each_name]
    for each in filter(None, whole):
        is_asking = bool(_TYPES["retrieve"].search(each))
        yield f"{each[0].upper()}{each[1:]}?" if is_asking else f"What is known about {each}?"


def _type_of(clause: str) -> str:
    found = next((kind for kind, verb in _TYPES.items() if verb.search(clause)), None)
    verb = re.match(rf"(?i)({_OTHER})\b", clause)
    return found or (verb[1].lower() if verb else "retrieve")


def _add(found: list[Task], kind: str, description: str, depends_on: list[str]) -> None:
    if len(found) < TASKS_MAX:
        found.append(Task(id=f"t{len(found) + 1}", type=kind, description=description, depends_on=depends_on))
