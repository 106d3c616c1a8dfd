import json

import pytest
from event_documents import events, meant, patterns
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.core.patterns.reading import parse_pattern
from penstock.core.patterns.rules import UNDIVIDED_MAX, RuleSet
from penstock.errors import Invalid, LimitReached

slowly = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])


def matches(pattern, event):
    return bool(RuleSet({"rule": parse_pattern(pattern)}).matching(event))


@slowly
@given(patterns, st.lists(events, max_size=4))
def test_a_rule_matches_what_its_pattern_means(document, some):
    pattern = parse_pattern(document, complexity_max=None)
    rules = RuleSet({"rule": pattern})
    assert [rules.matching(event) == ["rule"] for event in some] == [meant(pattern, event) for event in some]


@slowly
@given(st.lists(patterns, min_size=UNDIVIDED_MAX, max_size=40), st.lists(events, min_size=1, max_size=4), st.data())
def test_many_rules_match_what_each_alone_does_while_they_come_and_go(documents, some, data):
    read = {number: parse_pattern(document, complexity_max=None) for number, document in enumerate(documents)}
    rules = RuleSet(read)
    for event in some:
        assert rules.matching(event) == [number for number, pattern in read.items() if meant(pattern, event)]
    gone = data.draw(st.lists(st.sampled_from(sorted(read)), unique=True, max_size=len(read)))
    for number in gone:
        rules.discard(number)
    left = [number for number in read if number not in gone]
    for event in some:
        assert rules.matching(event) == [number for number in left if meant(read[number], event)]
    for number in gone:
        rules.add(number, read[number])
    for event in some:
        assert rules.matching(event) == [number for number in [*left, *gone] if meant(read[number], event)]


@slowly
@given(st.lists(patterns, min_size=1, max_size=30))
def test_rules_that_are_gone_leave_nothing_behind(documents):
    rules = RuleSet()
    for number, document in enumerate(documents):
        rules.add(number, parse_pattern(document, complexity_max=None))
    for number in range(len(documents)):
        rules.discard(number)
    root = rules._root
    assert (len(rules), root.entries, root.below, root.indexes, root.absent) == (0, {}, {}, {}, {})
    assert (rules._steps.below, rules._sharing) == ({}, {})


def test_rules_that_ask_for_a_field_and_for_none_go_in_any_order():
    names = [*range(UNDIVIDED_MAX + 2), "none"]
    read = {name: parse_pattern({"a": [{"exists": False} if name == "none" else f"v{name}"]}) for name in names}
    for last in (0, "none"):
        rules = RuleSet(read)
        for name in sorted(names, key=lambda each: each == last):
            rules.discard(name)
        assert (rules._root.below, rules._root.indexes) == ({}, {})


def test_a_rule_of_the_same_name_is_replaced():
    rules = RuleSet({"one": parse_pattern({"a": ["x"]})})
    rules.add("one", parse_pattern({"a": ["y"]}))
    assert (rules.matching({"a": "x"}), rules.matching({"a": "y"}), len(rules), "one" in rules) == (
        [],
        ["one"],
        1,
        True,
    )


def test_rules_are_told_in_the_order_in_which_they_came():
    rules = RuleSet({name: parse_pattern({"a": [{"exists": True}]}) for name in "zyx"})
    assert rules.matching({"a": 1}) == ["z", "y", "x"]


@pytest.mark.parametrize("event", [[], "x", None, 3])
def test_an_event_that_is_no_object_is_refused(event):
    with pytest.raises(Invalid, match="is not an object"):
        RuleSet().matching(event)


