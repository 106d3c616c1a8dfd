"""The tables behind an index of conditions: each finds, for a value, the owners of those of its kind that accept it.

A table tries a condition only where the table's key does not decide; it never finds less than the conditions mean.
"""

from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar

from penstock.core.patterns.addresses import BITS, address_of
from penstock.core.patterns.conditions import (
    AnyCase,
    Between,
    Constant,
    Equal,
    InNetwork,
    Prefix,
    PrefixAnyCase,
    Suffix,
    SuffixAnyCase,
    Value,
    Wildcard,
    is_number,
)
from penstock.core.patterns.letter_case import folded
from penstock.core.patterns.numbers import Key, number_key
from penstock.core.patterns.ranges import Ranges

GRAM_LENGTH = 8

Owner = TypeVar("Owner")
Asked_contra = TypeVar("Asked_contra", contravariant=True)
Found = dict[Owner, None]


class Table(Protocol[Asked_contra, Owner]):
    """Conditions of one kind with their owners; an owner has each condition once."""

    def add(self, condition: Asked_contra, owner: Owner) -> None: ...

    def discard(self, condition: Asked_contra, owner: Owner) -> None: ...

    def find(self, value: Value, found: Found[Owner]) -> None:
        """Add the owners of the conditions that accept the value."""
        ...

    def __bool__(self) -> bool: ...


class Anything(Generic[Owner]):
    """Conditions that accept every value."""

    def __init__(self) -> None:
        self._owners: Found[Owner] = {}

    def add(self, condition: object, owner: Owner) -> None:  # noqa: ARG002 - they are all alike
        self._owners[owner] = None

    def discard(self, condition: object, owner: Owner) -> None:  # noqa: ARG002 - they are all alike
        del self._owners[owner]

    def find(self, value: Value, found: Found[Owner]) -> None:  # noqa: ARG002 - whatever it is
        found.update(self._owners)

    def __bool__(self) -> bool:
        return bool(self._owners)


class Equals(Generic[Owner]):
    """Numbers and constants, looked up."""

    def __init__(self) -> None:
        self._owners: dict[tuple[bool, Key | bool | None], Found[Owner]] = {}

    def add(self, condition: Equal | Constant, owner: Owner) -> None:
        self._owners.setdefault(self._key(condition), {})[owner] = None

    def discard(self, condition: Equal | Constant, owner: Owner) -> None:
        key = self._key(condition)
        del self._owners[key][owner]
        if not self._owners[key]:
            del self._owners[key]

    def find(self, value: Value, found: Found[Owner]) -> None:
        if isinstance(value, str):
            return
        if is_number(value):
            here = self._owners.get((True, number_key(value)))
        else:
            here = self._owners.get((False, None if value is None else bool(value)))
        if here:
            found.update(here)

    def __bool__(self) -> bool:
        return bool(self._owners)

    def _key(self, condition: Equal | Constant) -> tuple[bool, Key | bool | None]:
        return (True, condition.key) if isinstance(condition, Equal) else (False, condition.value)


class InRanges(Generic[Owner]):
    """Ranges of numbers."""

    def __init__(self) -> None:
        self._ranges = Ranges[Owner]()

    def add(self, condition: Between, owner: Owner) -> None:
        self._ranges.add(condition, owner)

    def discard(self, condition: Between, owner: Owner) -> None:
        self._ranges.discard(condition, owner)

    def find(self, value: Value, found: Found[Owner]) -> None:
        if is_number(value):
            key = number_key(value)
            if not isinstance(key, str):
                found.update(dict.fromkeys(self._ranges.holding(key)))

    def __bool__(self) -> bool:
        return bool(self._ranges)


