"""Whether a reader's JSON Schema takes all that a writer's allows: what is in the way, by place.

Conservative: what cannot be compared counts as an obstacle. A new optional property is one too, unless the writer's objects
are closed (`additionalProperties: false`): without that, old data may hold anything under its name.
"""

import json
from collections.abc import Mapping
from typing import Any, TypeAlias, cast

from penstock.core.schemas.avro_reading import Obstacle

Node: TypeAlias = Mapping[str, Any] | bool
DEPTH_MAX = 100
_TYPES = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
_LOWEST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_HIGHEST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_COMPARED = frozenset(
    {
        "type",
        "enum",
        "const",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "anyOf",
        "oneOf",
        "allOf",
        "$ref",
    }
    | {*_LOWEST, *_HIGHEST}
)
_SAID = frozenset(  # what constrains nothing
    {"$schema", "$id", "$comment", "$defs", "definitions", "title", "description", "default", "examples", "format"}
    | {"deprecated", "readOnly", "writeOnly", "$anchor", "contentEncoding", "contentMediaType"}
)


def json_obstacles(reader: Node, writer: Node) -> list[Obstacle]:
    """Return what keeps a reader from taking all that a writer's schema allows; nothing when it does."""
    return _Comparison(reader, writer).compare(reader, writer, "", 0)


class _Comparison:
    def __init__(self, reader: Node, writer: Node) -> None:
        self._roots = (reader, writer)
        self._known: set[tuple[int, int]] = set()  # pairs that are compared, or were

    def compare(self, reader: Node, writer: Node, place: str, depth: int) -> list[Obstacle]:
        reader, writer = _resolved(reader, self._roots[0]), _resolved(writer, self._roots[1])
        if reader is True or reader == {} or writer is False:
            return []
        if depth > DEPTH_MAX:
            return [Obstacle("TOO_DEEP", place or "/", f"{DEPTH_MAX} levels at most")]
        if reader is False:
            return [Obstacle("NOTHING_ALLOWED", place or "/", "the reader takes nothing here")]
        wrote: Mapping[str, Any] = {} if isinstance(writer, bool) else writer
        pair = (id(reader), id(writer))
        if pair in self._known:
            return []
        self._known.add(pair)
        return self._by_branches(reader, wrote, place, depth)

    def _by_branches(
        self, reader: Mapping[str, Any], writer: Mapping[str, Any], place: str, depth: int
    ) -> list[Obstacle]:
        for key in ("anyOf", "oneOf"):
            if branches := writer.get(key):
                rest = {name: value for name, value in writer.items() if name != key}
                each = [self.compare(reader, _both(rest, branch), f"{place}/{key}", depth + 1) for branch in branches]
                return [found for some in each for found in some]
        if branches := writer.get("allOf"):
            rest = {name: value for name, value in writer.items() if name != "allOf"}
            whole: Node = rest
            for branch in branches:
                whole = _both(whole, branch)
            return self.compare(reader, whole, place, depth + 1)
        return [*self._branches_of(reader, writer, place, depth), *self._plain(reader, writer, place, depth)]

    def _branches_of(
        self, reader: Mapping[str, Any], writer: Mapping[str, Any], place: str, depth: int
    ) -> list[Obstacle]:
        found: list[Obstacle] = []
        for key in ("anyOf", "oneOf"):
            branches = cast("list[Node]", reader.get(key, []))
            if branches and all(self._fresh(branch, writer, depth) for branch in branches):
                found.append(Obstacle("MISSING_BRANCH", f"{place}/{key}", "no branch of the reader takes all of it"))
        for number, branch in enumerate(cast("list[Node]", reader.get("allOf", []))):
            found += self.compare(branch, writer, f"{place}/allOf/{number}", depth + 1)
        return found

    def _fresh(self, reader: Node, writer: Node, depth: int) -> list[Obstacle]:
        return self.compare(reader, writer, "", depth + 1)

    def _plain(self, reader: Mapping[str, Any], writer: Mapping[str, Any], place: str, depth: int) -> list[Obstacle]:
        found = [*_types(reader, writer, place), *_values(reader, writer, place), *_bounds(reader, writer, place)]
        types = _types_of(writer)
        if "object" in types:
            found += self._object(reader, writer, place, depth)
        if "array" in types and "items" in reader:
            found += self.compare(reader["items"], writer.get("items", True), f"{place}/items", depth + 1)
        for key in reader.keys() - _COMPARED - _SAID:
            if writer.get(key) != reader[key]:
                found.append(Obstacle("CANNOT_COMPARE", f"{place}/{key}", "is not the same in the writer's schema"))
        return found

    def _object(self, reader: Mapping[str, Any], writer: Mapping[str, Any], place: str, depth: int) -> list[Obstacle]:
        found = [
            Obstacle("REQUIRED_PROPERTY_ADDED", f"{place}/required", name)
            for name in reader.get("required", [])
            if name not in writer.get("required", [])
        ]
        mine, theirs = reader.get("properties", {}), writer.get("properties", {})
        others, written = reader.get("additionalProperties", True), writer.get("additionalProperties", True)
        for name in {**mine, **theirs}:
            read = mine.get(name, others)
            here = f"{place}/properties/{name}"
            if read is False and theirs.get(name, written) is not False:
                found.append(
                    Obstacle("PROPERTY_REMOVED_FROM_CLOSED_OBJECT", here, "the reader takes no other properties")
                )
            elif name not in theirs and written is True and read not in (True, {}):
                found.append(Obstacle("PROPERTY_ADDED_TO_OPEN_OBJECT", here, "old data may hold anything here"))
            else:
                found += self.compare(read, theirs.get(name, written), here, depth + 1)
        return found + self.compare(others, written, f"{place}/additionalProperties", depth + 1)


