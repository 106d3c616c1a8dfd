"""How values are checked: small checks that are combined into the tables of `core/asl/grammar.py`.

A check takes a value, where it stands and the query language there, and returns all that is wrong with it.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from penstock.core.asl.definition import JSONATA, JSONPATH, QueryLanguage
from penstock.core.asl.failures import PathInvalid
from penstock.core.asl.findings import Finding, finding, under
from penstock.core.asl.jsonata_text import JsonataText, opened, read_text
from penstock.core.asl.references import DataPath, parse_data_path, parse_reference_path
from penstock.core.asl.templates import SUFFIX, parse_expression, parse_template
from penstock.core.asl.timestamps import timestamp_ns
from penstock.core.asl.values import Json, is_number

Check: TypeAlias = Callable[[Json, str, QueryLanguage], list[Finding]]
ObjectRule: TypeAlias = Callable[[dict[str, Json], str, QueryLanguage], Iterable[Finding]]
"""A check of how the fields of an object go together."""

BOTH: Final = frozenset((JSONPATH, JSONATA))
_VARIABLE_CHARS_MAX: Final = 80
_FILTER: Final = "Failed to parse filter"
_KINDS: Final = ((bool, "a boolean"), (int, "a number"), (float, "a number"), (str, "a string"), (list, "a list"))


def kind_of(value: Json) -> str:
    """Return what a value is, in words."""
    if value is None:
        return "null"
    return next((name for kind, name in _KINDS if isinstance(value, kind)), "an object")


def _wanted(what: str, value: Json, path: str) -> list[Finding]:
    return [finding("value-type", path, f"must be {what}, not {kind_of(value)}")]


def anything(_value: Json, _path: str, _language: QueryLanguage) -> list[Finding]:
    return []


def text(value: Json, path: str, _language: QueryLanguage) -> list[Finding]:
    return [] if isinstance(value, str) else _wanted("a string", value, path)


def flag(value: Json, path: str, _language: QueryLanguage) -> list[Finding]:
    return [] if isinstance(value, bool) else _wanted("true or false", value, path)


def mapping(value: Json, path: str, _language: QueryLanguage) -> list[Finding]:
    return [] if isinstance(value, dict) else _wanted("an object", value, path)


def timestamp(value: Json, path: str, _language: QueryLanguage) -> list[Finding]:
    if not isinstance(value, str):
        return _wanted("a timestamp", value, path)
    if timestamp_ns(value) is not None:
        return []
    return [finding("value-type", path, f"is no timestamp: {value!r}", "write it with a zone, as 2024-03-14T01:59:00Z")]


def number(minimum: float, maximum: float, *, whole: bool = True) -> Check:
    """Return a check for numbers within bounds."""

    def check(value: Json, path: str, _language: QueryLanguage) -> list[Finding]:
        if not is_number(value) or (whole and value != int(value)):
            return _wanted("a whole number" if whole else "a number", value, path)
        if minimum <= value <= maximum:
            return []
        return [finding("value-range", path, f"is {value}, but must be from {minimum} to {maximum}")]

    return check


def one_of(*names: str) -> Check:
    """Return a check for one of some texts."""

    def check(value: Json, path: str, _language: QueryLanguage) -> list[Finding]:
        if value in names:
            return []
        return [finding("value-unknown", path, f"is {value!r}, not one of: {', '.join(names)}", _meant(value, names))]

    return check


def list_of(inner: Check, *, empty: bool = False) -> Check:
    """Return a check for lists of at least one value."""

    def check(value: Json, path: str, language: QueryLanguage) -> list[Finding]:
        if not isinstance(value, list):
            return _wanted("a list", value, path)
        if not value and not empty:
            return [finding("value-range", path, "Value cannot be empty")]
        return [each for index, member in enumerate(value) for each in inner(member, f"{path}[{index}]", language)]

    return check


def or_jsonata(inner: Check) -> Check:
    """Return a check that, in a JSONata state, also takes an expression within `{% %}`."""

    def check(value: Json, path: str, language: QueryLanguage) -> list[Finding]:
        if language == JSONATA and isinstance(value, str) and opened(value):
            return jsonata(value, path, language)
        return inner(value, path, language)

    return check


def jsonata(value: Json, path: str, _language: QueryLanguage) -> list[Finding]:
    """Check a value that has to be an expression within `{% %}`."""
    if not isinstance(value, str) or not opened(value):
        return [finding("jsonata-needed", path, "must be a JSONata expression", "write it as {% ... %}")]
    return _jsonata_problems(read_text(value), path)


def _jsonata_problems(read: JsonataText, path: str) -> list[Finding]:
    if read.problem:
        return [finding("jsonata-syntax", path, read.problem, read.hint)]
    hint = "read the input by $states.input, a variable by $name"
    return [finding("jsonata-unsupported", path, problem, hint) for problem in read.refused]


def path_in(*, null: bool, reference: bool = False, calls: bool = False, writable: bool = False) -> Check:
    """Return a check for paths: with null, as reference path only, with intrinsic functions too, or into the input only."""

    def check(value: Json, path: str, _language: QueryLanguage) -> list[Finding]:
        if value is None and null:
            return []
        if not isinstance(value, str):
            return _wanted("a path", value, path)
        try:
            parsed = parse_expression(value) if calls else parse_data_path(value)
            if reference and isinstance(parsed, DataPath):
                parse_reference_path(value)
        except PathInvalid as error:
            if _FILTER in str(error):
                return [finding("path-filter", path, str(error), "write it as [?(@.status == 'done')]")]
            return [finding("path-syntax", path, f"is not a valid path: {error}", "begin it with $, as $.order.id")]
        if writable and isinstance(parsed, DataPath) and parsed.source:
            return [finding("reference-path", path, "must lead into the input, not into the context or a variable")]
        return []

    return check


def payload(value: Json, path: str, language: QueryLanguage) -> list[Finding]:
    """Check a payload template, of either language."""
    if language == JSONATA:
        return jsonata_template(value, path)
    _, found = parse_template(value, path)
    return [*under("expression-syntax", found), *_twice(value, path)]


def jsonata_template(value: Json, path: str) -> list[Finding]:
    """Check all texts within a JSON value that are expressions."""
    if isinstance(value, dict):
        return [each for key, member in value.items() for each in jsonata_template(member, f"{path}/{key}")]
    if isinstance(value, list):
        return [each for i, member in enumerate(value) for each in jsonata_template(member, f"{path}[{i}]")]
    return _jsonata_problems(read_text(value), path) if isinstance(value, str) else []


def _twice(value: Json, path: str) -> list[Finding]:
    if isinstance(value, list):
        return [each for index, member in enumerate(value) for each in _twice(member, f"{path}[{index}]")]
    if not isinstance(value, dict):
        return []
    here = [
        finding("template-key-twice", path, f"has both '{key}' and '{key}{SUFFIX}', which is one key when evaluated")
        for key in value
        if f"{key}{SUFFIX}" in value
    ]
    return here + [each for key, member in value.items() for each in _twice(member, f"{path}/{key}")]


def assignments(value: Json, path: str, language: QueryLanguage) -> list[Finding]:
    """Check Assign: an object of variables."""
    if not isinstance(value, dict):
        return _wanted("an object", value, path)
    found: list[Finding] = []
    for key in value:
        name = key.removesuffix(SUFFIX) if language == JSONPATH else key
        where = f"{path}/{key}"
        if name in {"states", ""} or len(name) > _VARIABLE_CHARS_MAX:
            found.append(
                finding("variable-name", where, f"{name!r} cannot be the name of a variable", "choose another")
            )
        elif not name.isidentifier():
            found.append(
                finding("variable-form", where, f"${name} cannot be written in an expression", "use a-z, 0-9, _")
            )
    return [*found, *payload(value, path, language)]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an object: how its value is checked, whether it has to be there, and in which query languages it may be."""

    check: Check
    required: bool = False
    languages: frozenset[str] = BOTH
    instead: str = ""
    """What says the same in the other query language."""


