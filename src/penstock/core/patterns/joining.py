"""Whether the fields of a branch hold together: values from one list must come from one and the same element of it.

Fields are judged in the order of their paths. A field that is to be absent is, if no value of it lies in the elements that the
fields before it were found in. The elements that are possible so far are kept as a set, without those that no later field can
contradict; lists that share no field are judged apart. So the set is as small as the event, but where one path leads into
several lists (`a.b` written in two ways): there its size is bounded.
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from penstock.core.patterns.conditions import Field
from penstock.core.patterns.fields import Fields, Place
from penstock.errors import LimitReached

STATES_MAX = 100_000

State = dict[int, int]
"""List to element: in which elements the fields so far were found."""
_Kept = frozenset[tuple[int, int]]


class _Tree:
    """Places, by list and element from the outside in."""

    __slots__ = ("end", "lists")

    def __init__(self) -> None:
        self.end = False
        self.lists: dict[int, dict[int, _Tree]] = {}

    def add(self, place: Place) -> None:
        tree = self
        for number, at in place:
            elements = tree.lists.setdefault(number, {})
            after = elements.get(at)
            tree = elements[at] = _Tree() if after is None else after
        tree.end = True

    def within(self, state: State, way: Place = ()) -> Iterator[Place]:
        """Give the places that contradict none of the elements."""
        if self.end:
            yield way
        for number, elements in self.lists.items():
            at = state.get(number)
            if at is None:
                for each, tree in elements.items():
                    yield from tree.within(state, (*way, (number, each)))
            elif at in elements:
                yield from elements[at].within(state, (*way, (number, at)))


class _Part(Struct):
    """One field of the branch: where it is accepted, and where it is at all if it may be absent."""

    accepted: _Tree
    present: _Tree | None
    lists: frozenset[int]
    """Those that it can be found in."""


def hold_together(branch: Sequence[Field], fields: Fields) -> bool:
    """Whether there are elements of the event's lists in which all fields hold at once."""
    parts: list[_Part] = []
    presence_matters = any(field.may_be_absent for field in branch)
    for field in branch:
        values = fields.values.get(field.path, [])
        places = fields.places.get(field.path)
        if places is None:
            if not field.accepts(values):
                return False
            continue
        part = _part(field, fields, places)
        if part.accepted.end and not presence_matters:
            continue  # found outside of any list: no element can contradict it
        if not (part.accepted.end or part.accepted.lists or part.present):
            return False
        parts.append(part)
    return all(_possible(group) for group in _apart(parts))


def _part(field: Field, fields: Fields, places: list[Place]) -> _Part:
    accepted = _Tree()
    used: set[int] = set()
    for value, place in zip(fields.values[field.path], places, strict=True):
        if any(condition.accepts(value) for condition in field.conditions):
            accepted.add(place)
            used.update(number for number, _ in place)
    if not field.may_be_absent:
        return _Part(accepted, None, frozenset(used))
    present = _Tree()
    for place in places:
        present.add(place)
        used.update(number for number, _ in place)
    return _Part(accepted, present, frozenset(used))


def _apart(parts: list[_Part]) -> list[list[_Part]]:
    """Return the parts in groups that have no list in common, each in the order that they had."""
    groups: list[tuple[set[int], list[int]]] = []
    for number, part in enumerate(parts):
        joined = [group for group in groups if group[0] & part.lists]
        groups = [group for group in groups if not group[0] & part.lists]
        groups.append(
            (
                set(part.lists).union(*(group[0] for group in joined)),
                [*(each for group in joined for each in group[1]), number],
            )
        )
    return [[parts[number] for number in sorted(numbers)] for _, numbers in groups]


def _possible(parts: list[_Part]) -> bool:
    states: set[_Kept] = {frozenset()}
    for number, part in enumerate(parts[:-1]):
        later = {each for part_after in parts[number + 1 :] for each in part_after.lists}
        after: set[_Kept] = set()
        for state in states:
            for place in _places(part, dict(state)):
                after.add(frozenset(pair for pair in {*state, *place} if pair[0] in later))
            if len(after) > STATES_MAX:
                raise LimitReached("combinations of list elements in an event", len(after), STATES_MAX)
        states = after
    return not parts or any(True for state in states for _ in _places(parts[-1], dict(state)))


def _places(part: _Part, elements: State) -> Iterator[Place]:
    """Give where the field can be found from where the ones before it were; nowhere in particular, if it is absent there."""
    if part.present is not None and next(part.present.within(elements), None) is None:
        yield ()
    yield from part.accepted.within(elements)
