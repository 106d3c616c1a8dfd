"""Confluent's wire format: a zero byte, the schema's id in four bytes (big-endian), and the value."""

import struct
from typing import Any

import msgspec

from penstock.core.schemas.values import avro_bytes, avro_value
from penstock.errors import Finding, Invalid

MAGIC = 0
_HEAD = struct.Struct(">bI")
HEAD_BYTES = _HEAD.size
ID_MAX = 2**32 - 1


def framed(id: int, body: bytes) -> bytes:
    """Return a value in the wire format."""
    assert 0 <= id <= ID_MAX, id
    return _HEAD.pack(MAGIC, id) + body


def unframed(message: bytes) -> tuple[int, bytes]:
    """Return the schema's id and the value's bytes; `Invalid` for what is not in the format."""
    if len(message) < HEAD_BYTES or message[0] != MAGIC:
        problem = f"begins with {message[:HEAD_BYTES].hex(' ') or 'nothing'}"
        raise Invalid("the message", (Finding("(head)", problem, "a zero byte, then a schema's id in four bytes"),))
    return _HEAD.unpack_from(message)[1], message[HEAD_BYTES:]


def encode_avro(id: int, schema: str, value: Any) -> bytes:
    """Return plain data as Avro in the wire format; `Invalid` when they are not of the schema."""
    return framed(id, avro_bytes(schema, value))


def decode_avro(message: bytes, writer: str, reader: str | None = None) -> Any:
    """Return the plain data in an Avro message, as its reader's schema has them; `Invalid` when it cannot be read."""
    return avro_value(unframed(message)[1], writer, reader)


def encode_json(id: int, value: Any) -> bytes:
    """Return plain data as JSON in the wire format."""
    return framed(id, msgspec.json.encode(value))


def decode_json(message: bytes) -> Any:
    """Return the plain data in a JSON message; `Invalid` when there are none."""
    body = unframed(message)[1]
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("the message", (Finding("(value)", str(error), "send JSON after the head"),)) from error
