"""Spans by the SDK of OpenTelemetry: of its own provider, or of the one that the program has."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from opentelemetry import context as contexts
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace import Span as AnySpan

from penstock.core.telemetry.spans import (
    LINKS_MAX,
    TEXT_CHARS_MAX,
    SpanAsked,
    Value,
    bounded,
    place_of,
    span_id_of,
    trace_id_of,
)

SCOPE: Final = "penstock"
_KINDS: Final = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}
_ROOT: Final = Context()


class OtelSpan:
    """A span of the SDK."""

    __slots__ = ("_span",)

    def __init__(self, span: AnySpan) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        return _traceparent(self._span.get_span_context())

    def note(self, name: str, value: Value) -> None:
        if self._span.is_recording():
            self._span.set_attribute(name, bounded(value))

    def rename(self, name: str) -> None:
        if self._span.is_recording():
            self._span.update_name(name[:TEXT_CHARS_MAX])

    @contextmanager
    def here(self) -> Generator[None]:
        token = contexts.attach(set_span_in_context(self._span))
        try:
            yield
        finally:
            contexts.detach(token)

    def stay(self) -> None:
        contexts.attach(set_span_in_context(self._span))

    def end(self, error: str = "") -> None:
        if not self._span.is_recording():
            return
        if error:  # its text may hold what somebody said
            self._span.set_attribute("error.type", bounded(error))
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class OtelTracer:
    """A `Tracer` over a provider of the SDK, whose other tracers stay as they are."""

    def __init__(self, provider: TracerProvider, version: str) -> None:
        tracer = provider.get_tracer(SCOPE, version)
        self._tracer = tracer
        self._ids: _Ids | None = None
        if isinstance(tracer, SdkTracer):  # else the SDK is switched off, and no span is kept
            self._ids = tracer.id_generator = _Ids(tracer.id_generator)

    def begin(self, asked: SpanAsked) -> OtelSpan:
        if asked.inner and not get_current_span().get_span_context().is_valid:
            return OtelSpan(INVALID_SPAN)
        if self._ids is not None:
            self._ids.span = span_id_of(asked.identity) if asked.identity else 0
            self._ids.trace = trace_id_of(asked.origin) if asked.origin else 0
        span = self._tracer.start_span(
            asked.name[:TEXT_CHARS_MAX],
            context=_context(asked.parent, asked.state),
            kind=_KINDS[asked.kind],
            attributes={name: bounded(value) for name, value in asked.attributes.items()},
            links=[Link(place) for each in asked.links[:LINKS_MAX] if (place := _place(each)) is not None],
        )
        return OtelSpan(span)

    def where(self) -> str:
        place = get_current_span().get_span_context()
        return _traceparent(place) if place.is_valid else ""

    @contextmanager
    def below(self, traceparent: str) -> Generator[None]:
        token = contexts.attach(_context(traceparent) or _ROOT)
        try:
            yield
        finally:
            contexts.detach(token)


class _Ids(IdGenerator):
    """Gives the ids that are asked for next, and else those of the program."""

    def __init__(self, inner: IdGenerator) -> None:
        self._inner = inner
        self.trace = 0
        self.span = 0

    def generate_span_id(self) -> int:
        chosen, self.span = self.span, 0
        return chosen or self._inner.generate_span_id()

    def generate_trace_id(self) -> int:
        chosen, self.trace = self.trace, 0
        return chosen or self._inner.generate_trace_id()


def _context(parent: str | None, state: str = "") -> Context | None:
    """Return where a span begins; None is where the code is."""
    if parent is None:
        return None
    place = _place(parent, state)
    return _ROOT if place is None else set_span_in_context(NonRecordingSpan(place), _ROOT)


def _traceparent(place: SpanContext) -> str:
    return f"00-{place.trace_id:032x}-{place.span_id:016x}-{place.trace_flags:02x}"


def _place(traceparent: str, state: str = "") -> SpanContext | None:
    place = place_of(traceparent)
    if place is None:
        return None
    said = TraceState.from_header([state]) if state else None
    return SpanContext(place.trace, place.span, is_remote=True, trace_flags=TraceFlags(place.flags), trace_state=said)
