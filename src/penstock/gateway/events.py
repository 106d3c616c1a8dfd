"""Events from outside: CloudEvents 1.0 in structured, binary and batch mode.

Source of the format: the CNCF's "HTTP Protocol Binding for CloudEvents" 1.0.2, section 3. A CloudEvent is known by its id and
source together: sent twice, it is one event.
"""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import unquote

import msgspec
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from penstock.app import Running
from penstock.core.events.cloudevents import from_cloudevent
from penstock.core.events.event import Event
from penstock.core.telemetry.spans import valid
from penstock.core.timing.timers import when
from penstock.errors import Finding, Invalid, LimitReached, Missing, Refused
from penstock.gateway.bodies import taken
from penstock.gateway.callers import RunningApp, Tenant, event_id
from penstock.gateway.problems import documented
from penstock.runtime.tracing import incoming, incoming_state

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
BATCH_MAX = 1000
ATTRIBUTE_CHARS_MAX = 1024  # of id and source
AfterSeconds = Annotated[float | None, Query(description="So many seconds later, over restarts too.")]
AtTime = Annotated[str | None, Query(description="At this time: RFC 3339 with a zone.")]
routes = APIRouter(prefix="/v1", tags=["events"])
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            STRUCTURED: {"schema": {"$ref": "#/components/schemas/CloudEvent"}},
            BATCH: {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/CloudEvent"}}},
            "application/json": {"schema": {"description": "The data; the attributes come as ce-* headers."}},
        },
    }
}
CLOUDEVENT_SCHEMA: dict[str, Any] = {
    "title": "CloudEvent",
    "type": "object",
    "required": ["specversion", "id", "source", "type"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "maxLength": ATTRIBUTE_CHARS_MAX},
        "source": {"type": "string", "maxLength": ATTRIBUTE_CHARS_MAX},
        "type": {"type": "string", "description": "The event type, as Question.v1."},
        "subject": {"type": "string", "description": "The key: events of one key are handled in order."},
        "time": {"type": "string", "format": "date-time"},
        "data": {"description": "The event's fields."},
    },
}


class AcceptedEvent(BaseModel):
    """The event is durable."""

    id: str


class AcceptedEvents(BaseModel):
    """The events are durable, in the order in which they were sent."""

    ids: list[str]


class _Sent(msgspec.Struct, frozen=True):
    """An event with what it is sent under."""

    event: Event
    id: str
    key: str | None
    traceparent: str = ""
    tracestate: str = ""

    def comes(self, otherwise: tuple[str, str]) -> None:
        """Say where it lies in traces, by itself or, where it does not say so, by its request."""
        trace, state = (self.traceparent, self.tracestate) if self.traceparent else otherwise
        incoming.set(trace)
        incoming_state.set(state)


