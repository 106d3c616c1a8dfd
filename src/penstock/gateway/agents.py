"""Calling agents: one route for each, so that the API page shows what each of them takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from penstock.app import Running
from penstock.core.agents.declaration import Agent
from penstock.core.agents.machine_events import MachineInput
from penstock.core.agents.unit import Status
from penstock.core.events.envelope import run_id
from penstock.core.events.event import Event
from penstock.errors import Finding, Invalid, Missing, Refused
from penstock.gateway.bodies import taken
from penstock.gateway.callers import IdempotencyKey, OpenVisits, RunningApp, Tenant, event_id
from penstock.gateway.listing import Agents, about, agents_shown
from penstock.gateway.problems import documented
from penstock.gateway.runs import run_of
from penstock.gateway.shapes import is_over, result_of
from penstock.runtime.followed_runs import ended

_WHO_HANDLES = (
    "The event is appended, and every agent that takes it handles it, not this one alone; "
    "the answer is this agent's result."
)
_WHO_HANDLES_BATCHES = "It takes batches, which have no run of their own: send its events to `/v1/events`."
WAIT_S = 30.0
WAIT_S_MAX = 300.0
_Wait = Annotated[
    float,
    Query(ge=0, le=WAIT_S_MAX, description="How long to wait for the run's end, in seconds; 0: not at all."),
]
_Type = Annotated[str | None, Query(description="The event type of the body; needed where the agent takes several.")]


@dataclass(frozen=True, slots=True)
class _Call:
    """What a caller says beside the event."""

    tenant: str
    wait_s: float
    type: str | None
    event_id: str | None


async def _call(
    tenant: Tenant, wait_s: _Wait = WAIT_S, type: _Type = None, idempotency_key: IdempotencyKey = None
) -> _Call:
    id = None if idempotency_key is None else event_id(tenant, idempotency_key)  # noqa: A001 - the field's own word
    return _Call(tenant, wait_s, type, id)


_Asked = Annotated[_Call, Depends(_call)]


class Accepted(BaseModel):
    """The event is durable, and its run goes on: ask `GET /v1/runs/{run_id}`."""

    run_id: str
    event_id: str
    status: Status


class Answer(Accepted):
    """The run has ended."""

    result: Any = Field(default=None, description="What the agent returned; null when the run failed.")
    reason: str | None = Field(default=None, description="Why the run failed.")


def agent_routes(agents: Mapping[str, Agent]) -> APIRouter:
    """Return a route for each agent, and one that says which agents there are."""
    router = APIRouter(tags=["agents"])

    @router.get("/v1/agents", summary="List agents", responses=documented(503))
    async def list_agents() -> Agents:
        """Return the agents of the app, with what they take and return."""
        return agents_shown(agents)

    for agent in agents.values():
        _add(router, agent)

    @router.post("/v1/agents/{name}", include_in_schema=False)
    async def unknown(name: str) -> Response:
        raise Missing(f"the agent {name!r}", f"this app has {', '.join(agents) or 'none'}")

    _ = unknown, list_agents
    return router


def event_schemas(agents: Mapping[str, Agent]) -> dict[str, Any]:
    """Return the JSON schemas of all event types that agents take, and of what these are made of, by component name."""
    schemas: dict[str, Any] = {}
    for event in {event for agent in agents.values() for event in agent.accepts}:
        schema = event.model_json_schema(ref_template=f"#/components/schemas/{event.type_}.{{model}}")
        for name, part in schema.pop("$defs", {}).items():
            schemas[f"{event.type_}.{name}"] = part
        schemas[event.type_] = schema
    return schemas


def _add(router: APIRouter, agent: Agent) -> None:
    types = {event.type_: event for event in agent.accepts}

    async def call(request: Request, running: RunningApp, visits: OpenVisits, asked: _Asked) -> Response:
        if agent.options.batch:
            raise Refused(f"{agent.name!r} takes batches, which have no run of their own", "send it to /v1/events")
        event = taken(_chosen(types, asked.type), await json_body(request))
        running.engine.parts.topology.require_taker(agent.name, event)
        sent = await running.send(event, id=asked.event_id, tenant=asked.tenant)
        if asked.event_id is not None:
            await _require_same(running, event, sent, asked.tenant)
        return await _answer(running, visits, run_id(sent, agent.name), asked)

    router.add_api_route(
        f"/v1/agents/{agent.name}",
        call,
        methods=["POST"],
        operation_id=f"call_{agent.name}",
        summary=f"Call {agent.name}",
        description="\n\n".join(
            part for part in (about(agent), _WHO_HANDLES_BATCHES if agent.options.batch else _WHO_HANDLES) if part
        ),
        response_model=Answer,
        response_description="The run has ended, well or not: see `status`.",
        responses={
            202: {"model": Accepted, "description": "The run goes on."},
            **documented(404, 409, 413, 415, 422, 429, 503),
        },
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": _schema(types)}}}},
    )


async def json_body(request: Request) -> bytes:
    """Return the body; what is not declared as JSON is refused, so that no web page can send it as a plain form."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise HTTPException(415, f"the body is {media_type or 'of no type'}: send it as application/json")
    return await request.body()


async def _answer(running: Running, visits: OpenVisits, id: str, asked: _Call) -> Response:
    with ended(running.engine, id) as end:
        # Asked after the waiting has begun: an end before that is in the store, one after it is told.
        change = (await run_of(running, id, asked.tenant)).change
        if not is_over(change):
            await visits.wait(end, asked.wait_s)
            change = (await run_of(running, id, asked.tenant)).change
    known = {"run_id": id, "event_id": id.rpartition(":")[0], "status": change.status}
    if not is_over(change):
        return JSONResponse(known, 202, {"Location": f"/v1/runs/{id}"})
    failure = {} if change.status == "succeeded" else {"reason": change.reason}
    return JSONResponse({**known, "result": result_of(change), **failure})


async def _require_same(running: Running, event: Event, id: str, tenant: str) -> None:
    """Raise `Refused` when the id belongs to another event than this one."""
    stored = await running.engine.parts.store.event(id)
    assert stored is not None, f"{id} was sent, and is not in the store"
    known = stored.event
    if (known.tenant, known.type, known.data) != (tenant, event.type_, event.encoded()):
        raise Refused("this idempotency key was used for another request", "use a new key for a new request")


def _chosen(types: Mapping[str, type[Event]], type: str | None) -> type[Event]:
    if type is None:  # a state machine takes bare inputs too: those are named where there is an event for it
        meant = [each for each in types.values() if len(types) == 1 or not issubclass(each, MachineInput)]
        if len(meant) == 1:
            return meant[0]
    chosen = types.get(type or "")
    if chosen is None:
        problem = "must be given" if type is None else f"is {type!r}"
        raise Invalid("the request", (Finding("query.type", problem, f"one of {', '.join(types)}"),))
    return chosen


def _schema(types: Mapping[str, type[Event]]) -> dict[str, Any]:
    references = [{"$ref": f"#/components/schemas/{each}"} for each in types]
    return references[0] if len(references) == 1 else {"oneOf": references}
