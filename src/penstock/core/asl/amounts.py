"""Numbers, texts and times that stand in a state's fields, or are read or computed where it runs: checked, with AWS's causes."""

from typing import Final

from penstock.core.asl.failures import QUERY_EVALUATION, RUNTIME, EvaluationFailed, PathInvalid, PathNotFound
from penstock.core.asl.program import Amount, Text
from penstock.core.asl.references import read
from penstock.core.asl.scope import Scope
from penstock.core.asl.templates import evaluate
from penstock.core.asl.timestamps import timestamp_ns
from penstock.core.asl.values import Json, is_number, java_text, json_text

_NS_PER_MS: Final = 1_000_000


def number(amount: Amount | None, scope: Scope, *, whole: bool = True) -> float | None:
    """Return a number of a field; None when the state does not have it. `scope.input` is the effective input."""
    if amount is None:
        return None
    if amount.path is not None:
        value = read(amount.path, scope, field=f"{amount.field}Path")
        found = _parsed(value, whole=whole)
        if found is None:
            kind = "integer" if whole else "float"
            shown = value if isinstance(value, str) else json_text(value)
            cause = f'The {amount.field}Path field refers to value "{shown}" which is not a valid {kind}: {amount.path.text}'
            raise EvaluationFailed(RUNTIME, cause, f"{amount.field}Path")
        return found
    value = amount.constant if amount.expression is None else amount.expression.evaluate(scope, expected="number")
    assert is_number(value), "a constant that is no number has a finding"
    return value


def within(field: str, value: float, least: float, most: float) -> float:
    """Return a number that lies within bounds; fail as AWS does when it does not."""
    if not least <= value <= most:
        raise EvaluationFailed(RUNTIME, f"{field} must be between {least:g} and {most:g}.", field)
    return value


def seconds(amount: Amount, scope: Scope) -> float:
    """Return how long a Wait waits."""
    if amount.path is None:
        value = number(amount, scope)
        assert value is not None, "the state has the field"
        return max(0.0, value)
    path = amount.path.text
    try:
        value = amount.path.find(scope)
    except (PathNotFound, PathInvalid) as error:
        cause = f"The SecondsPath parameter does not reference an input value: {path}"
        raise EvaluationFailed(RUNTIME, cause, "SecondsPath") from error
    if not is_number(value) or value != int(value):
        shown = value if isinstance(value, str) else json_text(value)
        cause = f"The SecondsPath parameter cannot be parsed as a long value: {path} == {shown}"
        raise EvaluationFailed(RUNTIME, cause, "SecondsPath")
    if value < 0:
        cause = f"The SecondsPath parameter references a negative value: {path} == {json_text(value)}"
        raise EvaluationFailed(RUNTIME, cause, "SecondsPath")
    return value


def text(part: Text | None, scope: Scope) -> str | None:
    """Return a text of a field; None when the state does not have it."""
    if part is None:
        return None
    if part.path is not None:
        value = evaluate(part.path, scope, field=part.field)
        return value if isinstance(value, str) else java_text(value)
    if part.expression is None:
        return part.constant
    value = part.expression.evaluate(scope, expected="string")
    assert isinstance(value, str), "expected"
    return value


def moment_ms(part: Text, scope: Scope) -> int:
    """Return until when a Wait waits."""
    value = text(part, scope)
    found = timestamp_ns(value)
    if found is not None:
        return found // _NS_PER_MS
    iso = "ISO-8601 extended offset date-time format string"
    if part.path is None:
        raise EvaluationFailed(
            QUERY_EVALUATION, f"The Timestamp field cannot be parsed as an {iso}: {value}", "Timestamp"
        )
    cause = f"The TimestampPath parameter does not reference a valid {iso}: {part.path.text} == {value}"
    raise EvaluationFailed(RUNTIME, cause, "TimestampPath")


def _parsed(value: Json, *, whole: bool) -> float | None:
    """Return a number that a path names, be it as text, as Java parses it; None when it is none."""
    try:
        if isinstance(value, str):
            return int(value) if whole else float(value)
    except ValueError:
        return None
    return value if is_number(value) and (not whole or value == int(value)) else None
