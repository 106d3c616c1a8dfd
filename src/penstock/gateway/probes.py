"""The small door of an app that has no other: its metrics, and whether it is alive and ready.

- Alive is a process whose loop answers. One that joins again, since its store was away, need not be started again.
- Ready is one that works: its engine commits, and nobody has asked it to end.
"""

from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from penstock.app import Running
from penstock.core.telemetry.meters import MEDIA_TYPE, Family, exposition
from penstock.errors import PenstockError
from penstock.runtime.measuring import measured, unmeasured

ENDING = "it was asked to end"


class Shows(Protocol):
    """What a door shows."""

    app: str

    async def problem(self) -> str:
        """Say why it is not ready; empty when it is."""
        ...

    async def families(self) -> list[Family]:
        """Return its metrics; what cannot be said at the moment is a `PenstockError`."""
        ...


class Watched:
    """What a process does, as its door says it."""

    def __init__(self, app: str) -> None:
        self.app = app
        self.running: Running | None = None
        self.ending = False

    async def problem(self) -> str:
        """Say why it is not ready; empty when it is."""
        if self.ending:
            return ENDING
        if self.running is None:
            return "it does not work yet, or joins again"
        failure = self.running.engine.services.committer.failure
        return "" if failure is None else str(failure)

    async def families(self) -> list[Family]:
        """Return the metrics of the engine, if there is one."""
        return unmeasured() if self.running is None else await measured(self.running.engine)


def probes_app(watched: Shows) -> Starlette:
    """Return the door: `/metrics`, `/healthz` and `/readyz`."""

    async def metrics(_: Request) -> Response:
        try:
            families = await watched.families()
        except PenstockError:  # its store is away, or it is about to end: that it does not work is what it says
            families = unmeasured()
        return Response(exposition(families), media_type=MEDIA_TYPE)

    async def alive(_: Request) -> Response:
        return JSONResponse({"status": "ok", "app": watched.app})

    async def ready(_: Request) -> Response:
        problem = await watched.problem()
        if problem:
            return JSONResponse({"status": "not ready", "app": watched.app, "reason": problem}, 503)
        return JSONResponse({"status": "ok", "app": watched.app})

    return Starlette(routes=[Route("/metrics", metrics), Route("/healthz", alive), Route("/readyz", ready)])
