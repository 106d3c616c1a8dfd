"""The spans of a job's operators: what a turn handles is traced as everywhere, below what the event carries."""

from keyed_driver import Driver, envelope
from msgspec.structs import replace
from spans_seen import FAR, FAR_TRACE, Spans, id_of, parent

from penstock import App, Context, Event, Retry, StreamOptions
from penstock.core.events.envelope import Envelope
from penstock.flink.plan import JobOptions, plan_of
from penstock.settings import Settings
from penstock.testing.fixtures import anyio_backend
from penstock.tracers import told_variables

__all__ = ["anyio_backend"]


class Asked(Event, key="who", topic="asked"):
    who: str
    text: str = "a secret"


class Answered(Event, key="who", topic="answered"):
    who: str


def desk() -> App:
    app = App("desk")

    @app.agent(retry=Retry(attempts_max=2, delay_s=0.01))
    async def answer(asked: Asked, ctx: Context) -> Answered:
        await ctx.read("look", len, asked.text)
        return Answered(who=asked.who)

    return app


def far(event: Event, id: str) -> Envelope:
    return replace(envelope(event, id), traceparent=FAR)


async def test_a_turn_is_a_span_below_what_the_event_carries_and_what_it_emits_lies_below_that():
    app = desk()
    spans = Spans(app)
    async with Driver(app) as driver:
        await driver.carry("asked", far(Asked(who="ada"), "e1"))
        (answered,) = driver.of("answered")
    process, step = spans.one("process answer"), spans.one("step look")
    assert process.context.trace_id == step.context.trace_id == FAR_TRACE
    assert parent(step) == id_of(process)
    assert answered.traceparent.split("-")[1:3] == [f"{FAR_TRACE:032x}", f"{id_of(process):016x}"]
    assert "a secret" not in "".join(each.to_json() for each in spans.all)


async def test_what_a_job_handles_again_after_a_restore_is_linked_to_the_first_try():
    app = App("slow")
    tries: list[str] = []

    @app.agent
    async def answer(asked: Asked, ctx: Context) -> Answered:
        tries.append(asked.who)
        await ctx.read("look", len, asked.text)
        if len(tries) == 1:
            await driver.clock.sleep(10)
        return Answered(who=asked.who)

    spans = Spans(app)
    async with Driver(app) as driver:
        await driver.bring(Asked(who="ada"), "e1", within_s=0.1)
        await driver.restored(driver.kept)
        await driver.look(within_s=1.0)
        assert len(driver.of("answered")) == 1
    first, again = spans.named("process answer")[0], spans.named("process answer")[-1]
    assert [each.context.span_id for each in again.links] == [id_of(first)]
    assert again.context.trace_id == first.context.trace_id


async def test_a_stream_is_traced_in_a_job_of_the_streams_alone():
    app = App("lines")
    app.stream(Asked, options=StreamOptions(retry=Retry(attempts_max=1))).map(lambda asked: Answered(who=asked.who)).to(
        Answered
    )
    spans = Spans(app)

    class Streams:
        declared = app.declared.of_streams()

    async with Driver(Streams()) as driver:
        await driver.carry("asked", far(Asked(who="ada"), "e1"))
    assert spans.one("process asked-stream").context.trace_id == FAR_TRACE


def test_workers_are_told_what_the_environment_says_of_traces_but_no_secrets(monkeypatch, tmp_path):
    said = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20s3cret",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/keys/client.pem",
        "HOME": "/root",
    }
    told = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_TRACES_SAMPLER": "traceidratio"}
    assert told_variables(said) == told
    assert told_variables({"OTEL_TRACES_SAMPLER": "always_on"}) == {}
    assert told_variables({**said, "OTEL_SDK_DISABLED": "true"}) == {}
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    plan = plan_of(desk().declared, tmp_path / "desk.py", Settings(log="kafka://k:9092"), JobOptions())
    assert plan.without_secrets().traces == told
