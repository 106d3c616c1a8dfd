"""A parsed call of an intrinsic function, with its arguments: literals, paths and further calls."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from penstock.core.asl.failures import RUNTIME, EvaluationFailed, PathInvalid, PathNotFound
from penstock.core.asl.intrinsics.functions import FUNCTIONS, ArgumentsInvalid
from penstock.core.asl.paths.cursor import Cursor
from penstock.core.asl.paths.parsing import PATHS_KEPT_MAX
from penstock.core.asl.references import DataPath, parse_data_path
from penstock.core.asl.scope import Scope
from penstock.core.asl.values import Json, json_text, parsed_json

PREFIX = "States."
NESTED_MAX = 10  # AWS's own limit for calls inside of calls
_ESCAPABLE = "'\\{}"


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant argument. `raw` is the text between the quotes as it was written: a template needs to see its escapes."""

    value: Json
    raw: str | None = None


Argument: TypeAlias = "Literal | DataPath | Call"


@dataclass(frozen=True, slots=True)
class Call:
    text: str
    name: str
    arguments: tuple[Argument, ...]

    @property
    def variables(self) -> frozenset[str]:
        return frozenset(name for path in self.paths() for name in path.variables)

    def paths(self) -> Iterator[DataPath]:
        """Yield every path in the call and in the calls inside of it."""
        for each in self.arguments:
            if isinstance(each, DataPath):
                yield each
            elif isinstance(each, Call):
                yield from each.paths()

    def evaluate(self, scope: Scope) -> Json:
        """Return the result. The failure of an inner call names the whole expression, as AWS does."""
        try:
            return self.result(scope)
        except (PathNotFound, PathInvalid, ArgumentsInvalid) as error:
            raise EvaluationFailed(RUNTIME, f"The function '{self.text}' had the following error: {error}") from error

    def result(self, scope: Scope) -> Json:
        """Return the result of a call inside of another, or raise what the outermost one turns into a failure."""
        function = FUNCTIONS[self.name]
        values: list[Json] = []
        for each in self.arguments:
            match each:
                case Literal(value, raw):
                    values.append(raw if raw is not None and function.takes_template and not values else value)
                case Call():
                    values.append(each.result(scope))
                case DataPath():
                    values.append(_found(each, scope))
        return function.call(self.name, values, scope.chance)


def _found(path: DataPath, scope: Scope) -> Json:
    try:
        return path.find(scope, strict=True)
    except PathNotFound as error:
        where = f"could not be found in the input '{json_text(scope.input)}'"
        raise PathNotFound(f"The JsonPath argument for the field '{path.text}' {where}") from error


@lru_cache(maxsize=PATHS_KEPT_MAX)
def parse_call(text: str) -> Call:
    """Return the call that a text is. Raise `PathInvalid` with the reason when it is none."""
    cursor = Cursor(text)
    call = _call(cursor, depth=1)
    if cursor.skip_blanks():
        raise PathInvalid(f"Unexpected '{text[cursor.at :]}' behind the function call")
    return call


def _call(cursor: Cursor, *, depth: int) -> Call:
    if depth > NESTED_MAX:
        raise PathInvalid(f"Function calls may be nested {NESTED_MAX} deep")
    start = cursor.at
    opening = cursor.text.find("(", start)
    name = cursor.text[start:opening].strip() if opening != -1 else cursor.text[start:]
    if name not in FUNCTIONS:
        raise PathInvalid(f"'{name}' is not an intrinsic function")
    cursor.at = opening + 1
    arguments: list[Argument] = []
    if cursor.skip_blanks() == ")":
        cursor.at += 1
    else:
        while True:
            arguments.append(_argument(cursor, depth=depth))
            end = cursor.skip_blanks()
            cursor.at += 1
            if end == ")":
                break
            if end != ",":
                raise PathInvalid(f"Expected ',' or ')' at position {cursor.at - 1}")
            cursor.skip_blanks()
    few, many = FUNCTIONS[name].arity
    if not few <= len(arguments) <= many:
        raise PathInvalid(f"{name} does not take {len(arguments)} arguments")
    return Call(cursor.text[start : cursor.at], name, tuple(arguments))


def _argument(cursor: Cursor, *, depth: int) -> Argument:
    char = cursor.skip_blanks()
    if char == "'":
        return _string(cursor)
    if char == "$":
        return parse_data_path(_until_separator(cursor))
    if cursor.text.startswith(PREFIX, cursor.at):
        return _call(cursor, depth=depth + 1)
    word = _until_separator(cursor)
    try:
        value = parsed_json(word)
    except ValueError as error:
        raise PathInvalid(
            f"'{word}' is neither a path, a string in single quotes, a number nor a function call"
        ) from error
    if isinstance(value, str | list | dict):
        raise PathInvalid(f"{word} is no argument: strings stand in single quotes")
    return Literal(value)


def _string(cursor: Cursor) -> Literal:
    start = cursor.at
    end = cursor.unescaped("'", start)
    if end == -1:
        raise PathInvalid(f"The string at position {start} is not closed")
    raw = cursor.text[start + 1 : end]
    cursor.at = end + 1
    out: list[str] = []
    at = 0
    while at < len(raw):
        if raw[at] == "\\":
            at += 1
            if raw[at] not in _ESCAPABLE:
                raise PathInvalid(f"\\{raw[at]} is no escape: only ', \\, {{ and }} are escaped")
        out.append(raw[at])
        at += 1
    return Literal("".join(out), raw)


def _until_separator(cursor: Cursor) -> str:
    """Return the text up to the `,` or `)` that ends an argument: those in brackets and quotes belong to it."""
    start = cursor.at
    while cursor.char and cursor.char not in ",)":
        if cursor.char in "([":
            end = cursor.closing(cursor.at, patterns=False)
            if end == -1:
                raise PathInvalid(f"The bracket at position {cursor.at} is not closed")
            cursor.at = end
        cursor.at += 1
    return cursor.text[start : cursor.at].strip()
