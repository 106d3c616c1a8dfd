"""The Avro schema of an event, from the model that it is: what its JSON holds, Avro holds too, and nothing else.

A name is a record's or an enum's, as the class has it. What JSON cannot tell (bytes, decimals, times) is text there, and so here.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from penstock.core.events.event import Event
from penstock.core.schemas.avro import avro_of
from penstock.errors import Finding, Invalid

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN = {"string": "string", "integer": "long", "number": "double", "boolean": "boolean", "null": "null"}
_HINT = "give it a type, or write the event's schema yourself: avro_ = {...} in its class"
_REFERENCE = "#/$defs/"
NO_DEFAULT = object()


def avro_schema_of(event: type[Event]) -> str:
    """Return the schema of an event's data, as JSON: its own (`avro_`), or one that follows from its fields.

    `Invalid` with all findings for fields that Avro has no type for.
    """
    if event.avro_ is not None:
        avro_of(event.avro_)
        return json.dumps(event.avro_)
    document = event.model_json_schema(mode="serialization")
    named = cast("dict[str, Any]", document.get("$defs", {}))
    if "$ref" in document:  # one that holds itself
        document = named[document["$ref"].removeprefix(_REFERENCE)]
    reading = _Reading(named)
    schema = reading.record(event.__name__, document, "")
    if reading.findings:
        raise Invalid(f"the event {event.__name__} in Avro", tuple(reading.findings))
    avro_of(schema)
    return json.dumps(schema)


class _Reading:
    def __init__(self, named: Mapping[str, Any]) -> None:
        self.findings: list[Finding] = []
        self._named = named
        self._made: set[str] = set()

    def record(self, name: str, plain: Mapping[str, Any], path: str) -> dict[str, Any]:
        self._made.add(name)
        fields: list[dict[str, Any]] = []
        for field, given in cast("dict[str, Any]", plain.get("properties", {})).items():
            where = f"{path}.{field}".lstrip(".")
            if not _NAME.fullmatch(field):
                self._wrong(where, "is no name of a field in Avro", "letters, digits and _, a letter or _ first")
            default = given.get("default", NO_DEFAULT)
            type_ = self._type(given, where, f"{name}_{field}")
            made = {"name": field, "type": self._beginning_with(default, type_)}
            fields.append(made if default is NO_DEFAULT else {**made, "default": default})
        return {"type": "record", "name": name, "fields": fields}

    def _type(self, given: Any, path: str, name: str) -> Any:  # noqa: C901, PLR0911 - one for each form
        match given:
            case {"$ref": str(reference)} if reference.startswith(_REFERENCE):
                return self._by_name(reference.removeprefix(_REFERENCE), path)
            case {"allOf": [inner]}:
                return self._type(inner, path, name)
            case {"anyOf": list()}:
                return self._union(given["anyOf"], path, name)
            case {"oneOf": list()}:
                return self._union(given["oneOf"], path, name)
            case {"const": value}:
                return self._enum([value], path, name)
            case {"enum": list()}:
                return self._enum(given["enum"], path, name)
            case {"type": "array", "items": items} if items is not True:
                return {"type": "array", "items": self._type(items, path + "[]", name)}
            case {"type": "array", "prefixItems": list()}:
                kinds = [self._type(each, path + "[]", name) for each in given["prefixItems"]]
                return {"type": "array", "items": kinds[0] if all(each == kinds[0] for each in kinds) else kinds}
            case {"type": "object", "properties": dict()}:
                return self.record(str(given.get("title", name)), given, path)
            case {"type": "object", "additionalProperties": dict()}:
                return {"type": "map", "values": self._type(given["additionalProperties"], path + "{}", name)}
            case {"type": str(kind)} if kind in _PLAIN:
                return _PLAIN[kind]
            case _:
                return self._wrong(path, "has no type that Avro knows", _HINT)

    def _by_name(self, name: str, path: str) -> Any:
        if name in self._made:
            return name
        definition = self._named.get(name, {})
        if not _NAME.fullmatch(name):
            return self._wrong(path, f"{name!r} is no name in Avro", "give the class a plain name")
        if "enum" in definition:
            return self._enum(definition["enum"], path, name)
        if "properties" in definition:
            return self.record(name, definition, path)
        return self._type(definition, path, name)

    def _union(self, branches: list[Any], path: str, name: str) -> Any:
        kinds: list[Any] = []
        for each in branches:
            made = self._type(each, path, name)
            for kind in cast("list[Any]", made) if isinstance(made, list) else [made]:
                if kind not in kinds:
                    kinds.append(kind)
        return kinds[0] if len(kinds) == 1 else kinds

    def _enum(self, values: list[Any], path: str, name: str) -> Any:
        """Return an enum where the values are names, else the type that they are of."""
        if values and all(isinstance(each, str) and _NAME.fullmatch(each) for each in values):
            if name in self._made:
                return name
            self._made.add(name)
            return {"type": "enum", "name": name, "symbols": values}
        kinds = {"boolean" if isinstance(each, bool) else _kind(each) for each in values}
        if len(kinds) == 1 and (kind := kinds.pop()):
            return kind
        return self._wrong(path, "has values of several types", _HINT)

    def _beginning_with(self, default: Any, type_: Any) -> Any:
        """Return a union with the branch of its default first: readers of older Avro want it so."""
        if default is NO_DEFAULT or not isinstance(type_, list):
            return type_
        kinds = cast("list[Any]", type_)
        wanted = "boolean" if isinstance(default, bool) else _kind(default)
        called = {"enum": "string"}
        named: list[Any] = [each["type"] if isinstance(each, dict) else each for each in kinds]
        first = [each for each, kind in zip(kinds, named, strict=True) if called.get(kind, kind) == wanted]
        return [*first, *(each for each in kinds if each not in first)]

    def _wrong(self, path: str, problem: str, hint: str) -> str:
        self.findings.append(Finding(path, problem, hint))
        return "null"


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case str():
            return "string"
        case int():
            return "long"
        case float():
            return "double"
        case list():
            return "array"
        case _:
            return ""
