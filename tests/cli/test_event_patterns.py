import json

from typer.testing import CliRunner

from penstock.cli import app as commands


def run(*arguments):
    return CliRunner().invoke(commands, ["events", *map(str, arguments)])


def test_an_event_that_matches_is_told_and_the_exit_code_says_so():
    shown = run("match", '{"a": [{"prefix": "x"}]}', '{"a": "xy"}')
    assert (shown.exit_code, shown.stdout) == (0, "matches\n")


def test_what_an_event_lacks_is_told_by_branch(tmp_path):
    pattern = {"a": ["x"], "$or": [{"b": [{"numeric": [">", 1]}]}, {"c": {"d": [1], "e": [2]}}]}
    (tmp_path / "pattern.json").write_text(json.dumps(pattern), encoding="utf-8")
    event = '{"a": "x", "b": 1, "c": [{"d": 1}, {"e": 2}]}'
    shown = run("match", tmp_path / "pattern.json", event)
    assert shown.exit_code == 1
    assert shown.stdout.splitlines() == [
        "does not match",
        "  b: no value matches: 1",
        "  or",
        "  c.d, c.e: match in different elements of a list, not in one",
    ]
    told = json.loads(run("match", tmp_path / "pattern.json", event, "--json").stdout)
    assert told["matches"] is False
    assert told["unmet"][0] == [{"path": "b", "problem": "no value matches"}]


def test_a_pattern_that_is_not_valid_is_refused_with_all_that_is_wrong():
    shown = run("match", '{"a": "x", "b": [{"prefx": "y"}]}', "{}")
    assert shown.exit_code == 2
    assert '$.a: "a" must be an object or an array' in shown.stderr
    assert "$.b[0]: Unrecognized match type prefx" in shown.stderr


def test_a_file_that_is_not_there_is_missing():
    assert run("match", "nowhere.json", "{}").exit_code == 2


CASES = [
    {"name": "one", "source": "event-ruler", "pattern": {"a": ["x"]}, "event": {"a": "x"}, "matches": True, "ops": ["exact"]},
    {"name": "two", "source": "event-ruler", "pattern": {"a": [{"foo": 1}]}, "error": "InvalidPattern", "error_message": "Unrecognized match type foo"},
    {"name": "three", "source": "aws", "pattern": {"a": ["x"]}, "event_text": '{"a": "x"}', "error": "ValidationException"},
]  # fmt: skip


def test_cases_are_counted_and_the_last_line_says_how_many_passed(tmp_path):
    file = tmp_path / "cases.jsonl"
    file.write_text("\n".join(map(json.dumps, CASES)), encoding="utf-8")
    shown = run("test", file)
    assert (shown.exit_code, shown.stdout.splitlines()[-1]) == (0, "3 passed, 0 failed")
    assert json.loads(run("test", file, "--json").stdout)["passed"] == 3


def test_a_case_that_fails_is_named_and_the_exit_code_says_so(tmp_path):
    file = tmp_path / "cases.jsonl"
    wrong = [{**CASES[0], "matches": False}, {**CASES[0], "matches": None, "error": "x"}, CASES[1]]
    del wrong[1]["matches"]
    file.write_text("\n".join(map(json.dumps, wrong)), encoding="utf-8")
    shown = run("test", file)
    assert shown.exit_code == 1
    assert shown.stdout.splitlines()[0] == "one: expected no match, got a match"
    assert shown.stdout.splitlines()[-1] == "1 passed, 2 failed"
    assert [each["name"] for each in json.loads(run("test", file, "--json").stdout)["failed"]] == ["one", "one"]


def test_a_line_that_is_no_json_is_named(tmp_path):
    file = tmp_path / "cases.jsonl"
    file.write_text("{}\nnot json\n", encoding="utf-8")
    shown = run("test", file)
    assert shown.exit_code == 2
    assert "line 2" in shown.stderr


def test_what_a_target_gets_of_an_event_is_printed():
    target = {
        "InputTransformer": {
            "InputPathsMap": {"s": "$.detail.state"},
            "InputTemplate": '{"s": <s>, "r": <aws.events.rule-name>}',
        }
    }
    shown = run("transform", json.dumps(target), '{"detail": {"state": "up"}}', "--rule-name", "watch")
    assert (shown.exit_code, shown.stdout) == (0, '{"s":"up","r":"watch"}\n')


def test_an_input_that_is_not_valid_is_refused_with_all_that_is_wrong():
    shown = run("transform", '{"InputPath": "x", "Input": "{"}', "{}")
    assert shown.exit_code == 2
    assert "Only one of Input, InputPath" in shown.stderr
    assert "$.Input: must be valid JSON" in shown.stderr
