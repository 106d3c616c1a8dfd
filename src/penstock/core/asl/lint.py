"""Warnings: what a definition may say, and AWS takes, but hardly with the meaning that its author had in mind."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from penstock.core.asl.definition import JSONATA, JSONPATH, QueryLanguage
from penstock.core.asl.findings import Finding, finding
from penstock.core.asl.jsonata_text import opened, wrapped
from penstock.core.asl.templates import SUFFIX
from penstock.core.asl.values import Json
from penstock.core.asl.variables import SCOPES, assigned_by, read_by, walk

_EXPRESSION: Final = re.compile(r"\$(\$?\.|\[).+|\$\$|States\.[A-Z]\w+\(.*\)", re.DOTALL)
_TEMPLATES: Final = ("Parameters", "ResultSelector", "ItemSelector", "Assign", "BatchInput", "Credentials")
_PATH_TWINS: Final = ("Cause", "Error")


def state_warnings(state: Mapping[str, Json], path: str, language: QueryLanguage) -> Iterable[Finding]:
    """Return the warnings of one state, without those inside of its branches."""
    for name, value in state.items():
        if name == "Result" and state.get("Type") == "Pass":
            yield from _static(value, f"{path}/Result")
        elif name not in {"Comment", "Result", *SCOPES}:
            yield from _fields(name, value, f"{path}/{name}", language)
    if language == JSONPATH:
        for name in _PATH_TWINS:
            value = state.get(name)
            if isinstance(value, str) and _EXPRESSION.fullmatch(value):
                yield finding("no-path", f"{path}/{name}", f"{value!r} looks like a path", f"use {name}Path")


def machine_warnings(machine: Mapping[str, Json]) -> Iterable[Finding]:
    """Return the warnings that need the whole machine: variables that are assigned and not read, or read and not assigned."""
    read: dict[str, str] = {}
    assigned: dict[str, str] = {}
    for _, path, state, language in walk(machine):
        for name in sorted(read_by(state, language)):
            read.setdefault(name, path)
        for name, where in assigned_by(state, language):
            assigned.setdefault(name, path + where)
    for name, path in assigned.items():
        if name not in read:
            yield finding("variable-unused", path, f"nothing reads ${name}", "take it out, or use it")
    for name, path in read.items():
        if name not in assigned:
            yield finding(
                "variable-unassigned", path, f"nothing assigns ${name}", "add it to the Assign of a state before"
            )


def _static(value: Json, path: str) -> Iterator[Finding]:
    """Find expressions in the Result of a Pass: AWS hands them on as they are written."""
    hint = "use Parameters instead of Result: there it is evaluated"
    for where, key, member in _members(value, path):
        if key.endswith(SUFFIX) and isinstance(member, str):
            yield finding("pass-result-static", where, f"{key!r} is not evaluated: Result is handed on as it is", hint)
        elif isinstance(member, str) and _EXPRESSION.fullmatch(member):
            yield finding("pass-result-static", where, f"{member!r} is not evaluated: Result is a constant", hint)


def _fields(name: str, value: Json, path: str, language: QueryLanguage) -> Iterator[Finding]:
    for where, key, member in [(path, name, value), *_members(value, path)]:
        if where.endswith("/Comment"):
            continue
        if isinstance(member, str) and wrapped(member):
            if language == JSONPATH:
                hint = 'set "QueryLanguage": "JSONata" in this state or in the machine'
                yield finding("jsonata-in-jsonpath", where, "is not evaluated: this state's language is JSONPath", hint)
            elif not opened(member):
                yield finding("jsonata-blanks", where, "is a plain text: blanks stand around it", "take them out")
        elif language == JSONATA and key.endswith(SUFFIX) and isinstance(member, str):
            hint = "write the value as {% ... %}, and the key without .$"
            yield finding("jsonpath-in-jsonata", where, "is not evaluated: this state's language is JSONata", hint)
        elif language == JSONPATH and name in _TEMPLATES and _forgotten(key, member):
            problem = f"{member!r} is a plain text here, not an expression"
            yield finding("no-dollar", where, problem, f"name the key {key}{SUFFIX}")


def _forgotten(key: str, value: Json) -> bool:
    return isinstance(value, str) and not key.endswith(SUFFIX) and _EXPRESSION.fullmatch(value) is not None


def _members(value: Json, path: str) -> Iterator[tuple[str, str, Json]]:
    """Yield (where, key, value) for all that is inside of a value; in a list the key is empty."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield f"{path}/{key}", key, member
            yield from _members(member, f"{path}/{key}")
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield f"{path}[{index}]", "", member
            yield from _members(member, f"{path}[{index}]")
