"""The fields of an event that some rule asks about: their values by path, and where they lie in lists of objects.

Names on the way are joined by dots, in patterns and events alike: `{"a": {"b": 1}}` and `{"a.b": 1}` are one field. A list
stands for its elements. Fields that no rule names are passed over without a look inside.
"""

from collections.abc import Mapping
from typing import cast

from penstock.core.patterns.conditions import Value
from penstock.errors import LimitReached

LISTS_DEEP_MAX = 100

Place = tuple[tuple[int, int], ...]
"""The lists around a value, from the outside, each with the number of the element. Lists are numbered through the event."""


class Steps:
    """The paths that rules ask about, as a tree of names; each with the number of rules that need it."""

    __slots__ = ("below", "path", "uses")

    def __init__(self) -> None:
        self.below: dict[str, Steps] = {}
        self.path: str | None = None
        self.uses = 0

    def add(self, path: str) -> None:
        """Ask about a path."""
        step = self
        for name in path.split("."):
            step = step.below.setdefault(name, Steps())
            step.uses += 1
        step.path = path

    def discard(self, path: str) -> None:
        """Ask no more about a path, as often as it was added."""
        step = self
        for name in path.split("."):
            after = step.below[name]
            after.uses -= 1
            if not after.uses:
                del step.below[name]
                return
            step = after
        # Others go on through here; whether they ask about this very path is what they add up to.
        if step.uses == sum(each.uses for each in step.below.values()):
            step.path = None

    def walk(self, names: str) -> "Steps | None":
        """Return where several names that are joined by dots lead."""
        step: Steps | None = self
        for name in names.split("."):
            step = step.below.get(name) if step is not None else None
        return step


class Fields:
    """What one event has of the paths that are asked about."""

    __slots__ = ("_lists", "places", "values")

    def __init__(self, steps: Steps, event: Mapping[str, object]) -> None:
        self.values: dict[str, list[Value]] = {}
        self.places: dict[str, list[Place]] = {}
        """Of paths with a value in a list of objects: the place of each of the values. Of other paths, nothing."""
        self._lists = 0
        self._object(steps, event, ())

    def _object(self, steps: Steps, members: Mapping[str, object], place: Place) -> None:
        below = steps.below
        for name, value in members.items():
            step = below.get(name) or ("." in name and steps.walk(name))
            if not step:
                continue
            if isinstance(value, str):
                if step.path is not None:
                    self._value(step.path, value, place)
            elif isinstance(value, dict):
                if step.below:
                    self._object(step, cast("dict[str, object]", value), place)
            elif isinstance(value, list):
                self._list(step, cast("list[object]", value), place)
            elif step.path is not None:
                self._value(step.path, cast("Value", value), place)

    def _list(self, step: Steps, elements: list[object], place: Place) -> None:
        number = self._lists
        self._lists += 1
        if len(place) > LISTS_DEEP_MAX:
            raise LimitReached("lists inside of lists in an event", len(place), LISTS_DEEP_MAX)
        for at, element in enumerate(elements):
            if isinstance(element, dict):
                self._object(step, cast("dict[str, object]", element), (*place, (number, at)))
            elif isinstance(element, list):
                self._list(step, cast("list[object]", element), (*place, (number, at)))
            elif step.path is not None:
                self._value(step.path, cast("Value", element), place)

    def _value(self, path: str, value: Value, place: Place) -> None:
        values = self.values.get(path)
        if values is None:
            values = self.values[path] = []
        values.append(value)
        if place or path in self.places:
            places = self.places.setdefault(path, [()] * (len(values) - 1))
            places.append(place)
