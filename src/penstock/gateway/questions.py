"""Steps that wait for people: which there are, and what was decided about one."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from penstock.gateway.callers import RunningApp, Tenant
from penstock.gateway.problems import documented
from penstock.gateway.runs import LISTED, Limit, Said
from penstock.gateway.shapes import Question, question_shape

routes = APIRouter(prefix="/v1", tags=["questions"])


class Questions(BaseModel):
    """Steps whose outcome nobody knows, those of the newest runs first."""

    questions: list[Question]


class Decision(BaseModel):
    """What is known of a step by now."""

    step: Annotated[str, Field(max_length=8192, description="The step, as the question names it.")]
    outcome: Annotated[
        Literal["done", "retry", "fail"],
        Field(
            description="done: it happened, and returned `value`; retry: call the tool again; fail: the step failed."
        ),
    ]
    value: Annotated[Any, Field(description="What the tool returned, when it is done.")] = None
    by: Annotated[str, Field(max_length=200, description="Who says so; it is kept with the run.")] = ""


@routes.get("/questions", summary="List questions", responses=documented(422, 503))
async def list_questions(running: RunningApp, tenant: Tenant, limit: Limit = LISTED) -> Questions:
    """Return the tenant's steps that wait for a person: whether their call happened is not known."""
    found = await running.questions(tenant=tenant, limit=limit)
    return Questions(questions=[question_shape(each) for each in found])


@routes.post("/runs/{id}/decisions", status_code=202, summary="Decide", responses=documented(404, 422, 503))
async def decide(id: str, decision: Decision, running: RunningApp, tenant: Tenant) -> Said:
    """Decide about a step that waits for it; the first decision counts."""
    said = decision
    sent = await running.decide(id, said.step, said.outcome, said.value, by=said.by, tenant=tenant)
    return Said(event_id=sent)
