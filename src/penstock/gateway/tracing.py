"""Requests as parts of traces: what comes from outside goes on with the caller's `traceparent`, traced here or not.

His `tracestate` goes with it, where there is one.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.core.telemetry.spans import SpanAsked, Value, valid, valid_state
from penstock.runtime.tracing import Traces, incoming, incoming_state

_HEADER = b"traceparent"
_STATE = b"tracestate"
_UNSEEN = ("/metrics", "/healthz", "/readyz")  # who asks again and again, for nobody


class Traced:
    """Says where a request lies, for all that follows from it. Where the app is traced, the request is a span."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _UNSEEN:
            await self._app(scope, receive, send)
            return
        said = next((value for name, value in scope["headers"] if name == _HEADER), b"")
        parent = valid(said.decode("latin-1"))
        running = getattr(scope["app"].state, "running", None)
        traces = None if running is None else running.engine.services.traces
        token, state_token = incoming.set(parent), incoming_state.set(_state_of(scope) if parent else "")
        try:
            if traces is None:
                await self._app(scope, receive, send)
            else:
                await self._spanned(traces, parent, scope, receive, send)
        finally:
            incoming.reset(token)
            incoming_state.reset(state_token)

    async def _spanned(self, traces: Traces, parent: str, scope: Scope, receive: Receive, send: Send) -> None:
        attributes: dict[str, Value] = {"http.request.method": scope["method"], "url.scheme": scope["scheme"]}
        state = incoming_state.get()
        asked = SpanAsked(scope["method"], "server", parent or None, attributes=attributes, state=state)
        span = traces.tracer.begin(asked)
        incoming.set(span.traceparent)
        status = 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            with span.here():
                await self._app(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "")
            if route:
                span.rename(f"{scope['method']} {route}")
                span.note("http.route", route)
            span.note("http.response.status_code", status)
            span.end(str(status) if status >= 500 else "")  # noqa: PLR2004 - HTTP's server errors


def _state_of(scope: Scope) -> str:
    """Return what comes beside `traceparent`, in one header or several."""
    said = [value for name, value in scope["headers"] if name == _STATE]
    return valid_state(b",".join(said).decode("latin-1")) if said else ""
