"""Many rules as one: which of them match an event, at a cost that hardly grows with their number.

Rules live in a tree. A node asks about fields: an index of its conditions on each of them leads to the nodes below, so that
an event visits only nodes all of whose conditions accept it. Which field a rule is found by is chosen so that few rules share
the condition. A node holds a few rules by itself, which are tried one by one, and is divided when they become more. Rules that
come and go change the nodes on their way and nothing else; all memory is in proportion to the conditions of the rules.
"""

from collections.abc import Hashable, Iterator, Mapping
from typing import Generic, TypeVar, cast

from penstock.core.patterns.conditions import (
    Absent,
    AnyCase,
    Between,
    Condition,
    Constant,
    Equal,
    Exists,
    Field,
    InNetwork,
    Pattern,
    Prefix,
    PrefixAnyCase,
    Suffix,
    SuffixAnyCase,
    Text,
    Unless,
    Value,
    Wildcard,
)
from penstock.core.patterns.fields import Fields, Steps
from penstock.core.patterns.index import ValueIndex
from penstock.core.patterns.joining import hold_together
from penstock.errors import Finding, Invalid, LimitReached

RULES_MAX = 1_000_000
UNDIVIDED_MAX = 4
NARROW_MAX = 1
FEW = 32  # so many branches that share a condition are as good as one

Name = TypeVar("Name", bound=Hashable)
_NONE: list[Value] = []


class _Entry(Generic[Name]):
    """One branch of a rule, and the node that holds it."""

    __slots__ = ("branch", "name", "node", "number", "rest")

    def __init__(self, name: Name, number: int, branch: tuple[Field, ...]) -> None:
        self.name = name
        self.number = number
        self.branch = branch
        self.rest = branch
        """The fields that the way to the node does not ask about."""
        self.node: _Node[Name] | None = None

    def accepts(self, fields: Fields) -> bool:
        if fields.places:
            return hold_together(self.branch, fields)
        values = fields.values
        for field in self.rest:  # noqa: SIM110 - a generator costs more than what it asks
            if not field.accepts(values.get(field.path, _NONE)):
                return False
        return True


class _Node(Generic[Name]):
    __slots__ = ("absent", "below", "divided", "entries", "field", "indexes", "parent")

    def __init__(self, parent: "_Node[Name] | None" = None, field: Field | None = None) -> None:
        self.parent = parent
        self.field = field
        self.entries: dict[_Entry[Name], None] = {}
        self.divided = False
        self.below: dict[Field, _Node[Name]] = {}
        self.indexes: dict[str, ValueIndex[_Node[Name]]] = {}
        self.absent: dict[str, dict[_Node[Name], None]] = {}
        """By path, those below that are reached when the path has no value."""

    def child(self, field: Field) -> "_Node[Name]":
        node = self.below.get(field)
        if node is None:
            node = self.below[field] = _Node(self, field)
            index = self.indexes.setdefault(field.path, ValueIndex())
            for condition in field.conditions:
                index.add(condition, node)  # of none that asks for a value, the index stays empty, and may go
            if field.may_be_absent:
                self.absent.setdefault(field.path, {})[node] = None
        return node

    def prune(self) -> None:
        """Leave the tree if nothing is held here or below, and so on upwards."""
        parent, field = self.parent, self.field
        if parent is None or field is None or self.entries or self.below:
            return
        del parent.below[field]
        index = parent.indexes.get(field.path)
        if index is not None:
            for condition in field.conditions:
                index.discard(condition, self)
            if not index:
                del parent.indexes[field.path]
        if field.may_be_absent:
            del parent.absent[field.path][self]
            if not parent.absent[field.path]:
                del parent.absent[field.path]
        parent.prune()

    def reached(self, fields: Fields) -> Iterator["_Node[Name]"]:
        """Give the nodes below whose condition accepts a value of the event."""
        values = fields.values
        few, many = (self.indexes, values) if len(self.indexes) <= len(values) else (values, self.indexes)
        for path in few:
            if path in many:
                found: dict[_Node[Name], None] = {}
                find = self.indexes[path].find
                for value in values[path]:
                    find(value, found)
                yield from found
        for path, nodes in self.absent.items():
            places = fields.places.get(path, ())
            # In lists of objects a field can be absent from one element and present in another: it is for the entry to say.
            if path not in values or (places and () not in places):
                yield from nodes


