"""How the states of one scope lead to each other: targets that are not there, states that nothing leads to, no end."""

from collections.abc import Iterable, Iterator, Mapping

from penstock.core.asl.findings import Finding, finding
from penstock.core.asl.values import Json

ENDS = ("Succeed", "Fail")


def targets(state: Mapping[str, Json]) -> Iterator[tuple[str, str, str]]:
    """Yield (where, field, target) for each transition of a state, such as ("/Choices[0]/Next", "Next", "Done")."""
    for field in ("Next", "Default"):
        if isinstance(target := state.get(field), str):
            yield f"/{field}", field, target
    for name in ("Choices", "Catch"):
        members = state.get(name)
        for index, member in enumerate(members if isinstance(members, list) else []):
            if isinstance(member, dict) and isinstance(target := member.get("Next"), str):
                yield f"/{name}[{index}]/Next", "Next", target


def ends(state: Mapping[str, Json]) -> bool:
    """Tell whether a scope can end in this state."""
    return state.get("Type") in ENDS or state.get("End", False) is not False


def transition_findings(scope: Mapping[str, Json], path: str) -> list[Finding]:
    """Return what is wrong with the transitions of a scope. States that are no objects have findings of their own."""
    states = scope.get("States")
    known = {name: each for name, each in states.items() if isinstance(each, dict)} if isinstance(states, dict) else {}
    if not isinstance(states, dict):
        return []
    if not states:
        return [finding("end-missing", f"{path}/States", "has no state", "a machine needs at least one")]
    found = [each for name, state in known.items() for each in _lost(state, states, f"{path}/States/{name}")]
    start = scope.get("StartAt")
    if not isinstance(start, str):
        return found
    if start not in states:
        problem = f"Missing 'StartAt' target: {start}"
        return [finding("start-missing", f"{path}/StartAt", problem, f"one of: {', '.join(states)}"), *found]
    reached = _reached([start], {name: [target for _, _, target in targets(each)] for name, each in known.items()})
    for name in states:
        if name not in reached:
            hint = "lead to it with a Next, or take it out"
            found.append(
                finding("state-unreachable", f"{path}/States/{name}", f'State "{name}" is not reachable.', hint)
            )
    return [*found, *_endless(known, reached, f"{path}/States")]


def _lost(state: Mapping[str, Json], states: Mapping[str, Json], path: str) -> Iterable[Finding]:
    for where, field, target in targets(state):
        if target not in states:
            hint = "transitions stay within their list of States"
            yield finding("target-missing", f"{path}{where}", f"Missing '{field}' target: {target}", hint)


def _leads_on(state: Mapping[str, Json], states: Mapping[str, object]) -> bool:
    return any(target in states for _, _, target in targets(state))


def _reached(first: Iterable[str], onward: Mapping[str, Iterable[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = list(first)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(onward.get(name, ()))
    return reached


def _endless(states: Mapping[str, Mapping[str, Json]], reached: set[str], path: str) -> Iterable[Finding]:
    last = [name for name, state in states.items() if ends(state)]
    stuck = any(not ends(state) and not _leads_on(state, states) for state in states.values())
    if not last:
        if states and not stuck:  # otherwise the state that leads nowhere is what is wrong
            yield finding("end-missing", path, "has no state that ends it", 'add a Succeed, a Fail, or "End": true')
        return
    back: dict[str, list[str]] = {}
    for name, state in states.items():
        for _, _, target in targets(state):
            back.setdefault(target, []).append(name)
    ending = _reached(last, back)
    for name in states:
        if name in reached and name not in ending and _leads_on(states[name], states):
            yield finding("never-ends", f"{path}/{name}", "leads to no state that ends", "it runs until it is stopped")
