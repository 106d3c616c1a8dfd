"""What comes in the body of a request: where a field is unknown, the finding names those that are known."""

from collections.abc import Sequence

from pydantic import BaseModel, ValidationError

from penstock.core.events.event import Event
from penstock.errors import Finding, Invalid

_UNKNOWN = "extra_forbidden"  # pydantic's word


def taken(event: type[Event], data: bytes, type: str = "") -> Event:
    """Return the event in `data`, of an older version if `type` says so; `Invalid` with all findings when it does not fit."""
    try:
        return event.decoded_as(type or event.type_, data)
    except Invalid as error:
        if not isinstance(error.__cause__, ValidationError):
            raise
        kinds = [(each["type"], each["loc"]) for each in error.__cause__.errors(include_url=False)]
        findings = (
            Finding(found.path, found.problem, found.hint or known_fields(event, kind, place))
            for found, (kind, place) in zip(error.findings, kinds, strict=True)
        )
        raise Invalid(error.what, tuple(findings)) from error


def known_fields(model: type[BaseModel], kind: str, place: Sequence[str | int]) -> str:
    """Return the hint to what pydantic found at a place of a model: its fields, if it has none of that name."""
    if kind != _UNKNOWN or len(place) != 1:
        return ""
    return f"the fields are {', '.join(model.model_fields)}" if model.model_fields else "it has no fields"
