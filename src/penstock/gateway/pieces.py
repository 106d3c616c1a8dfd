"""A stream of a run as server-sent events: its pieces from an offset on, durable ones and live ones, to the run's end.

- A piece's offset is the event's id, so a browser that reconnects says by itself where it was (`Last-Event-ID`).
- The run knows nothing of who follows it: one who leaves changes nothing, and one who comes back misses nothing.

Format: WHATWG HTML, "Server-sent events".
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Header, Query
from starlette.responses import StreamingResponse

from penstock.core.agents.pieces import ENDED, ITEM, RESET, TOKEN, Piece
from penstock.errors import Finding, Invalid, LimitReached, PenstockError, Unavailable
from penstock.gateway.callers import OpenVisits, RunningApp, Tenant
from penstock.gateway.limits import ALIVE, CLOSING, Visits
from penstock.gateway.problems import documented, problem_response
from penstock.runtime.following import Follower
from penstock.runtime.run_streams import OFFSET_MAX

routes = APIRouter(prefix="/v1", tags=["runs"])
_STREAM = {200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "The pieces."}}
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # a proxy must not wait for more


@routes.get(
    "/runs/{id}/stream",
    summary="Follow what a run tells on its way",
    response_class=StreamingResponse,
    responses={**_STREAM, **documented(404, 409, 422, 429, 503)},
)
async def follow_stream(  # noqa: PLR0913, PLR0917 - the parameters of the request
    id: str,
    running: RunningApp,
    visits: OpenVisits,
    tenant: Tenant,
    from_offset: Annotated[
        int, Query(alias="from", ge=0, le=OFFSET_MAX, description="The first offset that is wanted.")
    ] = 0,
    name: Annotated[str, Query(description="Of the stream; most runs have only the default one.")] = "",
    last_event_id: Annotated[
        str | None, Header(description="The offset that was read last; it wins over `from`.")
    ] = None,
) -> StreamingResponse:
    """Stream the pieces of a run (named by its id, or by that of its event) as server-sent events; the `id` is the offset.

    `token` {offset, text, name, step, attempt, provisional} · `item` {offset, data, ...} · `reset` {offset, dropped: [[first,
    end]], attempt}: the pieces at these offsets no longer stand · and one at the end: `ended` {status, reason}, after which to
    close, or `problem` when the server cannot go on: connect again. A piece that is `provisional` is not durable yet.
    """
    visits.require_place()
    if last_event_id:
        from_offset = _after(last_event_id)
    follower = await running.engine.follow(id, name=name, from_offset=from_offset, tenant=tenant)
    return StreamingResponse(_lines(follower, visits), media_type="text/event-stream", headers=HEADERS)


async def _lines(follower: Follower, visits: Visits) -> AsyncGenerator[bytes]:
    with visits.stream(follower):
        yield b": penstock\n\n"
        try:
            async with aclosing(follower.pieces()) as pieces:
                async for piece in pieces:
                    if piece.kind == CLOSING:
                        return
                    yield _line(piece)
        except PenstockError as error:
            told = error if isinstance(error, LimitReached) else Unavailable("the app", "the run", str(error))
            yield b"event: problem\ndata: %s\n\n" % bytes(problem_response(told).body)


def _line(piece: Piece) -> bytes:
    if piece.kind == ALIVE:
        return f": {ALIVE}\n\n".encode()
    number = b"" if piece.kind == ENDED or piece.offset < 0 else b"id: %d\n" % piece.offset
    return b"%sevent: %s\ndata: %s\n\n" % (number, piece.kind.encode(), msgspec.json.encode(shown(piece)))


def shown(piece: Piece) -> dict[str, Any]:
    """Return a piece as the outside sees it."""
    if piece.kind == ENDED:
        return {"status": piece.text, **(piece.data or {})}
    where = {} if piece.offset < 0 else {"offset": piece.offset}
    match piece.kind:
        case kind if kind == RESET:
            return {**where, **piece.data, "attempt": piece.attempt}
        case kind if kind in (TOKEN, ITEM):
            value = {"text": piece.text} if kind == TOKEN else {"data": piece.data}
            told = {"name": piece.name, "step": piece.step, "attempt": piece.attempt}
            return {**where, **value, **told, "provisional": piece.provisional}
        case _:
            raise AssertionError(piece)


def _after(last_event_id: str) -> int:
    if last_event_id.isascii() and last_event_id.isdigit() and int(last_event_id) < OFFSET_MAX:
        return int(last_event_id) + 1
    finding = Finding("header.last-event-id", f"is {last_event_id!r}", "the id of the last event, which is a number")
    raise Invalid("the request", (finding,))
