"""Whether a mocked answer has the form that the service's API describes: `misfit`, with AWS's words for what is wrong.

`Shapes` is an extract of an API's description: {"operations": {"GetObject": "GetObjectOutput"}, "shapes": {"GetObjectOutput":
{"type": "structure", "members": {"ETag": "ETag"}, "required": [...]}, "ETag": {"type": "string", "enum": [...], "min", "max"},
"Tags": {"type": "list", "of": "Tag"}}}. Members are matched as Step Functions names them: with a capital at the beginning, and
otherwise as the Java SDK does (SsekmsKeyId for SSEKMSKeyId), so that case does not matter further on.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from penstock.core.asl.values import Json, is_number

Shapes: TypeAlias = Mapping[str, Any]
ShapesOf: TypeAlias = Callable[[str], Shapes | None]
"""Gives the shapes of a service by its name in a Resource; None for a service that is not known."""

STRICT: Final = "STRICT"
PRESENT: Final = "PRESENT"
NONE: Final = "NONE"

_NUMBERS: Final = ("integer", "long", "float", "double", "bigdecimal", "biginteger", "short", "byte")


def misfit(shapes: Shapes, action: str, answer: Json, *, strict: bool) -> str | None:
    """Return what is wrong with the answer of an action (`getObject`), or None. `strict`: what is required must be there."""
    output = shapes["operations"].get(_capital(action))
    if output is None:
        return None
    if not isinstance(answer, dict):
        return "Mocked result must be an object"
    return _Walk(shapes["shapes"], strict=strict).structure(shapes["shapes"][output], answer)


class _Walk:
    def __init__(self, shapes: Mapping[str, Any], *, strict: bool) -> None:
        self._shapes = shapes
        self._strict = strict

    def structure(self, shape: Mapping[str, Any], value: dict[str, Json]) -> str | None:
        given = {key.lower(): key for key in value if key[:1].isupper()}
        if self._strict:
            for name in shape.get("required", ()):
                if name.lower() not in given:
                    return f"Field '{_capital(name)}' is required"
        for name, member in shape["members"].items():
            key = given.get(name.lower(), "")
            wrong = None if value.get(key) is None else self._value(self._shapes[member], value[key], key)
            if wrong:
                return wrong
        return None

    def _value(self, shape: Mapping[str, Any], value: Json, name: str) -> str | None:
        match shape["type"]:
            case "structure" | "map" | "list":
                return self._whole(shape, value, name)
            case "boolean":
                return None if isinstance(value, bool) else _must_be(name, "a boolean")
            case kind if kind in _NUMBERS:
                return _ranged(shape, value, name) if is_number(value) else _must_be(name, "a number")
            case _:  # texts, and what is one in JSON: blobs and timestamps
                return _text(shape, value, name) if isinstance(value, str) else _must_be(name, "a string")

    def _whole(self, shape: Mapping[str, Any], value: Json, name: str) -> str | None:
        """Check an object or a list, and all that is in it."""
        is_list = shape["type"] == "list"
        if not isinstance(value, list if is_list else dict):
            return _must_be(name, "an array" if is_list else "an object")
        assert isinstance(value, list | dict), value
        if shape["type"] == "structure":
            assert isinstance(value, dict), value
            return self.structure(shape, value)
        of = self._shapes[shape["of"]]
        wrong = _sized(shape, len(value), name)
        members = value if isinstance(value, list) else value.values()
        return wrong or next(filter(None, (self._value(of, each, name) for each in members if each is not None)), None)


def _text(shape: Mapping[str, Any], value: str, name: str) -> str | None:
    if "enum" in shape and value not in shape["enum"]:
        return f"Field '{name}' is not an expected value"
    return _sized(shape, len(value), name)


def _sized(shape: Mapping[str, Any], size: int, name: str) -> str | None:
    if size < shape.get("min", 0):
        return f"Field '{name}' is smaller than the minimum length"
    return f"Field '{name}' exceeds the maximum length" if size > shape.get("max", size) else None


def _ranged(shape: Mapping[str, Any], value: float, name: str) -> str | None:
    if value < shape.get("min", value):
        return f"Field '{name}' is less than the minimum value"
    return f"Field '{name}' exceeds the maximum value" if value > shape.get("max", value) else None


def _must_be(name: str, what: str) -> str:
    return f"Field '{name}' must be {what}"


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]
