"""Payload templates: JSON in which the value of a key that ends with `.$` is a path or an intrinsic function.

Used by Parameters, ResultSelector, ItemSelector, BatchInput and Assign. A template is parsed once; what is constant in it
is handed out as it is, and never copied.
"""

from dataclasses import dataclass
from typing import TypeAlias

from penstock.core.asl.failures import RUNTIME, EvaluationFailed, PathInvalid, PathNotFound
from penstock.core.asl.intrinsics.call import PREFIX, Call, parse_call
from penstock.core.asl.nodes import Constant, Node, list_of, object_of
from penstock.core.asl.references import DataPath, parse_data_path
from penstock.core.asl.scope import Scope
from penstock.core.asl.values import Json, json_text
from penstock.errors import Finding

SUFFIX = ".$"

Expression: TypeAlias = DataPath | Call
"""What may stand behind a key that ends with `.$`, and in ErrorPath and CausePath."""


def parse_expression(text: str) -> Expression:
    """Return the path or the intrinsic function that a text is. Raise `PathInvalid` with the reason when it is neither."""
    return parse_call(text) if text.startswith(PREFIX) else parse_data_path(text)


def evaluate(expression: Expression, scope: Scope, *, field: str) -> Json:
    """Return the value of an expression that stands in a field, such as `name.$` or `CausePath`."""
    if isinstance(expression, Call):
        return expression.evaluate(scope)
    try:
        return expression.find(scope)
    except PathNotFound as error:
        where = f"could not be found in the input '{json_text(scope.input)}'"
        cause = f"The JSONPath '{expression.text}' specified for the field '{field}' {where}"
        raise EvaluationFailed(RUNTIME, cause, field) from error
    except PathInvalid as error:
        raise EvaluationFailed(RUNTIME, str(error), field) from error


@dataclass(frozen=True, slots=True)
class _Computed:
    field: str
    expression: Expression

    def evaluate(self, scope: Scope, /) -> Json:
        return evaluate(self.expression, scope, field=self.field)


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template. `expressions` holds all that it computes, with the place of each: `Finding`s are made of them."""

    node: Node
    expressions: tuple[Expression, ...]

    @property
    def variables(self) -> frozenset[str]:
        return frozenset(name for each in self.expressions for name in each.variables)

    def evaluate(self, scope: Scope) -> Json:
        """Return the payload. Raise `EvaluationFailed` when a path names nothing or a function fails."""
        return self.node.evaluate(scope)


def parse_template(value: Json, path: str = "") -> tuple[Template, list[Finding]]:
    """Return the template of a JSON value, and everything that is wrong with it. `path` is where the value stands.

    What is wrong counts as a constant: a definition with findings is not run.
    """
    expressions: list[Expression] = []
    findings: list[Finding] = []

    def node(value: Json, path: str) -> Node:
        if isinstance(value, dict):
            return object_of([member(key, each, f"{path}/{key}") for key, each in value.items()])
        if isinstance(value, list):
            return list_of(value, [node(each, f"{path}[{index}]") for index, each in enumerate(value)])
        return Constant(value)

    def member(key: str, value: Json, path: str) -> tuple[str, Node]:
        if key.endswith(SUFFIX):
            return key[: -len(SUFFIX)], computed(key, value, path)
        return key, node(value, path)

    def computed(key: str, value: Json, path: str) -> Node:
        if not isinstance(value, str):
            findings.append(
                Finding(path, "must be a text: a JSONPath or an intrinsic function", f"or drop '{SUFFIX}' from the key")
            )
            return Constant(value)
        try:
            expression = parse_expression(value)
        except PathInvalid as error:
            hint = f"for a plain text, drop '{SUFFIX}' from the key"
            findings.append(Finding(path, f"is not a valid JSONPath or intrinsic function: {error}", hint))
            return Constant(value)
        expressions.append(expression)
        return _Computed(key, expression)

    return Template(node(value, path), tuple(expressions)), findings
