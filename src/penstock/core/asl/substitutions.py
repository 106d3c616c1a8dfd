"""Functions of CloudFormation in the place of a Resource (`{"Fn::GetAtt": ["Function", "Arn"]}`): they become `${Function.Arn}`.

So they are what DefinitionSubstitutions fills in. In payloads such objects may mean themselves, and stay.
"""

from collections.abc import Mapping
from typing import Final

from penstock.core.asl.values import Json

_HOLDERS: Final = ("ItemReader", "ResultWriter")
_INSIDE: Final = ("ItemProcessor", "Iterator")


def substituted(scope: Mapping[str, Json]) -> dict[str, Json]:
    """Return a machine's document in which every Resource is a text, as far as it is a function. Nothing is changed in place."""
    states = scope.get("States")
    if not isinstance(states, dict):
        return dict(scope)
    inner = {name: _state(state) if isinstance(state, dict) else state for name, state in states.items()}
    return {**scope, "States": inner}


def function_text(function: str, argument: Json) -> str:
    """Return a function's call as a substitution: `Ref` and `GetAtt` name what they take, `Sub` is the text itself."""
    parts = [each for each in (argument if isinstance(argument, list) else [argument]) if isinstance(each, str)]
    if function in {"Sub", "Fn::Sub"} and parts and "${" in parts[0]:
        return parts[0]
    return f"${{{'.'.join(parts) or function}}}"


def _state(state: dict[str, Json]) -> dict[str, Json]:
    changed = _filled(state)
    for name in _HOLDERS:
        if isinstance(holder := state.get(name), dict):
            changed[name] = _filled(holder)
    for name in _INSIDE:
        if isinstance(inner := state.get(name), dict):
            changed[name] = substituted(inner)
    if isinstance(branches := state.get("Branches"), list):
        changed["Branches"] = [substituted(each) if isinstance(each, dict) else each for each in branches]
    return changed


def _filled(holder: dict[str, Json]) -> dict[str, Json]:
    resource = holder.get("Resource")
    if not isinstance(resource, dict) or len(resource) != 1:
        return dict(holder)
    [(function, argument)] = resource.items()
    if function != "Ref" and not function.startswith("Fn::"):
        return dict(holder)
    return {**holder, "Resource": function_text(function, argument)}
