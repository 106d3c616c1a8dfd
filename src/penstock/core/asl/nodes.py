"""Templates of either query language as trees: constants, what is computed, and the objects and lists around it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from penstock.core.asl.scope import Scope
from penstock.core.asl.values import Json


class Node(Protocol):
    """A part of a template."""

    def evaluate(self, scope: Scope, /) -> Json: ...


@dataclass(frozen=True, slots=True)
class Constant:
    """Handed out as it is, and never copied."""

    value: Json

    def evaluate(self, _scope: Scope, /) -> Json:
        return self.value


@dataclass(frozen=True, slots=True)
class _Object:
    members: tuple[tuple[str, Node], ...]

    def evaluate(self, scope: Scope, /) -> Json:
        return {key: node.evaluate(scope) for key, node in self.members}


@dataclass(frozen=True, slots=True)
class _List:
    items: tuple[Node, ...]

    def evaluate(self, scope: Scope, /) -> Json:
        return [node.evaluate(scope) for node in self.items]


def object_of(members: Sequence[tuple[str, Node]]) -> Node:
    """Return an object's node: a constant when all in it is."""
    fixed = [(key, node.value) for key, node in members if isinstance(node, Constant)]
    return Constant(dict(fixed)) if len(fixed) == len(members) else _Object(tuple(members))


def list_of(value: list[Json], items: Sequence[Node]) -> Node:
    """Return the node of a list: `value` itself when all in it is constant."""
    return Constant(value) if all(isinstance(node, Constant) for node in items) else _List(tuple(items))
