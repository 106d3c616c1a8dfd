"""All that is wrong with a definition, at once: `validate`. And `parse`, which gives a machine or refuses with all of it.

    findings = validate(text)                  # errors and warnings, each with its path, rule and hint
    machine = parse(text)                      # raises Invalid with all errors

What AWS refuses is an error here, as far as it was recorded. What runs, but hardly as it was meant, is a warning.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from penstock.core.asl.definition import JSONATA, JSONPATH, Machine, QueryLanguage, from_document
from penstock.core.asl.documents import read_document
from penstock.core.asl.findings import Finding, finding, problems
from penstock.core.asl.grammar import BRANCH, MACHINE, PROCESSOR, STATES
from penstock.core.asl.labels import is_control
from penstock.core.asl.lint import machine_warnings, state_warnings
from penstock.core.asl.resources import WAIT_FOR_TOKEN, Kind, parse_resource
from penstock.core.asl.shape import Check, kind_of, one_of
from penstock.core.asl.transitions import transition_findings
from penstock.core.asl.values import Json
from penstock.core.asl.variables import inner_scopes, spoken
from penstock.errors import Invalid

NAME_CHARS_MAX: Final = 80
DEPTH_MAX: Final = 50
TESTED: Final = "StateName"
"""The name that a state has where it is validated alone, as AWS's TestState calls it."""


def validate(document: "bytes | str | Mapping[str, Json]", *, express: bool = False) -> list[Finding]:
    """Return all findings of a definition, errors and warnings, in the order of the document.

    A text is JSON or YAML. With `express` it is to be an express machine, which may do less.
    """
    machine, found = read_document(document)
    if machine is None:
        return found
    walk = _Walk(machine.get("QueryLanguage"), found)
    walk.scope(machine, "", MACHINE, express=express)
    return [*walk.found, *machine_warnings(machine)]


def validate_state(document: "bytes | str | Mapping[str, Json]", *, name: str = TESTED) -> list[Finding]:
    """Return all findings of one state that stands alone, as TestState takes it: where it leads to is not looked at."""
    state, found = read_document(document)
    if state is None:
        return found
    walk = _Walk(JSONPATH, found)
    walk.state(state, f"/States/{name}", express=False)
    return walk.found


def parse(document: "bytes | str | Mapping[str, Json]", *, express: bool = False) -> Machine:
    """Return the machine of a definition. Raise `Invalid` with all errors that it has; warnings do not count."""
    refuse(validate(document, express=express))
    return from_document(read_document(document)[0])


def refuse(findings: Iterable[Finding]) -> None:
    """Raise `Invalid` when there is an error among findings."""
    found = problems(findings)
    if found:
        raise Invalid("this state machine", tuple(found))


class _Walk:
    """One way through a document, from the machine down to the innermost state."""

    def __init__(self, language: Json, found: list[Finding]) -> None:
        self.language: QueryLanguage = JSONATA if language == JSONATA else JSONPATH
        self.found = list(found)
        self._names: dict[str, str] = {}
        self._labels: dict[str, str] = {}
        self._depth = 0

    def scope(self, scope: dict[str, Json], path: str, check: Check, *, express: bool) -> None:
        """Look at what has states of its own."""
        self.found += check(scope, path, self.language)
        states = scope.get("States")
        for name, state in states.items() if isinstance(states, dict) else ():
            where = f"{path}/States/{name}"
            self._name(name, where)
            if isinstance(state, dict):
                self.state(state, where, express=express)
            else:
                self.found.append(finding("value-type", where, f"must be an object, not {kind_of(state)}"))
        self.found += transition_findings(scope, path)

    def state(self, state: dict[str, Json], path: str, *, express: bool) -> None:
        """Look at a state, and at all inside of it."""
        language = spoken(state, self.language)
        if self.language == JSONATA and language == JSONPATH:
            hint = "leave out QueryLanguage in the machine, and set it in the states that use JSONata"
            problem = "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine"
            self.found.append(finding("language-mixed", f"{path}/QueryLanguage", problem, hint))
        kind = state.get("Type")
        if isinstance(kind, str) and kind in STATES:
            self.found += STATES[kind](state, path, language)
            self.found += state_warnings(state, path, language)
        elif "Type" in state:
            self.found += one_of(*STATES)(kind, f"{path}/Type", language)
        else:
            self.found.append(finding("field-missing", path, "These fields are required: [Type]"))
        self._label(state, path)
        if express:
            self.found += _express(state, path)
        self._inside(state, path, express=express)

    def _inside(self, state: dict[str, Json], path: str, *, express: bool) -> None:
        self._depth += 1
        for inside, inner in inner_scopes(state):
            if self._depth > DEPTH_MAX:
                self.found.append(finding("too-deep", path + inside, f"is nested more than {DEPTH_MAX} levels deep"))
                break
            config = inner.get("ProcessorConfig")
            child = isinstance(config, dict) and config.get("ExecutionType") == "EXPRESS"
            check = BRANCH if inside.startswith("/Branches") else PROCESSOR
            self.scope(inner, path + inside, check, express=express or child)
        self._depth -= 1

    def _name(self, name: str, path: str) -> None:
        if not 1 <= len(name) <= NAME_CHARS_MAX or any(map(is_control, name)):
            problem = f"{name!r} cannot be the name of a state"
            self.found.append(finding("state-name", path, problem, f"1 to {NAME_CHARS_MAX} characters"))
        if name in self._names:
            problem = f"State {name!r} is also defined at {self._names[name]}"
            self.found.append(finding("state-twice", path, problem, "names are unique in the whole machine"))
        self._names.setdefault(name, path)

    def _label(self, state: dict[str, Json], path: str) -> None:
        label = state.get("Label")
        if isinstance(label, str) and label in self._labels:
            problem = f"Label {label!r} is also used at {self._labels[label]}"
            self.found.append(finding("label-twice", f"{path}/Label", problem))
        elif isinstance(label, str):
            self._labels[label] = path


def _express(state: dict[str, Json], path: str) -> Iterable[Finding]:
    text = state.get("Resource")
    resource = parse_resource(text) if isinstance(text, str) else None
    where = f"{path}/Resource"
    if resource is not None and resource.kind is Kind.ACTIVITY:
        yield finding("express", where, "Express state machine does not support Activity ARN")
    elif resource is not None and resource.pattern == WAIT_FOR_TOKEN:
        # The blank at the end is AWS's.
        yield finding(
            "express", where, f"Express state machine does not support '.{WAIT_FOR_TOKEN}' service integration "
        )
    elif resource is not None and resource.pattern:
        problem = f"Express state machine does not support '.{resource.pattern}' service integration"
        yield finding("express", where, problem)
    processor = state.get("ItemProcessor")
    config = processor.get("ProcessorConfig") if isinstance(processor, dict) else None
    if isinstance(config, dict) and config.get("Mode") == "DISTRIBUTED":
        problem = "Express state machine does not support distributed Map states"
        yield finding("express", f"{path}/ItemProcessor/ProcessorConfig/Mode", problem)
