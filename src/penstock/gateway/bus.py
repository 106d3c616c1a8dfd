"""Events for the app's buses, as EventBridge's PutEvents takes them."""

from typing import Annotated, Any

from fastapi import APIRouter, Header
from pydantic import BaseModel, ConfigDict, Field

from penstock.gateway.callers import RunningApp, Tenant
from penstock.gateway.problems import documented

routes = APIRouter(prefix="/v1", tags=["events"])
Key = Annotated[
    str | None, Header(alias="Idempotency-Key", description="The same key twice is one call.", max_length=512)
]


class PutEvents(BaseModel):
    """Up to 10 entries: Source, DetailType, Detail (an object, or its JSON), and perhaps EventBusName, Time, Resources."""

    model_config = ConfigDict(extra="forbid")
    Entries: list[dict[str, Any]] = Field(min_length=1, max_length=10)


class PutAnswer(BaseModel):
    """An id for each entry that a bus took, and an error for each that it did not."""

    FailedEntryCount: int
    Entries: list[dict[str, Any]]


@routes.post("/bus", summary="Put events on buses", response_model=PutAnswer, responses=documented(413, 422, 503))
async def put_events(given: PutEvents, running: RunningApp, tenant: Tenant, key: Key = None) -> Any:
    """Put events on the buses that the app's rules watch; what was taken is durable when the answer comes."""
    call = None if key is None else f"bus~{tenant}~{key}"
    return await running.put_events(list(given.Entries), id=call, tenant=tenant)
