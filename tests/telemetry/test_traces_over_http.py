"""What comes over HTTP goes on with the caller's `traceparent`, whether the app is traced or not."""

import httpx2
import pytest
from spans_seen import FAR, FAR_TRACE, Spans, id_of, parent

from penstock import App, Event
from penstock.gateway import web_app

OTHER = "00-11111111111111111111111111111111-2222222222222222-01"


class Order(Event, key="customer"):
    customer: str


class Packed(Event, key="customer"):
    customer: str


@pytest.fixture
def app():
    app = App("shop", events=[Packed])

    @app.agent
    async def pack(order: Order) -> Packed:
        return Packed(customer=order.customer)

    return app


def client_of(live):
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(web_app(live)), base_url="http://app")


async def traceparents(live, topic):
    await live.engine.settled(10)
    return [each.event.traceparent for each in await live.engine.parts.store.read(topic, 0, after=0, limit=10)]


async def test_a_request_is_a_span_below_its_caller_and_above_what_follows(app):
    spans = Spans(app)
    async with app.running(store="memory:") as live, client_of(live) as client:
        answer = await client.post("/v1/agents/pack", json={"customer": "ada"}, headers={"traceparent": FAR})
        assert answer.status_code == 200
        assert (await client.get("/healthz")).status_code == (await client.get("/metrics")).status_code == 200
        assert (await client.get("/v1/runs/none")).status_code == 404
        (packed,) = await traceparents(live, "packed")
    request = spans.one("POST /v1/agents/pack")
    assert request.context.trace_id == FAR_TRACE
    assert parent(request) == 0xB7AD6B7169203331
    assert request.attributes["http.response.status_code"] == 200
    assert parent(spans.one("send order")) == id_of(request)
    assert parent(spans.one("process pack")) == id_of(spans.one("send order"))
    assert packed == f"00-{FAR_TRACE:032x}-{id_of(spans.one('process pack')):016x}-01"
    assert spans.one("GET /v1/runs/{id}").attributes["http.response.status_code"] == 404
    assert not [each for each in spans.all if "metrics" in each.name or "health" in each.name]


@pytest.mark.parametrize(("said", "stored"), [(FAR, FAR), ("nonsense", ""), (None, "")])
async def test_an_app_that_is_not_traced_passes_on_what_the_caller_said(app, said, stored):
    async with app.running(store="memory:") as live, client_of(live) as client:
        headers = {} if said is None else {"traceparent": said}
        await client.post("/v1/agents/pack", json={"customer": "ada"}, headers=headers)
        assert await traceparents(live, "order") == await traceparents(live, "packed") == [stored]
        await live.send(Order(customer="bob"))  # by nobody's request
        assert (await traceparents(live, "packed"))[1:] == [""]


async def test_an_event_that_says_itself_where_it_lies_is_believed(app):
    cloud = {"specversion": "1.0", "id": "e1", "source": "/x", "type": Order.type_, "data": {"customer": "ada"}}
    async with app.running(store="memory:") as live, client_of(live) as client:
        headers = {"content-type": "application/cloudevents+json", "traceparent": FAR}
        await client.post("/v1/events", json={**cloud, "traceparent": OTHER}, headers=headers)
        await client.post("/v1/events", json={**cloud, "id": "e2"}, headers=headers)
        headers["content-type"] = "application/cloudevents-batch+json"
        batch = [{**cloud, "id": "e3", "traceparent": OTHER}, {**cloud, "id": "e4", "traceparent": "nonsense"}]
        await client.post("/v1/events", json=batch, headers=headers)
        assert sorted(await traceparents(live, "packed")) == sorted([OTHER, FAR, OTHER, FAR])


async def states(live, topic):
    await live.engine.settled(10)
    return [each.event.tracestate for each in await live.engine.parts.store.read(topic, 0, after=0, limit=10)]


async def test_what_tracing_systems_say_of_a_request_goes_with_all_that_follows(app):
    async with app.running(store="memory:") as live, client_of(live) as client:
        for headers in (
            [("traceparent", FAR), ("tracestate", "rojo=1"), ("tracestate", "congo=2")],
            [("traceparent", FAR), ("tracestate", "no state")],
            [("traceparent", "nonsense"), ("tracestate", "rojo=1")],
            [("traceparent", FAR)],
        ):
            await client.post("/v1/agents/pack", json={"customer": "ada"}, headers=headers)
        assert await states(live, "order") == await states(live, "packed") == ["rojo=1,congo=2", "", "", ""]


async def test_what_is_said_of_an_event_itself_wins_over_its_request(app):
    cloud = {"specversion": "1.0", "id": "e1", "source": "/x", "type": Order.type_, "data": {"customer": "ada"}}
    async with app.running(store="memory:") as live, client_of(live) as client:
        headers = {"content-type": "application/cloudevents+json", "traceparent": FAR, "tracestate": "rojo=1"}
        await client.post("/v1/events", json={**cloud, "traceparent": OTHER, "tracestate": "own=1"}, headers=headers)
        await client.post("/v1/events", json={**cloud, "id": "e2", "traceparent": OTHER}, headers=headers)
        await client.post("/v1/events", json={**cloud, "id": "e3"}, headers=headers)
        assert sorted(await states(live, "packed")) == ["", "own=1", "rojo=1"]


async def test_spans_have_the_state_that_came_with_their_parent(app):
    spans = Spans(app)
    async with app.running(store="memory:") as live, client_of(live) as client:
        headers = {"traceparent": FAR, "tracestate": "rojo=1"}
        await client.post("/v1/agents/pack", json={"customer": "ada"}, headers=headers)
        assert await states(live, "packed") == ["rojo=1"]
    for name in ("POST /v1/agents/pack", "send order", "process pack"):
        assert spans.one(name).context.trace_state.to_header() == "rojo=1"
