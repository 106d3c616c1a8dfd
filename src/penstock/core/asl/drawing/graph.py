"""What a picture of a machine shows: boxes, what is inside of them, and arrows. Also what happened to each state in a run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from penstock.core.asl.choice_rule import ChoiceRule
from penstock.core.asl.definition import (
    AnyState,
    Branch,
    Catcher,
    Choice,
    Fail,
    Machine,
    Map,
    Pass,
    Processor,
    State,
    Succeed,
    Task,
    Wait,
    children,
    to_document,
)
from penstock.core.asl.resources import Kind, parse_resource
from penstock.core.asl.values import json_text

LABEL_CHARS_MAX: Final = 36
START, END = "Start", "End"
_SIGNS: Final = {
    "Equals": "=",
    "LessThan": "<",
    "GreaterThan": ">",
    "LessThanEquals": "<=",
    "GreaterThanEquals": ">=",
    "Matches": "~",
}
_QUESTIONS: Final = {
    "IsPresent": "is present",
    "IsNull": "is null",
    "IsNumeric": "is a number",
    "IsString": "is a text",
    "IsBoolean": "is true or false",
    "IsTimestamp": "is a timestamp",
}


@dataclass(frozen=True, slots=True)
class Visit:
    """What became of a state in a run: `succeeded`, `failed`, `caught`, `running` or `stopped`. The note is below its name."""

    status: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """A box. `kind` is the state's type, or Start or End; `inside` are the machines that it runs."""

    name: str
    kind: str
    lines: tuple[str, ...] = ()
    inside: "tuple[Graph, ...]" = ()
    status: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow. `kind` is `next`, `rule`, `default` or `catch`."""

    source: str
    target: str
    label: str = ""
    kind: str = "next"


@dataclass(frozen=True, slots=True)
class Graph:
    """The states of one scope. Start and End are nodes of their own, which no state can be called: they have a blank in front."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


START_NODE: Final = Node(f" {START}", START, (START,))
END_NODE: Final = Node(f" {END}", END, (END,))


def graph_of(machine: Machine, visits: Mapping[str, Visit] | None = None) -> Graph:
    """Return the graph of a machine; with visits, states are marked by what became of them in a run."""
    return _graph(machine, visits or {})


def _graph(scope: Machine | Branch | Processor, visits: Mapping[str, Visit]) -> Graph:
    nodes = [START_NODE]
    edges = [Edge(START_NODE.name, scope.start_at)]
    for name, state in scope.states.items():
        visit = visits.get(name)
        lines = (
            name,
            *((what,) if (what := described(state)) else ()),
            *((visit.note,) if visit and visit.note else ()),
        )
        inside = tuple(_graph(each, visits) for each in children(state))
        nodes.append(Node(name, state.type, lines, inside, visit.status if visit else ""))
        edges.extend(_edges(name, state))
    if any(edge.target == END_NODE.name for edge in edges):
        nodes.append(END_NODE)
    return Graph(tuple(nodes), tuple(edges))


def _edges(name: str, state: AnyState) -> Iterator[Edge]:
    match state:
        case Choice():
            for rule in state.choices:
                yield Edge(name, rule.next or "", rule_text(rule), "rule")
            if state.default is not None:
                yield Edge(name, state.default, "otherwise", "default")
        case Succeed() | Fail():
            yield Edge(name, END_NODE.name)
        case _:
            yield Edge(name, END_NODE.name if state.next is None else state.next)
    for catcher in _catchers(state):
        yield Edge(name, catcher.next, shortened(", ".join(catcher.error_equals)), "catch")


def _catchers(state: State) -> tuple[Catcher, ...]:
    return getattr(state, "catch", ())


def described(state: AnyState) -> str:
    """Return in a few words what a state does, beyond its name."""
    match state:
        case Task():
            return shortened(_resource_text(state.resource))
        case Wait():
            amount = state.seconds if state.seconds is not None else state.seconds_path
            until = state.timestamp or state.timestamp_path
            return shortened(f"wait until {until}" if until else f"wait {amount} s")
        case Fail():
            return shortened(state.error or state.error_path or "")
        case Map():
            return "distributed map" if state.distributed else "map"
        case Pass() | Choice() | Succeed():
            return ""
        case _:
            return "parallel"


def _resource_text(text: str | None) -> str:
    resource = parse_resource(text) if text else None
    if resource is None:
        return text or ""
    if resource.kind is Kind.SERVICE:
        return f"{resource.service}:{resource.action}{f'.{resource.pattern}' if resource.pattern else ''}"
    return f"{resource.kind}:{resource.name}" if resource.name and "${" not in resource.text else resource.text


def rule_text(rule: ChoiceRule) -> str:
    """Return a choice rule as one reads it: `$.kind = "refund" and not $.paid is present`."""
    return shortened(_rule(to_document(rule)))


def _rule(rule: Mapping[str, Any]) -> str:
    if "Condition" in rule:
        return str(rule["Condition"]).removeprefix("{%").removesuffix("%}").strip()
    for name, word in (("And", " and "), ("Or", " or ")):
        if name in rule:
            return word.join(_rule(each) for each in rule[name])
    if "Not" in rule:
        return f"not {_rule(rule['Not'])}"
    variable = rule.get("Variable", "")
    for name, value in rule.items():
        if name in _QUESTIONS:
            return f"{variable} {_QUESTIONS[name] if value else _QUESTIONS[name].replace('is', 'is not', 1)}"
        plain = name.removesuffix("Path")
        for kind in ("String", "Numeric", "Boolean", "Timestamp"):
            if plain.startswith(kind) and plain.removeprefix(kind) in _SIGNS:
                shown = value if name.endswith("Path") or kind == "Timestamp" else json_text(value)
                return f"{variable} {_SIGNS[plain.removeprefix(kind)]} {shown}"
    return ""


def shortened(text: str) -> str:
    """Return a text that fits on one line of a box."""
    line = " ".join(text.split())
    return line if len(line) <= LABEL_CHARS_MAX else f"{line[: LABEL_CHARS_MAX - 1]}…"