class RuleSet(Generic[Name]):
    """Rules by name, and which of them match an event."""

    def __init__(self, rules: Mapping[Name, Pattern] | None = None) -> None:
        self._steps = Steps()
        self._root = _Node[Name]()
        self._entries: dict[Name, list[_Entry[Name]]] = {}
        self._sharing: dict[tuple[str, Condition], int] = {}
        """How many branches have a condition on a path."""
        self._number = 0
        for name, pattern in (rules or {}).items():
            self.add(name, pattern)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def add(self, name: Name, pattern: Pattern) -> None:
        """Add a rule; one of that name that was there is replaced."""
        self.discard(name)
        if len(self._entries) >= RULES_MAX:
            raise LimitReached("rules in one set", len(self._entries) + 1, RULES_MAX)
        entries: list[_Entry[Name]] = []
        for branch in pattern.branches:
            self._number += 1
            entry = _Entry(name, self._number, branch)
            entries.append(entry)
            for field in branch:
                self._steps.add(field.path)
                for condition in field.conditions:
                    shared = (field.path, condition)
                    self._sharing[shared] = self._sharing.get(shared, 0) + 1
            self._place(entry, self._root)
        self._entries[name] = entries

    def discard(self, name: Name) -> None:
        """Take a rule away, if it is there."""
        for entry in self._entries.pop(name, ()):
            node = entry.node
            assert node is not None
            del node.entries[entry]
            node.prune()
            for field in entry.branch:
                self._steps.discard(field.path)
                for condition in field.conditions:
                    shared = (field.path, condition)
                    self._sharing[shared] -= 1
                    if not self._sharing[shared]:
                        del self._sharing[shared]

    def matching(self, event: object) -> list[Name]:
        """Return the names of the rules that match an event, in the order in which they were added.

        The event is what its JSON says, with objects as dicts and lists as lists. Raises `Invalid` if it is no object.
        """
        if not isinstance(event, Mapping):
            raise Invalid("the event", (Finding("$", "is not an object", "events are JSON objects"),))
        fields = Fields(self._steps, cast("Mapping[str, object]", event))
        matched: dict[Name, int] = {}
        pending = [self._root]
        while pending:
            node = pending.pop()
            for entry in node.entries:
                if entry.name not in matched and entry.accepts(fields):
                    matched[entry.name] = self._entries[entry.name][0].number
            if node.below:
                pending.extend(node.reached(fields))
        return sorted(matched, key=matched.__getitem__)

    def _place(self, entry: _Entry[Name], node: _Node[Name]) -> None:
        """Put an entry into the node, or below it where that is divided."""
        while node.divided and entry.rest:
            node = self._below(entry, node)
        entry.node = node
        node.entries[entry] = None
        if len(node.entries) > UNDIVIDED_MAX and not node.divided:
            node.divided = True
            for each in [each for each in node.entries if each.rest]:
                del node.entries[each]
                self._place(each, self._below(each, node))

    def _below(self, entry: _Entry[Name], node: _Node[Name]) -> _Node[Name]:
        """Choose the field by which the entry goes on, and take it from those that are left."""
        field = min(entry.rest, key=lambda each: self._cost(each, node))
        entry.rest = tuple(each for each in entry.rest if each is not field)
        return node.child(field)

    def _cost(self, field: Field, node: _Node[Name]) -> tuple[bool, int, bool, int, str]:
        """Whether a field lets many values through, and about how many branches let the same through: less is better.

        Among fields that are alike, the one that the node asks about already: an event looks up each of them.
        """
        width = max(_WIDTHS[type(each)] for each in field.conditions)
        sharing = max(self._sharing[field.path, each] for each in field.conditions)
        about = max(sharing, FEW).bit_length()
        return width > NARROW_MAX, about, field.path not in node.indexes, width, field.path


_WIDTHS: dict[type[Condition], int] = {
    Text: 0,
    Equal: 0,
    AnyCase: 0,
    InNetwork: 0,
    Prefix: 1,
    Suffix: 1,
    PrefixAnyCase: 1,
    SuffixAnyCase: 1,
    Wildcard: 1,
    Constant: 2,
    Between: 2,
    Unless: 3,
    Exists: 4,
    Absent: 5,
}
