"""What a path finds in an item, and how an item is changed there."""

from typing import Any, cast

from penstock.core.tables.refusals import invalid
from penstock.core.tables.tokens import Path
from penstock.core.tables.values import Item, Value, content_of, type_of

WRONG_PATH = "The document path provided in the update expression is invalid for update"


def found(item: Item, path: Path) -> Value | None:
    """Return the value at a path, or None."""
    value: Value | None = item.get(cast("str", path[0]))
    for part in path[1:]:
        value = None if value is None else _below(value, part)
    return value


def put(item: Item, path: Path, value: Value) -> None:
    """Set the value at a path in an item of one's own. What is above it must be there; an index behind a list's end appends."""
    if len(path) == 1:
        item[cast("str", path[0])] = value
        return
    above, last = found(item, path[:-1]), path[-1]
    content: Any = None if above is None else content_of(above)
    if isinstance(last, str) and above is not None and "M" in above:
        content[last] = value
    elif isinstance(last, int) and above is not None and "L" in above:
        if last < len(content):
            content[last] = value
        else:
            content.append(value)
    else:
        raise invalid(WRONG_PATH)


def remove(item: Item, path: Path) -> None:
    """Take away what is at a path, if it is there. What is above it must be."""
    if len(path) == 1:
        item.pop(cast("str", path[0]), None)
        return
    above, last = found(item, path[:-1]), path[-1]
    content: Any = None if above is None else content_of(above)
    if isinstance(last, str) and above is not None and "M" in above:
        content.pop(last, None)
    elif isinstance(last, int) and above is not None and "L" in above:
        if last < len(content):
            del content[last]
    else:
        raise invalid(WRONG_PATH)


def projected(item: Item, paths: list[Path]) -> Item:
    """Return only what paths find, in the shape that the item has. Elements of lists close ranks."""
    taken: Item = {}
    for path in _by_place(paths):
        value = found(item, path)
        if value is not None:
            _graft(taken, path, value)
    return _compact(taken)


def _by_place(paths: list[Path]) -> list[Path]:
    """Sort by place, so that elements of a list keep their order."""
    return sorted(paths, key=lambda path: [(isinstance(part, str), str(part).rjust(12, "0")) for part in path])


def _graft(taken: Item, path: Path, value: Value) -> None:
    at: dict[Any, Any] = taken
    for depth, part in enumerate(path[:-1], start=1):
        kind = "L" if isinstance(path[depth], int) else "M"
        # A list is a dict by index here until all is taken.
        at = at.setdefault(part, {kind: {}})[kind]
    at[path[-1]] = value


def _compact(taken: dict[Any, Any]) -> dict[str, Any]:
    return {name: _compacted(value) for name, value in taken.items()}


def _compacted(value: Value) -> Value:
    kind, content = type_of(value), content_of(value)
    if not isinstance(content, dict):
        return value
    below = _compact(cast("dict[Any, Any]", content))
    return {kind: list(below.values()) if kind == "L" else below}


def _below(value: Value, part: str | int) -> Value | None:
    content = content_of(value)
    if isinstance(part, str):
        return content.get(part) if "M" in value else None
    return content[part] if "L" in value and part < len(content) else None
