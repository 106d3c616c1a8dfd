"""A JSONata expression of a state: parsed once, kept, evaluated against what a state can see.

`$states` holds `input` and `context`, in some fields also `result` or `errorOutput`. There is no context item: a path that
begins with a bare name has nothing to read, which is why AWS refuses it (`Query.refused`).
"""

import math
from functools import cache, lru_cache
from typing import Any, Final, cast

from penstock.core.asl.failures import QUERY_EVALUATION, EvaluationFailed, PathInvalid
from penstock.core.asl.jsonata.added import ADDED, FORBIDDEN
from penstock.core.asl.jsonata.analysis import STATES, plain_names, references
from penstock.core.asl.jsonata.interpreter import Builtin, Frame, Interpreter
from penstock.core.asl.jsonata.library import NULL, Jsonata
from penstock.core.asl.jsonata.marks import Kind, unmarked
from penstock.core.asl.jsonata.mended import MENDED, joined_surrogates
from penstock.core.asl.jsonata.problems import QueryProblem, problem_of
from penstock.core.asl.jsonata.texts import LONG_MAX, number_text
from penstock.core.asl.scope import Absent, Scope
from penstock.core.asl.values import Json, json_text

QUERIES_KEPT_MAX = 4096


_ELSE: Final = object()
_STATES_PARTS: Final = {"input": "input", "context": "context", "result": "result", "errorOutput": "error_output"}


class Query:
    """A parsed expression. `variables` are the workflow variables that it reads, `states` the names that follow `$states.`.

    `refused` holds AWS's texts for what parses but is not accepted in a state.
    """

    __slots__ = ("_interpreter", "_names", "refused", "states", "text", "variables")

    def __init__(self, text: str, interpreter: Interpreter) -> None:
        self.text = text
        self._interpreter = interpreter
        self._names = plain_names(interpreter.ast)
        found = references(interpreter.ast)
        known = functions().bindings.keys() | Jsonata.static_frame.bindings.keys()
        self.variables = frozenset(found.variables - found.bound - known - {STATES})
        self.states = frozenset(found.states)
        self.refused = tuple(found.refused)

    def __repr__(self) -> str:
        return f"Query({self.text!r})"

    def evaluate(self, scope: Scope, *, field: str, expected: Kind | None = None) -> Json:
        """Return the value. Fail as AWS does when there is none, when it is a function, or when it is of another kind."""
        try:
            value: Any = _ELSE if self._names is None else _direct(self._names, scope)
            if value is _ELSE:
                value = plain(self._interpreter.run(_bindings(scope), scope.chance, scope.now_ms))
        except _Undefined:
            raise self._failed(field, "returned nothing (undefined).") from None
        except _Unsupported:
            raise self._failed(field, "returned an unsupported result type.") from None
        except (QueryProblem, RecursionError) as error:
            problem = problem_of(error)
            separator = "." if problem.told_with_code else ":"
            raise self._failed(field, f"threw an error during evaluation{separator} {problem}") from error
        if expected is not None and kind_of(value) != expected:
            what = f"Expected '{expected}', but was '{kind_of(value)}' for value: {json_text(value)}"
            raise self._failed(field, f"returned an unexpected result type. {what}")
        return value

    def _failed(self, field: str, what: str) -> EvaluationFailed:
        return EvaluationFailed(
            QUERY_EVALUATION, f"The JSONata expression '{self.text}' specified for the field '{field}' {what}", field
        )


@lru_cache(maxsize=QUERIES_KEPT_MAX)
def parse_query(text: str) -> Query:
    """Return the expression between `{%` and `%}`. Raise `PathInvalid` with JSONata's code and text when it is none."""
    inner = unmarked(text)
    try:
        return Query(inner, Interpreter(inner, functions()))
    except (QueryProblem, RecursionError) as error:
        raise PathInvalid(str(problem_of(error))) from error


@cache
def functions() -> Any:
    """Return the library's functions, with those mended, added and taken away that differ in Step Functions."""
    frame = Frame(Jsonata.static_frame)
    for name, (function, signature) in (MENDED | ADDED).items():
        frame.bind(name, Builtin(name, function, signature))
    for name in FORBIDDEN:
        frame.bind(name, None)
    return frame


def _direct(names: tuple[str, ...], scope: Scope) -> Any:
    """Return what `$states.input.a` or `$name.a` stands for, which most expressions are, or `_ELSE` for a way through a list.

    An object or a list is handed on as it is, without a look at all that it holds.
    """
    first, *rest = names
    if first != STATES:
        if first not in scope.variables:
            return _ELSE  # not there, or a function
        here: Any = scope.variables[first]
    elif rest and rest[0] in _STATES_PARTS:
        here = getattr(scope, _STATES_PARTS[rest.pop(0)])
        if isinstance(here, Absent):
            raise _Undefined
    else:
        return _ELSE
    for name in rest:
        if isinstance(here, list):
            return _ELSE
        if not isinstance(here, dict) or name not in here:
            raise _Undefined
        here = cast("dict[str, Any]", here)[name]
    return _plain(here) if isinstance(here, float | int | str) else here


def _bindings(scope: Scope) -> dict[str, Any]:
    states: dict[str, Any] = {"input": scope.input, "context": scope.context}
    if not isinstance(scope.result, Absent):
        states["result"] = scope.result
    if not isinstance(scope.error_output, Absent):
        states["errorOutput"] = scope.error_output
    bound: dict[str, Any] = {name: NULL if value is None else value for name, value in scope.variables.items()}
    bound[STATES] = states
    return bound


class _Undefined(Exception):
    """An expression has no value."""


class _Unsupported(Exception):
    """A value has no place in JSON: a function, a pattern."""


def plain(value: Any) -> Json:
    """Return a value of an evaluation as JSON. What needs no change is handed on, not copied."""
    if value is None:
        raise _Undefined
    return _plain(value)


def _plain(value: Any) -> Json:
    if value is None or value is NULL:
        return None
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, str):
        return joined_surrogates(value)
    if isinstance(value, dict):
        return _unchanged(cast("dict[str, Any]", value))
    if isinstance(value, list):
        members = cast("list[Any]", value)
        items = [_plain(each) for each in members]
        same = type(members) is list and all(one is other for one, other in zip(items, members, strict=True))
        return members if same else items
    raise _Unsupported


def _unchanged(members: dict[str, Any]) -> Json:
    converted = {key: _plain(each) for key, each in members.items()}
    return members if all(converted[key] is each for key, each in members.items()) else converted


def _number(value: float) -> Json:
    """Return a number as Step Functions writes it: whole up to 2^63, and what JSON cannot hold by its name."""
    if not isinstance(value, int) and not math.isfinite(value):
        return number_text(value)
    whole = isinstance(value, int) or value.is_integer()
    return int(value) if whole and abs(value) <= LONG_MAX else float(value)


def kind_of(value: Json) -> str:
    """Return the word that causes use for a type of JSON."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
