"""Reads one match expression of a pattern, such as `{"prefix": "a"}`: a condition, or the reason why AWS refuses it.

The reasons are AWS's own words, also where they surprise (a `cidr` that is no text is told about prefixes).
"""

import math
from collections.abc import Callable, Sequence
from typing import Final

from penstock.core.patterns.addresses import Network, address_of, network_of, single
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
    Simple,
    Suffix,
    SuffixAnyCase,
    Text,
    Unless,
    Wildcard,
    is_number,
)
from penstock.core.patterns.documents import is_list, is_object, members_of, written
from penstock.core.patterns.numbers import Number, number_key
from penstock.core.patterns.wildcards import pieces_of

ONE_KEY = "Only one key allowed in match expression"
TOO_MANY = "Too many elements in numeric expression"
NOT_A_VALUE = "Match value must be String, number, true, false, or null"
RESERVED: Final = frozenset(
    {"exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard", "numeric", "cidr"}
    | {"=", "<", "<=", ">", ">=", "regex", "not-wildcard", "not-equals-ignore-case"}
    | {"date-after", "date-on-or-after", "date-before", "date-on-or-before", "in-date-range"}
    | {"ip-address-in-range", "ip-address-not-in-range"}
)
"""Names that cannot be fields inside of `$or`."""


class Reason(Exception):
    """Why a pattern is refused."""


def condition_of(element: object) -> Condition:
    """Read one element of a list of values. Raises `Reason`."""
    if is_object(element):
        return _expression(members_of(element))
    if isinstance(element, str):
        address = address_of(element)
        return InNetwork(single(address)) if address else Text(element)
    if element is None or isinstance(element, bool):
        return Constant(element)
    if is_number(element):
        return Equal(number_key(element))
    raise Reason(NOT_A_VALUE)


def _expression(members: Sequence[tuple[str, object]]) -> Condition:
    if not members:
        raise Reason("Match expression name not found")
    name, operand = members[0]
    operator = _OPERATORS.get(name)
    if operator is None:
        raise Reason(f"Unrecognized match type {name}")
    condition = operator(operand)
    if len(members) > 1:
        raise Reason(TOO_MANY if name in {"numeric", "anything-but"} else ONE_KEY)
    return condition


def _text(operand: object, reason: str) -> str:
    if not isinstance(operand, str):
        raise Reason(reason)
    return operand


def _exactly(operand: object) -> Condition:
    return Text(_text(operand, "exact match pattern must be a string"))


def _prefix(operand: object) -> Condition:
    if is_object(operand):
        return PrefixAnyCase(_any_case_inside(members_of(operand), "prefix"))
    return Prefix(_text(operand, "prefix match pattern must be a string"))


def _suffix(operand: object) -> Condition:
    if is_object(operand):
        return SuffixAnyCase(_any_case_inside(members_of(operand), "suffix"))
    return Suffix(_text(operand, "suffix match pattern must be a string"))


def _any_case_inside(members: Sequence[tuple[str, object]], outer: str) -> str:
    if not members:
        raise Reason(f"{outer.capitalize()} expression name not found")
    name, operand = members[0]
    if name != "equals-ignore-case":
        raise Reason(f"Unsupported {outer} pattern: {name}")
    text = _text(operand, "equals-ignore-case match pattern must be a string")
    if len(members) > 1:
        raise Reason(ONE_KEY)
    return text


def _any_case(operand: object) -> Condition:
    return AnyCase(_text(operand, "equals-ignore-case match pattern must be a string"))


def _wildcard(operand: object) -> Wildcard:
    pieces = pieces_of(_text(operand, "wildcard match pattern must be a string"))
    if isinstance(pieces, str):
        raise Reason(pieces)
    return Wildcard(pieces)


def _cidr(operand: object) -> Condition:
    network = network_of(_text(operand, "prefix match pattern must be a string"))
    if not isinstance(network, Network):
        raise Reason(network)
    return InNetwork(network)


def _exists(operand: object) -> Condition:
    if not isinstance(operand, bool):
        raise Reason("exists match pattern must be either true or false.")
    return Exists() if operand else Absent()


