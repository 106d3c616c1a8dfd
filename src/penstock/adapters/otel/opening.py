"""A provider as the standard OTEL_* variables say: which exporters, where to, which part of the traces, whose name.

Source: OpenTelemetry's "Environment Variable Specification" and "OTLP Exporter Configuration". The SDK reads the sampler, limits
and batches from there by itself.
"""

import threading
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor, SpanExporter

from penstock.errors import Finding, Invalid, Missing

FLUSH_S = 3.0  # what is not sent by then, when an app ends, is sent later or lost
EXPORTERS: Final = "OTEL_TRACES_EXPORTER"
_GROUP: Final = "opentelemetry_traces_exporter"
_PROTOCOLS: Final = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}


def provider_of(app: str, environment: Mapping[str, str]) -> TracerProvider:
    """Return the program's provider, or make it: libraries that are traced too then use the same one.

    Raises `Invalid` for an exporter or a protocol that is not known, `Missing` for one that is not installed.
    """
    known = trace.get_tracer_provider()
    if isinstance(known, TracerProvider):
        return known
    exporters = [_exporter(name, environment) for name in exporters_of(environment)]
    named = {} if environment.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: app}
    provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)  # an app flushes when it ends
    for exporter in exporters:
        simple = isinstance(exporter, ConsoleSpanExporter)
        provider.add_span_processor(SimpleSpanProcessor(exporter) if simple else BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider


def require_exporters(environment: Mapping[str, str]) -> None:
    """Raise `Invalid` and `Missing` as `provider_of` does; nothing is begun."""
    for name in exporters_of(environment):
        _exporter(name, environment)


def exporters_of(environment: Mapping[str, str]) -> list[str]:
    """Return the names of the exporters that are asked for."""
    named = (each.strip() for each in environment.get(EXPORTERS, "otlp").split(","))
    return [each for each in named if each and each != "none"]


def flushed(provider: TracerProvider) -> None:
    """Send what has not been sent yet, for at most `FLUSH_S` seconds: a collector that is away keeps nobody from ending."""
    sending = threading.Thread(target=provider.force_flush, args=(int(FLUSH_S * 1000),), daemon=True)
    sending.start()
    sending.join(FLUSH_S)


def _exporter(name: str, environment: Mapping[str, str]) -> SpanExporter:
    entry = name
    if name == "otlp":
        protocol = (
            environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
            or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
            or "http/protobuf"
        )
        if protocol not in _PROTOCOLS:
            finding = Finding("OTEL_EXPORTER_OTLP_PROTOCOL", f"is {protocol!r}", f"one of {', '.join(_PROTOCOLS)}")
            raise Invalid("the environment", (finding,))
        entry = _PROTOCOLS[protocol]
    found = list(entry_points(group=_GROUP, name=entry))
    if not found and entry in _PROTOCOLS.values():
        package = f"opentelemetry-exporter-{entry.replace('_', '-')}"
        raise Missing(f"the package {package}", f"pip install {package}, or set {EXPORTERS}=none")
    if not found:
        known = ", ".join(sorted({"otlp", "none", *entry_points(group=_GROUP).names}))
        raise Invalid("the environment", (Finding(EXPORTERS, f"{name!r} is not known", f"one of {known}"),))
    make: Callable[[], Any] = found[0].load()
    return make()
