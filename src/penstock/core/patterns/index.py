"""Finds, among the conditions of many rules on one field, those that accept a value, without trying them one by one.

Equal values are looked up; prefixes and suffixes by each length that occurs; a text with stars by its longer end, or by a few
letters of its middle; networks by each number of bits; ranges in a tree. `anything-but` finds those that it excludes.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from penstock.core.patterns import lookups
from penstock.core.patterns.conditions import (
    Absent,
    AnyCase,
    Between,
    Condition,
    Constant,
    Equal,
    Exists,
    InNetwork,
    Prefix,
    PrefixAnyCase,
    Suffix,
    SuffixAnyCase,
    Text,
    Unless,
    Value,
    Wildcard,
)
from penstock.core.patterns.lookups import Found, Table

Owner = TypeVar("Owner")


class ValueIndex(Generic[Owner]):
    """The conditions of many rules on one field, each with its owner; an owner has each condition once."""

    __slots__ = ("_tables", "_texts")

    def __init__(self) -> None:
        self._texts: dict[str, Found[Owner]] = {}
        self._tables: dict[str, Table[Any, Owner]] = {}

    def add(self, condition: Condition, owner: Owner) -> None:
        """Add a condition. That a field may be absent is no condition on a value, and is passed over."""
        if isinstance(condition, Text):
            self._texts.setdefault(condition.text, {})[owner] = None
        elif not isinstance(condition, Absent):
            kind = _kind(condition)
            table = self._tables.get(kind)
            if table is None:
                table = self._tables[kind] = _TABLES[kind]()
            table.add(condition, owner)

    def discard(self, condition: Condition, owner: Owner) -> None:
        """Take away a condition that was added."""
        if isinstance(condition, Text):
            here = self._texts[condition.text]
            del here[owner]
            if not here:
                del self._texts[condition.text]
        elif not isinstance(condition, Absent):
            kind = _kind(condition)
            table = self._tables[kind]
            table.discard(condition, owner)
            if not table:
                del self._tables[kind]

    def find(self, value: Value, found: Found[Owner]) -> None:
        """Add the owners of the conditions that accept the value."""
        if isinstance(value, str):
            here = self._texts.get(value)
            if here:
                found.update(here)
        for table in self._tables.values():
            table.find(value, found)

    def __bool__(self) -> bool:
        return bool(self._texts or self._tables)


class Exclusions(Generic[Owner]):
    """Conditions of `anything-but`: they accept what none of those inside of them does."""

    def __init__(self) -> None:
        self._excluding = ValueIndex[tuple[Unless, Owner]]()
        self._owners: dict[Owner, int] = {}
        """Each with the number of its conditions: one that accepts is enough."""

    def add(self, condition: Unless, owner: Owner) -> None:
        self._owners[owner] = self._owners.get(owner, 0) + 1
        for each in condition.conditions:
            self._excluding.add(each, (condition, owner))

    def discard(self, condition: Unless, owner: Owner) -> None:
        self._owners[owner] -= 1
        if not self._owners[owner]:
            del self._owners[owner]
        for each in condition.conditions:
            self._excluding.discard(each, (condition, owner))

    def find(self, value: Value, found: Found[Owner]) -> None:
        excluded: Found[tuple[Unless, Owner]] = {}
        self._excluding.find(value, excluded)
        if not excluded:
            found.update(dict.fromkeys(self._owners))
            return
        refusing: dict[Owner, int] = {}
        for _, owner in excluded:
            refusing[owner] = refusing.get(owner, 0) + 1
        for owner, conditions in self._owners.items():
            if refusing.get(owner) != conditions:
                found[owner] = None

    def __bool__(self) -> bool:
        return bool(self._owners)


def _kind(condition: Condition) -> str:
    """Return the table that finds a condition soonest."""
    if isinstance(condition, Wildcard):
        return _kind_of_wildcard(condition)
    return _KINDS[type(condition)]


def _kind_of_wildcard(condition: Wildcard) -> str:
    first, last = condition.pieces[0], condition.pieces[-1]
    if first or last:
        return "prefix" if len(first) >= len(last) else "suffix"
    return "inner"


_KINDS: dict[type[Condition], str] = {
    Constant: "equal",
    Equal: "equal",
    Between: "range",
    Prefix: "prefix",
    Suffix: "suffix",
    AnyCase: "any case",
    PrefixAnyCase: "any case prefix",
    SuffixAnyCase: "any case suffix",
    InNetwork: "network",
    Exists: "anything",
    Unless: "exclusion",
}
_TABLES: dict[str, Callable[[], Table[Any, Any]]] = {
    "equal": lookups.Equals,
    "range": lookups.InRanges,
    "prefix": lookups.prefixes,
    "suffix": lookups.suffixes,
    "inner": lookups.inner,
    "any case": lookups.any_case,
    "any case prefix": lookups.any_case_prefixes,
    "any case suffix": lookups.any_case_suffixes,
    "network": lookups.InNetworks,
    "anything": lookups.Anything,
    "exclusion": Exclusions,
}
