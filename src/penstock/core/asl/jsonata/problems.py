"""What went wrong in an expression, as one kind of problem with JSONata's code and text, whatever the library raised.

The library raises its own error with a code, or with a text in the code's place, or Python's errors. Texts are told by the
table of texts that it has itself.
"""

import re
from functools import cache
from typing import Any, Final

from penstock.core.asl.jsonata.library import JException
from penstock.core.asl.jsonata.texts import number_text, text_of

DEPTH: Final = "U1001"
_CODE: Final = re.compile(r"[SDTU]\d{4}")
_TYPE: Final = 2
_TYPES: Final = {
    "a": "arrays",
    "b": "booleans",
    "f": "functions",
    "n": "numbers",
    "o": "objects",
    "s": "strings",
}
_PLACE: Final = re.compile(r"\{\{\{?(\w+)\}?\}\}")
_DEPTH_TEXT: Final = (
    "Stack overflow error: Check for non-terminating recursive function. Consider rewriting as tail-recursive"
)


class QueryProblem(Exception):
    """An expression cannot be parsed or has no value. The code is JSONata's, or empty."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.told_with_code else self.message

    @property
    def told_with_code(self) -> bool:
        """Whether causes hold the code: AWS tells of its limits without one."""
        return self.code not in ("", DEPTH)


DEPTH_EXCEEDED: Final = QueryProblem(DEPTH, _DEPTH_TEXT)
MEMORY_EXCEEDED: Final = QueryProblem(
    "", "Expression evaluation memory limit exceeded: Check for excessive memory usage"
)
TIME_EXCEEDED: Final = QueryProblem(DEPTH, "Expression evaluation timeout: Check for infinite loop")


def problem_of(error: Exception) -> QueryProblem:
    """Return the problem that an error of the library stands for."""
    if isinstance(error, QueryProblem):
        return error
    if isinstance(error, RecursionError):
        return DEPTH_EXCEEDED
    if isinstance(error, JException):
        raised: Any = error
        if _CODE.fullmatch(str(raised.error)):
            values = [each for each in (raised.current, raised.expected, raised.extra) if each is not None]
            if raised.error == "T0412" and len(values) > _TYPE:
                values[_TYPE] = _TYPES.get(values[_TYPE], values[_TYPE])
            return QueryProblem(raised.error, _message(raised.error, values))
        return _told(str(raised.error))
    return _told(str(error))


def _told(text: str) -> QueryProblem:
    for code, pattern in _texts():
        if pattern.fullmatch(_without_quotes(text)):
            return QueryProblem(code, text)
    return QueryProblem("", text)


def _message(code: str, values: list[Any]) -> str:
    template = _template(code)
    if template is None:
        return ", ".join(map(str, values))
    left = list(values)

    def filled(found: re.Match[str]) -> str:
        if not left:
            return "?"
        value = left.pop(0)
        return str(value) if found[0].startswith("{{{") else _quoted(value)

    return _PLACE.sub(filled, template)


def _quoted(value: Any) -> str:
    if isinstance(value, float):
        return number_text(value)
    return f'"{value}"' if isinstance(value, str) else text_of(value)


def _template(code: str) -> str | None:
    template: str | None = JException.error_codes.get(code)
    # The library was ported from Java by rules: every `function` became an `Object`.
    return None if template is None else template.replace("Object ", "function ")


@cache
def _texts() -> tuple[tuple[str, re.Pattern[str]], ...]:
    patterns: list[tuple[str, re.Pattern[str]]] = []
    codes: dict[str, str] = JException.error_codes
    for code in codes:
        literal = re.escape(_without_quotes(_PLACE.sub("\0", _template(code) or "")))
        if literal.strip("\0"):
            patterns.append((code, re.compile(literal.replace("\0", ".*"), re.DOTALL)))
    return tuple(patterns)


def _without_quotes(text: str) -> str:
    return text.replace("'", '"')
