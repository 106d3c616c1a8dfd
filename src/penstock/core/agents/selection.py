"""Which events an agent takes of those of its types: those whose data match an event pattern."""

import json
from collections.abc import Mapping
from typing import cast

from penstock.core.events.event import Event
from penstock.core.patterns.documents import is_object
from penstock.core.patterns.reading import parse_pattern
from penstock.core.patterns.rules import RuleSet
from penstock.errors import Finding, Invalid


class Selection:
    """A pattern over the fields of events, ready to be asked."""

    __slots__ = ("_rules", "document", "fields")

    def __init__(self, document: Mapping[str, object]) -> None:
        pattern = parse_pattern(document)
        self.document = document
        self.fields = sorted({field.path.partition(".")[0] for branch in pattern.branches for field in branch})
        """Those of the events that the pattern asks about."""
        self._rules = RuleSet({"": pattern})

    def takes(self, event: type[Event], type: str, data: bytes) -> bool:
        """Whether an event of a type, perhaps of an older version of the class, is one that the agent takes.

        What cannot be read is taken: the handling will say what is wrong with it, and it is kept as a dead letter.
        """
        try:
            plain = json.loads(data if type == event.type_ else event.decoded_as(type, data).encoded())
        except (ValueError, Invalid):
            return True
        return not is_object(plain) or bool(self._rules.matching(cast("Mapping[str, object]", plain)))

    def unknown_fields(self, accepts: tuple[type[Event], ...]) -> list[Finding]:
        """Return a finding for each field that no event has: nothing, or everything, would match."""
        known = sorted({name for event in accepts for name in event.model_fields})
        names = " or ".join(event.__name__ for event in accepts)
        hint = f"one of {', '.join(known)}"
        return [
            Finding(f"pattern.{name}", f"is not a field of {names}", hint) for name in self.fields if name not in known
        ]


def selection_of(given: object, findings: list[Finding]) -> Selection | None:
    """Read what was given as an agent's pattern; what is wrong with it becomes findings."""
    if given is None or isinstance(given, Selection):
        return given
    if not isinstance(given, Mapping):
        hint = 'an event pattern over the fields, such as {"total": [{"numeric": [">", 100]}]}'
        findings.append(Finding("pattern", f"is {given!r}", hint))
        return None
    try:
        return Selection(cast("Mapping[str, object]", given))
    except Invalid as error:
        findings += [Finding(f"pattern{each.path[1:]}", each.problem, each.hint) for each in error.findings]
        return None
