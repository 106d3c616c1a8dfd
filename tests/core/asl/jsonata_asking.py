"""Asking expressions: a scope, a value, the cause of a failure."""

import pytest

from penstock.core.asl.failures import EvaluationFailed
from penstock.core.asl.jsonata.query import parse_query
from penstock.core.asl.scope import Scope, SeededChance

NOW_MS = 1510067557121


def scope(value=None, variables=None, **fields):
    return Scope(value, {"Execution": {"Name": "run"}}, SeededChance("a run"), variables or {}, now_ms=NOW_MS, **fields)


def evaluated(text, value=None, variables=None, field="Output", **options):
    return parse_query(f"{{% {text} %}}").evaluate(scope(value, variables), field=field, **options)


def cause(text, value=None, **options):
    with pytest.raises(EvaluationFailed) as caught:
        evaluated(text, value, **options)
    assert caught.value.error == "States.QueryEvaluationError"
    prefix = f"The JSONata expression '{text}' specified for the field '{options.get('field', 'Output')}' "
    assert caught.value.cause.startswith(prefix)
    return caught.value.cause.removeprefix(prefix)
