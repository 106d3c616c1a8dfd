"""What waits for a person to approve it: which there is, and what was answered."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from penstock.gateway.callers import IdempotencyKey, RunningApp, Tenant, event_id
from penstock.gateway.people_shapes import Approval, approval_shape
from penstock.gateway.problems import documented
from penstock.gateway.runs import LISTED, Limit

routes = APIRouter(prefix="/v1", tags=["approvals"])
BY_CHARS_MAX = 200
REASON_CHARS_MAX = 2000


class Approvals(BaseModel):
    """What waits for approval, that of the newest runs first."""

    approvals: list[Approval]


class Answer(BaseModel):
    """What a person says."""

    model_config = ConfigDict(extra="forbid")

    approved: bool
    value: Annotated[Any, Field(description="Where a value is asked for.")] = None
    by: Annotated[str, Field(max_length=BY_CHARS_MAX, description="Who says so; it is kept with the run.")] = ""
    reason: Annotated[str, Field(max_length=REASON_CHARS_MAX, description="Why; the run gets it.")] = ""


class Counted(BaseModel):
    """The answer counts."""

    id: str
    approved: bool


@routes.get("/approvals", summary="List approvals", responses=documented(422, 503))
async def list_approvals(running: RunningApp, tenant: Tenant, limit: Limit = LISTED) -> Approvals:
    """Return what of the tenant waits for a person to approve it."""
    found = await running.approvals(tenant=tenant, limit=limit)
    return Approvals(approvals=[approval_shape(each) for each in found])


@routes.post("/approvals/{id:path}", summary="Answer", responses=documented(404, 409, 422, 503))
async def answer_approval(
    id: str, answer: Answer, running: RunningApp, tenant: Tenant, idempotency_key: IdempotencyKey = None
) -> Counted:
    """Approve or reject what waits for it; 409 says what an earlier answer was, 422 all that is wrong with this one."""
    chosen = None if idempotency_key is None else event_id(tenant, idempotency_key, source=f"approval {id}")
    said: dict[str, Any] = {"by": answer.by, "reason": answer.reason, "tenant": tenant, "answer_id": chosen}
    if answer.approved:
        await running.approve(id, answer.value, **said)
    else:
        await running.reject(id, **said)
    return Counted(id=id, approved=answer.approved)
