"""The recorded cases: AWS's own executions, Jayway's and JSONata's answers. Without them the tests are skipped, and say so."""

import json
import os
from pathlib import Path

import pytest

CORPUS = Path(__file__).parents[3] / os.environ.get("PENSTOCK_CORPUS", "../shared/corpus")
needs_corpus = pytest.mark.skipif(
    not CORPUS.is_dir(), reason="NO CORPUS: set PENSTOCK_CORPUS to the folder of the corpora"
)


def loaded(name):
    path = CORPUS / name
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []


def executions(name, *groups):
    """Return the executions of a file whose group holds one of the words."""
    path = CORPUS / "asl" / f"{name}_given.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    cases = [json.loads(line) for line in lines]
    return [case for case in cases if not groups or any(word in case["group"] for word in groups)]


def names(cases):
    return [case["name"].split("::")[-1] for case in cases]


def fits(expected, actual):
    """Compare with what a recording lost: `<<any:...>>` stands for anything. Numbers compare by value."""
    if isinstance(expected, str) and "<<any:" in expected:
        return expected.startswith("<<any:") or str(actual).startswith(expected.partition("<<any:")[0])
    if isinstance(expected, dict):
        return (
            isinstance(actual, dict)
            and expected.keys() == actual.keys()
            and all(fits(expected[k], actual[k]) for k in expected)
        )
    if isinstance(expected, list):
        return isinstance(actual, list) and len(expected) == len(actual) and all(map(fits, expected, actual))
    return expected == actual and isinstance(expected, bool) == isinstance(actual, bool)
