"""Texts that may be JSONata: expressions stand within `{%` and `%}`, all else is taken as it is written."""

import re
from dataclasses import dataclass
from typing import Final

from penstock.core.asl.failures import PathInvalid

_OPEN: Final = "{%"
_CLOSE: Final = "%}"
_WRAPPED: Final = re.compile(r"\s*\{%.*%\}\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class JsonataText:
    """A text as it was read: `expression` is None for a plain one; `problem` says what is wrong.

    `refused` says what is JSONata, but is not accepted in a state: names that nothing is bound to.
    """

    expression: str | None = None
    variables: frozenset[str] = frozenset()
    problem: str = ""
    hint: str = ""
    refused: tuple[str, ...] = ()


def opened(text: str) -> bool:
    """Tell whether a text is meant as an expression: it begins with `{%` or ends with `%}`."""
    return text.startswith(_OPEN) or text.endswith(_CLOSE)


def wrapped(text: str) -> bool:
    """Tell whether a text is an expression, be it with blanks around, which make it a plain text."""
    return _WRAPPED.fullmatch(text) is not None


def read_text(text: str) -> JsonataText:
    """Return the expression of a text, the variables that it reads, and what is wrong with it."""
    if not opened(text):
        return JsonataText()
    if not (text.startswith(_OPEN) and text.endswith(_CLOSE) and len(text) >= len(_OPEN) + len(_CLOSE)):
        return JsonataText(problem="is opened or closed, but not both", hint="write the expression as {% ... %}")
    expression = text[len(_OPEN) : -len(_CLOSE)]
    if not expression.strip():
        return JsonataText(expression, problem="is an empty expression")
    # The parser comes with its library, which documents in JSONPath never load.
    from penstock.core.asl.jsonata.query import parse_query

    try:
        query = parse_query(text)
    except PathInvalid as error:
        return JsonataText(expression, problem=f"is not a valid JSONata expression: {error}")
    return JsonataText(expression, query.variables, refused=query.refused)
