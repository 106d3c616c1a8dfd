"""Metrics for Prometheus, of the worker that answers. They name agents, topics, collections and models, and nobody's data."""

from fastapi import APIRouter
from starlette.responses import Response

from penstock.core.telemetry.meters import MEDIA_TYPE, exposition
from penstock.gateway.callers import RunningApp
from penstock.runtime.measuring import measured

routes = APIRouter(tags=["server"])


@routes.get("/metrics", summary="Metrics", response_class=Response)
async def show_metrics(running: RunningApp) -> Response:
    """Return metrics in Prometheus' text format."""
    return Response(exposition(await measured(running.engine)), media_type=MEDIA_TYPE)
