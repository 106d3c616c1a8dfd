"""Which versions a registry takes, under each mode; and values under schemas, in the wire format."""

import json

import pytest

from penstock.core.schemas.json_reading import json_obstacles
from penstock.core.schemas.registry import MODES, Version, incompatible, next_version, require_schema
from penstock.core.schemas.values import avro_bytes, avro_value, json_findings
from penstock.core.schemas.wire import decode_avro, decode_json, encode_avro, encode_json, framed, unframed
from penstock.errors import Invalid

A = {"name": "a", "type": "int"}
B = {"name": "b", "type": "int"}
B_OPTIONAL = {**B, "default": 0}


def record(*fields):
    return json.dumps({"type": "record", "name": "R", "fields": list(fields)})


def versions(*documents):
    return [Version("s", number, number, "AVRO", each) for number, each in enumerate(documents, 1)]


FIRST, ADDED, ADDED_OPTIONAL = record(A), record(A, B), record(A, B_OPTIONAL)


@pytest.mark.parametrize(
    ("earlier", "new", "passing"),
    [
        ([FIRST], ADDED_OPTIONAL, set(MODES)),
        ([FIRST], ADDED, {"NONE", "FORWARD", "FORWARD_TRANSITIVE"}),
        ([ADDED], FIRST, {"NONE", "BACKWARD", "BACKWARD_TRANSITIVE"}),
        # The last one had the field with a default; the first one had none.
        ([FIRST, ADDED_OPTIONAL], ADDED, set(MODES) - {"BACKWARD_TRANSITIVE", "FULL_TRANSITIVE"}),
        ([ADDED, ADDED_OPTIONAL], FIRST, set(MODES) - {"FORWARD_TRANSITIVE", "FULL_TRANSITIVE"}),
        ([FIRST], record({**A, "type": "string"}), {"NONE"}),
    ],
)
def test_a_mode_says_which_versions_may_follow(earlier, new, passing):
    assert {mode for mode in MODES if not incompatible("AVRO", new, versions(*earlier), mode)} == passing


def test_a_schema_that_is_there_already_keeps_its_version():
    earlier = versions(FIRST, ADDED_OPTIONAL)
    spaced = json.dumps(json.loads(FIRST), indent=4)
    assert next_version("s", "AVRO", spaced, earlier, "FULL_TRANSITIVE", 9) == earlier[0]
    assert next_version("s", "AVRO", record(A, {**B_OPTIONAL, "default": 1}), earlier, "FULL", 9).version == 3


def test_another_kind_is_no_next_version():
    assert incompatible("JSON", "{}", versions(FIRST), "BACKWARD")


@pytest.mark.parametrize(
    ("subject", "kind", "document"),
    [("", "AVRO", FIRST), ("s", "PROTOBUF", FIRST), ("s", "AVRO", "{"), ("s", "JSON", "[]"), ("x" * 256, "JSON", "{}")],
)
def test_what_cannot_be_registered_is_invalid(subject, kind, document):
    with pytest.raises(Invalid):
        require_schema(subject, kind, document)


def shape(properties=None, required=(), **more):
    return {"type": "object", "properties": properties or {}, "required": list(required), **more}


TEXT, NUMBER, WHOLE = {"type": "string"}, {"type": "number"}, {"type": "integer"}


@pytest.mark.parametrize(
    ("reader", "writer", "kinds"),
    [
        (shape({"a": NUMBER}), shape({"a": WHOLE}), []),
        (shape({"a": WHOLE}), shape({"a": NUMBER}), ["TYPE_NARROWED"]),
        (shape({"a": TEXT}, ["a"]), shape({"a": TEXT}), ["REQUIRED_PROPERTY_ADDED"]),
        (shape({"a": TEXT}), shape({"a": TEXT}, ["a"]), []),
        (shape({"a": TEXT, "b": TEXT}), shape({"a": TEXT}), ["PROPERTY_ADDED_TO_OPEN_OBJECT"]),
        (shape({"a": TEXT, "b": TEXT}), shape({"a": TEXT}, additionalProperties=False), []),
        (
            shape({"a": TEXT}, additionalProperties=False),
            shape({"a": TEXT, "b": TEXT}, additionalProperties=False),
            ["PROPERTY_REMOVED_FROM_CLOSED_OBJECT"],
        ),
        ({"enum": ["a", "b"]}, {"enum": ["a"]}, []),
        ({"enum": ["a"]}, {"enum": ["a", "b"]}, ["ENUM_NARROWED"]),
        ({**TEXT, "maxLength": 5}, {**TEXT, "maxLength": 9}, ["BOUND_NARROWED"]),
        ({**TEXT, "maxLength": 9}, {**TEXT, "maxLength": 5}, []),
        ({"anyOf": [TEXT, NUMBER]}, TEXT, []),
        ({"anyOf": [TEXT, NUMBER]}, {"anyOf": [WHOLE, TEXT]}, []),
        (TEXT, {"anyOf": [NUMBER, TEXT]}, ["TYPE_NARROWED"]),
        ({**TEXT, "pattern": "a"}, TEXT, ["CANNOT_COMPARE"]),
        ({"$ref": "#/$defs/t", "$defs": {"t": TEXT}}, TEXT, []),
        ({"type": "array", "items": WHOLE}, {"type": "array", "items": TEXT}, ["TYPE_NARROWED"]),
    ],
)
def test_which_json_schema_takes_all_of_another(reader, writer, kinds):
    assert [each.kind for each in json_obstacles(reader, writer)] == kinds


def test_a_recursive_json_schema_takes_itself():
    tree = {"$ref": "#/$defs/t", "$defs": {"t": shape({"next": {"$ref": "#/$defs/t"}})}}
    assert not json_obstacles(tree, json.loads(json.dumps(tree)))


def test_a_value_in_avro_is_read_as_its_reader_has_it():
    message = encode_avro(7, FIRST, {"a": 3})
    assert message[:5] == b"\x00\x00\x00\x00\x07"
    assert decode_avro(message, FIRST, ADDED_OPTIONAL) == {"a": 3, "b": 0}
    assert decode_json(encode_json(2**32 - 1, {"a": [1]})) == {"a": [1]}
    assert unframed(framed(1, b"x")) == (1, b"x")


@pytest.mark.parametrize("message", [b"", b"\x00\x00", b"\x01\x00\x00\x00\x07x", b"{}"])
def test_what_is_not_in_the_wire_format_is_invalid(message):
    with pytest.raises(Invalid):
        decode_json(message)


@pytest.mark.parametrize("value", [{}, {"a": "x"}, {"a": 2**31}, {"a": 1, "b": 2}, None])
def test_a_value_of_another_shape_is_invalid(value):
    with pytest.raises(Invalid):
        avro_bytes(FIRST, value)


@pytest.mark.parametrize("body", [b"", b"\x06\x07", b"\xff" * 12])
def test_bytes_of_another_schema_are_invalid(body):
    with pytest.raises(Invalid):
        avro_value(body, FIRST)


def test_no_reference_leads_out_of_a_schema():
    with pytest.raises(Invalid, match="refers to"):
        json_findings({"$ref": "http://127.0.0.1:9/schema.json"}, {})
