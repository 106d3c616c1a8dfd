"""What differs between two pieces of plain data, place by place."""

from collections.abc import Iterable
from typing import Any, cast

SHOWN_MAX = 200
Difference = tuple[str, str]  # path, problem


def differences(given: Any, recorded: Any, path: str = "") -> list[Difference]:
    """Return every place at which `given` is not what was recorded."""
    if isinstance(given, dict) and isinstance(recorded, dict):
        mine, theirs = cast("dict[str, Any]", given), cast("dict[str, Any]", recorded)
        found = [_of_member(mine, theirs, name, f"{path}.{name}" if path else name) for name in {**mine, **theirs}]
        return [each for of_member in found for each in of_member]
    if isinstance(given, list) and isinstance(recorded, list):
        one, other = cast("list[Any]", given), cast("list[Any]", recorded)
        both = zip(one, other, strict=False)
        found = [differences(mine, theirs, f"{path}[{n}]") for n, (mine, theirs) in enumerate(both)]
        if len(one) != len(other):
            found.append([(path or "(whole)", f"has {len(one)} items, recorded were {len(other)}")])
        return [each for of_item in found for each in of_item]
    if _is_same(given, recorded):
        return []
    return [(path or "(whole)", f"is {_shown(given)}, recorded was {_shown(recorded)}")]


def fewest(each: Iterable[list[Difference]]) -> list[Difference]:
    """Return the shortest list: what differs from the one that is most alike."""
    return min(each, key=len)


def _of_member(given: dict[str, Any], recorded: dict[str, Any], name: str, path: str) -> list[Difference]:
    if name not in recorded:
        return [(path, f"is {_shown(given[name])}, and was not recorded")]
    if name not in given:
        return [(path, f"is not given, recorded was {_shown(recorded[name])}")]
    return differences(given[name], recorded[name], path)


def _is_same(given: Any, recorded: Any) -> bool:
    return given == recorded and type(given) is type(recorded)  # True is not 1 here


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}..."