def object_of(fields: Mapping[str, Field], *rules: ObjectRule, free: bool = False) -> Check:
    """Return a check for objects with these fields and, unless they are `free`, no others; the rules see the whole object."""

    def check(value: Json, path: str, language: QueryLanguage) -> list[Finding]:
        if not isinstance(value, dict):
            return _wanted("an object", value, path)
        missing = [
            name for name, each in fields.items() if each.required and language in each.languages and name not in value
        ]
        found = (
            [finding("field-missing", path, f"These fields are required: [{', '.join(missing)}]")] if missing else []
        )
        for name, member in value.items():
            where = f"{path}/{name}"
            if name not in fields:
                found += [] if free else [_unknown(name, where, fields, language)]
            elif language not in fields[name].languages:
                found.append(_foreign(name, where, fields[name], language))
            else:
                found += fields[name].check(member, where, language)
        return found + [each for rule in rules for each in rule(value, path, language)]

    return check


def _unknown(name: str, path: str, fields: Mapping[str, Field], language: QueryLanguage) -> Finding:
    known = [each for each, field in fields.items() if language in field.languages]
    return finding("field-unknown", path, f"Field '{name}' is not supported here", _meant(name, known))


def _foreign(name: str, path: str, field: Field, language: QueryLanguage) -> Finding:
    other = JSONPATH if language == JSONATA else JSONATA
    hint = f"use {field.instead}, or set QueryLanguage to {other}" if field.instead else f"set QueryLanguage to {other}"
    return finding("field-language", path, f"Field '{name}' is not supported in a state in {language}", hint)


def _meant(given: Json, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(given, list(known), n=1) if isinstance(given, str) else []
    return f"did you mean {close[0]}?" if close else ""


def at_most_one(*names: str) -> ObjectRule:
    """Return a rule: of these fields one is there, or none."""

    def rule(value: dict[str, Json], path: str, _language: QueryLanguage) -> Iterable[Finding]:
        there = [name for name in names if name in value]
        if len(there) > 1:
            yield finding("field-conflict", path, f"may have only one of: {', '.join(there)}")

    return rule


def at_least_one(*names: str, language: QueryLanguage | None = None) -> ObjectRule:
    """Return a rule: at least one of these fields is there."""

    def rule(value: dict[str, Json], path: str, spoken: QueryLanguage) -> Iterable[Finding]:
        if language in {None, spoken} and not any(name in value for name in names):
            yield finding("field-missing", path, f"One of these fields is required: [{', '.join(names)}]")

    return rule
