"""The spans of an app, as the SDK of OpenTelemetry has them when they have ended."""

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

FAR = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
FAR_TRACE = 0x0AF7651916CD43DD8448EB211C80319C


class Spans:
    """A provider, and what came of it. `trace` an app by it before it runs."""

    def __init__(self, app):
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        app.trace_by(self.provider)

    @property
    def all(self):
        return list(self._exporter.get_finished_spans())

    def named(self, name):
        return [each for each in self.all if each.name == name]

    def one(self, name):
        found = self.named(name)
        assert len(found) == 1, f"{len(found)} of {name!r} among {sorted(each.name for each in self.all)}"
        return found[0]

    @property
    def traces(self):
        return {each.context.trace_id for each in self.all}


def parent(span):
    return None if span.parent is None else span.parent.span_id


def id_of(span):
    return span.context.span_id


def links(span):
    return [(each.context.trace_id, each.context.span_id) for each in span.links]


def text(spans):
    """Return all that leaves with spans, to look for what must not."""
    return "\n".join(each.to_json() for each in spans)
