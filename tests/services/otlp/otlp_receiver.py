"""A receiver of OTLP over HTTP and gRPC, by the protobuf of OpenTelemetry: what an exporter really sends is decoded."""

import gzip
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True)
class SpanReceived:
    name: str
    kind: int
    trace: str
    span: str
    parent: str
    links: list[tuple[str, str]]
    attributes: dict[str, Any]
    failed: bool
    service: str


@dataclass
class Received:
    address: str = ""
    spans: list[SpanReceived] = field(default_factory=list)
    came: threading.Condition = field(default_factory=threading.Condition)

    def take(self, request: ExportTraceServiceRequest) -> None:
        with self.came:
            for resource in request.resource_spans:
                service = _plain(resource.resource.attributes).get("service.name", "")
                for scope in resource.scope_spans:
                    self.spans += [_span(each, service) for each in scope.spans]
            self.came.notify_all()

    def named(self, *names: str, within_s: float = 30) -> list[SpanReceived]:
        """Return all spans once there are some of each of these names."""
        with self.came:
            there = self.came.wait_for(lambda: set(names) <= {each.name for each in self.spans}, within_s)
            found = list(self.spans)
        assert there, (
            f"{set(names) - {each.name for each in found}} did not come: {sorted({each.name for each in found})}"
        )
        return found


def _span(each, service) -> SpanReceived:
    links = [(link.trace_id.hex(), link.span_id.hex()) for link in each.links]
    ids = each.trace_id.hex(), each.span_id.hex(), each.parent_span_id.hex()
    return SpanReceived(each.name, each.kind, *ids, links, _plain(each.attributes), each.status.code == 2, service)


def _plain(attributes) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value") or "string_value") for each in attributes}


@contextmanager
def receiving_http() -> Generator[Received]:
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
            if self.path == "/v1/traces":
                received.take(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        received.address = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield received
        finally:
            server.shutdown()


@contextmanager
def receiving_grpc() -> Generator[Received]:
    from concurrent.futures import ThreadPoolExecutor

    import grpc
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
        TraceServiceServicer,
        add_TraceServiceServicer_to_server,
    )

    received = Received()

    class Service(TraceServiceServicer):
        def Export(self, request, context):  # noqa: N802 - as the protocol names it
            received.take(request)
            return ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(2))
    add_TraceServiceServicer_to_server(Service(), server)
    received.address = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield received
    finally:
        server.stop(1).wait()
