"""What a parsed expression refers to: read off its tree, without evaluating it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, cast

from penstock.core.asl.jsonata.library import Parser

_TIES: Final = frozenset(
    {"_outer_instance", "slot", "seeking_parent", "ancestor", "next_function", "environment", "input", "tuple"}
)
STATES: Final = "states"
_PLACES: Final = frozenset({"_outer_instance", "id", "lbp", "bp", "position"})


@dataclass(slots=True)
class References:
    """`variables`: names after a `$`, whatever they are. `bound`: those that the expression itself sets or takes as arguments.

    `states`: the names behind `$states.`; an empty one where `$states` stands alone. `refused`: what AWS does not accept.
    """

    variables: set[str] = field(default_factory=set[str])
    bound: set[str] = field(default_factory=set[str])
    states: set[str] = field(default_factory=set[str])
    refused: list[str] = field(default_factory=list[str])
    seen: set[int] = field(default_factory=set[int])


def references(tree: Any) -> References:
    found = References()
    _visit(tree, found, top=True)
    return found


def plain_names(tree: Any) -> tuple[str, ...] | None:
    """Return the names of an expression that is a variable and names behind it, `$a.b.c`: it needs no evaluation."""
    steps: list[Any] = tree.steps if tree.type == "path" else [tree]
    if tree.type == "path" and _marks(tree) != {"type", "steps"}:
        return None
    if not all(_marks(step) == {"type", "value"} for step in steps):
        return None
    first, *rest = steps
    if first.type != "variable" or first.value == "$" or any(step.type != "name" for step in rest):
        return None
    return (str(first.value), *(str(step.value) for step in rest))


def _marks(node: Any) -> set[str]:
    attributes = cast("dict[str, Any]", vars(node))
    return {name for name, value in attributes.items() if value not in (None, False, 0, []) and name not in _PLACES}


def _visit(node: Any, found: References, *, top: bool) -> None:
    """Note what a node refers to. `top` tells whether it reads the context item of the whole expression, which is none."""
    if id(node) in found.seen:
        return
    found.seen.add(id(node))
    kind = getattr(node, "type", None)
    if kind == "path":
        _visit_path(node, found, top=top)
        return
    if kind == "name" and top:
        found.refused.append(f"Reference to '{node.value}' at the top level is not supported.")
    elif kind == "variable":
        _visit_variable(node, found)
    elif kind == "bind":
        found.bound.add(str(node.lhs.value))
    elif kind == "lambda":
        found.bound.update(str(each.value) for each in node.arguments or ())
    for key in ("focus", "index"):
        if isinstance(getattr(node, key, None), str):
            found.bound.add(getattr(node, key))
    for name, child in _children(node):
        # What stands in brackets or groups behind a value has that value as its context.
        _visit(child, found, top=top and name not in ("predicate", "stages", "group"))


def _visit_path(node: Any, found: References, *, top: bool) -> None:
    steps = list(node.steps)
    if len(steps) > 1 and getattr(steps[0], "type", None) == "variable" and str(steps[0].value) == STATES:
        found.states.add(str(steps[1].value) if getattr(steps[1], "type", None) == "name" else "")
        found.seen.add(id(steps[0]))
        found.variables.add(STATES)
        for name, child in _children(steps[0]):
            _visit(child, found, top=top and name not in ("predicate", "stages", "group"))
        steps = steps[1:]
        top = False
    for position, step in enumerate(steps):
        _visit(step, found, top=top and position == 0)
    for name, child in _children(node):
        if name != "steps":
            _visit(child, found, top=False)


def _visit_variable(node: Any, found: References) -> None:
    name = str(node.value)
    if name == "$":
        found.refused.append("Reference to '$$' is not supported.")
    elif name:
        found.variables.add(name)
        if name == STATES:
            found.states.add("")


def _children(node: Any) -> Iterator[tuple[str, Any]]:
    for name, value in cast("dict[str, Any]", vars(node)).items():
        if name not in _TIES:
            for each in _symbols(value):
                yield name, each


def _symbols(value: Any) -> Iterator[Any]:
    if isinstance(value, Parser.Symbol):
        yield value
    elif isinstance(value, list | tuple):
        for each in cast("list[Any] | tuple[Any, ...]", value):
            yield from _symbols(each)
