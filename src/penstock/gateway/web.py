"""The web app of a running app: its routes, its page, its limits."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, Field

import penstock
from penstock.app import App, Running
from penstock.errors import Unavailable
from penstock.gateway import (
    approvals,
    bus,
    dead_letters,
    events,
    knowledge,
    knowledge_generations,
    machines,
    memories,
    metrics,
    page,
    pieces,
    queries,
    questions,
    queues,
    routing,
    runs,
    schemas,
    search,
    storage,
    streaming,
    subjects,
    timing,
)
from penstock.gateway.agents import agent_routes, event_schemas
from penstock.gateway.callers import OpenVisits, RunningApp
from penstock.gateway.limits import KEEP_ALIVE_S, BodyLimit, Visits
from penstock.gateway.problems import FindingShown, Problem, documented, speak_problems
from penstock.gateway.tracing import Traced
from penstock.settings import Settings

_SCHEMAS = "#/components/schemas/{model}"
_ABOUT = """
Durable agents. An event that was accepted is never lost: its run ends, well or as a dead letter, whatever crashes meanwhile.

Every request may name its tenant in `X-Tenant`; no tenant sees another's runs, events or passages. There is no
authentication here: put a proxy in front that sets the header. Errors are problem documents (RFC 9457) with all findings.
"""
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class Health(BaseModel):
    """That the app is up."""

    status: str
    app: str
    version: str
    durable: int = Field(description="The number of the last durable commit since the start.")


def web_app(running: Running, *, keep_alive_s: float = KEEP_ALIVE_S) -> FastAPI:
    """Return the web app over an app that runs already, in the same event loop."""
    api = _web_app(running.app, Visits(keep_alive_s=keep_alive_s))
    api.state.running = running
    return api


def served_app(app: App, chosen: Settings | None = None, *, keep_alive_s: float = KEEP_ALIVE_S) -> FastAPI:
    """Return a web app that runs the app for as long as it is served itself, by any ASGI server."""
    visits = Visits(keep_alive_s=keep_alive_s)

    @asynccontextmanager
    async def lifespan(api: FastAPI) -> AsyncGenerator[None]:
        async with app.running(chosen) as running:
            api.state.running = running
            try:
                yield
            finally:
                visits.let_go()

    return _web_app(app, visits, lifespan)


def let_go(api: FastAPI) -> None:
    """End the streams, and answer the callers who wait with 202: the server is about to stop."""
    api.state.visits.let_go()


class _Api(FastAPI):
    """Adds to the page what is not a route's own model: events, CloudEvents, problems."""

    schemas: dict[str, Any]

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = super().openapi()
            document.setdefault("components", {}).setdefault("schemas", {}).update(self.schemas)
        return super().openapi()


def _web_app(app: App, visits: Visits, lifespan: Lifespan | None = None) -> FastAPI:
    api = _Api(
        title=app.name,
        version=penstock.__version__,
        description=_ABOUT,
        docs_url=None,  # the framework's own pages load their scripts from elsewhere: offline they are blank
        redoc_url=None,
        lifespan=lifespan,
    )
    problem = Problem.model_json_schema(ref_template=_SCHEMAS)
    problem.pop("$defs", None)
    api.schemas = {
        "Problem": problem,
        "FindingShown": FindingShown.model_json_schema(),
        "CloudEvent": events.CLOUDEVENT_SCHEMA,
        **event_schemas(app.agents),
    }
    api.state.visits = visits
    speak_problems(api)
    api.add_middleware(BodyLimit)
    api.add_middleware(Traced)
    for router in (
        page.routes,
        agent_routes(app.agents),
        events.routes,
        bus.routes,
        streaming.routes,
        pieces.routes,
        runs.routes,
        machines.routes,
        questions.routes,
        approvals.routes,
        queries.routes,
        queues.routes,
        dead_letters.routes,
        timing.routes,
        search.routes,
        knowledge.routes,
        knowledge_generations.routes,
        memories.routes,
        metrics.routes,
        routing.routes,
        schemas.routes,
        storage.routes,
        subjects.routes,
    ):
        api.include_router(router)
    api.add_api_route(
        "/healthz", _health, methods=["GET"], tags=["server"], summary="Health", responses=documented(503)
    )
    api.add_api_route(
        "/readyz", _ready, methods=["GET"], tags=["server"], summary="Readiness", responses=documented(503)
    )
    return api


async def _ready(running: RunningApp, visits: OpenVisits) -> Health:
    """Say that the app takes requests; 503 when it can commit no more, or is about to end."""
    if visits.is_closing:
        raise Unavailable("the app", "take requests", "it is about to end")
    return await _health(running)


async def _health(running: RunningApp) -> Health:
    """Say that the app is up; 503 when it can commit no more."""
    committer = running.engine.services.committer
    if committer.failure is not None:
        raise committer.failure
    return Health(status="ok", app=running.app.name, version=penstock.__version__, durable=committer.durable_number)
