"""Routers over HTTP: where texts belong."""

import msgspec
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from penstock.gateway.callers import RunningApp, Tenant
from penstock.gateway.problems import documented
from penstock.runtime.routing import TEXTS_MAX

routes = APIRouter(prefix="/v1/routers", tags=["routing"])


class RouteRequest(BaseModel):
    """What is to be routed."""

    model_config = ConfigDict(extra="forbid")

    texts: list[str] = Field(min_length=1, max_length=TEXTS_MAX)


class Choice(BaseModel):
    """Where a text belongs."""

    route: str = Field(description="Empty when it belongs to none.")
    score: float = Field(description="From 0 to 1; from 0.5 on it belongs to a route.")
    runner_up: str
    runner_up_score: float
    out_of_scope: bool
    ranked: list[tuple[str, float]]
    router: str = Field(description="Which router decided, and a digest of what it learned from.")
    as_of: int | str = Field(description="Up to which event its examples were seen, where they lie in a collection.")


class Choices(BaseModel):
    """One choice for each text, in their order."""

    choices: list[Choice]


class Routers(BaseModel):
    """The app's routers, by name."""

    routers: list[str]


@routes.get("", summary="List routers")
async def list_routers(running: RunningApp) -> Routers:
    """Return the routers that the app declares."""
    return Routers(routers=sorted(running.app.routers))


@routes.post("/{name}", summary="Route texts", responses=documented(404, 413, 422, 503))
async def route(name: str, asked: RouteRequest, running: RunningApp, tenant: Tenant) -> Choices:
    """Return where each text belongs: an agent, a tool, a model, whatever the router's routes stand for."""
    found = await running.router(name, tenant=tenant).choose_many(asked.texts)
    return Choices(choices=[Choice(**msgspec.to_builtins(each)) for each in found])
