"""What workflow runs expose of themselves, while they work and when they have ended."""

from fastapi import APIRouter
from pydantic import BaseModel

from penstock.gateway.callers import RunningApp, Tenant
from penstock.gateway.people_shapes import Query, query_shape
from penstock.gateway.problems import documented
from penstock.runtime.exposing import found

routes = APIRouter(prefix="/v1/runs", tags=["runs"])


class Queries(BaseModel):
    """All that a run exposes, by name."""

    queries: list[Query]


@routes.get("/{id}/queries", summary="List queries", responses=documented(404, 422, 503))
async def list_queries(id: str, running: RunningApp, tenant: Tenant) -> Queries:
    """Return all that a workflow run exposes: the newest value of each name."""
    known = await running.queries(id, tenant=tenant)
    return Queries(queries=[query_shape(name, each) for name, each in known.items()])


@routes.get("/{id}/queries/{name:path}", summary="Query a run", responses=documented(404, 422, 503))
async def query_run(id: str, name: str, running: RunningApp, tenant: Tenant) -> Query:
    """Return what a workflow run exposes under a name."""
    return query_shape(name, await found(running.engine.parts.store, tenant, id, name))
