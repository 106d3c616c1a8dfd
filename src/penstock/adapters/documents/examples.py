"""Examples of routes in files: a line of JSON each ({"text": ..., "route": ...}), or CSV with a head.

The text may be called `text`, `sentence`, `utterance` or `query`, the route `route`, `intent`, `label` or `category`; a route
that is named as `outside` belongs to none.
"""

import csv
from collections.abc import Collection, Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any, cast

import msgspec

from penstock.core.routing.router import Examples
from penstock.errors import Finding, Invalid, Missing

TEXTS = ("text", "sentence", "utterance", "query")
NAMES = ("route", "intent", "label", "category")
OUTSIDE = frozenset({"", "oos", "out_of_scope", "outside", "none", "NO_NODES_DETECTED"})
FINDINGS_MAX = 50
_FORM = '{"text": "where is my order", "route": "orders"}'


def read_pairs(path: Path, outside: Collection[str] = OUTSIDE) -> list[tuple[str, str]]:
    """Return (text, route) of each example, "" for those of none; `Missing` for no file, `Invalid` with all findings."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(str(path), (Finding("(whole)", f"is no text in UTF-8 ({error})", _FORM),)) from error
    except OSError as error:
        raise Missing(f"the examples {str(path)!r} ({error.strerror})", f"a file with lines as {_FORM}") from error
    pairs: list[tuple[str, str]] = []
    findings: list[Finding] = []
    for number, given in _csv(text) if path.suffix == ".csv" else _lines(text):
        read = _pair(given, outside)
        if isinstance(read, str):
            findings.append(Finding(f"line {number}", read, _FORM))
        else:
            pairs.append(read)
    if not pairs and not findings:
        findings.append(Finding("(whole)", "has no examples", _FORM))
    if findings:
        raise Invalid(str(path), tuple(findings[:FINDINGS_MAX]))
    return pairs


def examples_of(pairs: Collection[tuple[str, str]]) -> Examples:
    """Return examples by their routes."""
    routes: dict[str, list[str]] = {}
    for text, route in pairs:
        if route:
            routes.setdefault(route, []).append(text)
    return Examples(routes, [text for text, route in pairs if not route])


def _lines(text: str) -> Iterator[tuple[int, Any]]:
    # Not `splitlines`: a text may hold other separators of lines (U+2028), and JSON writes them as they are.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield number, msgspec.json.decode(line)
            except (msgspec.MsgspecError, RecursionError) as error:
                yield number, str(error)


def _csv(text: str) -> Iterator[tuple[int, Any]]:
    reader = csv.DictReader(StringIO(text, newline=""))
    try:
        for given in reader:
            yield reader.line_num, given
    except csv.Error as error:
        yield reader.line_num, f"is no CSV ({error})"


def _pair(given: Any, outside: Collection[str]) -> tuple[str, str] | str:
    if not isinstance(given, Mapping):
        return str(given) if isinstance(given, str) else "is no object"
    fields = cast("Mapping[str, Any]", given)
    name = next((each for each in NAMES if each in fields), "")
    said = next((each for each in TEXTS if each in fields), "")
    text, route = fields.get(said), fields.get(name)
    if not isinstance(text, str) or not text.strip():
        return f"has no text: one of {', '.join(TEXTS)}"
    if not isinstance(route, str):
        return f"has no route: one of {', '.join(NAMES)}"
    return text, "" if route in outside else route
