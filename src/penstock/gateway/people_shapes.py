"""What people are asked, and what runs expose, as the outside sees it: over HTTP and on the command line."""

from typing import Any

import msgspec
from pydantic import BaseModel, Field

from penstock.core.agents.exposing import Exposed
from penstock.runtime import questions as runtime


class Approval(BaseModel):
    """What a run asks a person to approve."""

    id: str
    run_id: str
    step: str
    agent: str
    tenant: str
    title: str
    asked_ms: int
    payload: Any = Field(default=None, description="What there is to look at.")
    options: list[Any] | None = Field(default=None, description="The value is one of these; null: any, or none.")
    json_schema: dict[str, Any] | None = Field(
        default=None, description="The type of the value; null: none is asked for."
    )
    due_ms: int | None = Field(default=None, description="When it ends without an answer; null: never.")
    reason: str = Field(default="", description="Why the last answer was none.")


class Query(BaseModel):
    """A value that a run exposes."""

    name: str
    value: Any = None
    at_ms: int = Field(description="When the run exposed it.")


def approval_shape(asked: runtime.AskedApproval) -> Approval:
    """Return an approval as the outside sees it."""
    fields = msgspec.structs.asdict(asked)
    schema = fields.pop("schema")
    return Approval(**fields, json_schema=schema)


def query_shape(name: str, each: Exposed) -> Query:
    """Return a value as the outside sees it."""
    return Query(name=name, value=each.value, at_ms=each.at_ms)
