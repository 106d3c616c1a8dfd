"""What a pattern can ask of one value of an event. `accepts` is the meaning of it; an index may find it in any way.

A value is what JSON has but objects and lists: a text, a number, a truth value or null.
"""

from decimal import Decimal
from typing import TypeGuard

from msgspec import Struct

from penstock.core.patterns.addresses import BITS, Network, address_of
from penstock.core.patterns.letter_case import begins_alike, ends_alike, folded, same_letters
from penstock.core.patterns.numbers import Key, Number, number_key
from penstock.core.patterns.wildcards import Pieces, fits

Value = str | int | float | Decimal | None
"""Truth values are among the whole numbers, and are told from them by their type."""


class Text(Struct, frozen=True):
    """One text."""

    text: str

    def accepts(self, value: Value) -> bool:
        return isinstance(value, str) and value == self.text


class Constant(Struct, frozen=True):
    """True, false or null."""

    value: bool | None

    def accepts(self, value: Value) -> bool:
        return value is self.value


class Equal(Struct, frozen=True):
    """One number, however it is written; one that cannot be compared only as it is written."""

    key: Key

    def accepts(self, value: Value) -> bool:
        return not isinstance(value, str) and is_number(value) and number_key(value) == self.key


class Between(Struct, frozen=True):
    """A number in a range; either end may be open, or without a bound (infinite)."""

    low: float
    low_open: bool
    high: float
    high_open: bool

    def accepts(self, value: Value) -> bool:
        if not is_number(value):
            return False
        key = number_key(value)
        return not isinstance(key, str) and self.holds(key)

    def holds(self, key: float) -> bool:
        """Whether a number that can be compared lies in the range."""
        above = self.low < key if self.low_open else self.low <= key
        return above and (key < self.high if self.high_open else key <= self.high)


class Prefix(Struct, frozen=True):
    """A text that begins so."""

    text: str

    def accepts(self, value: Value) -> bool:
        return isinstance(value, str) and value.startswith(self.text)


class Suffix(Struct, frozen=True):
    """A text that ends so."""

    text: str

    def accepts(self, value: Value) -> bool:
        return isinstance(value, str) and value.endswith(self.text)


class AnyCase(Struct, frozen=True):
    """One text, in any case."""

    text: str

    def accepts(self, value: Value) -> bool:
        return isinstance(value, str) and folded(value) == folded(self.text) and same_letters(self.text, value)


class PrefixAnyCase(Struct, frozen=True):
    """A text that begins so, in any case."""

    text: str

    def accepts(self, value: Value) -> bool:
        return isinstance(value, str) and begins_alike(self.text, value)


class SuffixAnyCase(Struct, frozen=True):
    """A text that ends so, in any case."""

    text: str

    def accepts(self, value: Value) -> bool:
        return isinstance(value, str) and ends_alike(self.text, value)


class Wildcard(Struct, frozen=True):
    """A text made of these pieces with anything between them."""

    pieces: Pieces

    def accepts(self, value: Value) -> bool:
        return isinstance(value, str) and fits(self.pieces, value)


class InNetwork(Struct, frozen=True):
    """An IP address of this network."""

    network: Network

    def accepts(self, value: Value) -> bool:
        address = address_of(value) if isinstance(value, str) else None
        if address is None or address[0] != self.network.version:
            return False
        return address[1] >> (BITS[address[0]] - self.network.bits) == self.network.head


class Exists(Struct, frozen=True):
    """Any value, null among them."""

    def accepts(self, value: Value) -> bool:  # noqa: ARG002 - whatever it is
        return True


class Absent(Struct, frozen=True):
    """No value at all: none is accepted, and having none is what is asked."""

    def accepts(self, value: Value) -> bool:  # noqa: ARG002 - whatever it is
        return False


Simple = Text | Equal | Prefix | Suffix | AnyCase | Wildcard


class Unless(Struct, frozen=True):
    """Any value that none of these conditions accepts."""

    conditions: tuple[Simple, ...]

    def accepts(self, value: Value) -> bool:
        return not any(each.accepts(value) for each in self.conditions)


Condition = Simple | Constant | Between | PrefixAnyCase | SuffixAnyCase | InNetwork | Exists | Absent | Unless


class Field(Struct, frozen=True):
    """What is asked of one field: that one of the conditions accepts one of its values, or that it is absent."""

    path: str
    """The names on the way to the field, joined by dots."""
    conditions: tuple[Condition, ...]

    def accepts(self, values: list[Value]) -> bool:
        """Whether one of the values is accepted, or there are none and none are asked for."""
        if not values:
            return self.may_be_absent
        for condition in self.conditions:
            for value in values:  # two loops: a generator would cost as much as what it asks
                if condition.accepts(value):
                    return True
        return False

    @property
    def may_be_absent(self) -> bool:
        return any(isinstance(each, Absent) for each in self.conditions)


class Pattern(Struct, frozen=True):
    """What an event must be like: all fields of at least one branch must hold."""

    branches: tuple[tuple[Field, ...], ...]
    """Each branch has its fields in the order of their paths, in which presence is judged."""


def is_number(value: object) -> TypeGuard[Number]:
    """Whether a JSON value is a number: truth values are none."""
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)
