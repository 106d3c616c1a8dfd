"""How data flows through a state in JSONPath: one function for each field, in the order in which they apply.

    raw input -> InputPath -> Parameters -> (the state's work) -> ResultSelector -> ResultPath into the raw input -> OutputPath

Each takes the parsed field or None when the definition does not have it. `DISCARDED` stands for a path that is null there.
All of them, and Assign, see the variables as they were when the state was entered.
"""

from typing import Final

from penstock.core.asl.references import DataPath, read, write
from penstock.core.asl.scope import Scope
from penstock.core.asl.templates import Template
from penstock.core.asl.values import Json


class Discarded:
    """`null` in the place of a path: nothing is read, or nothing is kept."""

    def __repr__(self) -> str:
        return "DISCARDED"


DISCARDED: Final = Discarded()


def effective_input(input_path: DataPath | Discarded | None, scope: Scope) -> Json:
    """Apply InputPath to the state's raw input, which is the scope's `input`. Null gives an empty object."""
    return _selected(input_path, scope, field="InputPath")


def payload(parameters: Template | None, scope: Scope) -> Json:
    """Apply Parameters to the effective input (`scope.input`), or ResultSelector to the state's raw result."""
    return scope.input if parameters is None else parameters.evaluate(scope)


def combined(result_path: DataPath | Discarded | None, raw_input: Json, result: Json) -> Json:
    """Apply ResultPath: put the result into the raw input, in its place (`$`, the default), or nowhere (null)."""
    if isinstance(result_path, Discarded):
        return raw_input
    return result if result_path is None else write(result_path, raw_input, result)


def effective_output(output_path: DataPath | Discarded | None, scope: Scope) -> Json:
    """Apply OutputPath to what ResultPath made (`scope.input`). Null gives an empty object."""
    return _selected(output_path, scope, field="OutputPath")


def assigned(assign: Template | None, scope: Scope) -> dict[str, Json]:
    """Return the variables that Assign sets, in JSONPath: `$` is the state's result (its input, for Choice, Wait and Succeed)."""
    if assign is None:
        return {}
    values = assign.evaluate(scope)
    assert isinstance(values, dict), values  # a definition whose Assign is no object has a finding, and does not run
    return values


def _selected(path: DataPath | Discarded | None, scope: Scope, *, field: str) -> Json:
    if path is None:
        return scope.input
    return {} if isinstance(path, Discarded) else read(path, scope, field=field)
