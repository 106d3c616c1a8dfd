"""A broker that carries Avro: others see Confluent's frame, the app its JSON; what cannot be read says why, and nothing is lost."""

import json

import pytest

from penstock import Event
from penstock.adapters.memory.broker import MemoryBroker
from penstock.adapters.memory.schema_registry import MemorySchemaRegistry
from penstock.brokers import written
from penstock.core.events.envelope import Envelope
from penstock.core.events.messages import HELD, UNREADABLE, Message, Place, header_of, problem_of, to_event, to_message
from penstock.core.schemas.wire import decode_avro, encode_avro, encode_json, unframed
from penstock.errors import Invalid, Unavailable
from penstock.layers.avro_broker import AvroBroker
from penstock.runtime.topology import Topology
from penstock.testing.broker_contract import fetched


class Bought(Event, key="who", topic="bought"):
    who: str
    count: int = 1


class Moved(Event, key="who", topic="mixed"):
    who: str


class Stayed(Event, key="who", topic="mixed"):
    who: str


TYPES = written(Topology({}, [Bought, Moved, Stayed]), "p-")


@pytest.fixture
def topics():
    return MemoryBroker()


@pytest.fixture
def registry():
    return MemorySchemaRegistry()


@pytest.fixture
async def broker(topics, registry):
    broker = AvroBroker(topics, registry, TYPES)
    await broker.require(["bought", "mixed"], 1)
    return broker


def message(event, id="e1"):
    return to_message(Envelope(id, "/shop", event.type_, event.who, 7, event.encoded(), traceparent="00-a-b-01"))


async def test_what_is_published_is_a_frame_with_the_attributes_as_headers(broker, topics, registry):
    await broker.publish([("bought", 0, message(Bought(who="a", count=3)))])
    (sent,) = topics.topics.messages["bought", 0]
    id_, _ = unframed(sent.value)
    _, schema = await registry.schema(id_)
    assert decode_avro(sent.value, schema) == {"who": "a", "count": 3}
    assert header_of(sent, "content-type") == "application/avro"
    assert (header_of(sent, "ce_type"), header_of(sent, "ce_traceparent")) == ("Bought.v1", "00-a-b-01")


async def test_the_app_gets_what_was_published(broker):
    given = message(Bought(who="a", count=3))
    await broker.publish([("bought", 0, given)])
    (found,) = await fetched(broker, {("bought", 0): 0}, 1)
    place = Place("bought", 0, 1)
    assert to_event(found.message, place) == to_event(given, place)
    assert await fetched(broker, {("bought", 0): 0}, 1) == [found]


def test_subjects_are_those_of_confluents_clients():
    assert [(each.type, each.subject) for each in TYPES] == [
        ("Bought.v1", "p-bought-value"),
        ("Moved.v1", "p-mixed-Moved"),
        ("Stayed.v1", "p-mixed-Stayed"),
    ]


async def test_what_others_write_under_an_older_schema_gets_our_defaults(broker, topics, registry):
    older = '{"type": "record", "name": "Bought", "fields": [{"name": "who", "type": "string"}]}'
    number = await registry.registered("theirs", older)
    await topics.publish([("bought", 0, Message(encode_avro(number, older, {"who": "x"}), b"x"))])
    (found,) = await fetched(broker, {("bought", 0): 0}, 1)
    event = to_event(found.message, Place("bought", 0, 1, "Bought.v1"))
    assert (event.type, event.key, json.loads(event.data)) == ("Bought.v1", "x", {"who": "x", "count": 1})


async def test_a_record_names_the_type_where_a_topic_has_several(broker, topics, registry):
    theirs = (
        '{"type": "record", "name": "Stayed", "namespace": "com.shop", "fields": [{"name": "who", "type": "string"}]}'
    )
    number = await registry.registered("theirs", theirs)
    await topics.publish([("mixed", 0, Message(encode_avro(number, theirs, {"who": "x"}), b"x"))])
    (found,) = await fetched(broker, {("mixed", 0): 0}, 1)
    assert to_event(found.message, Place("mixed", 0, 1)).type == "Stayed.v1"


async def test_json_in_the_frame_and_values_without_one_are_taken_too(broker, topics, registry):
    number = await registry.registered("theirs", '{"type": "object"}', "JSON")
    bare = Message(b'{"who": "y"}')
    await topics.publish([("bought", 0, Message(encode_json(number, {"who": "x"}))), ("bought", 0, bare)])
    first, second = await fetched(broker, {("bought", 0): 0}, 2)
    assert json.loads(first.message.value) == {"who": "x"}
    assert second.message == bare


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"\x00\x00\x00\x12\x67a", "schema with id 4711 is missing"),
        (b"\x00\x00", "in four bytes"),
        (b"\x00\x00\x00\x00\x04\xff\xff", "the Avro value"),
        (b"\x00\x00\x00\x00\x05\x02", "TYPE_MISMATCH"),
    ],
)
async def test_what_cannot_be_read_says_why_and_keeps_its_bytes(broker, topics, registry, value, why):
    unfit = '{"type": "record", "name": "Bought", "fields": [{"name": "who", "type": "long"}]}'
    good = '{"type": "record", "name": "Bought", "fields": [{"name": "who", "type": "string"}]}'
    assert [await registry.registered(each, document) for each, document in (("a", good), ("b", unfit))] == [4, 5]
    await topics.publish([("bought", 0, Message(value, b"k"))])
    (found,) = await fetched(broker, {("bought", 0): 0}, 1)
    event = to_event(found.message, Place("bought", 0, 1, "Bought.v1"))
    assert event.type == UNREADABLE
    assert why in problem_of(event)
    assert found.message.value == value


async def test_what_avro_cannot_carry_is_held_by_the_app(broker, topics, caplog):
    given = message(Bought(who="a", count=2**70))
    await broker.publish([("bought", 0, given)])
    (sent,) = topics.topics.messages["bought", 0]
    assert (sent.value, header_of(sent, HELD)) == (b"", str(len(given.value)))
    assert "Avro cannot carry it" in caplog.text


async def test_schemas_that_do_not_fit_are_all_said_before_anything_is_sent(topics, registry):
    for subject in ("p-bought-value", "p-mixed-Moved"):
        await registry.registered(
            subject, '{"type": "record", "name": "R", "fields": [{"name": "who", "type": "long"}]}'
        )
    with pytest.raises(Invalid, match="the schemas of the app's events") as refused:
        await AvroBroker(topics, registry, TYPES).require(["bought", "mixed"], 1)
    assert len(refused.value.findings) >= 2


async def test_a_registry_that_does_not_answer_is_waited_for(broker, topics):
    class Away:
        async def schema(self, id):
            raise Unavailable("the schema registry", "get a schema")

    await topics.publish([("bought", 0, Message(b"\x00\x00\x00\x12\x67a"))])
    known, broker._registry = broker._registry, Away()
    with pytest.raises(Unavailable):
        await broker.fetch({("bought", 0): 0}, limit=9)
    broker._registry = known
    assert len(await broker.fetch({("bought", 0): 0}, limit=9)) == 1


async def test_the_ends_and_the_wakes_are_those_of_the_topics(broker):
    woken = []
    stop = broker.watch(lambda: woken.append(1))
    await broker.publish([("bought", 0, message(Bought(who="a")))])
    stop()
    assert woken
    assert dict(await broker.ends([("bought", 0)])) == {("bought", 0): 1}
