import json

import pytest

from penstock.core.patterns.inputs import VARIABLES_MAX, Rule, parse_input
from penstock.errors import Invalid, Refused

EVENT = {
    "version": "0",
    "id": "7bf7",
    "detail-type": "EC2 Instance State-change Notification",
    "source": "aws.ec2",
    "account": "123456789012",
    "time": "2015-11-11T21:29:54Z",
    "region": "us-east-1",
    "resources": ["arn:one", "arn:two"],
    "detail": {"instance-id": "i-0123456789", "state": "RUNNING", "count": 3, "none": None, "tags": [{"k": "a"}, {"k": "b"}], "quoted": 'say "hi"'},
}  # fmt: skip
PATHS = {
    "timestamp": "$.time",
    "instance": "$.detail.instance-id",
    "state": "$.detail.state",
    "count": "$.detail.count",
    "tags": "$.detail.tags",
    "keys": "$.detail.tags[*].k",
    "second": "$.resources[1]",
    "third": "$.resources[2]",
    "none": "$.detail.none",
    "missing": "$.detail.notinmessage",
    "quoted": "$.detail.quoted",
}
RULE = Rule("example", "arn:aws:events:us-east-2:123456789012:rule/example", "2026-11-26T05:00:00Z")


def transformed(template, paths=PATHS):
    return parse_input({"InputTransformer": {"InputPathsMap": paths, "InputTemplate": template}}).of(EVENT, RULE)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('"instance <instance> is in <state>"', '"instance i-0123456789 is in RUNNING"'),
        (r'"instance \"<instance>\" is in <state>"', r'"instance \"i-0123456789\" is in RUNNING"'),
        ('"one <state>"\n"two <count>"', '"one RUNNING"\n"two 3"'),
        ('"info from <missing>"', '"info from "'),
        ('"{[/special <state>"', '"{[/special RUNNING"'),
        ('"<aws.events.rule-name> triggered"', '"example triggered"'),
        ('"<aws.events.rule-arn> at <aws.events.event.ingestion-time>"', f'"{RULE.arn} at {RULE.ingestion_time}"'),
    ],
)
def test_a_text_keeps_its_quotes_and_its_lines(template, expected):
    assert transformed(template) == expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('{ "instance" : <instance>, "state": <state> }', {"instance": "i-0123456789", "state": "RUNNING"}),
        (
            r'{"instance": <instance>, "state": "<state>", "status": "instance \"<instance>\" is in <state>"}',
            {"instance": "i-0123456789", "state": "RUNNING", "status": 'instance "i-0123456789" is in RUNNING'},
        ),
        ('{"state": [9, <state>, true], "Transformed": "Yes"}', {"state": [9, "RUNNING", True], "Transformed": "Yes"}),
        ('{"n": <count>, "in": "<count>", "t": <tags>}', {"n": 3, "in": "3", "t": [{"k": "a"}, {"k": "b"}]}),
        ('{"k": <keys>, "r": <second>}', {"k": ["a", "b"], "r": "arn:two"}),
        ('{"missing": <missing>, "third": <third>, "none": <none>}', {"missing": "", "third": "", "none": None}),
        ('{"missing": "<missing>"}', {"missing": ""}),
        ('{"quoted": <quoted>}', {"quoted": 'say "hi"'}),
        ("[<state>, <count>]", ["RUNNING", 3]),
        ("<state>", "RUNNING"),
        ("<aws.events.event.json>", EVENT),
        (
            '{"rule": <aws.events.rule-name>, "event": <aws.events.event>}',
            {
                "rule": "example",
                "event": {
                    "detailType" if name == "detail-type" else name: value
                    for name, value in EVENT.items()
                    if name != "detail"
                },
            },
        ),
    ],
)
def test_json_is_filled_with_values_and_written_without_blanks(template, expected):
    filled = transformed(template)
    assert json.loads(filled) == expected
    assert filled == json.dumps(expected, separators=(",", ":"))


def test_what_stands_in_quotes_is_not_escaped_and_told_when_that_makes_no_json():
    with pytest.raises(Refused, match="take <quoted> out of them"):
        transformed('{"quoted": "he <quoted>"}')
    assert transformed('"he says <quoted>"') == '"he says say "hi""'


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({}, json.dumps(EVENT, separators=(",", ":"))),
        ({"Id": "1", "Input": '{"a": 1}'}, '{"a": 1}'),
        ({"InputPath": "$.detail.state"}, '"RUNNING"'),
        ({"InputPath": "$.detail.tags"}, '[{"k":"a"},{"k":"b"}]'),
        ({"InputPath": "$.detail.nowhere"}, "null"),
    ],
)
def test_a_target_gets_the_event_a_part_of_it_or_a_constant(target, expected):
    assert parse_input(target).of(EVENT) == expected


def test_the_time_of_the_event_stands_for_the_time_it_came_in():
    target = {"InputTransformer": {"InputTemplate": '"at <aws.events.event.ingestion-time>"'}}
    assert parse_input(target).of(EVENT) == '"at 2015-11-11T21:29:54Z"'


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({"Input": "not json"}, [("$.Input", "must be valid JSON")]),
        ({"InputPath": "detail"}, [("$.InputPath", "must be a JSON path")]),
        ({"InputPath": "$.a."}, [("$.InputPath", "is no JSON path")]),
        (
            {"InputPath": "$.a", "InputTransformer": {"InputTemplate": "{}"}},
            [("$.InputTransformer", "Only one of Input, InputPath, or InputTransformer must be provided")],
        ),
        ({"InputTransformer": {}}, [("$.InputTransformer.InputTemplate", "must be a text")]),
        (
            {"InputTransformer": {"InputPathsMap": {"AWSx": "$.a", "b": "c"}, "InputTemplate": "<b> <nowhere>"}},
            [
                ("$.InputTransformer.InputTemplate", "must be valid JSON"),
                ("$.InputTransformer.InputPathsMap.AWSx", "is a reserved name"),
                ("$.InputTransformer.InputPathsMap.b", "must be a JSON path"),
                ("$.InputTransformer.InputTemplate", "contains invalid placeholder nowhere"),
            ],
        ),
        (
            {"InputTransformer": {"InputPathsMap": {"a": "$.a"}, "InputTemplate": '{"<a>": 1}'}},
            [("$.InputTransformer.InputTemplate", "has a variable in an object key")],
        ),
        (
            {"InputTransformer": {"InputPathsMap": {"a": "$.a"}, "InputTemplate": "{<a>: 1}"}},
            [("$.InputTransformer.InputTemplate", "must be valid JSON")],
        ),
        (
            {"InputTransformer": {"InputTemplate": '"one"\ntwo'}},
            [("$.InputTransformer.InputTemplate", "has a line without quotes")],
        ),
        (
            {"InputTransformer": {"InputPathsMap": {f"v{at}": "$.a" for at in range(101)}, "InputTemplate": "{}"}},
            [("$.InputTransformer.InputPathsMap", f"names {VARIABLES_MAX + 1} variables")],
        ),
    ],
)
def test_all_that_is_wrong_with_an_input_is_told_at_once(target, expected):
    with pytest.raises(Invalid) as refused:
        parse_input(target)
    found = [(each.path, each.problem) for each in refused.value.findings]
    assert [path for path, _ in found] == [path for path, _ in expected]
    assert all(problem.startswith(start) for (_, problem), (_, start) in zip(found, expected, strict=True))
