"""What stands in `[?( ... )]`: comparisons of paths and literals, joined by `&&`, `||` and `!`.

What cannot be compared does not match: a filter never fails while it is evaluated.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from penstock.core.asl.failures import PathInvalid, PathNotFound
from penstock.core.asl.paths.comparing import OPERATORS, UNDEFINED, Operand, Pattern
from penstock.core.asl.paths.cursor import Cursor, unescaped_text
from penstock.core.asl.paths.path import Path
from penstock.core.asl.values import Json, parsed_json

_Predicate = Callable[[Json, Json], bool]

_NUMBER = re.compile(r"[-+.\deE]+")
_SYMBOLS = "<>=~!"
_WORD_END = " )"
_FLAGS = {"i": re.IGNORECASE, "d": 0, "x": re.VERBOSE, "m": re.MULTILINE, "s": re.DOTALL, "u": 0, "U": 0}
_LITERALS: tuple[tuple[str, Json], ...] = (("true", True), ("false", False), ("null", None))


def parse_filter(text: str, parse_path: Callable[[str], Path]) -> _Predicate:
    """Return the predicate of a text in brackets, such as `(@.price < 10 && @.kind == 'a')`, which holds paths itself."""
    parser = _FilterParser(text, parse_path)
    predicate = parser.either()
    if parser.cursor.skip_blanks():
        rest = text[parser.cursor.at :]
        raise PathInvalid(f"Expected end of filter expression instead of: {rest}")
    return predicate


@dataclass(frozen=True, slots=True)
class _PathOperand:
    path: Path
    exists: bool
    """Whether `@.a` alone asks for its presence; `!@.a` asks for its absence."""

    def value(self, item: Json, root: Json) -> Operand:
        try:
            return self.path.find(item if self.path.from_item else root, root)
        except PathNotFound:
            return UNDEFINED

    def present(self, item: Json, root: Json) -> bool:
        try:
            self.path.find(item if self.path.from_item else root, root, required=True)
        except PathNotFound:
            return not self.exists
        return self.exists


@dataclass(frozen=True, slots=True)
class _Literal:
    constant: Operand

    def value(self, _item: Json, _root: Json) -> Operand:
        return self.constant


_Source = _PathOperand | _Literal


class _FilterParser:
    def __init__(self, text: str, parse_path: Callable[[str], Path]) -> None:
        self.cursor = Cursor(text)
        self.parse_path = parse_path

    def either(self) -> _Predicate:
        parts = [self._both()]
        while self._took("||"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda item, root: any(part(item, root) for part in parts)

    def _both(self) -> _Predicate:
        parts = [self._one()]
        while self._took("&&"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda item, root: all(part(item, root) for part in parts)

    def _one(self) -> _Predicate:
        cursor = self.cursor
        if cursor.skip_blanks() == "!":
            after = cursor.significant_after(cursor.at)
            if cursor.text[after : after + 1] not in ("$", "@"):
                cursor.at = after
                inner = self._one()
                return lambda item, root: not inner(item, root)
        if cursor.skip_blanks() == "(":
            cursor.at += 1
            inside = self.either()
            if cursor.skip_blanks() != ")":
                raise PathInvalid(f"Expected character: ) in {cursor.text}")
            cursor.at += 1
            return inside
        return self._comparison()

    def _took(self, operator: str) -> bool:
        self.cursor.skip_blanks()
        if not self.cursor.text.startswith(operator, self.cursor.at):
            return False
        self.cursor.at += len(operator)
        return True

    def _comparison(self) -> _Predicate:
        left = self._source()
        before = self.cursor.at
        compare = OPERATORS.get(self._operator())
        if compare is None:
            self.cursor.at = before
            if isinstance(left, _Literal):
                raise PathInvalid("Expected path node")
            return left.present
        right = self._source()
        return lambda item, root: compare(left.value(item, root), right.value(item, root))

    def _operator(self) -> str:
        cursor = self.cursor
        cursor.skip_blanks()
        start = cursor.at
        if cursor.char and cursor.char in _SYMBOLS:
            while cursor.char and cursor.char in _SYMBOLS:
                cursor.at += 1
        else:
            while cursor.char and cursor.char not in _WORD_END:
                cursor.at += 1
        return cursor.text[start : cursor.at].upper()

    def _source(self) -> _Source:
        cursor = self.cursor
        match cursor.skip_blanks():
            case "$" | "@":
                return self._path(exists=True)
            case "!":
                cursor.at += 1
                if cursor.skip_blanks() not in ("$", "@"):
                    raise PathInvalid("Unexpected character: !")
                return self._path(exists=False)
            case "'" | '"':
                return _Literal(unescaped_text(self._until_unescaped()[1:-1]))
            case "/":
                return _Literal(self._pattern())
            case "[" | "{":
                return _Literal(self._json())
            case _:
                return _Literal(self._plain())

    def _path(self, *, exists: bool) -> _PathOperand:
        cursor = self.cursor
        start = cursor.at
        cursor.at += 1
        while cursor.char and cursor.char not in f"{_SYMBOLS} ":
            if cursor.char in "[(":
                end = cursor.closing(cursor.at, patterns=False)
                if end == -1:
                    raise PathInvalid(f"Square brackets does not match in filter {cursor.text}")
                cursor.at = end
            elif cursor.char == ")":
                break
            cursor.at += 1
        return _PathOperand(self.parse_path(cursor.text[start : cursor.at]), exists)

    def _until_unescaped(self) -> str:
        cursor = self.cursor
        start, quote = cursor.at, cursor.char
        end = cursor.unescaped(quote, start)
        if end == -1:
            raise PathInvalid(f"String literal does not have matching quotes. Expected {quote} in {cursor.text}")
        cursor.at = end + 1
        return cursor.text[start : end + 1]

    def _pattern(self) -> Pattern:
        source = self._until_unescaped()[1:-1]
        flags = 0
        while self.cursor.char in _FLAGS:
            flags |= _FLAGS[self.cursor.char]
            self.cursor.at += 1
        try:
            return Pattern(
                re.compile(source.replace("(?<", "(?P<").replace("(?P<=", "(?<=").replace("(?P<!", "(?<!"), flags)
            )
        except re.error as error:
            raise PathInvalid(f"Could not compile the pattern /{source}/: {error}") from error

    def _json(self) -> Json:
        cursor = self.cursor
        end = cursor.closing(cursor.at, patterns=False)
        text = cursor.text[cursor.at : end + 1]
        cursor.at = end + 1
        for candidate in (text, _in_double_quotes(text)):
            try:
                return parsed_json(candidate)
            except ValueError:
                continue
        raise PathInvalid(f"Not a JSON literal: {text}")

    def _plain(self) -> Json:
        cursor = self.cursor
        for word, value in _LITERALS:
            if cursor.text.startswith(word, cursor.at):
                cursor.at += len(word)
                return value
        found = _NUMBER.match(cursor.text, cursor.at)
        try:
            value = parsed_json(found[0]) if found else None
        except ValueError:
            value = None
        if found is None or value is None:
            raise PathInvalid(
                f"Failed to parse filter: {cursor.text}, error on position: {cursor.at}, char: {cursor.char}"
            )
        cursor.at = found.end()
        return value


def _in_double_quotes(text: str) -> str:
    """Read `['a','b']`, which Jayway's lenient JSON reader takes too."""
    return re.sub(
        r"'((?:[^'\\]|\\.)*)'", lambda found: '"' + found[1].replace('"', '\\"').replace("\\'", "'") + '"', text
    )
