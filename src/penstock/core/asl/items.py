"""The items of a Map that come from its input."""

from typing import NamedTuple, TypeAlias

from penstock.core.asl import definition as asl
from penstock.core.asl.jsonata.templates import QueryTemplate
from penstock.core.asl.program import Step
from penstock.core.asl.references import parse_data_path, read_items
from penstock.core.asl.scope import Scope
from penstock.core.asl.values import Json


class Member(NamedTuple):
    """One member of an object that a Map goes through."""

    key: str
    value: Json


Item: TypeAlias = "Member | Json"


def items_of(step: Step, scope: Scope, effective: Json) -> list[Item]:
    """Return the items: values, or the members of an object."""
    template = step.templates.get("Items")
    if isinstance(template, QueryTemplate):
        items = template.evaluate(scope, expected="array")
        assert isinstance(items, list), "a constant that is no list has a finding"
        return list(items)
    if step.uses_jsonata:
        found: Json = effective
    else:
        members = isinstance(step.state, asl.Map) and step.state.distributed
        found = read_items(step.items_path or parse_data_path("$"), scope.over(effective), members=members)
    assert isinstance(found, list | dict), "read_items lets nothing else pass"
    return items_in(found)


def items_in(found: "list[Json] | dict[str, Json]") -> list[Item]:
    """Return the values of a list, or the members of an object."""
    return [Member(*each) for each in found.items()] if isinstance(found, dict) else list(found)
