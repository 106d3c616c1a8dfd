import pytest

from penstock.core.patterns.reading import BRANCHES_MAX, BYTES_MAX, parse_pattern
from penstock.core.patterns.wildcards import complexity, pieces_of
from penstock.errors import Invalid


def findings(source, **options):
    with pytest.raises(Invalid) as refused:
        parse_pattern(source, **options)
    return refused.value.findings


def test_all_that_is_wrong_is_told_at_once_with_its_place_and_what_to_do():
    found = findings(
        {
            "source": "aws.ec2",
            "detail": {"state": [{"prefx": "run"}, [1]], "count": [{"numeric": [">", 5, "<", 3]}], "ip": []},
        }
    )
    assert [(each.path, each.problem) for each in found] == [
        ("$.source", '"source" must be an object or an array'),
        ("$.detail.state[0]", "Unrecognized match type prefx"),
        ("$.detail.state[1]", "Match value must be String, number, true, false, or null"),
        ("$.detail.count[0]", "Bottom must be less than top"),
        ("$.detail.ip", "Empty arrays are not allowed"),
    ]
    assert found[0].hint == 'write the values that match as a list: ["..."]'


@pytest.mark.parametrize(
    ("element", "reason"),
    [
        ({}, "Match expression name not found"),
        ({"numeric": []}, "Invalid member in numeric match: ]"),
        ({"numeric": [5]}, "Invalid member in numeric match: 5"),
        ({"numeric": ["=", "x"]}, "Value of equals must be numeric"),
        ({"numeric": ["=", True]}, "Value of equals must be numeric"),
        ({"numeric": [">"]}, "Value of > must be numeric"),
        ({"numeric": ["==", 1]}, "Unrecognized numeric range operator: =="),
        ({"numeric": ["=", 1, 2]}, "Too many elements in numeric expression"),
        ({"numeric": ["<", 5, ">", 3]}, "Too many elements in numeric expression"),
        ({"numeric": [">", 0, 5]}, "Bad value in numeric range: 5"),
        ({"numeric": [">", 0, ">", 5]}, "Bad numeric range operator: >"),
        ({"numeric": [">", 0, "<", 5, "<", 6]}, "Too many terms in numeric range expression"),
        ({"numeric": [">", 5, "<=", 5]}, "Bottom must be less than top"),
        ({"numeric": ["=", 9007199254740993]}, "Cannot compare number : 9007199254740993"),
        ({"prefix": {}}, "Prefix expression name not found"),
        ({"suffix": {"prefix": "x"}}, "Unsupported suffix pattern: prefix"),
        ({"prefix": "a", "suffix": "b"}, "Only one key allowed in match expression"),
        ({"exists": "true"}, "exists match pattern must be either true or false."),
        ({"anything-but": {}}, "Anything-But expression name not found"),
        ({"anything-but": {"prefix": ""}}, "Null prefix/suffix not allowed"),
        ({"anything-but": {"suffix": [1]}}, "prefix/suffix match pattern must be a string"),
        ({"anything-but": {"numeric": ["=", 1]}}, "Unsupported anything-but pattern: numeric"),
        ({"anything-but": [1, "a"]}, "Inside anything but list, either all values are number or string, mixed type is not supported"),
        ({"cidr": "10.0.0.0/"}, "Malformed CIDR, one '/' required"),
        ({"cidr": "10.0.0.0/-1"}, "Malformed CIDR, mask bits must not be negative"),
        ({"cidr": "10.0.0.0/32"}, "IPv4 mask bits must be < 32"),
        ({"cidr": "::/128"}, "IPv6 mask bits must be < 128"),
        ({"cidr": "10.256.0.0/8"}, "Invalid IP address: 10.256.0.0"),
        ({"cidr": "/8"}, "Nonstandard IP address: "),
        ({"wildcard": "é**"}, "Consecutive wildcard characters at pos 3"),
        ({"wildcard": r"a\b"}, "Invalid escape character at pos 2"),
    ],
)  # fmt: skip
def test_an_operator_is_refused_in_the_words_of_aws(element, reason):
    assert [each.problem for each in findings({"a": [element]})] == [reason]


@pytest.mark.parametrize(
    ("document", "reasons"),
    [
        ({"$or": []}, ["There must have at least 2 Objects in $or relationship."]),
        ({"$or": [{"a": [1]}]}, ["There must have at least 2 Objects in $or relationship."]),
        ({"$or": [{"a": [1]}, {}]}, ["Empty objects are not allowed"]),
        ({"$or": [{"a": [1]}, 3]}, ["Only JSON object is allowed in array of $or relationship."]),
        (
            {"$or": [{"a": [1]}, {"prefix": ["x"]}]},
            ["prefix is Ruler reserved fieldName which cannot be used inside $or."],
        ),
        ({}, ["Empty objects are not allowed"]),
        ([], ["Filter is not an object"]),
        ("[1]", ["Filter is not an object"]),
    ],
)
def test_a_document_is_refused_in_the_words_of_aws(document, reasons):
    assert [each.problem for each in findings(document)] == reasons


def test_a_text_that_is_no_json_is_refused_with_the_place():
    assert findings("this is no JSON")[0].problem.startswith("is not JSON: Expecting value: line 1")


def test_a_name_that_comes_twice_counts_as_aws_counts_it():
    twice = parse_pattern('{"a": {"x": [1]}, "a": {"y": [2]}, "b": ["old"], "b": ["new"]}')
    assert twice == parse_pattern({"a": {"x": [1], "y": [2]}, "b": ["new"]})


def test_patterns_are_bounded():
    assert "longer than" in findings("x" * (BYTES_MAX + 1))[0].problem
    either = [{f"k{at}": [1]} for at in range(11)]
    many = {"a": {"$or": either}, "b": {"$or": either}, "c": {"$or": either}}
    assert findings(many)[0].problem == f"makes more than {BRANCHES_MAX} combinations"
    deep = {"a": [1]}
    for _ in range(150):
        deep = {"a": deep}
    assert "nested more than" in findings(deep)[0].problem


@pytest.mark.parametrize(
    ("patterns", "places"),
    [
        (["*:*:*:*:*:event-bus/*"], 11),
        (["*:*:*:*:*:event-bus/"], 10),
        (["*a*a*a*a*a"], 10),
        (["*abcabcabcabcabcabcabcabc"], 9),
        (["*a*", "*b*", "*ab"], 8),
        (["a*a" * 3], 8),
    ],
)
def test_wildcards_are_as_complex_as_event_ruler_says(patterns, places):
    assert complexity([pieces_of(each) for each in patterns], 0) > 0
    assert complexity([pieces_of(each) for each in patterns], places) == places
    assert complexity([pieces_of(each) for each in patterns], places - 1) > places - 1


def test_wildcards_that_are_too_complex_are_refused_unless_there_is_no_limit():
    document = {"arn": [{"wildcard": "*:*:*:*:*:event-bus/*"}]}
    assert findings(document)[0].problem.startswith("Rule is too complex - try using fewer wildcard characters")
    assert parse_pattern(document, complexity_max=None).branches


def test_the_most_hostile_wildcards_are_judged_in_little_time():
    assert complexity([pieces_of("*" + "ab" * 9 + "c" * at) for at in range(10)]) > 10
    assert complexity([pieces_of("*a" * 3000)]) > 10
