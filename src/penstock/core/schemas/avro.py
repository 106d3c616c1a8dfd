"""Avro schemas: what a JSON document says, as a tree of types. By the specification of Avro 1.12.

- A name stands for one type: what is used again is the same object, so that a recursive schema is a graph.
- All that is wrong with a document is said at once. What a logical type asks for in vain is left out, as the specification says.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from penstock.errors import Finding, Invalid

PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
BYTES_MAX = 1024 * 1024
DEPTH_MAX = 200
NAMED = ("record", "error", "enum", "fixed")
_NAME = re.compile(r"[^\W\d]\w*")
NOTHING = object()  # stands for a default that is not given: null is one


@dataclass(frozen=True, slots=True, eq=False)
class Primitive:
    """A type without parts."""

    kind: str


@dataclass(slots=True, eq=False)
class Named:
    """What a record, an enum and a fixed have in common. Aliases are full names."""

    kind: str
    fullname: str
    aliases: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.fullname.rpartition(".")[2]


@dataclass(slots=True, eq=False)
class Enum(Named):
    """One of some symbols. `default`: what a reader takes for a symbol that it does not know; empty: nothing."""

    symbols: tuple[str, ...] = ()
    default: str = ""


@dataclass(slots=True, eq=False)
class Fixed(Named):
    """So many bytes."""

    size: int = 0


@dataclass(slots=True, eq=False)
class Field:
    """One field of a record."""

    name: str
    type: "Schema"
    aliases: tuple[str, ...] = ()
    default: Any = NOTHING

    @property
    def has_default(self) -> bool:
        return self.default is not NOTHING


@dataclass(slots=True, eq=False)
class Record(Named):
    """Fields, in their order."""

    fields: list[Field] = field(default_factory=list[Field])


@dataclass(slots=True, eq=False)
class Many:
    """An array, or a map from texts."""

    kind: str
    of: "Schema"


@dataclass(slots=True, eq=False)
class Union:
    """One of several types."""

    branches: "tuple[Schema, ...]"
    kind: str = "union"


Schema: TypeAlias = Primitive | Enum | Fixed | Record | Many | Union


def parse_avro(document: str) -> Schema:
    """Return the schema that a document (JSON) defines; `Invalid` with all findings."""
    if len(document) > BYTES_MAX:
        raise Invalid(
            "the Avro schema", (Finding("(whole)", f"has {len(document):,} characters", f"{BYTES_MAX:,} at most"),)
        )
    try:
        plain = json.loads(document, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Invalid("the Avro schema", (Finding("(whole)", f"is not JSON ({error})"),)) from error
    return avro_of(plain)


def avro_of(plain: Any) -> Schema:
    """Return the schema in plain data; `Invalid` with all findings."""
    reading = _Reading()
    schema = reading.schema(plain, "", "", 0)
    for default in reading.defaults:
        default.check(reading.findings)
    if reading.findings:
        raise Invalid("the Avro schema", tuple(reading.findings))
    return schema


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


@dataclass(frozen=True, slots=True)
class _Default:
    """A default to be checked when all names are known."""

    type: Schema
    value: Any
    path: str

    def check(self, findings: list[Finding]) -> None:
        if not fits(self.value, self.type):
            problem = f"{json.dumps(self.value, ensure_ascii=False)[:80]} is no {kind_of(self.type)}"
            findings.append(Finding(self.path or "/", problem, "give a default of the field's type"))


class _Reading:
    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.defaults: list[_Default] = []
        self._known: dict[str, Enum | Fixed | Record] = {}

    def schema(self, plain: Any, namespace: str, path: str, depth: int) -> Schema:  # noqa: PLR0911 - one for each form
        if depth > DEPTH_MAX:
            return self._wrong(path, "is nested too deep", f"{DEPTH_MAX} levels at most")
        match plain:
            case str():
                return self._by_name(plain, namespace, path)
            case list():
                return self._union(cast("list[Any]", plain), namespace, path, depth)
            case {"type": str(kind)}:
                return self._complex(cast("dict[str, Any]", plain), kind, namespace, path, depth)
            case {"type": inner}:
                return self.schema(inner, namespace, f"{path}/type", depth + 1)
            case dict():
                return self._wrong(path, "has no type", "name one")
            case _:
                return self._wrong(path, f"is {json.dumps(plain)[:80]}", "a name, an object or a list of them")

    def _wrong(self, path: str, problem: str, hint: str = "") -> Schema:
        self.findings.append(Finding(path or "/", problem, hint))
        return Primitive("null")

    def _by_name(self, name: str, namespace: str, path: str) -> Schema:
        if name in PRIMITIVES:
            return Primitive(name)
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        found = self._known.get(full) or self._known.get(name)
        return found or self._wrong(path, f"{name!r} is not defined", "define it before it is used")

    def _complex(self, plain: dict[str, Any], kind: str, namespace: str, path: str, depth: int) -> Schema:
        if kind in ("record", "error"):
            return self._record(plain, namespace, path, depth)
        if kind == "enum":
            return self._enum(plain, namespace, path)
        if kind == "fixed":
            return self._fixed(plain, namespace, path)
        if kind in ("array", "map"):
            part = "items" if kind == "array" else "values"
            if part not in plain:
                return self._wrong(path, f"is an {kind} without {part}", f"give {part}")
            return Many(kind, self.schema(plain[part], namespace, f"{path}/{part}", depth + 1))
        return self._by_name(kind, namespace, f"{path}/type")

    def _union(self, branches: list[Any], namespace: str, path: str, depth: int) -> Schema:
        found = tuple(
            self.schema(each, namespace, f"{path}/{number}", depth + 1) for number, each in enumerate(branches)
        )
        seen: set[str] = set()
        for number, each in enumerate(found):
            if isinstance(each, Union):
                self._wrong(f"{path}/{number}", "is a union within a union", "put its types into the outer one")
            elif kind_of(each) in seen:
                self._wrong(f"{path}/{number}", f"{kind_of(each)} is there twice", "leave one out")
            seen.add(kind_of(each))
        return Union(found)

    def _record(self, plain: dict[str, Any], namespace: str, path: str, depth: int) -> Schema:
        kind = str(plain["type"])
        record = self._defined(Record(kind, *self._names(plain, namespace, path)), path)
        inner = record.fullname.rpartition(".")[0]
        fields = plain.get("fields")
        if not isinstance(fields, list):
            return self._wrong(path, "is a record without fields", "give a list of fields, perhaps an empty one")
        seen: set[str] = set()
        for number, each in enumerate(cast("list[Any]", fields)):
            made = self._field(each, inner, f"{path}/fields/{number}", depth)
            if made is None:
                continue
            if made.name in seen:
                self._wrong(f"{path}/fields/{number}/name", f"{made.name!r} is there twice", "rename one")
            seen.add(made.name)
            record.fields.append(made)
        return record

    def _field(self, plain: Any, namespace: str, path: str, depth: int) -> Field | None:
        if not isinstance(plain, dict) or "type" not in plain:
            self._wrong(path, "is no field", "give an object with a name and a type")
            return None
        given = cast("dict[str, Any]", plain)
        name = self._name(given.get("name"), f"{path}/name")
        type_ = self.schema(given["type"], namespace, f"{path}/type", depth + 1)
        aliases = self._texts(given.get("aliases", []), f"{path}/aliases")
        made = Field(name, type_, aliases, given.get("default", NOTHING))
        if made.has_default:
            self.defaults.append(_Default(type_, made.default, f"{path}/default"))
        return made

    def _enum(self, plain: dict[str, Any], namespace: str, path: str) -> Schema:
        symbols = self._texts(plain.get("symbols"), f"{path}/symbols")
        default = plain.get("default", "")
        for number, each in enumerate(symbols):
            self._name(each, f"{path}/symbols/{number}")
        if len(set(symbols)) < len(symbols):
            self._wrong(f"{path}/symbols", "has a symbol twice", "leave one out")
        if default and default not in symbols:
            self._wrong(f"{path}/default", f"{default!r} is not among the symbols", f"one of {', '.join(symbols)}")
        names = self._names(plain, namespace, path)
        return self._defined(Enum("enum", *names, symbols=symbols, default=str(default)), path)

    def _fixed(self, plain: dict[str, Any], namespace: str, path: str) -> Schema:
        size = plain.get("size")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            self._wrong(f"{path}/size", f"is {json.dumps(size)[:80]}", "a whole number, 0 or more")
            size = 0
        return self._defined(Fixed("fixed", *self._names(plain, namespace, path), size=size), path)

    def _defined(self, made: Any, path: str) -> Any:
        if made.fullname in self._known:
            self._wrong(
                f"{path}/name", f"{made.fullname!r} is defined twice", "rename one, or use the first by its name"
            )
        self._known[made.fullname] = made
        return made

    def _names(self, plain: dict[str, Any], namespace: str, path: str) -> tuple[str, tuple[str, ...]]:
        """Return the full name of what is defined, and the full names of its aliases."""
        name, given = plain.get("name"), plain.get("namespace")
        if not isinstance(name, str):
            self._wrong(f"{path}/name", "must be given", "a name of letters, digits and _")
            return f"_{len(self.findings)}", ()
        if given is not None and not isinstance(given, str):
            self._wrong(f"{path}/namespace", f"is {json.dumps(given)[:80]}", "a text")
            given = None
        full = full_name(name, namespace if given is None else given)
        for part in full.split("."):
            self._name(part, f"{path}/name")
        inner = full.rpartition(".")[0]
        aliases = self._texts(plain.get("aliases", []), f"{path}/aliases")
        return full, tuple(full_name(each, inner) for each in aliases)

    def _name(self, name: Any, path: str) -> str:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            self._wrong(path, f"{json.dumps(name)[:80]} is no name", "letters, digits and _, a letter or _ first")
            return f"_{len(self.findings)}"
        return name

    def _texts(self, plain: Any, path: str) -> tuple[str, ...]:
        if not isinstance(plain, list) or not all(isinstance(each, str) for each in cast("list[Any]", plain)):
            self._wrong(path, f"is {json.dumps(plain)[:80]}", "a list of texts")
            return ()
        return tuple(cast("list[str]", plain))


def full_name(name: str, namespace: str) -> str:
    """Return a name with its namespace, unless it has one of its own."""
    return name.removeprefix(".") if "." in name or not namespace else f"{namespace}.{name}"


def kind_of(schema: Schema) -> str:
    """Return what a schema is called within a union: its full name, or its type."""
    return schema.fullname if isinstance(schema, Enum | Fixed | Record) else schema.kind


def fits(value: Any, schema: Schema, depth: int = 0) -> bool:  # noqa: PLR0911 - one for each type
    """Whether plain data are a default of a type, as JSON writes them: bytes are texts of characters up to U+00FF."""
    if depth > DEPTH_MAX:
        return False
    match schema:
        case Primitive(kind=kind):
            return _primitive_fits(value, kind)
        case Enum(symbols=symbols):
            return value in symbols
        case Fixed(size=size):
            return _primitive_fits(value, "bytes") and len(value) == size
        case Many(kind="array", of=of):
            return isinstance(value, list) and all(fits(each, of, depth + 1) for each in cast("list[Any]", value))
        case Many(of=of):
            values = cast("dict[str, Any]", value).values() if isinstance(value, dict) else None
            return values is not None and all(fits(each, of, depth + 1) for each in values)
        case Union(branches=branches):
            return any(fits(value, each, depth + 1) for each in branches)
        case Record(fields=fields):
            if not isinstance(value, dict):
                return False
            given = cast("dict[str, Any]", value)
            return all(
                fits(given[each.name], each.type, depth + 1) if each.name in given else each.has_default
                for each in fields
            )


def _primitive_fits(value: Any, kind: str) -> bool:  # noqa: PLR0911 - one for each type
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    match kind:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "int":
            return is_whole and -(2**31) <= value < 2**31
        case "long":
            return is_whole and -(2**63) <= value < 2**63
        case "float" | "double":
            return is_whole or isinstance(value, float) or value in ("NaN", "Infinity", "-Infinity")
        case "bytes":
            return isinstance(value, str) and all(ord(each) <= 0xFF for each in value)  # noqa: PLR2004 - one byte
        case _:
            return isinstance(value, str)
