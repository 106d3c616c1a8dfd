"""What a state does with its data, in one of the two query languages: the same questions, asked of either.

A flow is made once for each state, from its parsed fields. In both languages all fields see the variables as they were when the
state was entered; `Left.assigned` holds what they are set to afterwards.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from penstock.core.asl.flow import (
    Discarded,
    assigned,
    combined,
    effective_input,
    effective_output,
    payload,
)
from penstock.core.asl.references import DataPath
from penstock.core.asl.scope import Scope
from penstock.core.asl.templates import Template
from penstock.core.asl.values import Json


class Left(NamedTuple):
    """What a state leaves: the next one's input, and the variables that it sets."""

    output: Json
    assigned: Mapping[str, Json]


class Evaluates(Protocol):
    """A parsed template of either language."""

    def evaluate(self, scope: Scope) -> Json: ...


class Exit(Protocol):
    """A way out of a state: that of its fields, of a rule of a Choice, or of a catcher."""

    def left(self, scope: Scope, effective: Json, result: Json) -> Left:
        """Return what is left: `scope.input` is the raw input, `effective` what the state saw of it, `result` what came of it."""
        ...


class DataFlow(Exit, Protocol):
    """The data of one state."""

    def effective(self, scope: Scope) -> Json:
        """Return what the state sees of its raw input, `scope.input`."""
        ...

    def payload(self, scope: Scope, effective: Json) -> Json:
        """Return what the state's work is given."""
        ...


class PathFlow(NamedTuple):
    """JSONPath: InputPath, Parameters, ResultSelector, ResultPath, OutputPath, Assign; None for what is absent."""

    input_path: DataPath | Discarded | None = None
    parameters: Template | None = None
    result_selector: Template | None = None
    result_path: DataPath | Discarded | None = None
    output_path: DataPath | Discarded | None = None
    assign: Template | None = None

    def effective(self, scope: Scope) -> Json:
        return scope.input if self.input_path is None else effective_input(self.input_path, scope)

    def payload(self, scope: Scope, effective: Json) -> Json:
        return effective if self.parameters is None else payload(self.parameters, scope.over(effective))

    def left(self, scope: Scope, effective: Json, result: Json) -> Left:  # noqa: ARG002 - only the other language needs it
        result = self.selected(scope, result)
        return self.put_out(scope, result, combined(self.result_path, scope.input, result))

    def selected(self, scope: Scope, result: Json) -> Json:
        """Return the result after ResultSelector."""
        return result if self.result_selector is None else payload(self.result_selector, scope.over(result))

    def put_out(self, scope: Scope, selected: Json, output: Json) -> Left:
        """Return what is left, once ResultPath has put the selected result into `output`."""
        variables = {} if self.assign is None else assigned(self.assign, scope.over(selected))
        if self.output_path is not None:
            output = effective_output(self.output_path, scope.over(output))
        return Left(output, variables)


class JsonataFlow(NamedTuple):
    """JSONata: Arguments, Output, Assign. `works`: whether the state has a result of its own."""

    arguments: Evaluates | None = None
    output: Evaluates | None = None
    assign: Evaluates | None = None
    works: bool = False
    catches: bool = False

    def effective(self, scope: Scope) -> Json:
        return scope.input

    def payload(self, scope: Scope, effective: Json) -> Json:
        return effective if self.arguments is None else self.arguments.evaluate(scope)

    def left(self, scope: Scope, effective: Json, result: Json) -> Left:  # noqa: ARG002 - only the other language needs it
        if self.output is None and self.assign is None:
            return Left(result, {})
        if self.catches:
            scope = scope.failed(result)
        elif self.works:
            scope = scope.ended(result)
        output = result if self.output is None else self.output.evaluate(scope)
        return Left(output, _named({} if self.assign is None else self.assign.evaluate(scope)))


def _named(values: Json) -> Mapping[str, Any]:
    assert isinstance(values, dict), values  # a definition whose Assign is no object has a finding, and does not run
    return values
