"""What waits for each agent, and why."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from penstock.gateway.callers import RunningApp
from penstock.gateway.problems import documented

routes = APIRouter(prefix="/v1", tags=["agents"])


class QueueShown(BaseModel):
    """The events of one agent that are not handled yet, in the partitions of the worker that answers."""

    agent: str
    running: int = Field(description="Handlings under way.")
    waiting: int = Field(description="Events whose turn has come, and that wait for a place, a limit or a rate.")
    held: int = Field(
        description="Events that wait for another one of their key, for another attempt, or for the end of debounce_s."
    )
    in_log: int = Field(description="Events that are not in memory yet.")
    oldest_ms: int | None = Field(description="When the oldest of all these was accepted.")
    limits: list[str] = Field(description="What the flow of the agent says.")


class Queues(BaseModel):
    """What waits for each agent."""

    queues: list[QueueShown]


@routes.get("/queues", summary="List queues", responses=documented(503))
async def list_queues(running: RunningApp) -> Queues:
    """Return what waits for each agent of the app, of all tenants, and why."""
    found = await running.engine.queues()
    mine = [each for each in found if each.agent in running.app.agents or each.agent in running.app.stages]
    return Queues(
        queues=[
            QueueShown(
                agent=each.agent,
                running=each.running,
                waiting=each.waiting,
                held=each.held,
                in_log=each.in_log,
                oldest_ms=each.oldest_ms,
                limits=list(each.limits),
            )
            for each in mine
        ]
    )
