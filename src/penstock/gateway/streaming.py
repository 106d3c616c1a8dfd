"""A run as a stream of server-sent events: what has happened, then what happens, until the run's end.

- All but tokens is told from the store, after the commit: what is told stays true (C7). A live piece only says that it is
  time to look again, so nothing is told twice, and nothing is missing when the listener reads too slowly.
- Tokens come at once and are provisional: after `retrying` they begin anew.
- The run knows nothing of its listeners: one who leaves changes nothing.

Format: WHATWG HTML, "Server-sent events".
"""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.responses import StreamingResponse

from penstock.app import Running
from penstock.core.events.cloudevents import to_cloudevent
from penstock.errors import PenstockError, Unavailable
from penstock.gateway.callers import OpenVisits, RunningApp, Tenant
from penstock.gateway.limits import ALIVE, CLOSING, Visits
from penstock.gateway.problems import documented, problem_response
from penstock.gateway.runs import run_of
from penstock.gateway.shapes import emitted_by, first_event_id, is_over
from penstock.ports.state import StoredRun
from penstock.runtime.followed_runs import watched
from penstock.runtime.releases import Piece

routes = APIRouter(prefix="/v1", tags=["runs"])
_STREAM = {200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "The events."}}


@routes.get(
    "/runs/{id}/events",
    summary="Follow a run",
    response_class=StreamingResponse,
    responses={**_STREAM, **documented(404, 422, 429, 503)},
)
async def follow_run(id: str, running: RunningApp, visits: OpenVisits, tenant: Tenant) -> StreamingResponse:
    """Stream a run as server-sent events, from its beginning to its end.

    `step` {name, at_ms} · `event` a CloudEvent that the run emitted · `token` {text, name, provisional} · `retrying` {attempts,
    due_ms, reason} · `lagged` {reason}: tokens were lost · and one at the end: `succeeded` {result}, `failed` or `cancelled`
    {reason}, or `problem` when the server cannot go on: connect again.
    """
    visits.require_place()
    await run_of(running, id, tenant)
    origin = await running.engine.parts.store.event(first_event_id(id))
    correlation_id = "" if origin is None else origin.event.correlation_id or origin.event.id
    lines = _lines(_Told(running, id, tenant, correlation_id), visits)
    return StreamingResponse(lines, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


class _Told:
    """What one listener knows of a run."""

    def __init__(self, running: Running, id: str, tenant: str, correlation_id: str) -> None:
        self.running = running
        self.id = id
        self.tenant = tenant
        self.correlation_id = correlation_id
        self.steps: set[str] = set()
        self.attempts = 0  # the last one after which `retrying` was told
        self.is_over = False

    async def news(self) -> AsyncGenerator[bytes]:
        """Yield what the store knows and the listener does not."""
        stored = await run_of(self.running, self.id, self.tenant)
        for line in self._steps(stored):
            yield line
        change = stored.change
        if change.status == "retrying" and change.attempt > self.attempts:
            self.attempts = change.attempt
            yield _line("retrying", {"attempts": change.attempt, "due_ms": change.due_ms, "reason": change.reason})
        if is_over(change):
            for event in emitted_by(self.id, await self.running.engine.parts.store.origin(self.correlation_id)):
                yield _line("event", to_cloudevent(event))
            end = (
                {"result": msgspec.Raw(change.result or b"null")}
                if change.status == "succeeded"
                else {"reason": change.reason}
            )
            yield _line(change.status, {"run_id": self.id, **end})
            self.is_over = True

    def _steps(self, stored: StoredRun) -> Iterator[bytes]:
        for record in stored.records:
            if record.step not in self.steps:
                self.steps.add(record.step)
                yield _line("step", {"name": record.step, "at_ms": record.at_ms})


async def _lines(told: _Told, visits: Visits) -> AsyncGenerator[bytes]:
    engine = told.running.engine
    with (
        engine.services.releases.listening(told.correlation_id) as listener,
        watched(engine, engine.parts.store, told.id, lambda: listener.tell(Piece("news", told.id))),
        visits.stream(listener),
    ):
        yield b": penstock\n\n"
        with suppress(PenstockError):  # an engine that cannot commit says so to its listeners
            # What was recorded while nobody listened is not told when it becomes durable: look after that.
            await engine.services.committer.durable()
        async for line in told.news():
            yield line
        if told.is_over:
            return
        async with aclosing(listener.pieces()) as pieces:
            async for piece in pieces:
                async for line in _told_of(piece, told):
                    yield line
                if told.is_over or piece.kind == CLOSING:
                    return


async def _told_of(piece: Piece, told: _Told) -> AsyncGenerator[bytes]:
    """Yield what a piece gives reason to tell."""
    match piece:
        case Piece(kind="alive"):
            yield f": {ALIVE}\n\n".encode()
        case Piece(kind="failed", run_id=""):  # the engine has stopped
            told.is_over = True
            yield _sent("problem", bytes(problem_response(Unavailable("the app", "the run", piece.text)).body))
        case Piece(kind="lagged"):
            yield _line("lagged", {"reason": piece.text})
            async for line in told.news():
                yield line
        case Piece(kind="token") if piece.run_id == told.id:
            yield _line("token", {"text": piece.text, "name": piece.name, "provisional": True})
        case Piece(kind="step") if piece.run_id == told.id and piece.name in told.steps:
            return
        case Piece(kind="news" | "step" | "retrying" | "succeeded" | "failed") if piece.run_id == told.id:
            async for line in told.news():
                yield line
        case _:  # of another run that follows from the same event
            return


def _line(kind: str, data: Any) -> bytes:
    return _sent(kind, msgspec.json.encode(data))


def _sent(kind: str, data: bytes) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), data)
