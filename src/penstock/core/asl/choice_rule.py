"""A rule of a Choice state, as the document writes it: a Condition in JSONata, or one comparison in JSONPath.

The fields are the operators' names in snake case. `core/asl/choices.py` evaluates them.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, Struct, field


class ChoiceRule(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """`ChoiceRule(variable="$.kind", string_equals="refund", next="Refund")`. Nested rules have no `next`."""

    next: str | None = None
    comment: str | None = None
    assign: Mapping[str, Any] | None = None
    output: Any = UNSET

    condition: str | bool | None = None

    variable: str | None = None
    and_: "tuple[ChoiceRule, ...] | None" = field(default=None, name="And")
    or_: "tuple[ChoiceRule, ...] | None" = field(default=None, name="Or")
    not_: "ChoiceRule | None" = field(default=None, name="Not")

    is_present: bool | None = None
    is_null: bool | None = None
    is_boolean: bool | None = None
    is_numeric: bool | None = None
    is_string: bool | None = None
    is_timestamp: bool | None = None
    boolean_equals: bool | None = None
    boolean_equals_path: str | None = None
    string_matches: str | None = None
    string_equals: str | None = None
    string_equals_path: str | None = None
    string_less_than: str | None = None
    string_less_than_path: str | None = None
    string_less_than_equals: str | None = None
    string_less_than_equals_path: str | None = None
    string_greater_than: str | None = None
    string_greater_than_path: str | None = None
    string_greater_than_equals: str | None = None
    string_greater_than_equals_path: str | None = None
    numeric_equals: int | float | None = None
    numeric_equals_path: str | None = None
    numeric_less_than: int | float | None = None
    numeric_less_than_path: str | None = None
    numeric_less_than_equals: int | float | None = None
    numeric_less_than_equals_path: str | None = None
    numeric_greater_than: int | float | None = None
    numeric_greater_than_path: str | None = None
    numeric_greater_than_equals: int | float | None = None
    numeric_greater_than_equals_path: str | None = None
    timestamp_equals: str | None = None
    timestamp_equals_path: str | None = None
    timestamp_less_than: str | None = None
    timestamp_less_than_path: str | None = None
    timestamp_less_than_equals: str | None = None
    timestamp_less_than_equals_path: str | None = None
    timestamp_greater_than: str | None = None
    timestamp_greater_than_path: str | None = None
    timestamp_greater_than_equals: str | None = None
    timestamp_greater_than_equals_path: str | None = None
