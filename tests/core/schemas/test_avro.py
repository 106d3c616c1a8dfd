"""Avro schemas: what is one, what reads what, and what Java's library says of the same pairs (the corpus)."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.schemas.avro import avro_of, parse_avro
from penstock.core.schemas.avro_canonical import canonical, fingerprint
from penstock.core.schemas.avro_reading import obstacles
from penstock.errors import Invalid

CORPUS = Path(__file__).parents[3] / os.environ.get("PENSTOCK_CORPUS", "../shared/corpus") / "schema"


def record(*fields, name="R", **more):
    return {"type": "record", "name": name, "fields": list(fields), **more}


def field(name, type, **more):
    return {"name": name, "type": type, **more}


def reads(reader, writer):
    return not obstacles(avro_of(reader), avro_of(writer))


@pytest.mark.skipif(not CORPUS.is_dir(), reason="NO CORPUS: set PENSTOCK_CORPUS to the folder of the corpora")
def test_every_pair_of_the_corpus_is_answered_as_java_does_in_the_same_words():
    wrong = []
    for line in (CORPUS / "avro_compat_given.jsonl").read_text().splitlines():
        case = json.loads(line)
        found = obstacles(avro_of(case["reader"]), avro_of(case["writer"]))
        said = [{"type": each.kind, "location": each.location, "message": each.message} for each in found]
        if (not found) != case["compatible"] or said != case["why"]:
            wrong.append((case["name"], said))
    assert not wrong


@pytest.mark.skipif(not CORPUS.is_dir(), reason="NO CORPUS: set PENSTOCK_CORPUS to the folder of the corpora")
def test_canonical_forms_and_fingerprints_are_those_of_the_corpus():
    for case in json.loads((CORPUS / "avro_canonical.json").read_text()):
        if "canonical" not in case:
            with pytest.raises(Invalid):
                parse_avro(case["input"])
            continue
        schema = parse_avro(case["input"])
        assert canonical(schema) == case["canonical"]
        if "fingerprint" in case:
            assert fingerprint(schema) == int(case["fingerprint"])


@pytest.mark.parametrize(
    ("reader", "writer", "expected"),
    [
        ("double", "int", True),
        ("int", "long", False),
        ("string", "bytes", True),
        (["null", "string"], "string", True),
        ("string", ["null", "string"], False),
        ("long", ["int", "long"], True),
        (record(field("a", "int")), record(field("a", "int"), field("b", "int")), True),
        (record(field("a", "int"), field("b", "int", default=1)), record(field("a", "int")), True),
        (record(field("a", "int"), field("b", "int")), record(field("a", "int")), False),
        (record(field("new", "int", aliases=["old"])), record(field("old", "int")), True),
        (record(field("new", "int")), record(field("old", "int")), False),
        (record(name="New", aliases=["Old"]), record(name="Old"), True),
        (record(name="New", aliases=["x.Old"]), record(name="Old"), False),
        (record(name="New", aliases=["x.Old"]), record(name="Old", namespace="x"), True),
        (record(name="a.R"), record(name="b.R"), True),
        (
            {"type": "enum", "name": "E", "symbols": ["A"], "default": "A"},
            {"type": "enum", "name": "E", "symbols": ["A", "B"]},
            True,
        ),
        ({"type": "fixed", "name": "F", "size": 4}, {"type": "fixed", "name": "F", "size": 5}, False),
        (
            {"type": "long", "logicalType": "timestamp-millis"},
            {"type": "int", "logicalType": "date"},
            True,
        ),  # logical types are notes: what lies below decides
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 4},
            {"type": "fixed", "name": "D", "size": 4, "logicalType": "decimal", "precision": 4},
            False,
        ),
    ],
)
def test_what_reads_what(reader, writer, expected):
    assert reads(reader, writer) is expected


def tree(**leaf):
    return record(field("left", ["null", "Tree"]), field("leaf", **leaf), name="Tree")


def test_recursive_schemas_are_compared_to_their_end():
    assert reads(tree(type="long"), tree(type="int"))
    assert [each.kind for each in obstacles(avro_of(tree(type="int")), avro_of(tree(type="long")))] == ["TYPE_MISMATCH"]


def test_a_field_that_two_of_the_writer_s_would_fill_is_said():
    reader = record(field("a", "int", aliases=["b"]))
    writer = record(field("a", "int"), field("b", "int"))
    assert [each.kind for each in obstacles(avro_of(reader), avro_of(writer))] == ["AMBIGUOUS_FIELD"]


def test_all_that_is_wrong_with_a_schema_is_said_at_once():
    broken = record(
        field("a", "nothing"),
        field("a", "int", default="x"),
        field("2b", ["int", "int"]),
        field("c", {"type": "enum", "name": "E", "symbols": ["A", "A"], "default": "B"}),
        field("d", {"type": "fixed", "name": "E", "size": -1}),
        field("e", {"type": "array"}),
    )
    with pytest.raises(Invalid) as caught:
        avro_of(broken)
    paths = {each.path for each in caught.value.findings}
    assert paths == {
        "/fields/0/type",
        "/fields/1/name",
        "/fields/1/default",
        "/fields/2/name",
        "/fields/2/type/1",
        "/fields/3/type/symbols",
        "/fields/3/type/default",
        "/fields/4/type/size",
        "/fields/4/type/name",
        "/fields/5/type",
    }


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"type": NaN}', "null", "3", '{"type": "map"}'])
def test_what_is_no_schema_is_invalid_and_nothing_else(text):
    with pytest.raises(Invalid):
        parse_avro(text)


primitives = st.sampled_from(["null", "boolean", "int", "long", "float", "double", "bytes", "string"])
schemas = st.recursive(
    primitives,
    lambda inner: st.one_of(
        inner.map(lambda each: {"type": "array", "items": each}),
        inner.map(lambda each: {"type": "map", "values": each}),
        inner.map(lambda each: record(field("f", each))),
    ).filter(lambda each: json.dumps(each).count('"name": "R"') <= 1),
    max_leaves=5,
)


@given(schemas, schemas)
def test_a_schema_reads_itself_and_what_a_union_of_it_and_another_adds(one, other):
    assert reads(one, one)
    if json.dumps([one, other]).count('"name": "R"') <= 1 and type(one) is not type(other):
        assert reads([one, other], one)
