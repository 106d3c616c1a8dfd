"""Metadata and filters in a form so plain that every vector store has it: a set of short texts, and numbers by name.

Stores outside differ in how they guess types, cut texts into tokens, order texts, name fields and treat what is missing. So a
passage's metadata is written beside it as *facts*, and a filter is asked about those:

- `tokens`: for each field that it has, that this value is in it, and that the value reads as a number. A token is a hash.
- `numbers`: the number that a value reads as, and its text as numbers in the order of code points, `TEXT_BYTES` of it.

A filter has no negation inside: it is pushed down to the leaves, where what is missing is told apart. Only a range whose bound
agrees with a value in more than `TEXT_BYTES` lets too much through: it is `loose`, and hits must be asked by `matches`.
"""

import sys
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Literal

from msgspec import Struct

from penstock.core.knowledge.filters import All, Any, Equal, Exists, Filter, In, Not, Range, number

Operator = Literal["gte", "gt", "lte", "lt"]

TEXT_BYTES = 36
_PIECE_BYTES = 6  # at 257 digits a byte (one for the end of a text) below 2**53: exact in a double
_PIECES = TEXT_BYTES // _PIECE_BYTES
_END = 257
_OPPOSITE: Mapping[Operator, Operator] = {"gte": "lt", "gt": "lte", "lte": "gt", "lt": "gte"}


class Facts(Struct, frozen=True):
    """What a store outside is told of a passage's metadata."""

    tokens: tuple[str, ...]
    numbers: Mapping[str, float]


class Says(Struct, frozen=True):
    """At least one of the tokens is among those of the passage, or (not `yes`) none of them is."""

    tokens: tuple[str, ...]
    yes: bool = True


class Compares(Struct, frozen=True):
    """The passage has the number, and it compares so."""

    name: str
    operator: Operator
    value: float


class Every(Struct, frozen=True):
    """All of these, at least two."""

    parts: tuple["Plain", ...]


class Some(Struct, frozen=True):
    """At least one of these, which are two or more."""

    parts: tuple["Plain", ...]


Plain = Says | Compares | Every | Some


class Asked(Struct, frozen=True):
    """A filter for a store: `plain` (none: everything), whether hits must be asked once more, and whether nothing can match."""

    plain: Plain | None = None
    loose: bool = False
    nothing: bool = False


def facts_of(metadata: Mapping[str, str]) -> Facts:
    """What a store is to keep of a passage's metadata."""
    tokens: list[str] = []
    numbers: dict[str, float] = {}
    for field, value in metadata.items():
        key = _key(field)
        tokens += [_has(key), _equals(key, value)]
        read = number(value)
        if read is not None:
            tokens.append(_counts(key))
            numbers[_counts(key)] = _finite(read)
        numbers |= {_piece(key, at): float(each) for at, each in enumerate(_pieces(value))}
    return Facts(tuple(tokens), numbers)


def plain_filter(filter: Filter | None) -> Asked:
    """What a store is to be asked, so that every passage that matches is let through."""
    if filter is None:
        return Asked()
    plain = _plain(filter, yes=True)
    if isinstance(plain, bool):
        return Asked(nothing=not plain)
    return Asked(plain, any(_is_loose(bound) for bound in _text_bounds(filter)))


def _plain(filter: Filter, *, yes: bool) -> Plain | bool:
    match filter:
        case Equal() | In() | Exists():
            tokens = _tokens(filter)
            return Says(tokens, yes) if tokens else not yes
        case Range():
            return _range(filter, yes=yes)
        case All(filters):
            return (_every if yes else _some)(*(_plain(each, yes=yes) for each in filters))
        case Any(filters):
            return (_some if yes else _every)(*(_plain(each, yes=yes) for each in filters))
        case Not(inner):
            return _plain(inner, yes=not yes)


def _tokens(leaf: Equal | In | Exists) -> tuple[str, ...]:
    """The tokens of which a passage has one that the leaf lets through."""
    key = _key(leaf.field)
    match leaf:
        case Equal(_, value):
            return (_equals(key, value),)
        case In(_, values):
            return tuple(dict.fromkeys(_equals(key, each) for each in values))
        case Exists():
            return (_has(key),)


