"""The templates of input transformers: JSON or a quoted text with `<variables>` in it, filled with what an event says.

As AWS documents and answers it: outside of quotes a variable becomes a JSON value, a text with its quotes; inside of quotes
its text is put as it is, nothing is escaped. One whose path finds nothing is an empty text.
"""

import json
import re
from collections.abc import Callable, Mapping

from msgspec import Struct

from penstock.core.patterns.documents import is_list, is_object, members_of
from penstock.errors import Finding, Refused

TEMPLATE_CHARS_MAX = 8_192
_VARIABLE = re.compile(r"<([^<>]*)>")
_MARK = "\x00"


class Part(Struct, frozen=True):
    """A piece of a template: text as it stands, or a variable."""

    text: str = ""
    variable: str | None = None
    quoted: bool = False


class Template(Struct, frozen=True):
    """A template that was read. What is no text in quotes gives JSON, and is written without blanks."""

    parts: tuple[Part, ...]
    is_text: bool

    @property
    def variables(self) -> list[str]:
        """The names of the variables, in their order."""
        return [each.variable for each in self.parts if each.variable is not None]

    def filled(self, values: Mapping[str, object]) -> str:
        """Return what the template makes of the values. Raises `Refused` where that would have to be JSON and is none."""
        text = self._with(lambda part: _put(values.get(part.variable or "", ""), quoted=part.quoted))
        if self.is_text:
            return text
        try:
            return json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)
        except ValueError as error:
            quoted = ", ".join(f"<{each.variable}>" for each in self.parts if each.variable and each.quoted)
            hint = f"nothing is escaped inside of quotes: take {quoted} out of them" if quoted else "see the template"
            raise Refused(f"the filled template is no JSON: {error}", hint) from error

    def findings(self, path: str) -> list[Finding]:
        """Return what is wrong with the template whatever the values are."""
        if self.is_text:
            return _quoted_findings(self._with(lambda _: ""), path)
        try:
            filled: object = json.loads(self._with(lambda part: _MARK_IN_JSON if part.quoted else "0"))
        except ValueError as error:
            hint = "texts need quotes around them, and a variable cannot be an object key"
            return [Finding(path, f"must be valid JSON: {error}", hint)]
        keys = [key for key in _keys(filled) if _MARK in key]
        return [Finding(path, "has a variable in an object key", "variables stand for values")] if keys else []

    def _with(self, put: Callable[[Part], str]) -> str:
        return "".join(part.text if part.variable is None else put(part) for part in self.parts)


_MARK_IN_JSON = json.dumps(_MARK)[1:-1]


def template_of(text: str) -> Template:
    """Read a template."""
    parts: list[Part] = []
    at, quoted = 0, False
    for found in _VARIABLE.finditer(text):
        before = text[at : found.start()]
        quoted = _quoted_after(before, quoted=quoted)
        parts += [Part(before)] if before else []
        parts.append(Part(variable=found[1], quoted=quoted))
        at = found.end()
    parts += [Part(text[at:])] if text[at:] else []
    return Template(tuple(parts), text.lstrip()[:1] == '"')


def _quoted_after(text: str, *, quoted: bool) -> bool:
    """Whether a quote is open after the text."""
    escaped = False
    for letter in text:
        if escaped:
            escaped = False
        elif letter == "\\":
            escaped = quoted
        elif letter == '"':
            quoted = not quoted
    return quoted


def _put(value: object, *, quoted: bool) -> str:
    if quoted and isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _quoted_findings(text: str, path: str) -> list[Finding]:
    """Return what is wrong with a template of texts: each line of it must be a text in quotes."""
    for line in text.strip().splitlines():
        each = line.strip()
        if each and not (len(each) > 1 and each[0] == each[-1] == '"'):
            return [Finding(path, f"has a line without quotes around it: {each[:40]}", "texts need quotes")]
    return []


def _keys(value: object) -> list[str]:
    if is_object(value):
        return [found for key, inner in members_of(value) for found in (key, *_keys(inner))]
    return [found for inner in value for found in _keys(inner)] if is_list(value) else []