@routes.post(
    "/events",
    status_code=202,
    summary="Send events",
    response_model=AcceptedEvent | AcceptedEvents,
    responses=documented(404, 413, 415, 422, 503),
    openapi_extra=_BODY,
)
async def send_events(
    request: Request, running: RunningApp, tenant: Tenant, after_s: AfterSeconds = None, at: AtTime = None
) -> Response:
    """Send a CloudEvent, or a batch of them; all agents that take its type will handle it.

    A batch is accepted whole or, with all findings, not at all; `subject`, if given, overrides the key.
    One that is sent with `after_s` or `at` waits for its time: until then its id is that of a timer.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    chosen = when(after_s, at)
    if media_type == BATCH:
        if chosen is not None:
            raise Refused("a batch cannot wait for its time", "send the events one by one")
        sent = _batch(running, body, tenant)
        return JSONResponse({"ids": await _sent_in_order(running, sent, tenant)}, 202)
    if media_type == STRUCTURED:
        document = _document(body)
    elif "ce-specversion" in request.headers:
        document = _binary(request, media_type, body)
    else:
        raise HTTPException(
            415, f"the body is {media_type or 'of no type'}: send {STRUCTURED}, {BATCH}, or ce-* headers"
        )
    one = _sent(running, document, tenant)
    one.comes((incoming.get(), incoming_state.get()))
    return JSONResponse(
        {"id": await running.engine.send(one.event, id=one.id, tenant=tenant, key=one.key, when=chosen)}, 202
    )


def _sent(running: Running, document: Mapping[str, Any], tenant: str) -> _Sent:
    """Return the event in a CloudEvents document; `Invalid` with all findings, `Missing` when the app has no such type."""
    engine = running.engine
    envelope = from_cloudevent(document, now_ms=engine.services.clock.now_ms())
    findings = [
        Finding(name, f"has {len(document[name])} characters", f"use {ATTRIBUTE_CHARS_MAX} at most")
        for name in ("id", "source")
        if len(document[name]) > ATTRIBUTE_CHARS_MAX
    ]
    if document.get("tenant", tenant) != tenant:
        findings.append(Finding("tenant", f"is {document['tenant']!r}", "the tenant is given by the header X-Tenant"))
    if findings:
        raise Invalid("the CloudEvent", tuple(findings))
    kind = engine.parts.topology.named(envelope.type)
    event = taken(kind.event, envelope.data, kind.written_as(envelope.type))
    name = event_id(tenant, envelope.id, envelope.source)
    return _Sent(event, name, envelope.key or None, valid(envelope.traceparent), envelope.tracestate)


def _batch(running: Running, body: bytes, tenant: str) -> list[_Sent]:
    documents = _decoded(body, list[dict[str, msgspec.Raw]])
    if len(documents) > BATCH_MAX:
        raise LimitReached("the number of events in a batch", len(documents), BATCH_MAX)
    sent: list[_Sent] = []
    findings: list[Finding] = []
    for number, document in enumerate(documents):
        try:
            sent.append(_sent(running, _attributes(document), tenant))
        except Invalid as error:
            findings += [Finding(f"[{number}].{each.path}", each.problem, each.hint) for each in error.findings]
        except Missing as error:
            findings.append(Finding(f"[{number}].type", f"{error.what} is missing", error.hint))
    if findings:
        raise Invalid("the batch", tuple(findings))
    return sent


async def _sent_in_order(running: Running, sent: list[_Sent], tenant: str) -> list[str]:
    """Send events of one type and key one after the other, and the others side by side: they share commits."""
    topology = running.engine.parts.topology
    lanes: dict[tuple[str, str], list[_Sent]] = {}
    for one in sent:
        kind = topology.kind(type(one.event))
        key = one.key or kind.key_of(one.event) or one.id
        lanes.setdefault((kind.topic, key), []).append(one)

    async def in_order(lane: list[_Sent]) -> None:
        request = incoming.get(), incoming_state.get()
        for one in lane:
            one.comes(request)
            await running.send(one.event, id=one.id, tenant=tenant, key=one.key)

    await asyncio.gather(*(in_order(lane) for lane in lanes.values()))
    return [one.id for one in sent]


def _document(body: bytes) -> dict[str, Any]:
    return _attributes(_decoded(body, dict[str, msgspec.Raw]))


def _attributes(document: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
    """Decode all but the data, whose numbers stay as they were written."""
    return {name: raw if name == "data" else _decoded(bytes(raw), Any) for name, raw in document.items()}


def _binary(request: Request, media_type: str, body: bytes) -> dict[str, Any]:
    """Return the document of an event whose attributes come as headers; values are percent-encoded UTF-8."""
    if body and media_type != "application/json" and not media_type.endswith("+json"):
        raise HTTPException(415, f"the data is {media_type or 'of no type'}: send it as application/json")
    document: dict[str, Any] = {
        name.removeprefix("ce-"): unquote(value) for name, value in request.headers.items() if name.startswith("ce-")
    }
    if body:
        _decoded(body, Any)
        document["data"] = msgspec.Raw(body)
    return document


def _decoded(body: bytes, type: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=type)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("the body", (Finding("(whole)", str(error), "send CloudEvents as JSON"),)) from error
