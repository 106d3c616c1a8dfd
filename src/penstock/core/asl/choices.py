"""The rules of Choice states in JSONPath: all comparisons, joined by And, Or and Not, as one pure question to the state's data.

A comparison with a value of another type is false, not an error. A path that names nothing is an error, except for IsPresent.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from penstock.core.asl.failures import RUNTIME, EvaluationFailed, PathInvalid, PathNotFound
from penstock.core.asl.references import DataPath, parse_data_path
from penstock.core.asl.scope import Scope
from penstock.core.asl.timestamps import timestamp_ns
from penstock.core.asl.values import Json, is_number
from penstock.errors import Finding

_Key: TypeAlias = Callable[[Json], "object | None"]
_Order: TypeAlias = Callable[[Any, Any], bool]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One operator on one value, with a constant or with what another path names."""

    variable: DataPath
    holds: Callable[[Json, Json], bool]
    operand: "Json | DataPath"

    def matches(self, scope: Scope) -> bool:
        operand = _value(self.operand, scope) if isinstance(self.operand, DataPath) else self.operand
        return self.holds(_value(self.variable, scope), operand)

    def paths(self) -> Sequence[DataPath]:
        return (self.variable, self.operand) if isinstance(self.operand, DataPath) else (self.variable,)


@dataclass(frozen=True, slots=True)
class Presence:
    """IsPresent: the one comparison that a missing value does not fail."""

    variable: DataPath
    wanted: bool

    def matches(self, scope: Scope) -> bool:
        return self.variable.present(scope) is self.wanted

    def paths(self) -> Sequence[DataPath]:
        return (self.variable,)


@dataclass(frozen=True, slots=True)
class Joined:
    """And (`all`), Or (`any`), and Not, which is a negated `all` of one."""

    join: Callable[..., bool]
    rules: "tuple[Rule, ...]"
    negated: bool = False

    def matches(self, scope: Scope) -> bool:
        return self.join(rule.matches(scope) for rule in self.rules) is not self.negated

    def paths(self) -> Sequence[DataPath]:
        return tuple(path for rule in self.rules for path in rule.paths())


Rule: TypeAlias = Comparison | Presence | Joined
"""What a choice asks. `matches(scope)` answers; `paths()` are all paths that it reads."""


def _value(path: DataPath, scope: Scope) -> Json:
    try:
        return path.find(scope)
    except (PathNotFound, PathInvalid) as error:
        cause = f"Invalid path '{path.text}': The choice state's condition path references an invalid value."
        raise EvaluationFailed(RUNTIME, cause, "Choices") from error


# How each type is compared. A key of None says that a value is not of the type.


def _string(value: Json) -> bytes | None:
    # Java orders strings by their UTF-16 units.
    return value.encode("utf-16-be", "surrogatepass") if isinstance(value, str) else None


def _numeric(value: Json) -> float | None:
    return value if is_number(value) else None


def _boolean(value: Json) -> bool | None:
    return value if isinstance(value, bool) else None


def _ordered(key: _Key, order: _Order) -> Callable[[Json, Json], bool]:
    def holds(left: Json, right: Json) -> bool:
        one, other = key(left), key(right)
        return one is not None and other is not None and order(one, other)

    return holds


def _is(test: Callable[[Json], bool]) -> Callable[[Json, Json], bool]:
    return lambda value, wanted: test(value) is wanted


def string_matches(text: str, pattern: str) -> bool:
    """Tell whether a text fits a pattern in which `*` stands for any text. A backslash makes `*` and itself plain."""
    first, *others = _literal_parts(pattern)
    if not others:
        return text == first
    if not text.startswith(first):
        return False
    at = len(first)
    *middle, last = others
    for part in middle:
        found = text.find(part, at)
        if found == -1:
            return False
        at = found + len(part)
    return len(text) - len(last) >= at and text.endswith(last)


def _matches(value: Json, pattern: Json) -> bool:
    return isinstance(value, str) and isinstance(pattern, str) and string_matches(value, pattern)


def _literal_parts(pattern: str) -> list[str]:
    parts = [""]
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\" and pattern[at + 1 : at + 2] in ("*", "\\"):
            at += 1
            parts[-1] += pattern[at]
        elif char == "*":
            parts.append("")
        else:
            parts[-1] += char
        at += 1
    return parts


