"""Values under schemas: Avro's binary form, by fastavro; and whether JSON fits a JSON Schema, by jsonschema-rs.

Both are extras. No reference of a schema is ever followed out of its document: whoever could name an address there could have
this process call it.
"""

import json
from functools import lru_cache
from io import BytesIO
from typing import Any

from penstock.errors import Finding, Invalid, Missing, Refused

SCHEMAS_KEPT = 256  # parsed ones


def avro_bytes(schema: str, value: Any) -> bytes:
    """Return plain data in Avro's binary form; `Invalid` when they are not of the schema."""
    library, out = _fastavro(), BytesIO()
    try:
        # The writer alone would take a number that is too large for its type.
        library.validate(value, _parsed(schema), strict=True)
        library.schemaless_writer(out, _parsed(schema), value, strict=True)
    except Exception as error:  # it raises nearly anything on data of another shape
        raise Invalid("the value", (Finding("(whole)", _told(error), "give data of the schema"),)) from error
    return out.getvalue()


def avro_value(body: bytes, writer: str, reader: str | None = None) -> Any:
    """Return the plain data in bytes that were written under `writer`, as `reader` has them; `Invalid` when it cannot be read."""
    library, source = _fastavro(), BytesIO(body)
    try:
        value = library.schemaless_reader(source, _parsed(writer), None if reader is None else _parsed(reader))
    except Exception as error:  # another's bytes may be broken in any way
        raise Invalid("the Avro value", (Finding("(whole)", _told(error), "written under another schema?"),)) from error
    if rest := len(body) - source.tell():
        raise Invalid(
            "the Avro value", (Finding("(whole)", f"{rest} bytes are left over", "written under another schema?"),)
        )
    return value


def json_findings(schema: Any, value: Any, *, draft: int = 0, formats: bool = False) -> list[Finding]:
    """Return how plain data do not fit a JSON Schema. `draft`: 7 or 2020 where the schema does not say; `Invalid`: it is none."""
    try:
        import jsonschema_rs
    except ImportError as error:
        raise Missing("jsonschema-rs, which checks JSON Schema,", "pip install 'penstock[jsonschema]'") from error
    kinds = {7: jsonschema_rs.Draft7Validator, 2020: jsonschema_rs.Draft202012Validator}
    make = kinds.get(draft, jsonschema_rs.validator_for)
    try:
        validator = make(schema, validate_formats=formats, retriever=_nowhere)
    except (ValueError, jsonschema_rs.ValidationError) as error:
        raise Invalid("the JSON Schema", (Finding("(whole)", _told(error)),)) from error
    return [
        Finding("/" + "/".join(map(str, each.instance_path)), each.message, "see the schema")
        for each in validator.iter_errors(value)
    ]


def _nowhere(address: str) -> Any:
    raise Refused(f"the schema refers to {address}", "put what it refers to under $defs")


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500].rstrip(": ")


@lru_cache(SCHEMAS_KEPT)
def _parsed(schema: str) -> Any:
    return _fastavro().parse_schema(json.loads(schema))


def _fastavro() -> Any:
    try:
        import fastavro
    except ImportError as error:
        raise Missing("fastavro, which reads and writes Avro,", "pip install 'penstock[avro]'") from error
    return fastavro
