"""Spans of handlers that run in workers of a host: those of a worker lie below those of its engine, in one trace."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from opentelemetry import trace
from spans_seen import Spans, id_of, parent

from penstock import App, Context, Event, Retry
from penstock.adapters.clock.system import SystemClock
from penstock.adapters.memory.host import MemoryHost
from penstock.adapters.otel.tracer import OtelTracer
from penstock.app import Running
from penstock.errors import RunFailed
from penstock.runtime.engine import running
from penstock.runtime.hosting import Making, hosting
from penstock.runtime.models import Models, Prompts
from penstock.runtime.remote_worker import Served, working
from penstock.runtime.tracing import Traces
from penstock.settings import Settings
from penstock.tracers import passed_on
from penstock.wiring import model_opener, opened

app = App("traced")
theirs = App("worker")  # holds the provider of the worker


class Asked(Event, key="who"):
    who: str
    fails: bool = False


class Done(Event, key="who"):
    who: str


@app.agent(retry=Retry(attempts_max=2, delay_s=0.001, delay_max_s=0.01))
async def work(asked: Asked, ctx: Context) -> Done:
    with trace.get_tracer("users", tracer_provider=theirs.tracer_provider).start_as_current_span("in the handler"):
        pass
    if asked.fails:
        raise ValueError(asked.who)
    await ctx.step("look", look)
    await ctx.model().ask("what is it?")
    return Done(who=asked.who)


def look() -> int:
    with trace.get_tracer("users", tracer_provider=theirs.tracer_provider).start_as_current_span("in the step"):
        return 1


@app.agent
async def last(done: Done, ctx: Context) -> None: ...


@asynccontextmanager
async def hosted(worker, left):
    """Run the app with handlers in workers that are traced by a provider of their own."""
    clock, chosen = SystemClock(), Settings(store="memory:")
    agents = app.declared.agents
    models = Models(model_opener({}, "offline:extractive"), Prompts(None))
    models.traces = None if worker is None else Traces(OtelTracer(worker.provider, "1"))
    served = Served(dict(agents), models, clock, models.traces, lambda: left.append("sent"))
    async with asyncio.TaskGroup() as group:
        host = MemoryHost(lambda _: working(served), group)
        async with (
            hosting(host, agents, Making("memory", b"", app.declared.events, clock)) as standing_in,
            opened(replace(app.declared, agents=standing_in), chosen, clock=clock) as parts,
            running(parts, owner=app.name) as engine,
        ):
            yield Running(app, engine)


async def test_spans_of_a_worker_lie_below_those_of_its_engine():
    engine, worker, left = Spans(app), Spans(theirs), []
    async with hosted(worker, left) as live:
        await live.call("work", Asked(who="ada"), id="one")
        assert await live.engine.settled(20)
    attempt, handled = engine.one("process work"), worker.one("handle work")
    assert parent(handled) == id_of(attempt)
    assert handled.attributes["penstock.run.id"] == "one:work"
    assert handled.attributes["process.pid"] > 0
    assert parent(worker.one("in the handler")) == id_of(handled)
    assert parent(engine.one("step look")) == id_of(attempt)
    assert parent(worker.one("in the step")) == id_of(engine.one("step look"))
    (chat,) = [each for each in worker.all if each.name.startswith("chat ")]
    assert parent(chat) == id_of(engine.one("step ask:text"))
    assert not [each for each in engine.all if each.name.startswith("chat ")]
    assert engine.traces == worker.traces
    assert len(worker.traces) == 1
    assert left  # what was noted is sent before a worker is ended
    assert "ada" not in "".join(each.to_json() for each in worker.all)


async def test_a_handler_that_fails_there_is_a_span_that_failed_by_its_class_alone():
    Spans(app)
    worker = Spans(theirs)
    async with hosted(worker, []) as live:
        with pytest.raises(RunFailed):
            await live.call("work", Asked(who="ada", fails=True), id="bad")
    handled = worker.named("handle work")
    assert {each.attributes["penstock.attempt"] for each in handled} == {1, 2}
    assert {each.attributes["error.type"] for each in handled} == {"ValueError"}
    assert "ada" not in "".join(each.to_json() for each in handled)


async def test_where_a_worker_has_nothing_to_trace_by_the_engines_spans_are_all():
    engine, worker = Spans(app), Spans(theirs)
    async with hosted(None, []) as live:
        await live.call("work", Asked(who="ada"), id="one")
    assert engine.named("process work")
    assert {each.name for each in worker.all} == {"in the handler", "in the step"}  # the user's own
    assert {each.parent for each in worker.all} == {None}


def test_secrets_of_exporters_stay_with_the_engine():
    said = passed_on(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=secret",
            "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY": "/etc/key",
            "OTEL_SERVICE_NAME": "shop",
            "PATH": "/bin",
        }
    )
    assert said == {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SERVICE_NAME": "shop"}
