"""The contract of `Tracer` by the SDK of OpenTelemetry, and its spans as a real exporter sends them."""

import subprocess
import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from otlp_receiver import receiving_grpc, receiving_http

from penstock.adapters.otel.opening import exporters_of
from penstock.adapters.otel.tracer import OtelTracer
from penstock.testing.tracer_contract import SpanSeen, TracerContract
from penstock.tracers import is_asked_for, opened_tracer


def provider_over(exporter, **options):
    provider = TracerProvider(**options)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


class TestOtelTracer(TracerContract):
    @pytest.fixture
    def exporter(self):
        return InMemorySpanExporter()

    @pytest.fixture
    def tracer(self, exporter):
        return OtelTracer(provider_over(exporter), "1")

    @pytest.fixture
    def left_out(self, exporter):
        return OtelTracer(provider_over(exporter, sampler=ParentBased(ALWAYS_OFF)), "1")

    @pytest.fixture
    def seen(self, exporter):
        return lambda: [_seen(each) for each in exporter.get_finished_spans()]

    def test_other_tracers_of_the_program_keep_their_ids(self, exporter):
        provider = provider_over(exporter)
        OtelTracer(provider, "1")
        ids = {provider.get_tracer("theirs").start_span("theirs").get_span_context().span_id for _ in range(10)}
        assert len(ids) == 10


def _seen(each):
    parent = 0 if each.parent is None else each.parent.span_id
    links = tuple((link.context.trace_id, link.context.span_id) for link in each.links)
    place = each.context
    return SpanSeen(
        each.name, place.trace_id, place.span_id, parent, dict(each.attributes), links, not each.status.is_unset
    )


@pytest.mark.parametrize(
    ("environment", "asked"),
    [
        ({}, False),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_SERVICE_NAME": "shop"}, False),
    ],
)
def test_an_app_is_traced_where_the_environment_asks_for_it(environment, asked):
    assert is_asked_for(environment) is asked
    if not asked:
        assert opened_tracer("app", None, None, environment) is None


def test_exporters_are_named_with_commas():
    assert exporters_of({"OTEL_TRACES_EXPORTER": "otlp, console"}) == ["otlp", "console"]
    assert exporters_of({"OTEL_TRACES_EXPORTER": "none"}) == []
    assert exporters_of({}) == ["otlp"]


HELLO = """
import asyncio
from penstock import App, Event

class Hello(Event, key="who"):
    who: str

app = App("hello")

@app.agent
async def greet(hello: Hello) -> str:
    return f"Hello, {hello.who}!"

async def main():
    async with app.running(store="memory:") as live:
        print(await live.call("greet", Hello(who="you")))

asyncio.run(main())
"""


def hello(**environment):
    return subprocess.run(
        [sys.executable, "-c", HELLO], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(("protocol", "receiving"), [("http/protobuf", receiving_http), ("grpc", receiving_grpc)])
def test_spans_go_where_the_standard_variables_say(protocol, receiving):
    with receiving() as received:
        done = hello(
            OTEL_EXPORTER_OTLP_ENDPOINT=received.address,
            OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
            OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test",
        )
        assert done.returncode == 0, done.stderr
        sent, process = sorted(received.named("send hello", "process greet"), key=lambda each: each.name, reverse=True)
    assert sent.trace == process.trace
    assert process.parent == sent.span
    assert process.service == "hello"
    assert (sent.kind, process.kind) == (4, 5)  # PRODUCER, CONSUMER
    assert process.attributes["messaging.consumer.group.name"] == process.attributes["gen_ai.agent.name"] == "greet"


def test_the_name_of_a_service_and_a_sampler_are_the_environments():
    with receiving_http() as received:
        done = hello(OTEL_EXPORTER_OTLP_ENDPOINT=received.address, OTEL_SERVICE_NAME="shop")
        assert done.returncode == 0, done.stderr
        assert {each.service for each in received.named("process greet")} == {"shop"}
        received.spans.clear()
        done = hello(OTEL_EXPORTER_OTLP_ENDPOINT=received.address, OTEL_TRACES_SAMPLER="always_off")
        assert done.returncode == 0, done.stderr
        assert not received.spans


def test_a_collector_that_is_away_keeps_nobody_from_working_or_ending():
    done = hello(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Hello, you!\n"


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"OTEL_TRACES_EXPORTER": "jager"}, "OTEL_TRACES_EXPORTER"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/jsonn"}, "OTEL_EXPORTER_OTLP_PROTOCOL"),
    ],
)
def test_what_is_not_known_is_said(environment, said):
    done = hello(**environment)
    assert done.returncode != 0
    assert said in done.stderr


def test_nothing_of_opentelemetrys_sdk_is_imported_where_an_app_is_not_traced():
    code = HELLO + "\nimport sys\nprint([each for each in sys.modules if each.startswith('opentelemetry.sdk')])"
    done = subprocess.run([sys.executable, "-c", code], env={}, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
