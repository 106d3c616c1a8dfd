"""Whether a reader's Avro schema can read what was written under another: schema resolution, by the specification of Avro 1.12.

What is in the way is said as Java's library says it (`SchemaCompatibility`): a kind, a place in the reader's schema, and words.
Names agree by their last part, and by the reader's aliases in full, as there.
"""

from typing import NamedTuple

from penstock.core.schemas.avro import Enum, Field, Fixed, Many, Primitive, Record, Schema, Union

_PROMOTED = {
    "long": ("int",),
    "float": ("int", "long"),
    "double": ("int", "long", "float"),
    "bytes": ("string",),
    "string": ("bytes",),
}


class Obstacle(NamedTuple):
    """Why a reader cannot read what a writer wrote."""

    kind: str
    location: str
    message: str

    def __str__(self) -> str:
        return f"{self.location}: {self.kind} ({self.message})"


Place = tuple[str, ...]
_Obstacles = tuple[Obstacle, ...]


def obstacles(reader: Schema, writer: Schema) -> list[Obstacle]:
    """Return what keeps a reader from reading what a writer wrote; nothing when it can."""
    return list(_Comparison().compare(reader, writer, ()))


class _Comparison:
    def __init__(self) -> None:
        # Pairs that were compared. One that is being compared counts as readable: what is recursive ends.
        self._known: dict[tuple[int, int], _Obstacles] = {}

    def compare(self, reader: Schema, writer: Schema, place: Place) -> _Obstacles:
        pair = (id(reader), id(writer))
        known = self._known.get(pair)
        if known is None:
            self._known[pair] = ()
            known = self._known[pair] = self._compared(reader, writer, place)
        return known

    def _compared(  # noqa: PLR0911 - one for each pair of types
        self, reader: Schema, writer: Schema, place: Place
    ) -> _Obstacles:
        match reader, writer:
            case Union(), Union():
                return self._unions(reader, writer, place)
            case _, Union():
                return tuple(
                    found
                    for number, each in enumerate(writer.branches)
                    for found in self.compare(reader, each, (*place, str(number)))
                )
            case Union(), _:
                if any(not self._fresh(each, writer) for each in reader.branches):
                    return ()
                return (_lacking(writer, place),)
            case Record(), Record():
                return (*_names(reader, writer, place), *self._fields(reader, writer, place))
            case Enum(), Enum():
                return (*_names(reader, writer, place), *_symbols(reader, writer, place))
            case Fixed(), Fixed():
                return (*_names(reader, writer, place), *_sizes(reader, writer, place))
            case Many(kind=one), Many(kind=other) if one == other:
                part = "items" if one == "array" else "values"
                return self.compare(reader.of, writer.of, (*place, part))
            case Primitive(kind=one), Primitive(kind=other) if one == other or other in _PROMOTED.get(one, ()):
                return ()
            case _:
                one, other = reader.kind.upper(), writer.kind.upper()
                return (
                    Obstacle(
                        "TYPE_MISMATCH", _at(place), f"reader type: {one} not compatible with writer type: {other}"
                    ),
                )

    def _unions(self, reader: Union, writer: Union, place: Place) -> _Obstacles:
        return tuple(
            _lacking(each, (*place, str(number)))
            for number, each in enumerate(writer.branches)
            if self.compare(reader, each, (*place, str(number)))
        )

    def _fresh(self, reader: Schema, writer: Schema) -> _Obstacles:
        return self.compare(reader, writer, ())

    def _fields(self, reader: Record, writer: Record, place: Place) -> _Obstacles:
        found: list[Obstacle] = []
        for number, each in enumerate(reader.fields):
            here = (*place, "fields", str(number))
            written = _written(each, writer)
            if len(written) > 1:
                names = ", ".join(sorted(written))
                found.append(Obstacle("AMBIGUOUS_FIELD", _at(here), f"{each.name} is several of the writer's: {names}"))
            elif written:
                (field,) = written.values()
                found += self.compare(each.type, field.type, (*here, "type"))
            elif not each.has_default and isinstance(each.type, Enum) and each.type.default:
                # Java compares the enum with the whole record here; that never agrees, and says so in other words.
                found += self.compare(each.type, writer, (*here, "type"))
            elif not each.has_default:
                found.append(Obstacle("READER_FIELD_MISSING_DEFAULT_VALUE", _at(here), each.name))
        return tuple(found)


def _written(field: Field, writer: Record) -> dict[str, Field]:
    """Return the writer's fields that a reader's field takes: of its name or of one of its aliases."""
    names = {field.name, *field.aliases}
    return {each.name: each for each in writer.fields if each.name in names}


def _names(reader: Record | Enum | Fixed, writer: Record | Enum | Fixed, place: Place) -> _Obstacles:
    if reader.name == writer.name or writer.fullname in reader.aliases:
        return ()
    return (Obstacle("NAME_MISMATCH", _at((*place, "name")), f"expected: {writer.fullname}"),)


def _symbols(reader: Enum, writer: Enum, place: Place) -> _Obstacles:
    missing = [each for each in writer.symbols if each not in reader.symbols]
    if not missing or reader.default:
        return ()
    return (Obstacle("MISSING_ENUM_SYMBOLS", _at((*place, "symbols")), f"[{', '.join(missing)}]"),)


def _sizes(reader: Fixed, writer: Fixed, place: Place) -> _Obstacles:
    if reader.size == writer.size:
        return ()
    return (Obstacle("FIXED_SIZE_MISMATCH", _at((*place, "size")), f"expected: {writer.size}, found: {reader.size}"),)


def _lacking(writer: Schema, place: Place) -> Obstacle:
    kind = writer.kind.upper()
    return Obstacle("MISSING_UNION_BRANCH", _at(place), f"reader union lacking writer type: {kind}")


def _at(place: Place) -> str:
    return "/" + "/".join(place)