@pytest.mark.parametrize(
    ("pattern", "event", "expected"),
    [
        ({"a": [300]}, '{"a": 300.0}', True),
        ({"a": [300.5]}, '{"a": 3.005e2}', True),
        ({"a": [1]}, '{"a": true}', False),
        ({"a": [True]}, '{"a": 1}', False),
        ({"a": ["1"]}, '{"a": 1}', False),
        ({"a": [9007199254740993]}, '{"a": 9007199254740993}', True),
        ({"a": [{"numeric": [">", 0]}]}, '{"a": 9007199254740993}', False),
        ({"a": [{"anything-but": 1}]}, '{"a": 9007199254740993}', True),
        ({"a": [{"numeric": ["<", 0.1]}]}, '{"a": 0.10000000000000000001}', False),
        ({"a": [{"numeric": [">=", 5e9]}]}, '{"a": 1e300}', True),
        ({"a": ["2001:db8::1"]}, '{"a": "2001:0db8:0000::0001"}', True),
        ({"a": ["::ffff:0a00:0001"]}, '{"a": "10.0.0.1"}', True),
        ({"a": ["10.0.0.1", {"prefix": "10."}]}, '{"a": "10.0.0.2"}', True),
        ({"a": [{"cidr": "10.0.0.0/8"}]}, '{"a": "10.256.0.1"}', False),
        ({"a": [{"cidr": "::/0"}]}, '{"a": "10.0.0.1"}', False),
        ({"a": [{"equals-ignore-case": "ß"}]}, '{"a": "SS"}', True),
        ({"a": [{"equals-ignore-case": "SS"}]}, '{"a": "ß"}', False),
        ({"a": [{"suffix": {"equals-ignore-case": "é"}}]}, '{"a": "cafÉ"}', True),
        ({"a": [{"suffix": {"equals-ignore-case": "é"}}]}, '{"a": "cafÉ\\n"}', False),
        ({"a": {"b": ["x"]}}, '{"a.b": "x"}', True),
        ({"a.b": ["x"]}, '{"a": {"b": "x"}}', True),
        ({"a": [None]}, '{"a": []}', False),
        ({"a": [{"exists": False}]}, '{"a": {}}', True),
        ({"a": {"b": ["x"], "c": ["y"]}}, '{"a": [{"b": "x"}, {"c": "y"}]}', False),
        ({"a": {"b": ["x"], "c": [{"exists": False}]}}, '{"a": [{"b": "x"}, {"c": "y"}]}', True),
        ({"$or": [{"a": [1]}, {"b": [1]}], "c": [1]}, '{"b": 1, "c": 1}', True),
        ({"$or": {"a": [1]}}, '{"$or": {"a": 1}}', True),
        ({"$or": ["x", "y"]}, '{"$or": "y"}', True),
    ],
)
def test_what_surprises_is_as_aws_does_it(pattern, event, expected):
    from penstock.core.patterns.documents import read_event

    assert matches(pattern, read_event(event)) is expected


def test_lists_of_many_objects_cost_their_length():
    pattern = {"a": {"b": {"x": [{"exists": True}], "y": ["last"]}, "c": [{"exists": True}]}, "z": {"w": [1], "v": [2]}}
    inner = [{"x": at, "y": "last" if at == 2999 else "y"} for at in range(3000)]
    pairs = [{"w": 1} for _ in range(3000)] + [{"w": 1, "v": 2}]
    assert matches(pattern, {"a": {"b": inner, "c": list(range(3000))}, "z": pairs})
    assert not matches(pattern, {"a": {"b": inner[:-1], "c": [1]}, "z": pairs})


def test_lists_of_one_path_that_multiply_are_refused_and_not_tried_for_ever():
    elements = [{"x": 1, "y": 1, "z": 1} for _ in range(400)]
    with pytest.raises(LimitReached, match="combinations of list elements"):
        matches({"a": {"b": {"x": [1], "y": [1], "z": [1]}}}, {"a.b": elements, "a": {"b": elements}})


def test_lists_nested_without_end_are_refused():
    event = json.loads('{"a":' + "[" * 200 + "1" + "]" * 200 + "}")
    with pytest.raises(LimitReached, match="lists inside of lists"):
        matches({"a": [1]}, event)


def test_hostile_wildcards_take_no_more_time_than_their_length():
    rules = RuleSet()
    for number in range(50):
        document = {"a": [{"wildcard": "*" + f"a*b{number}*" * 200}]}
        rules.add(number, parse_pattern(document, complexity_max=None))
    assert rules.matching({"a": "ab" * 20_000}) == []
