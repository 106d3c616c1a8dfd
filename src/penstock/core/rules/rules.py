"""Rules: which events of a bus go to which targets. All rules of a bus are matched as one."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from penstock.core.asl.services.bus import DEFAULT_BUS
from penstock.core.events.event import Event
from penstock.core.events.versions import parsed
from penstock.core.patterns.conditions import Pattern
from penstock.core.patterns.reading import parse_pattern
from penstock.core.patterns.rules import RuleSet
from penstock.core.rules.bus_events import OWN_BUS
from penstock.core.rules.targets import Target
from penstock.errors import Finding, Invalid

TARGETS_MAX: Final = 100
_NAME: Final = re.compile(r"[\w.-]{1,64}", re.ASCII)


@dataclass(frozen=True)
class Rule:
    """A pattern over the events of a bus, and where those that match go."""

    name: str
    pattern: Mapping[str, object]
    targets: tuple[Target, ...]
    bus: str = DEFAULT_BUS
    enabled: bool = True
    description: str = ""

    def agent_of(self, target: Target) -> str:
        """Return the name of the agent that stands for a target: its runs and dead letters go by it."""
        return f"rule.{self.name}.{target.name}"


def ruled(name: str, pattern: object, targets: Sequence[Target], bus: str, options: Mapping[str, Any]) -> Rule:
    """Read a rule; `Invalid` with all findings."""
    findings: list[Finding] = []
    if not _NAME.fullmatch(name):
        findings.append(Finding("name", f"is {name!r}", "use letters, digits, ., - and _: 1 to 64 of them"))
    if not _NAME.fullmatch(bus):
        findings.append(Finding("bus", f"is {bus!r}", "use letters, digits, ., - and _: 1 to 64 of them"))
    try:
        if isinstance(pattern, Mapping):
            parse_pattern(cast("Mapping[str, object]", pattern))
        else:
            findings.append(Finding("pattern", f"is {pattern!r}", 'such as {"detail-type": ["OrderPlaced"]}'))
    except Invalid as error:
        findings += [Finding(f"pattern{each.path[1:]}", each.problem, each.hint) for each in error.findings]
    if not 0 < len(targets) <= TARGETS_MAX:
        findings.append(Finding("targets", f"are {len(targets)}", f"1 to {TARGETS_MAX}"))
    names = [target.name for target in targets]
    for each in sorted({each for each in names if names.count(each) > 1}):
        findings.append(
            Finding("targets", f"{each!r} is the name of several", "give them names: Target(..., name=...)")
        )
    findings += [
        Finding(each, "is no option of a rule", "the options are bus, enabled, description")
        for each in options
        if each not in ("enabled", "description")
    ]
    if findings:
        raise Invalid(f"the rule {name!r}", tuple(findings))
    return Rule(name, cast("Mapping[str, object]", pattern), tuple(targets), bus, **options)


class Buses:
    """The rules of an app by the bus that they watch."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = {rule.name: rule for rule in rules}
        self._sets: dict[str, RuleSet[str]] = {}
        for rule in self.rules.values():
            if rule.enabled:
                self._sets.setdefault(rule.bus, RuleSet()).add(rule.name, parse_pattern(rule.pattern))

    def matching(self, bus: str, document: Mapping[str, object]) -> list[Rule]:
        """Return the rules that an event of a bus matches, in the order in which they were declared."""
        rules = self._sets.get(bus)
        return [] if rules is None else [self.rules[name] for name in rules.matching(document)]

    def may_match(self, event: type[Event]) -> list[Rule]:
        """Return the rules of the app's own bus that some event of a class could match."""
        name = detail_type_of(event)
        return [
            rule
            for rule in self.rules.values()
            if rule.enabled and rule.bus == OWN_BUS and _asks_for(rule.pattern, name)
        ]


def detail_type_of(event: type[Event]) -> str:
    """Return how rules see the class of an event."""
    named = parsed(event.type_)
    return event.type_ if named is None else named[0]


def _asks_for(pattern: Mapping[str, object], detail_type: str) -> bool:
    """Whether a pattern leaves room for a detail-type, whatever else it asks for."""
    asked = pattern.get("detail-type")
    if asked is None:
        return True
    only: Pattern = parse_pattern({"detail-type": asked})
    return bool(RuleSet({"": only}).matching({"detail-type": detail_type}))