def _resolved(node: Node, root: Node) -> Node:
    """Follow references within the document; one that leads elsewhere cannot be compared."""
    for _ in range(DEPTH_MAX):
        if not isinstance(node, Mapping) or "$ref" not in node:
            return node
        reference = str(node["$ref"])
        target: Any = root
        for part in reference.removeprefix("#").strip("/").split("/") if reference != "#" else []:
            key = part.replace("~1", "/").replace("~0", "~")
            target = cast("Mapping[str, Any]", target).get(key) if isinstance(target, Mapping) else None
        if target is None or not reference.startswith("#"):
            return {"reference that leads elsewhere": reference}
        node = target
    return {"reference without an end": True}


def _both(one: Node, other: Node) -> Node:
    """Return what both allow, as far as it can be written as one; the narrower side wins what they both say."""
    if isinstance(one, bool):
        return other if one else False
    if isinstance(other, bool):
        return one if other else False
    joined = {**one, **other}
    if "properties" in one and "properties" in other:
        joined["properties"] = {**one["properties"], **other["properties"]}
    if "required" in one and "required" in other:
        joined["required"] = [*one["required"], *other["required"]]
    return joined


def _types_of(schema: Mapping[str, Any]) -> frozenset[str]:
    given = schema.get("type")
    if given is None:
        return _TYPES
    return frozenset([given] if isinstance(given, str) else given)


def _types(reader: Mapping[str, Any], writer: Mapping[str, Any], place: str) -> list[Obstacle]:
    takes, wrote = _types_of(reader), _types_of(writer)
    if "number" in takes:
        takes |= {"integer"}
    if "type" not in writer and ("enum" in writer or "const" in writer):
        return []  # the values say it
    missing = sorted(wrote - takes)
    return [Obstacle("TYPE_NARROWED", f"{place}/type", f"does not take {', '.join(missing)}")] if missing else []


def _values(reader: Mapping[str, Any], writer: Mapping[str, Any], place: str) -> list[Obstacle]:
    takes, wrote = _values_of(reader), _values_of(writer)
    if takes is None:
        return []
    if wrote is None:
        return [Obstacle("ENUM_NARROWED", f"{place}/enum", "the writer's schema allows other values")]
    missing = sorted(wrote - takes)
    return [Obstacle("ENUM_NARROWED", f"{place}/enum", f"lacks {', '.join(missing)}")] if missing else []


def _values_of(schema: Mapping[str, Any]) -> set[str] | None:
    if "const" in schema:
        return {json.dumps(schema["const"], sort_keys=True)}
    return {json.dumps(each, sort_keys=True) for each in schema["enum"]} if "enum" in schema else None


def _bounds(reader: Mapping[str, Any], writer: Mapping[str, Any], place: str) -> list[Obstacle]:
    found: list[Obstacle] = []
    for name in (*_LOWEST, *_HIGHEST):
        if name not in reader or _values_of(writer) is not None:
            continue
        asked, given = reader[name], writer.get(name)
        is_wider = given is not None and (given >= asked if name in _LOWEST else given <= asked)
        if not is_wider and not (name in _LOWEST and asked == 0 and not name.endswith("imum")):
            found.append(Obstacle("BOUND_NARROWED", f"{place}/{name}", f"{asked}; the writer's is {given}"))
    return found