class InNetworks(Generic[Owner]):
    """Networks, by each number of bits that occurs."""

    def __init__(self) -> None:
        self._tables: dict[tuple[int, int], dict[int, Found[Owner]]] = {}

    def add(self, condition: InNetwork, owner: Owner) -> None:
        network = condition.network
        table = self._tables.setdefault((network.version, network.bits), {})
        table.setdefault(network.head, {})[owner] = None

    def discard(self, condition: InNetwork, owner: Owner) -> None:
        network = condition.network
        table = self._tables[network.version, network.bits]
        del table[network.head][owner]
        if not table[network.head]:
            del table[network.head]
        if not table:
            del self._tables[network.version, network.bits]

    def find(self, value: Value, found: Found[Owner]) -> None:
        address = address_of(value) if isinstance(value, str) else None
        if address is None:
            return
        for (version, bits), table in self._tables.items():
            if version == address[0]:
                here = table.get(address[1] >> (BITS[version] - bits))
                if here:
                    found.update(here)

    def __bool__(self) -> bool:
        return bool(self._tables)


Pieced = Prefix | Suffix | AnyCase | PrefixAnyCase | SuffixAnyCase | Wildcard


class ByText(Generic[Owner]):
    """Conditions by a text that a value must have at a known place, by each length of such texts; then tried."""

    def __init__(
        self, key: Callable[[Pieced], str], pieces: Callable[[str, int], Iterable[str]], *, fold: bool = False
    ) -> None:
        self._tables: dict[int, dict[str, dict[tuple[Pieced, Owner], None]]] = {}
        self._key = key
        self._pieces = pieces
        self._fold = fold

    def add(self, condition: Pieced, owner: Owner) -> None:
        key = self._key(condition)
        table = self._tables.setdefault(len(key), {})
        table.setdefault(key, {})[condition, owner] = None

    def discard(self, condition: Pieced, owner: Owner) -> None:
        key = self._key(condition)
        table = self._tables[len(key)]
        del table[key][condition, owner]
        if not table[key]:
            del table[key]
        if not table:
            del self._tables[len(key)]

    def find(self, value: Value, found: Found[Owner]) -> None:
        if not isinstance(value, str):
            return
        text = folded(value) if self._fold else value
        for length, table in self._tables.items():
            if length <= len(text):
                for piece in self._pieces(text, length):
                    for condition, owner in table.get(piece, ()):
                        if owner not in found and condition.accepts(value):
                            found[owner] = None

    def __bool__(self) -> bool:
        return bool(self._tables)


def prefixes() -> ByText[Any]:
    """Return a table of prefixes, and of texts with stars by what comes before the first."""
    return ByText(lambda each: each.pieces[0] if isinstance(each, Wildcard) else each.text, _start)


def suffixes() -> ByText[Any]:
    """Return a table of suffixes, and of texts with stars by what comes after the last."""
    return ByText(lambda each: each.pieces[-1] if isinstance(each, Wildcard) else each.text, _end)


def inner() -> ByText[Any]:
    """Return a table of texts with stars at both ends, by letters of their longest piece."""
    return ByText(_gram, _grams)


def any_case() -> ByText[Any]:
    """Return a table of texts in any case."""
    return ByText(_folded_text, lambda text, length: (text,) if len(text) == length else (), fold=True)


def any_case_prefixes() -> ByText[Any]:
    """Return a table of prefixes in any case."""
    return ByText(_folded_text, _start, fold=True)


def any_case_suffixes() -> ByText[Any]:
    """Return a table of suffixes in any case."""
    return ByText(_folded_text, _end, fold=True)


def _folded_text(condition: Pieced) -> str:
    assert not isinstance(condition, Wildcard)
    return folded(condition.text)


def _start(text: str, length: int) -> tuple[str]:
    return (text[:length],)


def _end(text: str, length: int) -> tuple[str]:
    return (text[len(text) - length :],)


def _gram(condition: Pieced) -> str:
    """Return the letters that the condition is found by: those from where its longest piece ends, which differ most."""
    assert isinstance(condition, Wildcard)
    longest = max(condition.pieces, key=len)
    return longest[-GRAM_LENGTH:]


def _grams(text: str, length: int) -> Iterable[str]:
    return {text[at : at + length] for at in range(len(text) - length + 1)} if length else ("",)
