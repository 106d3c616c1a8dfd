"""Agents without a store: what goes out for what came in, in order per key, the same at each try, and dead letters of the rest."""

import json

import pytest

from penstock import App, Context, Event, Retry
from penstock.brokers import carried_topics
from penstock.core.events.envelope import Envelope
from penstock.core.events.messages import Carried, Message, Place, header_of, is_divided, to_event, to_message
from penstock.core.events.partitions import partition_of
from penstock.errors import Invalid, Refused
from penstock.runtime.relaying import Relay
from penstock.runtime.topology import Topology
from penstock.testing.virtual_time import VirtualClock


class Said(Event, key="who", topic="said"):
    who: str
    text: str


class Heard(Event, key="who", topic="heard"):
    who: str
    text: str


def relay_of(app):
    topology = Topology(app.declared.agents, app.declared.events)
    return Relay(app.name, topology, carried_topics(topology), 4, VirtualClock())


def echo():
    app = App("echo")

    @app.agent(retry=Retry(attempts_max=3))
    async def hear(said: Said) -> list[Heard]:
        if said.text == "never":
            raise ValueError("no")
        if said.text == "refused":
            raise Refused("not this")
        return [Heard(who=said.who, text=part) for part in said.text.split()]

    return app


def received(*events):
    return [
        Carried(
            "said",
            0,
            number,
            to_message(Envelope(f"e{number}", "/x", each.type_, each.who, 1, each.encoded(), traceparent="00-t-s-01")),
        )
        for number, each in enumerate(events, 1)
    ]


async def test_what_goes_out_is_in_order_and_in_the_partition_of_its_key():
    out = await relay_of(echo()).handled(
        received(Said(who="a", text="1 2"), Said(who="b", text="x"), Said(who="a", text="3"))
    )
    assert [(json.loads(each.value)["who"], json.loads(each.value)["text"]) for _, _, each in out] == [
        ("a", "1"), ("a", "2"), ("b", "x"), ("a", "3"),
    ]  # fmt: skip
    for topic, partition, message in out:
        event = to_event(message, Place(topic, partition, 1))
        assert topic == "heard"
        assert partition == partition_of("default", event.key, 4)
        assert is_divided(message)
        assert (event.causation_id[:1], event.depth, event.traceparent) == ("e", 1, "00-t-s-01")


async def test_the_same_comes_out_under_the_same_ids_at_each_try():
    batch = received(Said(who="a", text="1 2 3"), Said(who="a", text="1"))
    first, second = [await relay_of(echo()).handled(batch) for _ in range(2)]
    ids = [header_of(each, "ce_id") for _, _, each in first]
    assert ids == [header_of(each, "ce_id") for _, _, each in second]
    assert len(set(ids)) == 4


@pytest.mark.parametrize(("text", "attempts"), [("never", b"3"), ("refused", b"1")])
async def test_what_an_agent_gives_up_on_is_a_dead_letter_with_the_reason(text, attempts):
    ((topic, _, message),) = await relay_of(echo()).handled(received(Said(who="a", text=text)))
    assert topic == "echo-dead-letters"
    headers = dict(message.headers)
    assert (headers["penstock-agent"], headers["penstock-attempts"], headers["penstock-topic"]) == (
        b"hear",
        attempts,
        b"said",
    )
    assert b"not this" in headers["penstock-reason"] or b"ValueError" in headers["penstock-reason"]
    assert json.loads(message.value) == {"who": "a", "text": text}


async def test_what_cannot_be_read_is_a_dead_letter_and_what_nobody_takes_is_left():
    broken = Carried("said", 0, 1, Message(b"no JSON"))
    strange = Carried("said", 0, 2, Message(b"{}", b"k", (("type", b"Other.v1"),)))
    ((topic, _, message),) = await relay_of(echo()).handled([broken, strange])
    assert (topic, dict(message.headers)["penstock-agent"]) == ("echo-dead-letters", b"penstock-broker")


def test_agents_that_need_a_store_are_refused_with_all_findings():
    app = App("needy")

    @app.agent
    async def one(said: Said, ctx: Context) -> None: ...

    @app.workflow
    async def two(said: Said, ctx: Context) -> None: ...

    @app.agent(batch=5)
    async def three(heard: list[Heard]) -> None: ...

    with pytest.raises(Invalid) as refused:
        relay_of(app)
    assert [each.path for each in refused.value.findings] == ["agent 'one'", "agent 'two'", "agent 'three'.batch"]
