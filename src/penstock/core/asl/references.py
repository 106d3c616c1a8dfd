"""Paths as states write them: into the input (`$.a`), the context object (`$$.Execution.Id`) or a variable (`$name.a`).

A reference path names one place by names and indexes only. It is the one kind of path that can also be written to (`ResultPath`).
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, cast

from penstock.core.asl.failures import RESULT_PATH_MATCH, RUNTIME, EvaluationFailed, PathInvalid, PathNotFound
from penstock.core.asl.paths.parsing import PATHS_KEPT_MAX, parse_path
from penstock.core.asl.paths.path import Index, Name, Path
from penstock.core.asl.scope import Scope
from penstock.core.asl.values import Json, json_text

_INPUT: Final = ""
_CONTEXT: Final = "$"
VARIABLE_NAME: Final = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True, slots=True)
class DataPath:
    """A parsed path, and where it starts: `source` is empty for the input, `$` for the context, else a variable's name."""

    text: str
    source: str
    path: Path

    @property
    def variables(self) -> frozenset[str]:
        return frozenset() if self.source in (_INPUT, _CONTEXT) else frozenset({self.source})

    @property
    def shown(self) -> str:
        """The path as causes show it: `$$.Execution` is the `$.Execution` of the context object."""
        return self.text[1:] if self.source == _CONTEXT else self.text

    def find(self, scope: Scope, *, strict: bool = False) -> Json:
        """Return the value, or raise `PathNotFound`. What an indefinite path does not find is an empty list, at any depth."""
        if self.source == _INPUT:
            document = scope.input
        elif self.source == _CONTEXT:
            document = cast("Json", scope.context)
        elif self.source in scope.variables:
            document = scope.variables[self.source]
        else:
            raise PathNotFound(f"No results for path: ${self.source}")
        try:
            return self.path.find(document, strict=strict)
        except PathNotFound:
            if self.path.definite:
                raise
            return []

    def present(self, scope: Scope) -> bool:
        """Tell whether the path names a value, be it null."""
        try:
            found = self.find(scope, strict=True)
        except (PathNotFound, PathInvalid):
            return False
        return self.path.definite or found != []


@lru_cache(maxsize=PATHS_KEPT_MAX)
def parse_data_path(text: str) -> DataPath:
    """Return the path of a text. Raise `PathInvalid` with the reason when it is none."""
    if text.startswith("$$"):
        return DataPath(text, _CONTEXT, parse_path(text[1:]))
    if not text.startswith("$"):
        raise PathInvalid("A path must begin with '$'")
    found = VARIABLE_NAME.match(text, 1)
    if found:
        return DataPath(text, found[0], parse_path("$" + text[found.end() :]))
    return DataPath(text, _INPUT, parse_path(text))


def parse_reference_path(text: str) -> DataPath:
    """Return a path that names one place: no `*`, `..`, `?()`, `,`, `:` or function. Raise `PathInvalid` otherwise."""
    path = parse_data_path(text)
    if not all(isinstance(step, Name | Index) and len(_keys(step)) == 1 for step in path.path.steps):
        raise PathInvalid("A reference path names one place: only names and indexes may stand in it")
    return path


def _keys(step: Name | Index) -> tuple[str, ...] | tuple[int, ...]:
    return step.names if isinstance(step, Name) else step.indexes


def read(path: DataPath, scope: Scope, *, field: str = "") -> Json:
    """Return the value of a path that a field of a state holds, such as InputPath; fail as AWS does when there is none."""
    try:
        return path.find(scope)
    except (PathNotFound, PathInvalid) as error:
        raise EvaluationFailed(RUNTIME, f"Invalid path '{path.text}' : {error}", field) from error


def read_items(path: DataPath, scope: Scope, *, members: bool) -> Json:
    """Return what ItemsPath names: a list or, where `members` may be items, an object."""
    items = read(path, scope, field="ItemsPath")
    if not isinstance(items, list) and not (members and isinstance(items, dict)):
        raise EvaluationFailed(RUNTIME, f'Reference path "{path.shown}" must point to array.', "ItemsPath")
    return items


def write(path: DataPath, target: Json, value: Json) -> Json:
    """Return a copy of `target` with the value at the path: ResultPath. Missing objects on the way are made.

    Fail with States.ResultPathMatchFailure when the path leads through something that is no object, or outside of an array.
    """
    keys = [_keys(step)[0] for step in path.path.steps if isinstance(step, Name | Index)]
    try:
        return _written(target, keys, value)
    except PathNotFound as error:
        cause = f"Unable to apply ReferencePath {path.text} to input {json_text(target)}"
        raise EvaluationFailed(RESULT_PATH_MATCH, cause, "ResultPath") from error


def _written(here: Json, keys: "list[str | int]", value: Json) -> Json:
    if not keys:
        return value
    key, *rest = keys
    if isinstance(here, dict) and isinstance(key, str):
        return {**here, key: _written(here[key] if key in here else {}, rest, value)}  # noqa: SIM401 - pyright loses the type
    if isinstance(here, list) and isinstance(key, int) and 0 <= key < len(here):
        return [*here[:key], _written(here[key], rest, value), *here[key + 1 :]]
    raise PathNotFound(str(key))
