"""Which variables the states of a machine assign and read, as DescribeStateMachine tells it."""

from collections.abc import Iterator, Mapping

from penstock.core.asl.definition import JSONATA, QueryLanguage
from penstock.core.asl.failures import PathInvalid
from penstock.core.asl.jsonata_text import read_text
from penstock.core.asl.templates import SUFFIX, parse_expression
from penstock.core.asl.values import Json

SCOPES = ("ItemProcessor", "Iterator", "Branches")
_PLAIN = ("Comment", "Next", "Default", "StartAt", "Type", "Resource", "Result", "ErrorEquals", "Label", *SCOPES)


def read_by(state: Mapping[str, Json], language: QueryLanguage) -> frozenset[str]:
    """Return the variables that a state's own expressions read, without those of the states inside of it."""
    texts = (text for name, value in state.items() if name not in _PLAIN for text in _texts(name, value, language))
    if language == JSONATA:
        return frozenset(name for text in texts for name in read_text(text).variables)
    return frozenset(name for text in texts for name in _in_path(text))


def assigned_by(state: Mapping[str, Json], language: QueryLanguage) -> Iterator[tuple[str, str]]:
    """Yield (variable, where) for each that a state assigns: itself, in its rules, or in its catchers."""
    owners: list[tuple[Json, str]] = [(dict(state), "")]
    for name in ("Choices", "Catch"):
        members = state.get(name)
        owners += [(each, f"/{name}[{i}]") for i, each in enumerate(members if isinstance(members, list) else [])]
    for owner, path in owners:
        assign = owner.get("Assign") if isinstance(owner, dict) else None
        for key in assign if isinstance(assign, dict) else ():
            yield (key if language == JSONATA else key.removesuffix(SUFFIX)), f"{path}/Assign/{key}"


def variable_references(machine: Mapping[str, Json]) -> dict[str, list[str]]:
    """Return the variables that each state of a machine's document reads, at any depth; states that read none are left out."""
    found: dict[str, list[str]] = {}
    for name, _, state, language in walk(machine):
        if variables := read_by(state, language):
            found[name] = sorted(variables)
    return found


def walk(machine: Mapping[str, Json]) -> Iterator[tuple[str, str, dict[str, Json], QueryLanguage]]:
    """Yield (name, path, state, query language) for all states of a document, at any depth, in its order."""
    language: QueryLanguage = JSONATA if machine.get("QueryLanguage") == JSONATA else "JSONPath"
    yield from _walk(machine, "", language)


def inner_scopes(state: Mapping[str, Json]) -> Iterator[tuple[str, dict[str, Json]]]:
    """Yield (where, scope) for what a state's document has inside: branches, and the processor of a Map."""
    branches = state.get("Branches")
    for index, branch in enumerate(branches if isinstance(branches, list) else []):
        if isinstance(branch, dict):
            yield f"/Branches[{index}]", branch
    for name in ("ItemProcessor", "Iterator"):
        if isinstance(processor := state.get(name), dict):
            yield f"/{name}", processor


def spoken(state: Mapping[str, Json], language: QueryLanguage) -> QueryLanguage:
    """Return a state's query language, which without one of its own is the machine's."""
    own = state.get("QueryLanguage")
    match own:
        case "JSONPath" | "JSONata":
            return own
        case _:
            return language


def _walk(
    scope: Mapping[str, Json], path: str, language: QueryLanguage
) -> Iterator[tuple[str, str, dict[str, Json], QueryLanguage]]:
    states = scope.get("States")
    for name, state in states.items() if isinstance(states, dict) else ():
        if isinstance(state, dict):
            where = f"{path}/States/{name}"
            yield name, where, state, spoken(state, language)
            for inside, inner in inner_scopes(state):
                yield from _walk(inner, where + inside, language)


def _texts(name: str, value: Json, language: QueryLanguage) -> Iterator[str]:
    if isinstance(value, dict):
        for key, member in value.items():
            if name != "Choices" or key not in {"Comment", "Next"}:
                yield from _texts(name if language == JSONATA else key, member, language)
    elif isinstance(value, list):
        for member in value:
            yield from _texts(name, member, language)
    elif isinstance(value, str) and (language == JSONATA or name.endswith((SUFFIX, "Path")) or name == "Variable"):
        yield value


def _in_path(text: str) -> frozenset[str]:
    try:
        return parse_expression(text).variables
    except PathInvalid:
        return frozenset()
