"""Says why an event does not match a pattern: by branch, the fields that do not hold and what the event has there."""

from collections.abc import Mapping

from msgspec import Struct

from penstock.core.patterns.conditions import Pattern, Value
from penstock.core.patterns.fields import Fields, Steps
from penstock.core.patterns.joining import hold_together


class Unmet(Struct, frozen=True):
    """Something that a branch of a pattern asks for and an event does not have."""

    path: str
    problem: str
    values: tuple[Value, ...] = ()


def unmet(pattern: Pattern, event: Mapping[str, object]) -> list[tuple[Unmet, ...]]:
    """Return for each branch what it lacks; the pattern matches when one of them lacks nothing."""
    steps = Steps()
    for branch in pattern.branches:
        for field in branch:
            steps.add(field.path)
    fields = Fields(steps, event)
    lacking: list[tuple[Unmet, ...]] = []
    for branch in pattern.branches:
        found = tuple(
            Unmet(field.path, "no value matches" if field.path in fields.values else "is absent", tuple(values))
            for field in branch
            for values in [fields.values.get(field.path, [])]
            if not (field.accepts(values) or (field.may_be_absent and field.path in fields.places))
        )
        if not found and not hold_together(branch, fields):
            paths = ", ".join(field.path for field in branch if field.path in fields.places)
            found = (Unmet(paths, "match in different elements of a list, not in one"),)
        lacking.append(found)
    return lacking
