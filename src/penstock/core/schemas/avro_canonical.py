"""Avro's Parsing Canonical Form, and the fingerprint of it: two schemas that read the same have the same one."""

import json

from penstock.core.schemas.avro import Enum, Fixed, Many, Primitive, Record, Schema, Union

_EMPTY = 0xC15D213AA4D7A795
_BITS = 64


def _table() -> list[int]:
    table: list[int] = []
    for number in range(256):
        value = number
        for _ in range(8):
            value = (value >> 1) ^ (_EMPTY if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _table()


def canonical(schema: Schema) -> str:
    """Return a schema in canonical form."""
    return _written(schema, set())


def fingerprint(schema: Schema) -> int:
    """Return the 64-bit Rabin fingerprint (CRC-64-AVRO) of a schema, as the signed number that Java gives."""
    value = _EMPTY
    for byte in canonical(schema).encode():
        value = (value >> 8) ^ _TABLE[(value ^ byte) & 0xFF]
    return value - (1 << _BITS) if value >> (_BITS - 1) else value


def _written(schema: Schema, known: set[str]) -> str:
    match schema:
        case Primitive(kind=kind):
            return json.dumps(kind)
        case Union(branches=branches):
            return f"[{','.join(_written(each, known) for each in branches)}]"
        case Many(kind=kind, of=of):
            part = "items" if kind == "array" else "values"
            return f'{{"type":"{kind}","{part}":{_written(of, known)}}}'
        case Enum() | Fixed() | Record() if schema.fullname in known:
            return json.dumps(schema.fullname)
        case Enum() | Fixed() | Record():
            known.add(schema.fullname)
            return f'{{"name":{_text(schema.fullname)},"type":"{schema.kind}",{_rest(schema, known)}}}'


def _rest(schema: Enum | Fixed | Record, known: set[str]) -> str:
    match schema:
        case Enum(symbols=symbols):
            return f'"symbols":[{",".join(map(_text, symbols))}]'
        case Fixed(size=size):
            return f'"size":{size}'
        case Record(fields=fields):
            inner = [f'{{"name":{_text(each.name)},"type":{_written(each.type, known)}}}' for each in fields]
            return f'"fields":[{",".join(inner)}]'


def _text(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)
