"""JSONata: the official suite, and the reference implementation's answers to expressions of ours."""

import json
import os
import sys

import pytest
from asl_corpus import CORPUS, loaded, needs_corpus

from penstock.core.asl.failures import EvaluationFailed, PathInvalid
from penstock.core.asl.jsonata.interpreter import Frame, Interpreter
from penstock.core.asl.jsonata.library import NULL, Jsonata
from penstock.core.asl.jsonata.problems import QueryProblem
from penstock.core.asl.jsonata.query import functions, parse_query, plain
from penstock.core.asl.scope import Scope, SeededChance

# What the library cannot be made to do from outside: docs/asl.md says why.
GAPS = {
    "function-formatInteger/formatInteger#43",
    "function-formatNumber/case014",
    "function-tomillis/parseDateTime#46",
}
NOW_MS = 1510067557121
LINES = (CORPUS / "jsonata" / "cases.jsonl").read_text("utf-8").splitlines() if CORPUS.is_dir() else []
SUITE = [json.loads(line) for line in LINES]
# Half a million steps each: as long as the rest of the suite together, ten times over.
LONG = {"flattening/large#0", "flattening/large#1", "performance/case000", "performance/case001"}
needs_time = pytest.mark.skipif(
    "PENSTOCK_LONG" not in os.environ, reason="LONG: set PENSTOCK_LONG to run the suite's largest cases"
)
DATASETS = loaded("jsonata/datasets.json")
EXTRA = list(zip(loaded("jsonata_extra/exprs.json"), loaded("jsonata_extra/node.json"), strict=True))
EXTRA_DATA = loaded("jsonata_extra/data.json")
# Where Step Functions differs from the reference implementation, by intent.
DIFFERENT = {"1/0": {"v": "Infinity"}, "$eval('1+1')": {"err": "T1006"}}


@pytest.fixture(scope="module", autouse=True)
def room_for_deep_expressions():
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10_000)
    yield
    sys.setrecursionlimit(limit)


# the official suite


def answer(case):
    """Return ("value", value), ("undefined",), ("problem", code)."""
    frame = Frame(functions())
    frame.bindings["eval"] = Jsonata.static_frame.lookup("eval")
    document = DATASETS[case["dataset"]] if case.get("dataset") else case.get("data", None)
    if document is None and "data" in case and "undefinedResult" not in case:
        document = NULL
    try:
        interpreter = Interpreter(case["expr"], frame)
        interpreter.depth_max = case.get("depth") or 600
        interpreter.range_length_max = 20_000_000
        if case.get("timelimit") and "code" in case:
            interpreter.steps_max = 20_000
        bindings = {name: NULL if value is None else value for name, value in (case.get("bindings") or {}).items()}
        value = interpreter.run(bindings, SeededChance("suite"), NOW_MS, document)
    except QueryProblem as problem:
        return ("problem", problem.code)
    if value is None or type(value).__name__ in ("Symbol", "Builtin", "JNativeFunction"):
        return ("undefined",)
    return ("value", plain(value))


def fits_case(case, got):
    if "result" in case:
        if case.get("unordered"):
            return got[0] == "value" and sorted(map(json.dumps, got[1])) == sorted(map(json.dumps, case["result"]))
        return got == ("value", case["result"])
    if case.get("undefinedResult"):
        return got == ("undefined",)
    return got == ("problem", case.get("code") or case["error"]["code"])


@needs_corpus
@pytest.mark.parametrize("group", sorted({case["group"] for case in SUITE}))
def test_the_official_suite(group):
    cases = [case for case in SUITE if case["group"] == group and case["name"] not in LONG]
    wrong = {case["name"]: (case["expr"], got) for case in cases if not fits_case(case, got := answer(case))}
    assert wrong.keys() == {each for each in GAPS if each.startswith(f"{group}/")}, wrong


@needs_corpus
@needs_time
@pytest.mark.parametrize("name", sorted(LONG))
def test_the_largest_cases_of_the_suite(name):
    [case] = [case for case in SUITE if case["name"] == name]
    assert fits_case(case, answer(case))


@needs_corpus
@pytest.mark.parametrize(("text", "reference"), EXTRA, ids=[text for text, _ in EXTRA])
def test_the_reference_implementations_answers(text, reference):
    here = Scope(EXTRA_DATA["input"], EXTRA_DATA["context"], SeededChance("x"), {}, now_ms=NOW_MS)
    try:
        got = {"v": parse_query(text).evaluate(here, field="F")}
    except EvaluationFailed as error:
        undefined = "returned nothing" in error.cause
        got = {"undef": True} if undefined else {"err": error.cause.partition("evaluation. ")[2][:5]}
    except PathInvalid as error:
        got = {"err": str(error)[:5]}
    assert json.loads(json.dumps(got), parse_int=float) == json.loads(
        json.dumps(DIFFERENT.get(text, reference)), parse_int=float
    )


@needs_corpus
def test_the_corpora_are_whole():
    assert len(SUITE) >= 1686
    assert len(EXTRA) >= 93
