"""A broker that is traced is a broker; its calls are spans in the trace of what they carry, in whatever form that is."""

import pytest
from spans_seen import FAR, FAR_TRACE, Spans, links, parent

from penstock import App
from penstock.adapters.memory.broker import MemoryBroker, Topics
from penstock.adapters.otel.tracer import OtelTracer
from penstock.core.events.envelope import Envelope
from penstock.core.events.messages import Message, to_message, to_structured
from penstock.errors import Unavailable
from penstock.layers.traced_broker import TracedBroker
from penstock.testing.broker_contract import BrokerContract


class TestTracedBroker(BrokerContract):
    @pytest.fixture
    def topics(self):
        return Topics()

    @pytest.fixture
    def another(self, topics, spans):
        async def opened():
            return TracedBroker(MemoryBroker(topics), OtelTracer(spans.provider, "1"), "memory")

        return opened

    @pytest.fixture
    async def broker(self, another):
        return await another()

    @pytest.fixture
    def topic(self):
        return "orders"


OTHER = "00-11111111111111111111111111111111-2222222222222222-01"


@pytest.fixture
def spans():
    return Spans(App("any"))


@pytest.fixture
def broker(spans):
    return TracedBroker(MemoryBroker(), OtelTracer(spans.provider, "1"), "kafka")


def event(traceparent, number=0):
    return Envelope(f"e{number}", "/shop", "Order.v1", "ada", 1, b"{}", traceparent=traceparent)


@pytest.mark.parametrize("form", [to_message, lambda event: to_structured(event, "")])
async def test_what_carries_one_trace_lies_in_it(broker, spans, form):
    await broker.require(["orders"], 1)
    await broker.publish([("orders", 0, form(event(FAR, number))) for number in range(3)])
    found = await broker.fetch({("orders", 0): 0}, limit=10)
    assert len(found) == 3
    published, received = spans.one("publish orders"), spans.one("receive orders")
    for each in (published, received):
        assert (each.context.trace_id, parent(each)) == (FAR_TRACE, 0xB7AD6B7169203331)
        assert each.attributes["messaging.batch.message_count"] == 3
        assert each.attributes["messaging.system"] == "kafka"


async def test_what_carries_many_traces_lies_in_none_and_is_linked_to_all(broker, spans):
    await broker.require(["orders"], 1)
    await broker.publish([("orders", 0, to_message(event(each))) for each in (FAR, OTHER, FAR, "")])
    published = spans.one("publish orders")
    assert parent(published) is None
    assert [trace for trace, _ in links(published)] == [FAR_TRACE, int("1" * 32, 16)]


async def test_what_brings_nothing_is_no_span_and_what_others_publish_is_understood(broker, spans):
    await broker.require(["orders"], 1)
    assert not await broker.fetch({("orders", 0): 0}, limit=10)
    assert not spans.all
    others = [Message(b"{}", headers=(("traceparent", OTHER.encode()),)), Message(b"no JSON"), Message(b"{broken")]
    await broker.publish([("orders", 0, each) for each in others])
    assert spans.one("publish orders").context.trace_id == int("1" * 32, 16)


async def test_an_error_leaves_and_is_seen(spans):
    class Away(MemoryBroker):
        async def publish(self, messages):
            raise Unavailable("the broker", "publish")

    broker = TracedBroker(Away(), OtelTracer(spans.provider, "1"), "nats")
    with pytest.raises(Unavailable):
        await broker.publish([("orders", 0, Message(b"{}"))])
    assert spans.one("publish orders").attributes["error.type"] == "Unavailable"