def _numeric(operand: object) -> Condition:
    if not is_list(operand):
        raise Reason("Value of numeric must be an array.")
    terms = list(operand)
    operator = terms[0] if terms else None
    if not isinstance(operator, str):
        raise Reason(f"Invalid member in numeric match: {written(operator) if terms else ']'}")
    if operator not in {"=", "<", "<=", ">", ">="}:
        raise Reason(f"Unrecognized numeric range operator: {operator}")
    value = _bound(terms, 1, "equals" if operator == "=" else operator)
    if operator in {">", ">="}:
        return _range_from(value, operator, terms)
    if len(terms) > 2:  # noqa: PLR2004 - operator and value
        raise Reason(TOO_MANY)
    if operator == "=":
        return Equal(value)
    return Between(-math.inf, False, value, operator == "<")


def _range_from(low: float, operator: str, terms: list[object]) -> Condition:
    if len(terms) == 2:  # noqa: PLR2004 - operator and value
        return Between(low, operator == ">", math.inf, False)
    upper = terms[2]
    if not isinstance(upper, str):
        raise Reason(f"Bad value in numeric range: {written(upper)}")
    if upper not in {"<", "<="}:
        raise Reason(f"Bad numeric range operator: {upper}")
    high = _bound(terms, 3, upper)
    if len(terms) > 4:  # noqa: PLR2004 - two operators, two values
        raise Reason("Too many terms in numeric range expression")
    if low >= high:
        raise Reason("Bottom must be less than top")
    return Between(low, operator == ">", high, upper == "<")


def _bound(terms: list[object], at: int, operator: str) -> float:
    value = terms[at] if at < len(terms) else None
    if not is_number(value):
        raise Reason(f"Value of {operator} must be numeric")
    return _comparable(value)


def _comparable(value: Number) -> float:
    key = number_key(value)
    if isinstance(key, str):
        raise Reason(f"Cannot compare number : {value}")
    return key


def _anything_but(operand: object) -> Condition:
    if is_object(operand):
        return _anything_but_like(members_of(operand))
    if isinstance(operand, str):
        return Unless((Text(operand),))
    if is_number(operand):
        return Unless((Equal(_comparable(operand)),))
    if not is_list(operand):
        raise Reason("Value of anything-but must be an array or single string/number value.")
    texts = [Text(each) for each in operand if isinstance(each, str)]
    numbers = [Equal(_comparable(each)) for each in operand if is_number(each)]
    if len(texts) + len(numbers) < len(operand):
        raise Reason("Inside anything but list, start|null|boolean is not supported.")
    if bool(texts) == bool(numbers):
        raise Reason("Inside anything but list, either all values are number or string, mixed type is not supported")
    return Unless(tuple(dict.fromkeys(texts or numbers)))


def _anything_but_like(members: Sequence[tuple[str, object]]) -> Condition:
    if not members:
        raise Reason("Anything-But expression name not found")
    name, operand = members[0]
    if name not in _INSIDE_ANYTHING_BUT:
        raise Reason(f"Unsupported anything-but pattern: {name}")
    if is_list(operand):
        condition = Unless(tuple(dict.fromkeys(_inside(name, each) for each in operand)))
    elif isinstance(operand, str) or is_number(operand):
        condition = Unless((_inside(name, operand),))
    else:
        raise Reason("Value of anything-but must be an array or single string/number value.")
    if not condition.conditions:
        raise Reason("Inside anything but list, at least one value is needed")
    if len(members) > 1:
        raise Reason(TOO_MANY)
    return condition


def _inside(name: str, operand: object) -> Simple:
    kind, reason = _INSIDE_ANYTHING_BUT[name]
    text = _text(operand, reason)
    if name in {"prefix", "suffix"} and not text:
        raise Reason("Null prefix/suffix not allowed")
    return kind(text)


_INSIDE_ANYTHING_BUT: dict[str, tuple[Callable[[str], Simple], str]] = {
    "prefix": (Prefix, "prefix/suffix match pattern must be a string"),
    "suffix": (Suffix, "prefix/suffix match pattern must be a string"),
    "wildcard": (_wildcard, "wildcard match pattern must be a string"),
    "equals-ignore-case": (
        AnyCase,
        "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.",
    ),
}
_OPERATORS: dict[str, Callable[[object], Condition]] = {
    "exactly": _exactly,
    "prefix": _prefix,
    "suffix": _suffix,
    "equals-ignore-case": _any_case,
    "wildcard": _wildcard,
    "cidr": _cidr,
    "exists": _exists,
    "numeric": _numeric,
    "anything-but": _anything_but,
}
