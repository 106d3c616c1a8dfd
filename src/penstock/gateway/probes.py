"""The small door of an app that has no other: its metrics, and whether it is alive and ready.

- Alive is a process whose loop answers. One that joins again, since its store was away, need not be started again.
- Ready is one that works: its engine commits, and nobody has asked it to end.
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from penstock.app import Running
from penstock.core.telemetry.meters import MEDIA_TYPE, exposition
from penstock.errors import PenstockError
from penstock.runtime.measuring import measured, unmeasured

ENDING = "it was asked to end"


class Watched:
    """What a process does, as its door says it."""

    def __init__(self, app: str) -> None:
        self.app = app
        self.running: Running | None = None
        self.ending = False

    @property
    def problem(self) -> str:
        """Why it is not ready; empty when it is."""
        if self.ending:
            return ENDING
        if self.running is None:
            return "it does not work yet, or joins again"
        failure = self.running.engine.services.committer.failure
        return "" if failure is None else str(failure)


def probes_app(watched: Watched) -> Starlette:
    """Return the door: `/metrics`, `/healthz` and `/readyz`."""

    async def metrics(_: Request) -> Response:
        running = watched.running
        try:
            families = unmeasured() if running is None else await measured(running.engine)
        except PenstockError:  # its store is away, or it is about to end: that it does not work is what it says
            families = unmeasured()
        return Response(exposition(families), media_type=MEDIA_TYPE)

    async def alive(_: Request) -> Response:
        return JSONResponse({"status": "ok", "app": watched.app})

    async def ready(_: Request) -> Response:
        problem = watched.problem
        if problem:
            return JSONResponse({"status": "not ready", "app": watched.app, "reason": problem}, 503)
        return JSONResponse({"status": "ok", "app": watched.app})

    return Starlette(routes=[Route("/metrics", metrics), Route("/healthz", alive), Route("/readyz", ready)])
