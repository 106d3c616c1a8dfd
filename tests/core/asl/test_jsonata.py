"""JSONata in Step Functions: what an expression sees, what is added and forbidden, what causes say, and the bounds."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from asl_corpus import executions, fits, names, needs_corpus
from jsonata_asking import NOW_MS, cause, evaluated, scope

from penstock.core.asl.failures import EvaluationFailed, PathInvalid
from penstock.core.asl.jsonata.interpreter import DEPTH_MAX, Interpreter
from penstock.core.asl.jsonata.marks import is_query
from penstock.core.asl.jsonata.problems import QueryProblem
from penstock.core.asl.jsonata.query import functions, parse_query
from penstock.core.asl.jsonata.templates import parse_query_template
from penstock.core.asl.scope import SeededChance
from penstock.core.asl.variables import variable_references

# as recorded on AWS

PASSES = [
    case
    for case in executions("asl_core")
    if len(case["definition"]["States"]) == 1
    and all(state["Type"] == "Pass" and "Output" in state for state in case["definition"]["States"].values())
]


@needs_corpus
@pytest.mark.parametrize("case", PASSES, ids=names(PASSES))
def test_a_pass_state_gives_what_aws_recorded(case):
    [state] = case["definition"]["States"].values()
    template, findings = parse_query_template(state["Output"], "Output")
    assert findings == []
    assert fits(case["expect"]["output"], template.evaluate(scope(case["input"])))


ITEMS = [case for case in executions("asl_core", "items_eval_jsonata_fail") if case["expect"]["status"] == "FAILED"]


@needs_corpus
@pytest.mark.parametrize("case", ITEMS, ids=names(ITEMS))
def test_a_value_of_another_kind_fails_with_the_recorded_cause(case):
    [state] = case["definition"]["States"].values()
    template, _ = parse_query_template(state["Items"], "Items")
    with pytest.raises(EvaluationFailed) as caught:
        template.evaluate(scope(case["input"]), expected="array")
    assert caught.value.error == case["expect"]["error"]
    assert case["expect"]["cause"].endswith(caught.value.cause)


@needs_corpus
def test_there_are_recordings():
    assert len(PASSES) >= 20
    assert len(ITEMS) >= 6


# what an expression sees


def test_states_holds_what_the_field_may_see():
    assert evaluated("$keys($states)", {}) == ["input", "context"]
    here = scope({"a": 1}, result=None, error_output={"Error": "E", "Cause": "c"})
    assert parse_query("$states").evaluate(here, field="Output") == {
        "input": {"a": 1},
        "context": {"Execution": {"Name": "run"}},
        "result": None,
        "errorOutput": {"Error": "E", "Cause": "c"},
    }


def test_null_is_a_value_and_what_is_missing_is_not():
    value = {"nul": None, "list": [None, 1]}
    assert evaluated("$states.input.nul", value) is None
    assert evaluated("$exists($states.input.nul)", value) is True
    assert evaluated("$count($states.input.nul)", value) == 1
    assert evaluated("$states.input.list", value) == [None, 1]
    assert evaluated("$nothing", value, {"nothing": None}) is None
    assert cause("$states.input.missing", value) == "returned nothing (undefined)."
    assert cause("$missing", value) == "returned nothing (undefined)."


def test_what_is_handed_in_is_neither_changed_nor_copied():
    value = {"deep": {"a": [1, {"b": None}]}}
    before = json.dumps(value)
    assert evaluated("$states.input.deep", value) is value["deep"]
    evaluated("$states.input ~> |deep|{'c': 1}, 'a'|", value)
    evaluated("$append($states.input.deep.a, 5)", value)
    evaluated("$sort($states.input.deep.a, function($x, $y) { false })", value)
    assert json.dumps(value) == before


@pytest.mark.parametrize(
    "text",
    [
        "$states.input", "$states.input.a", "$states.input.a.b", "$states.input.list", "$states.input.list.x", "$states.input.one",
        "$states.input.nested", "$states.input.empty", "$states.input.nul", "$states.input.nul.x", "$states.input.a.b.c", "$states.input.no.x",
        "$states.result.x", "$states.errorOutput", "$states.no", "$v", "$v.x", "$w", "$sum", "$states.context.Execution.Name", "$states.input.float",
        "$states.input.`a b`", "$states.input.text.x", "$states.input.list.y.z",
    ],
)  # fmt: skip
def test_a_plain_path_gives_without_evaluation_what_it_gives_with_it(text):
    value = {
        "a": {"b": 1},
        "list": [{"x": 1}, {"x": [2, 3], "y": {"z": 1}}],
        "one": [1],
        "nested": [[1]],
        "empty": [],
        "nul": None,
        "float": 2.0,
        "a b": 3,
        "text": "t",
    }
    here = scope(value, {"v": {"x": [{"y": 1}]}}, result={"x": None})

    def outcome(expression):
        try:
            found = json.dumps(parse_query(expression).evaluate(here, field="F"))
            return json.loads(found, parse_int=float)  # a 2.0 within an object that is handed on stays one
        except EvaluationFailed as error:
            return error.cause.partition("' ")[2].partition("' ")[2]

    assert outcome(text) == outcome(f"({text})")


def test_results_are_plain_json():
    made = evaluated(
        "{'a': $states.input.items[price > 1].name, 'n': [1..3], 's': '\\uD834\\uDD1E'}",
        {"items": [{"name": "x", "price": 2}] * 2},
    )
    assert made == {"a": ["x", "x"], "n": [1, 2, 3], "s": "\U0001d11e"}
    assert type(made["a"]) is list
    assert json.loads(json.dumps(made)) == made


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1/0", "Infinity"),
        ("[-1/0, 0/0]", ["-Infinity", "NaN"]),
        ("5.5 % 2", 1.5),
        ("0.1 + 0.2 & ''", "0.3"),
        ("$string(1e20)", "100000000000000000000"),
        ("$string(1e21)", "1e+21"),
        ("$string(0.0000001)", "1e-7"),
        ("$states.input.big", 12345678901234567890.0),
        ("$states.input.long", 9223372036854775807),
        ("-5 ?: 99", -5),
        ("$replace('68F', /(\\d+)F/, function($m) { $m.groups[0] & 'K' })", "68K"),
    ],
)
def test_numbers_and_texts_are_those_of_javascript(text, value):
    assert evaluated(text, {"big": 12345678901234567890, "long": 9223372036854775807}) == value


# causes, bounds

STACK_OVERFLOW = (
    "threw an error during evaluation: Stack overflow error: Check for non-terminating recursive function. "
    "Consider rewriting as tail-recursive"
)


def test_a_function_is_no_result():
    assert cause("function($x) { $x }") == "returned an unsupported result type."
    assert cause("{'f': $sum}") == "returned an unsupported result type."


def test_depth_is_bounded_where_aws_bounds_it():
    recursive = "($f := function($n) { $n = 0 ? 0 : 1 + $f($n - 1) }; $f(%d))"
    assert evaluated(recursive % 31) == 31
    assert cause(recursive % 32) == STACK_OVERFLOW
    assert evaluated("+".join(["1"] * DEPTH_MAX)) == DEPTH_MAX
    for shape in ("+".join(["1"] * (DEPTH_MAX + 1)), "(" * 100 + "1" + ")" * 100, "[" * 100 + "1" + "]" * 100):
        assert cause(shape) == STACK_OVERFLOW
    assert evaluated("(" * 99 + "1" + ")" * 99) == 1


def test_an_endless_loop_ends():
    interpreter = Interpreter("($f := function($n) { $f($n + 1) }; $f(1))", functions())
    interpreter.steps_max = 1000
    with pytest.raises(QueryProblem, match="timeout: Check for infinite loop"):
        interpreter.run({}, SeededChance("x"), NOW_MS)


@pytest.mark.parametrize(
    "text",
    [
        "$range(1, 360146, 1)",
        "[1..873783]",
        "($f := function($s, $n) { $n = 0 ? $s : $f($s & $s, $n - 1) }; $f('x', 23))",
    ],
)
def test_memory_is_bounded_where_aws_bounds_it(text):
    limit = "Expression evaluation memory limit exceeded: Check for excessive memory usage"
    assert cause(text) == f"threw an error during evaluation: {limit}"


@pytest.mark.parametrize("text", ["''", "'  '", "'[1] [2]'", '\'{"a": 1, "a": 2}\'', "'1e400'", "'NaN'", "'{'"])
def test_what_is_no_json_is_not_parsed(text):
    assert cause(f"$parse({text})").startswith("threw an error during evaluation. D3137: Invalid JSON")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a[1,2)", "S0202"),
        ("1 +", "S0207"),
        ("'x", "S0101"),
        ("$f(", "S0203"),
        ("[1!2]", "S0204"),
        ('"\\y"', "S0103"),
        ("", "S0207"),
        ("/* x", "S0106"),
    ],
)
def test_a_broken_expression_is_refused_with_jsonatas_code(text, code):
    with pytest.raises(PathInvalid, match=f"^{code}: "):
        parse_query(f"{{% {text} %}}")


def test_the_same_text_is_parsed_once():
    assert parse_query("{% $states.input.a %}") is parse_query("{% $states.input.a %}")


def test_one_expression_serves_many_at_once():
    query = parse_query("$map($states.input, function($v) { $v * $factor })")

    def run(factor):
        return [query.evaluate(scope([1, 2, 3], {"factor": factor}), field="Output") for _ in range(20)]

    with ThreadPoolExecutor(4) as pool:
        for factor, results in enumerate(pool.map(run, range(8))):
            assert results == [[factor, 2 * factor, 3 * factor]] * 20


def test_importing_jsonata_changes_nothing_for_the_process():
    code = "import sys; before = sys.getrecursionlimit(); import penstock.core.asl.jsonata.query; print(before == sys.getrecursionlimit())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "True\n"


def test_a_machine_without_jsonata_does_not_load_it():
    code = (
        "import sys; from penstock.core.asl.jsonata.templates import parse_query_template as p; "
        "p({'a': ['$.x', {'b': 1}]}, 'Output'); print('jsonata' in sys.modules); p('{% 1 %}', 'Output'); print('jsonata' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "False\nTrue\n"
    )


# templates and what is known without evaluating


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("{% 1 %}", True),
        ("{%1%}", True),
        (" {% 1 %} ", False),
        ("{% 1", False),
        ("{%}", False),
        ("$states.input", False),
        (5, False),
    ],
)
def test_an_expression_fills_its_text(text, is_one):
    assert is_query(text) is is_one


def test_templates_compute_texts_at_any_depth_and_name_the_field():
    template, findings = parse_query_template(
        {"a": ["{% $v %}", {"b": "{% $states.input.x %}"}], "c": "plain", "d.$": "$.x"}, "Arguments"
    )
    assert findings == []
    assert template.variables == {"v"}
    assert template.evaluate(scope({"x": 2}, {"v": 1})) == {"a": [1, {"b": 2}], "c": "plain", "d.$": "$.x"}
    with pytest.raises(EvaluationFailed) as caught:
        template.evaluate(scope({}, {"v": 1}))
    assert caught.value.field == "Arguments/a[1]/b"
    assert "for the field 'Arguments/a[1]/b' returned nothing" in caught.value.cause


def test_a_condition_must_be_a_boolean():
    template, _ = parse_query_template("{% $states.input.x %}", "Choices[1]/Condition")
    assert template.evaluate(scope({"x": True}), expected="boolean") is True
    with pytest.raises(EvaluationFailed, match=r"Expected 'boolean', but was 'number' for value: 1$"):
        template.evaluate(scope({"x": 1}), expected="boolean")


def test_all_that_is_wrong_with_a_template_is_found_with_its_place():
    _, findings = parse_query_template(
        {"a": "{% 1 + %}", "b": ["{% phone %}", "{% $$.x %}"]}, "Output", "/States/X/Output"
    )
    assert [each.path for each in findings] == ["/States/X/Output/a", "/States/X/Output/b[0]", "/States/X/Output/b[1]"]
    assert "S0207" in findings[0].problem
    assert findings[1].problem == "Reference to 'phone' at the top level is not supported."
    assert findings[2].problem == "Reference to '$$' is not supported."


@pytest.mark.parametrize(
    ("text", "variables", "states", "refused"),
    [
        ("$a.b[c > $d].(e & $f)", {"a", "d", "f"}, set(), 0),
        ("($x := $states.input.p; $x + $y)", {"y"}, {"input"}, 0),
        ("$map($list, function($v, $i) { $v + $i + b })", {"list"}, set(), 1),
        ("$states.errorOutput.Cause & $states.result", set(), {"errorOutput", "result"}, 0),
        ("$keys($states)", set(), {""}, 0),
        ("$states.input.items^(>price){name: $sum(price)}", set(), {"input"}, 0),
        ("$sum($partition($v, 2)[0])", {"v"}, set(), 0),
        ("a & $.b", set(), set(), 1),
    ],
)
def test_what_an_expression_refers_to_is_known(text, variables, states, refused):
    query = parse_query(text)
    assert (query.variables, query.states, len(query.refused)) == (variables, states, refused)


def test_the_variables_that_states_read_are_told_as_describe_state_machine_does():
    machine = {
        "QueryLanguage": "JSONata",
        "StartAt": "A",
        "States": {
            "A": {"Type": "Pass", "Assign": {"x": "{% $states.input.x %}"}, "Next": "B"},
            "B": {"Type": "Pass", "Output": {"sum": ["{% $map($y.list, function($v) { $v + $x }) %}"]}, "End": True},
        },
    }
    assert variable_references(machine) == {"B": ["x", "y"]}