_ORDERS: Final[Mapping[str, _Order]] = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "GreaterThan": operator.gt,
    "LessThanEquals": operator.le,
    "GreaterThanEquals": operator.ge,
}
_KEYS: Final[Mapping[str, tuple[_Key, str]]] = {
    "String": (_string, "a string"),
    "Numeric": (_numeric, "a number"),
    "Timestamp": (timestamp_ns, "a timestamp with a zone, such as 2024-03-14T01:59:00Z"),
}
_ORDERED: Final = {
    f"{kind}{order}": (_ordered(key, _ORDERS[order]), key, wanted)
    for kind, (key, wanted) in _KEYS.items()
    for order in _ORDERS
} | {"BooleanEquals": (_ordered(_boolean, operator.is_), _boolean, "true or false")}
_TYPES: Final = {
    "IsNull": _is(lambda value: value is None),
    "IsNumeric": _is(is_number),
    "IsString": _is(lambda value: isinstance(value, str)),
    "IsBoolean": _is(lambda value: isinstance(value, bool)),
    "IsTimestamp": _is(lambda value: timestamp_ns(value) is not None),
}
_JOINS: Final = {"And", "Or", "Not"}
OPERATORS: Final = frozenset(
    {*_ORDERED, *(f"{name}Path" for name in _ORDERED), *_TYPES, "IsPresent", "StringMatches", *_JOINS}
)
"""The names of all comparisons: exactly one of them stands in a rule."""


def parse_rule(rule: Json, path: str = "") -> tuple[Rule | None, list[Finding]]:
    """Return the rule of a member of Choices, and everything that is wrong with it; None when there is no rule to speak of.

    Fields that no comparison knows (Next, Comment, Assign) are left to whoever knows the state.
    """
    if not isinstance(rule, dict):
        return None, [Finding(path, "a choice rule must be an object")]
    named = sorted(OPERATORS & rule.keys())
    if len(named) != 1:
        problem = f"has {len(named)} comparisons, not one" + (f": {', '.join(named)}" if named else "")
        return None, [Finding(path, problem, "write one operator such as StringEquals, or join several with And or Or")]
    name = named[0]
    if name in _JOINS:
        return _parse_join(name, rule[name], f"{path}/{name}")
    variable, findings = _parse_path(rule.get("Variable"), f"{path}/Variable")
    compared, problems = _parse_comparison(name, rule[name], f"{path}/{name}")
    findings += problems
    if variable is None or compared is None:
        return None, findings
    if name == "IsPresent":
        return Presence(variable, wanted=rule[name] is True), findings
    holds, operand = compared
    return Comparison(variable, holds, operand), findings


def _parse_join(name: str, inner: Json, path: str) -> tuple[Rule | None, list[Finding]]:
    if name == "Not":
        rule, findings = parse_rule(inner, path)
        return (Joined(all, (rule,), negated=True) if rule else None), findings
    if not isinstance(inner, list) or not inner:
        return None, [Finding(path, "must be a list of at least one rule")]
    parsed = [parse_rule(each, f"{path}[{index}]") for index, each in enumerate(inner)]
    findings = [finding for _, problems in parsed for finding in problems]
    rules = tuple(rule for rule, _ in parsed if rule is not None)
    return (Joined(all if name == "And" else any, rules) if len(rules) == len(parsed) else None), findings


def _parse_path(text: Json, path: str) -> tuple[DataPath | None, list[Finding]]:
    if not isinstance(text, str):
        return None, [Finding(path, "must be a path, such as $.status")]
    try:
        return parse_data_path(text), []
    except PathInvalid as error:
        return None, [Finding(path, f"is not a valid path: {error}")]


def _parse_comparison(
    name: str, operand: Json, path: str
) -> "tuple[tuple[Callable[[Json, Json], bool], Json | DataPath] | None, list[Finding]]":
    if name.endswith("Path"):
        other, findings = _parse_path(operand, path)
        return (None if other is None else (_ORDERED[name.removesuffix("Path")][0], other)), findings
    if name in _ORDERED:
        holds, key, wanted = _ORDERED[name]
        fits = key(operand) is not None
    elif name == "StringMatches":
        holds, fits, wanted = _matches, isinstance(operand, str), "a string, in which * stands for any text"
    else:
        holds, fits, wanted = _TYPES.get(name, operator.eq), isinstance(operand, bool), "true or false"
    return ((holds, operand), []) if fits else (None, [Finding(path, f"must be {wanted}")])
