"""Updates of an item: `SET a = a + :n, b[0] = :v REMOVE c ADD d :n DELETE e :set`.

All that they compute is computed from the item as it was before. Paths that overlap are refused.
"""

from collections.abc import Callable
from copy import deepcopy
from itertools import pairwise
from typing import Any, Final, TypeAlias

from penstock.core.tables import paths
from penstock.core.tables.refusals import TableRefused, invalid
from penstock.core.tables.tokens import END, Names, Path, Walker, shown
from penstock.core.tables.values import (
    SPOKEN,
    Item,
    Value,
    content_of,
    normalised,
    number_of,
    number_value,
    plus,
    type_of,
)

KIND: Final = "UpdateExpression"
CLAUSES: Final = ("SET", "REMOVE", "ADD", "DELETE")
_SETS: Final = ("SS", "NS", "BS")
Computed: TypeAlias = Callable[[Item], Value]


class Update:
    """An update expression that was read."""

    def __init__(self) -> None:
        self.sets: list[tuple[Path, Computed]] = []
        self.removes: list[Path] = []
        self.adds: list[tuple[Path, Value]] = []
        self.deletes: list[tuple[Path, Value]] = []

    @property
    def paths(self) -> list[Path]:
        """All that it changes."""
        return [
            *(path for path, _ in self.sets),
            *self.removes,
            *(path for path, _ in self.adds),
            *(path for path, _ in self.deletes),
        ]

    def of(self, item: Item) -> Item:
        """Return the item after the update; the given one stays as it is."""
        after = deepcopy(item)
        computed = [(path, value_of(item)) for path, value_of in self.sets]
        computed += [(path, _added(paths.found(item, path), value)) for path, value in self.adds]
        for path, value in computed:
            paths.put(after, path, deepcopy(value))
        gone = list(self.removes)
        for path, value in self.deletes:
            left = _without(paths.found(item, path), value)
            if left is None:
                gone.append(path)
            elif left:
                paths.put(after, path, left)
        # From the end of each list, so that no index moves before its turn.
        for path in sorted(
            gone, key=lambda path: [part if isinstance(part, int) else 0 for part in path], reverse=True
        ):
            paths.remove(after, path)
        return after


def update_of(text: str, names: Names) -> Update:
    """Read an update expression; refuse what is none with DynamoDB's words."""
    words = Walker(text, KIND, names)
    update = Update()
    seen: set[str] = set()
    while words.here != END:
        clause = words.next().upper()
        if clause not in CLAUSES:
            words.back()
            raise words.syntax_error()
        if clause in seen:
            raise words.refusal(f'The "{clause}" section can only be used once in an update expression;')
        seen.add(clause)
        while True:
            _READERS[clause](words, update)
            if not words.take(","):
                break
        if words.here != END and not words.is_word(*CLAUSES):
            raise words.syntax_error()
    _require_apart(words, update.paths)
    return update


def _set(words: Walker, update: Update) -> None:
    path = words.path()
    words.require("=")
    constant = words.here
    left = _operand(words)
    for sign in ("+", "-"):
        if words.take(sign):
            _require_number(words, constant, sign)
            constant = words.here
            right = _operand(words)
            _require_number(words, constant, sign)
            update.sets.append((path, _sum(left, right, sign)))
            return
    update.sets.append((path, left))


def _require_number(words: Walker, constant: str, sign: str) -> None:
    """Refuse a `:value` that cannot be added, whatever the item is."""
    kind = type_of(words.given(constant)) if constant.startswith(":") else "N"
    if kind != "N":
        problem = "Incorrect operand type for operator or function"
        raise words.refusal(f"{problem}; operator or function: {sign}, operand type: {kind}")


def _sum(left: Computed, right: Computed, sign: str) -> Computed:

    def computed(item: Item) -> Value:
        one, other = left(item), right(item)
        if type_of(one) != "N" or type_of(other) != "N":
            raise invalid("An operand in the update expression has an incorrect data type")
        return number_value(plus(number_of(one), number_of(other) if sign == "+" else -number_of(other)))

    return computed


