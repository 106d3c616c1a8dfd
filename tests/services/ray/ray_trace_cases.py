"""Spans from within handlers and steps on a real Ray, sent over OTLP by its workers. Run by tests/adapters/on_ray."""

import os

import traced_app
from otlp_receiver import receiving_http
from ray_server import Ray


async def test_spans_of_rays_workers_lie_below_those_of_the_engine(monkeypatch):
    with receiving_http() as received:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", received.address)  # the workers get it from the engine
        async with traced_app.app.running(store="memory:", host=Ray.direct) as live:
            there = await live.call("work", traced_app.Asked(who="ada"), id="one")
        # The app has ended, and its workers with it: what they had noted was sent before.
        spans = {each.name: each for each in received.named("process work", "handle work", "in the step", within_s=10)}
    chat = next(each for each in spans.values() if each.name.startswith("chat "))
    assert there != os.getpid()
    assert len({each.trace for each in spans.values()}) == 1, spans
    assert spans["handle work"].parent == spans["process work"].span
    assert spans["handle work"].attributes["process.pid"] == there
    assert spans["step look"].parent == spans["process work"].span
    assert spans["in the step"].parent == spans["step look"].span
    assert chat.parent == spans["step ask:text"].span
    assert {each.service for each in spans.values()} == {"traced"}
    assert "ada" not in str(spans)
