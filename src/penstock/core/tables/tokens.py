"""The words of an expression: `#name`, `:value`, names, numbers, signs. And what a parser needs to walk over them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from penstock.core.tables.refusals import TableRefused, invalid
from penstock.core.tables.reserved import RESERVED
from penstock.core.tables.values import Value

EXPRESSION_BYTES_MAX: Final = 4096
DEPTH_MAX: Final = 100
_TOKEN: Final = re.compile(r"\s*(#[\w]+|:[\w]+|[A-Za-z_]\w*|\d+|<>|<=|>=|[=<>()\[\].,+-])", re.ASCII)
END: Final = "<EOF>"

Path = tuple["str | int", ...]
"""The way to an attribute, such as ("orders", 0, "total")."""


@dataclass(slots=True)
class Names:
    """What `#name` and `:value` stand for in a request, and which of them were used."""

    names: Mapping[str, str]
    values: Mapping[str, Value]
    used_names: set[str] = field(default_factory=set[str])
    used_values: set[str] = field(default_factory=set[str])

    def require_all_used(self) -> None:
        """Refuse a request that gives more than its expressions use: it is nearly always a slip."""
        for what, given, used in (("Names", self.names, self.used_names), ("Values", self.values, self.used_values)):
            unused = sorted(set(given) - used)
            if unused:
                keys = ", ".join(unused)
                raise invalid(f"Value provided in ExpressionAttribute{what} unused in expressions: keys: {{{keys}}}")


class Walker:
    """The words of one expression, and where its parser is. `kind` names the parameter, such as ConditionExpression."""

    def __init__(self, text: str, kind: str, names: Names) -> None:
        if len(text.encode()) > EXPRESSION_BYTES_MAX:
            size = len(text.encode())
            raise invalid(
                f"Invalid {kind}: Expression size has exceeded the maximum allowed size; expression size: {size}"
            )
        self._kind = kind
        self._names = names
        self._tokens: list[tuple[str, int]] = []
        self._text = text
        self.at = 0
        self._depth = 0
        position, end = 0, len(text.rstrip())
        if not end:
            raise self.refusal("The expression can not be empty;")
        while position < end:
            found = _TOKEN.match(text, position)
            if found is None:
                bad = text[position:].lstrip()[:1]
                raise self.refusal(
                    f'Syntax error; token: "{bad}", near: "{text[max(0, position - 5) : position + 6].strip()}"'
                )
            self._tokens.append((found[1], found.start(1)))
            position = found.end()

    @property
    def here(self) -> str:
        """The word that comes next."""
        return self._tokens[self.at][0] if self.at < len(self._tokens) else END

    def ahead(self, count: int = 1) -> str:
        at = self.at + count
        return self._tokens[at][0] if at < len(self._tokens) else END

    def next(self) -> str:
        word = self.here
        self.at += 1
        return word

    def back(self) -> None:
        """Have the last word come again, to say what is wrong with it."""
        self.at -= 1

    def is_word(self, *words: str) -> bool:
        """Whether one of these keywords comes next; case does not matter."""
        return self.here.upper() in words

    def take(self, sign: str) -> bool:
        """Pass over a sign or a keyword, if it comes next."""
        if self.here.upper() != sign:
            return False
        self.at += 1
        return True

    def require(self, sign: str) -> None:
        if not self.take(sign):
            raise self.syntax_error()

    def deeper(self, by: int = 1) -> None:
        """Keep hostile nesting away from Python's stack."""
        self._depth += by
        if self._depth > DEPTH_MAX:
            raise self.refusal("The expression is nested too deeply;")

    def syntax_error(self) -> TableRefused:
        around = " ".join(token for token, _ in self._tokens[max(0, self.at - 1) : self.at + 2])
        return self.refusal(f'Syntax error; token: "{self.here}", near: "{around}"')

    def refusal(self, problem: str) -> TableRefused:
        return invalid(f"Invalid {self._kind}: {problem}")

    def value(self) -> tuple[str, Value]:
        """Return the name of a `:value`, and what it stands for."""
        name = self.next()
        return name, self.given(name)

    def given(self, name: str) -> Value:
        """Return what a `:value` stands for."""
        if name not in self._names.values:
            problem = f"An expression attribute value used in expression is not defined; attribute value: {name}"
            raise self.refusal(problem)
        self._names.used_values.add(name)
        return self._names.values[name]

    def path(self) -> Path:
        """Return the path that comes next: `a.#b[0]`."""
        parts: list[str | int] = [self._name()]
        while True:
            if self.take("."):
                parts.append(self._name())
            elif self.here == "[":
                self.next()
                index = self.next()
                if not index.isdigit():
                    self.back()
                    raise self.syntax_error()
                parts.append(int(index))
                self.require("]")
            else:
                return tuple(parts)

    def _name(self) -> str:
        word = self.here
        if word.startswith("#"):
            self.next()
            if word not in self._names.names:
                problem = (
                    f"An expression attribute name used in the document path is not defined; attribute name: {word}"
                )
                raise self.refusal(problem)
            self._names.used_names.add(word)
            return self._names.names[word]
        if word == END or not (word[0].isalpha() or word[0] == "_"):
            raise self.syntax_error()
        if word.upper() in RESERVED:
            raise self.refusal(f"Attribute name is a reserved keyword; reserved keyword: {word}")
        self.next()
        return word


def shown(path: Path) -> str:
    """Return a path as the texts of errors show it."""
    return "[" + ", ".join(f"[{part}]" if isinstance(part, int) else part for part in path) + "]"
