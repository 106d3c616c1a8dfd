import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.knowledge.filters import (
    DEPTH_MAX,
    NODES_MAX,
    All,
    Any,
    Equal,
    Exists,
    Filter,
    In,
    Not,
    Range,
    matches,
    number,
    parse_filter,
)
from penstock.errors import Invalid
from penstock.testing.filter_cases import FILTER_CASES, METADATA


@pytest.mark.parametrize(("case", "expected"), FILTER_CASES, ids=lambda value: str(value)[:60])
def test_the_table_holds_for_the_reference(case, expected):
    assert "".join(name for name, metadata in METADATA.items() if matches(case, metadata)) == expected


@pytest.mark.parametrize("case", [case for case, _ in FILTER_CASES], ids=lambda value: str(value)[:60])
def test_a_filter_can_be_stored_and_read_back(case):
    assert msgspec.json.decode(msgspec.json.encode(case), type=Filter) == case
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(case), type=Filter) == case


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, All(())),
        ({"source": "x"}, Equal("source", "x")),
        (
            {"year": 2020, "price": 1.5, "draft": True},
            All((Equal("year", "2020"), Equal("price", "1.5"), Equal("draft", "true"))),
        ),
        ({"year": {"gte": 2020, "lt": "2024"}}, Range("year", gte="2020", lt="2024")),
        ({"lang": {"in": ["en", "de"]}}, In("lang", ("en", "de"))),
        ({"lang": {"equal": "en"}}, Equal("lang", "en")),
        ({"x": {"exists": True}}, Exists("x")),
        ({"x": {"exists": False}}, Not(Exists("x"))),
        ({"year": {"in": [1], "gt": 0}}, All((In("year", ("1",)), Range("year", gt="0")))),
        ({"or": [{"a": "x"}, {"b": "y", "c": "z"}]}, Any((Equal("a", "x"), All((Equal("b", "y"), Equal("c", "z")))))),
        ({"and": [{"a": "x"}]}, All((Equal("a", "x"),))),
        ({"not": {"a": "x"}, "b": "y"}, All((Not(Equal("a", "x")), Equal("b", "y")))),
    ],
)
def test_the_json_form_reads_as(document, expected):
    assert parse_filter(document) == expected


def test_all_that_is_wrong_is_told_at_once():
    document = {
        "a": None,
        "b": ["x"],
        "c": {"like": "x"},
        "d": {},
        "e": {"in": "x"},
        "f": {"exists": "yes"},
        "or": {"a": "x"},
        "and": [{"g": {"in": [["x"]]}}, 3],
        "not": "x",
        "h": {"gte": None},
    }
    with pytest.raises(Invalid) as error:
        parse_filter(document)
    paths = [finding.path for finding in error.value.findings]
    assert paths == [
        "$.a",
        "$.b",
        "$.c.like",
        "$.d",
        "$.e.in",
        "$.f.exists",
        "$.or",
        "$.and[0].g.in[0]",
        "$.and[1]",
        "$.not",
        "$.h.gte",
    ]
    assert all(finding.hint for finding in error.value.findings)


@pytest.mark.parametrize(
    "document",
    [
        {"or": [{"a": "x"}] * 10**6},
        {f"field-{number}": "x" for number in range(NODES_MAX + 1)},
        {"and": [{"or": [{"a": "x"}] * 20}] * 20},
        {"a": {"in": ["x"] * 1_001}},
        {"a": "x" * 5_000},
        {"a": 10**5_000},
        {"a" * 5_000: "x"},
        {7: "x"},
    ],
    ids=range(8),
)
def test_what_is_too_large_is_refused(document):
    with pytest.raises(Invalid) as error:
        parse_filter(document)
    assert len(error.value.findings) < 10


def test_depth_is_bounded():
    def nested(depth):
        return {"a": "x"} if depth == 1 else {"not": nested(depth - 1)}

    assert matches(parse_filter(nested(DEPTH_MAX)), {"a": "x"}) is (DEPTH_MAX % 2 == 1)
    with pytest.raises(Invalid, match="nested too deeply"):
        parse_filter(nested(DEPTH_MAX + 1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", 1.0), ("-2.5", -2.5), ("+.5", 0.5), ("1e3", 1000.0), ("7.", 7.0), ("1e999", float("inf"))]
    + [(text, None) for text in ("", " 1", "1 ", "nan", "inf", "1_000", "0x1", "\u0661", "1,5", ".", "e5", "1\n")],
)
def test_a_number_is_plain_decimal(text, expected):
    assert number(text) == expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["a", "or", "and", "not", "in", "gte", "lt", "exists", "equal"]), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["a", "b", "or", "and", "not"]), json_values, max_size=4))
def test_any_document_is_read_or_refused_with_findings(document):
    try:
        parsed = parse_filter(document)
    except Invalid as error:
        refusal = error
    else:
        matches(parsed, {"a": "1"})
        return
    assert refusal.findings