def _range(filter: Range, *, yes: bool) -> Plain | bool:
    key = _key(filter.field)
    has = Says((_has(key),), yes)
    if yes:
        return _every(has, *(_bound(key, operator, bound) for operator, bound in _bounds(filter)))
    return _some(has, *(_bound(key, _OPPOSITE[operator], bound) for operator, bound in _bounds(filter)))


def _bounds(filter: Range) -> list[tuple[Operator, str]]:
    given: tuple[tuple[Operator, str | None], ...] = (
        ("gte", filter.gte),
        ("gt", filter.gt),
        ("lte", filter.lte),
        ("lt", filter.lt),
    )
    return [(operator, bound) for operator, bound in given if bound is not None]


def _bound(key: str, operator: Operator, bound: str) -> Plain | bool:
    """As numbers where both sides are, else as texts."""
    as_text = _text_bound(key, operator, list(_pieces(bound)), 0)
    read = number(bound)
    if read is None:
        return as_text
    return _some(Compares(_counts(key), operator, _finite(read)), _every(Says((_counts(key),), yes=False), as_text))


def _text_bound(key: str, operator: Operator, pieces: list[int], at: int) -> Plain:
    name, value = _piece(key, at), float(pieces[at])
    if at + 1 == len(pieces):
        # Where all pieces are the same and there may be more, too much is let through rather than too little.
        undecided = bool(pieces[at] % _END)
        return Compares(name, {"gt": "gte", "lt": "lte"}.get(operator, operator) if undecided else operator, value)  # pyright: ignore[reportArgumentType]
    beyond: Operator = "gt" if operator[0] == "g" else "lt"
    same = (Compares(name, "gte", value), Compares(name, "lte", value))
    return Some((Compares(name, beyond, value), Every((*same, _text_bound(key, operator, pieces, at + 1)))))


def _text_bounds(filter: Filter) -> Iterator[str]:
    match filter:
        case Range():
            yield from (bound for _, bound in _bounds(filter))
        case All(filters) | Any(filters):
            for each in filters:
                yield from _text_bounds(each)
        case Not(inner):
            yield from _text_bounds(inner)
        case Equal() | In() | Exists():
            return


def _is_loose(bound: str) -> bool:
    return len(_bytes(bound)) >= TEXT_BYTES


def _every(*parts: Plain | bool) -> Plain | bool:
    """All of these, without those that say nothing."""
    if any(each is False for each in parts):
        return False
    left = [each for each in parts if not isinstance(each, bool)]
    return Every(tuple(left)) if len(left) > 1 else left[0] if left else True


def _some(*parts: Plain | bool) -> Plain | bool:
    if any(each is True for each in parts):
        return True
    left = [each for each in parts if not isinstance(each, bool)]
    return Some(tuple(left)) if len(left) > 1 else left[0] if left else False


def _pieces(text: str) -> Iterator[int]:
    """A text as numbers in the order of code points (that of UTF-8's bytes), each for some bytes; the last one has its end."""
    data = _bytes(text)
    for at in range(_PIECES):
        piece = data[at * _PIECE_BYTES : (at + 1) * _PIECE_BYTES]
        digits = [byte + 1 for byte in piece] + [0] * (_PIECE_BYTES - len(piece))
        read = 0
        for digit in digits:
            read = read * _END + digit
        yield read
        if len(piece) < _PIECE_BYTES:
            return


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")  # what is no text was never stored, and has its place in the order


def _finite(value: float) -> float:
    """A number that JSON can hold; one beyond all is the largest, and there is one zero."""
    return min(max(value, -sys.float_info.max), sys.float_info.max) + 0.0


def _key(field: str) -> str:
    return blake2b(_bytes(field), digest_size=8).hexdigest()


def _has(key: str) -> str:
    return f"h{key}"


def _counts(key: str) -> str:
    return f"n{key}"


def _piece(key: str, at: int) -> str:
    return f"t{at}{key}"


def _equals(key: str, value: str) -> str:
    return f"e{blake2b(_bytes(value), digest_size=12, key=key.encode()).hexdigest()}"