def _operand(words: Walker) -> Computed:
    if words.here.startswith(":"):
        _, value = words.value()
        return lambda _: value
    if words.ahead() == "(" and not words.here.startswith("#"):
        return _function(words)
    path = words.path()

    def read(item: Item) -> Value:
        value = paths.found(item, path)
        if value is None:
            raise invalid("The provided expression refers to an attribute that does not exist in the item")
        return value

    return read


def _function(words: Walker) -> Computed:
    name = words.next()
    if name not in ("if_not_exists", "list_append"):
        raise words.refusal(f"Invalid function name; function: {name}")
    words.require("(")
    words.deeper()
    if name == "if_not_exists":
        if words.here.startswith(":"):
            problem = "Operator or function requires a document path; operator or function: if_not_exists"
            raise words.refusal(problem)
        path = words.path()
        first: Computed | None = None
    else:
        path, first = (), _operand(words)
    words.require(",")
    second = _operand(words)
    words.require(")")
    words.deeper(-1)
    if first is None:
        return lambda item: paths.found(item, path) or second(item)
    return lambda item: _appended(first(item), second(item))


def _appended(first: Value, second: Value) -> Value:
    if type_of(first) != "L" or type_of(second) != "L":
        raise invalid("An operand in the update expression has an incorrect data type")
    return {"L": [*content_of(first), *content_of(second)]}


def _remove(words: Walker, update: Update) -> None:
    update.removes.append(words.path())


def _add(words: Walker, update: Update) -> None:
    path = words.path()
    value = _constant(words)
    if type_of(value) not in ("N", *_SETS):
        raise _wrong_type(words, "ADD", value)
    update.adds.append((path, value))


def _delete(words: Walker, update: Update) -> None:
    path = words.path()
    value = _constant(words)
    if type_of(value) not in _SETS:
        raise _wrong_type(words, "DELETE", value)
    update.deletes.append((path, value))


def _constant(words: Walker) -> Value:
    if not words.here.startswith(":"):
        raise words.syntax_error()
    return words.value()[1]


def _wrong_type(words: Walker, operator: str, value: Value) -> TableRefused:
    problem = "Incorrect operand type for operator or function"
    spoken = SPOKEN[type_of(value)]
    return words.refusal(
        f"{problem}; operator: {operator}, operand type: {spoken}, typeSet: ALLOWED_FOR_{operator}_OPERAND"
    )


_READERS: Final[dict[str, Callable[[Walker, Update], None]]] = {
    "SET": _set,
    "REMOVE": _remove,
    "ADD": _add,
    "DELETE": _delete,
}


def _added(old: Value | None, value: Value) -> Value:
    if old is None:
        return value
    kind = type_of(value)
    if type_of(old) != kind:
        raise invalid("An operand in the update expression has an incorrect data type")
    if kind == "N":
        return number_value(plus(number_of(old), number_of(value)))
    return normalised({kind: [*content_of(old), *(each for each in content_of(value) if each not in content_of(old))]})


def _without(old: Value | None, value: Value) -> Value | None:
    """Return a set without some members: None when nothing is left, an empty dict when there was nothing."""
    if old is None:
        return {}
    kind = type_of(value)
    if type_of(old) != kind:
        raise invalid("An operand in the update expression has an incorrect data type")
    left: list[Any] = [each for each in content_of(old) if each not in content_of(value)]
    return {kind: left} if left else None


def _require_apart(words: Walker, changed: list[Path]) -> None:
    in_order = sorted(changed, key=lambda path: [(isinstance(part, str), str(part)) for part in path])
    for one, other in pairwise(in_order):
        first, second = (one, other) if changed.index(one) <= changed.index(other) else (other, one)
        apart = next((at for at, (left, right) in enumerate(zip(one, other, strict=False)) if left != right), None)
        if apart is None:
            how = "overlap"
        elif type(one[apart]) is not type(other[apart]):  # one of them takes for a map what is a list to the other
            how = "conflict"
        else:
            continue
        problem = f"Two document paths {how} with each other; must remove or rewrite one of these paths"
        raise words.refusal(f"{problem}; path one: {shown(first)}, path two: {shown(second)}")
