"""A parsed path, and how it finds its way through a document: step by step, as Jayway's tokens do.

Two words decide what comes out. A *definite* path names at most one value: `find` returns it, or raises `PathNotFound`.
Any other path finds a list. A step is *upstream definite* when all steps before it are: only then a missing name is an
error, otherwise the branch is passed over.

Documents are walked with the loops of this file, not by recursion, where their depth decides (`..`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, cast

from penstock.core.asl.failures import PathInvalid, PathNotFound
from penstock.core.asl.paths.functions import call_function
from penstock.core.asl.values import Json, json_text

Where: TypeAlias = tuple[str, ...]
"""The place of a value, as the fragments of its path: only put together when an error names it."""


@dataclass(frozen=True, slots=True)
class Name:
    """`.a`, `['a']`, `['a','b']`. `spelt` holds the names as they were written, before escapes were read."""

    names: tuple[str, ...]
    spelt: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Index:
    """`[0]`, `[-1]`, `[0,2]`."""

    indexes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """`[1:3]`, `[1:]`, `[:2]`: Jayway knows no step."""

    start: int | None
    stop: int | None


@dataclass(frozen=True, slots=True)
class Wildcard:
    """`.*`, `[*]`."""


@dataclass(frozen=True, slots=True)
class Scan:
    """`..`: the step after it, at every depth."""


@dataclass(frozen=True, slots=True)
class Filter:
    """`[?(...)]`. The predicate takes the item and the root document."""

    accepts: Callable[[Json, Json], bool]


@dataclass(frozen=True, slots=True)
class Call:
    """`.length()`, `.sum()`: a function of the value before it, and of its arguments."""

    name: str
    arguments: "tuple[Path | Json, ...]" = ()


Step: TypeAlias = Name | Index | Slice | Wildcard | Scan | Filter | Call


def is_definite(step: Step, *, last: bool) -> bool:
    match step:
        case Name(names):
            return len(names) == 1 or last
        case Index(indexes):
            return len(indexes) == 1
        case Call():
            return True
        case _:
            return False


class Path:
    """A path, ready to be used any number of times, by anyone."""

    __slots__ = ("_plain", "definite", "definite_before", "from_item", "steps", "text")

    def __init__(self, text: str, steps: tuple[Step, ...], *, from_item: bool = False) -> None:
        self.text = text
        self.steps = steps
        self.from_item = from_item
        definite = [is_definite(step, last=at == len(steps) - 1) for at, step in enumerate(steps)]
        self.definite_before = tuple(all(definite[:at]) for at in range(len(steps) + 1))
        self.definite = self.definite_before[-1]
        self._plain = _plain_keys(steps)

    def __repr__(self) -> str:
        return f"Path({self.text!r})"

    def find(self, document: Json, root: Json = None, *, required: bool = False, strict: bool = False) -> Json:
        """Return what the path names. `root` is what a `$` inside of a filter means: the document, if not given.

        With `required` every name must be there, also behind an indefinite step: so filters ask whether something exists.
        With `strict` an index outside of an array names nothing; otherwise it names null, as Jayway's reader has it.
        """
        if self._plain is not None:
            found = _direct(self._plain, document)
            if found is not _ELSE:
                return cast("Json", found)
        search = _Search(self, document if root is None else root, required=required, strict=strict)
        search.walk(0, document, ("$",))
        return search.outcome()


def _plain_keys(steps: tuple[Step, ...]) -> tuple[str | int, ...] | None:
    """Return the keys of a path of single names and indexes, which is nearly every path: it needs no search."""
    keys: list[str | int] = []
    for step in steps:
        match step:
            case Name((name,), ()):
                keys.append(name)
            case Index((index,)) if index >= 0:
                keys.append(index)
            case _:
                return None
    return tuple(keys)


_ELSE = object()


def _direct(keys: tuple[str | int, ...], here: Json) -> object:
    """Return the value under the keys, or `_ELSE` when the slow way must say what is wrong."""
    for key in keys:
        if isinstance(here, dict):
            if not isinstance(key, str) or key not in here:
                return _ELSE
            here = here[key]
        elif isinstance(here, list) and isinstance(key, int) and key < len(here):
            here = here[key]
        else:
            return _ELSE
    return here


class _Search:
    """One walk of one path through one document."""

    __slots__ = ("found", "path", "required", "root", "strict")

    def __init__(self, path: Path, root: Json, *, required: bool, strict: bool) -> None:
        self.path = path
        self.root = root
        self.required = required
        self.strict = strict
        self.found: list[Json] = []

    def outcome(self) -> Json:
        if not self.path.definite:
            return self.found
        if not self.found:
            raise PathNotFound(f"No results for path: {_normal(self.path.steps)}")
        return self.found[-1]

    def walk(self, at: int, here: Json, where: Where) -> None:
        """Take the steps from number `at` on. Each kind of step goes on by calling this again."""
        if at == len(self.path.steps):
            self.found.append(here)
            return
        match self.path.steps[at]:
            case Name() as step:
                self._name(step, at, here, where)
            case Index() | Slice() as step:
                self._elements(step, at, here, where)
            case Wildcard():
                self._wildcard(at, here, where)
            case Scan():
                self._scan(at, here, where)
            case Filter(accepts):
                self._filter(accepts, at, here, where)
            case Call() as step:
                self._call(step, at, here, where)

    def _call(self, step: Call, at: int, here: Json, where: Where) -> None:
        values = [each.find(self.root) if isinstance(each, Path) else each for each in step.arguments]
        result = call_function(step.name, here, values)
        self.found.append(result)
        if at + 1 < len(self.path.steps):
            self.walk(at + 1, result, where)

    def _name(self, step: Name, at: int, here: Json, where: Where) -> None:
        if not isinstance(here, dict):
            if self.path.definite_before[at]:
                raise PathNotFound(_no_object(step, here, where))
            return
        last = at + 1 == len(self.path.steps)
        if len(step.names) > 1 and last:
            if self.required and any(name not in here for name in step.names):
                raise PathNotFound(f"Missing property in path {''.join(where)}{_fragment(step)}")
            self.found.append({name: here[name] for name in step.names if name in here})
            return
        for position, name in enumerate(step.names):
            key = name
            if key not in here and step.spelt and step.spelt[position] in here:
                key = step.spelt[position]  # a name whose backslash is part of it: recorded on AWS
            place = (*where, f"['{name}']")
            if key in here:
                self.walk(at + 1, here[key], place)
            elif last and self.required:
                raise PathNotFound(f"No results for path: {''.join(place)}")
            elif not last and (self.required or (self.path.definite_before[at] and len(step.names) == 1)):
                raise PathNotFound(f"Missing property in path {''.join(place)}")

    def _elements(self, step: Index | Slice, at: int, here: Json, where: Where) -> None:
        if isinstance(here, list):
            indexes = step.indexes if isinstance(step, Index) else _range(step, len(here))
            for index in indexes:
                self._element(index, at, here, where)
        elif self.path.definite_before[at]:
            rest = _normal(self.path.steps[at:], root="")
            raise PathNotFound(f"Filter: {rest} can only be applied to arrays. Current context is: {json_text(here)}")

    def _element(self, index: int, at: int, here: list[Json], where: Where) -> None:
        inside = -len(here) <= index < len(here)
        if inside or not self.strict:
            self.walk(at + 1, here[index] if inside else None, (*where, f"[{index}]"))

    def _wildcard(self, at: int, here: Json, where: Where) -> None:
        if isinstance(here, dict):
            for key, value in here.items():
                self.walk(at + 1, value, (*where, f"['{key}']"))
        elif isinstance(here, list):
            for index, value in enumerate(here):
                try:
                    self.walk(at + 1, value, (*where, f"[{index}]"))
                except PathNotFound:
                    if self.required:
                        raise

    def _filter(self, accepts: Callable[[Json, Json], bool], at: int, here: Json, where: Where) -> None:
        if isinstance(here, dict):
            if _accepted(accepts, here, self.root):
                self.walk(at + 1, here, where)
        elif isinstance(here, list):
            for index, value in enumerate(here):
                if _accepted(accepts, value, self.root):
                    self._element(index, at, here, where)
        elif self.path.definite_before[at]:
            rest = _normal(self.path.steps[at:], root="")
            raise PathInvalid(f"Filter: {rest} can not be applied to primitives. Current context is: {json_text(here)}")

    def _scan(self, at: int, here: Json, where: Where) -> None:
        if at + 1 == len(self.path.steps):
            return
        target = self.path.steps[at + 1]
        for value, place in _every_container(here, where):
            if self._scanned(target, value):
                self.walk(at + 1, value, place)

    def _scanned(self, target: Step, value: Json) -> bool:
        match target:
            case Name(names):
                wanted = self.required or (len(names) > 1 and target is not self.path.steps[-1])
                return isinstance(value, dict) and (wanted or all(name in value for name in names))
            case Index() | Slice():
                return isinstance(value, list)
            case Wildcard():
                return True
            case Filter(accepts):
                return _accepted(accepts, value, self.root)
            case _:
                return False


def _range(step: Slice, length: int) -> range:
    """Return the indexes of a slice. With both ends given Jayway does not count from the end: a negative start stays one."""
    start, stop = step.start, step.stop
    if length == 0:
        return range(0)
    if stop is None:
        return range(max(0, start + length if start is not None and start < 0 else start or 0), length)
    if start is None:
        return range(min(length, stop + length if stop < 0 else stop))
    return range(start, min(length, stop))


def _accepted(accepts: Callable[[Json, Json], bool], item: Json, root: Json) -> bool:
    try:
        return accepts(item, root)
    except PathInvalid:
        return False  # what cannot be compared is not filtered in, whatever stands around it


def _every_container(top: Json, where: Where) -> Iterator[tuple[Json, Where]]:
    """Yield the objects and arrays inside of a value, it first, then what it holds, in order."""
    waiting: list[tuple[Json, Where]] = [(top, where)]
    while waiting:
        here, place = waiting.pop()
        if isinstance(here, dict):
            yield here, place
            waiting.extend((value, (*place, f"['{key}']")) for key, value in reversed(here.items()))
        elif isinstance(here, list):
            yield here, place
            waiting.extend((value, (*place, f"[{index}]")) for index, value in reversed(list(enumerate(here))))


def _fragment(step: Step) -> str:  # noqa: PLR0911 - one line for each kind
    match step:
        case Name(names):
            return f"[{','.join(_quoted(name) for name in names)}]"
        case Index(indexes):
            return f"[{','.join(map(str, indexes))}]"
        case Slice(start, stop):
            return f"[{'' if start is None else start}:{'' if stop is None else stop}]"
        case Wildcard():
            return "[*]"
        case Scan():
            return ".."
        case Filter():
            return "[?]"
        case Call(name, arguments):
            return f".{name}({'...' if arguments else ''})"


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _normal(steps: tuple[Step, ...], *, root: str = "$") -> str:
    return root + "".join(map(_fragment, steps))


def _no_object(step: Name, here: Json, where: Where) -> str:
    return (
        f"Expected to find an object with property {_fragment(step)} in path {''.join(where)} but found '{_kind(here)}'. "
        "This is not a json object according to the JsonProvider: "
        "'com.jayway.jsonpath.spi.json.JacksonJsonNodeJsonProvider'."
    )


_INT32_MAX = 2**31 - 1


def _kind(value: Json) -> str:
    """Return the name of Jackson's class for a value: AWS's causes hold it."""
    match value:
        case None:
            name = "NullNode"
        case bool():
            name = "BooleanNode"
        case int():
            name = "IntNode" if -_INT32_MAX - 1 <= value <= _INT32_MAX else "LongNode"
        case float():
            name = "DoubleNode"
        case str():
            name = "TextNode"
        case list():
            name = "ArrayNode"
        case dict():
            name = "ObjectNode"
    return f"com.fasterxml.jackson.databind.node.{name}"
