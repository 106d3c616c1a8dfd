"""What others put into a broker gets its place too, and what is sent over it keeps its order."""

import json

import pytest
from brokered_shop import CARRIED, Shop, brokered
from msgspec import structs

from penstock.adapters.memory.broker import MemoryBroker
from penstock.adapters.memory.store import MemoryStore
from penstock.core.agents.unit import Sent, Writes
from penstock.core.events.envelope import Position, Recorded
from penstock.core.events.messages import (
    AFTER,
    HELD,
    STRUCTURED_HEADERS,
    UNREADABLE,
    Message,
    to_message,
    to_structured,
)
from penstock.core.events.partitions import partition_of
from penstock.errors import Unavailable
from penstock.layers.brokered_store import AGENT, OVERDUE_MS, BrokeredStore
from penstock.testing.inbox_contract import sent


@pytest.fixture
async def shop():
    return await Shop().begin()


async def test_what_is_sent_goes_over_the_broker_and_waits_until_it_comes_from_there(shop):
    first, second = sent("a"), sent("b", partition=1, key="other")
    await shop.store.commit(shop.claim, 1, Writes(sent=[first, second]))
    shop.number = 1
    assert [each.headers[2] for each in shop.carried()] == [("ce_id", b"a"), ("ce_id", b"b")]
    held = shop.topics.messages
    shop.topics.messages = {}  # they are on their way
    assert list(await shop.store.submitted([0, 1], limit=9)) == []
    assert not (await shop.store.event("a")).position.is_given
    shop.topics.messages = held
    assert await shop.receive() == [first.event, second.event]
    assert await shop.receive() == []
    assert not shop.disk.waiting


async def test_a_partition_that_is_given_away_while_the_broker_is_asked_is_left_to_its_next_owner(shop):
    store: BrokeredStore

    class Meanwhile(MemoryBroker):
        async def fetch(self, after, *, limit):
            found = await super().fetch(after, limit=limit)
            await store.give(shop.claim, [1])
            return found

    store = BrokeredStore(MemoryStore(shop.disk), Meanwhile(shop.topics), shop.clock, CARRIED)
    await shop.put(to_message(sent("kept").event))
    await shop.put(to_message(sent("given", partition=1, key="other").event), partition=1)
    assert [each.sent.event.id for each in await store.submitted([0, 1], limit=9)] == ["kept"]
    await shop.store.take(shop.claim, [1])
    assert [each.id for each in await shop.receive(partitions=(1,))] == ["given"]


async def test_how_far_a_partition_was_received_outlives_the_process(shop):
    await shop.put(*(to_message(sent(f"e{number}").event) for number in range(5)))
    assert len(await shop.receive()) == 5
    assert shop.disk.progress[AGENT, "t", 0].low == 5
    another = brokered(shop.disk, shop.topics)
    await shop.put(to_message(sent("later").event))
    assert [each.sent.event.id for each in await another.submitted([0], limit=9)] == ["later"]


async def test_what_comes_twice_is_known(shop):
    twice = to_message(sent("a").event)
    await shop.put(twice, twice)
    assert [each.id for each in await shop.receive()] == ["a"]
    await shop.put(twice, to_message(sent("b").event))
    assert [each.id for each in await shop.receive()] == ["b"]
    assert shop.disk.progress[AGENT, "t", 0].low == 4


async def test_what_is_not_received_yet_holds_the_progress_back(shop):
    await shop.put(*(to_message(sent(name).event) for name in "abc"))
    shown = await shop.store.submitted([0], limit=9)
    events = [Recorded(Position("t", 0, place), shown[at].sent.event) for place, at in ((1, 0), (2, 2))]
    await shop.store.commit(shop.claim, 1, Writes(events=events, received=[shown[0].number, shown[2].number]))
    shop.number = 1
    assert shop.disk.progress[AGENT, "t", 0].low == 1
    assert [each.sent.event.id for each in await shop.store.submitted([0], limit=9)] == ["b"]
    another = brokered(shop.disk, shop.topics)  # after a crash it is seen again, and known
    assert [(each.sent.event.id, each.known) for each in await another.submitted([0], limit=9)] == [
        ("b", False),
        ("c", True),
    ]
    assert [each.id for each in await shop.receive()] == ["b"]
    assert shop.disk.progress[AGENT, "t", 0].low == 3


async def test_a_message_without_attributes_is_the_data_of_the_one_type_of_its_topic(shop):
    await shop.put(Message(b'{"n": 1}', b"customer-7"), topic="typed", partition=0)
    (event,) = await shop.receive(partitions=(0, 1)) or await shop.receive(partitions=(0, 1))
    assert (event.id, event.type, event.key, event.data) == ("typed/0/1", "Order.v1", "customer-7", b'{"n": 1}')
    assert event.correlation_id == event.id


async def test_a_structured_cloudevent_is_read(shop):
    document = {"specversion": "1.0", "id": "x", "source": "/s", "type": "T.v1", "subject": "", "data": {"n": 1}}
    content = (("content-type", b"application/cloudevents+json; charset=utf-8"),)
    await shop.put(Message(json.dumps(document).encode(), b"", content))
    (event,) = await shop.receive()
    assert (event.id, event.type, event.data) == ("x", "T.v1", b'{"n":1}')


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (Message(b'{"n": 1}'), "which type"),
        (Message(b"\xff\xfe", b"", (("type", b"T.v1"),)), "JSON"),
        (Message(b"{}", b"\xff", (("type", b"T.v1"),)), "utf-8"),
        (Message(b"{}", b"", (("ce_specversion", b"1.0"), ("ce_id", b"x"))), "ce_source: is missing"),
        (Message(b"{}", b"", (("ce_specversion", b"\xff"),)), "utf-8"),
        (Message(b"[1", b"", (("content-type", b"application/cloudevents+json"),)), "object"),
        (Message(b"", b"", (*to_message(sent("a").event).headers, (HELD, b"5"))), "held by the app"),
    ],
    ids=["no type", "no JSON", "key", "no source", "header", "half", "held elsewhere"],
)
async def test_what_cannot_be_read_is_a_dead_letter_and_holds_nobody_up(shop, message, why):
    await shop.put(message, to_message(sent("next").event))
    placed = await shop.receive()
    assert [each.type for each in placed] == [UNREADABLE, "T.v1"]
    (letter,) = await shop.store.dead_letters()
    assert (letter.agent, letter.event.event.id) == (AGENT, "t/0/1")
    assert why in letter.reason
    assert (await shop.store.run(letter.run_id)).change.status == "failed"


async def test_a_key_that_others_put_into_another_partition_comes_to_its_own(shop):
    right = partition_of("default", "somebody", 2)
    await shop.put(to_message(sent("a", key="somebody").event), partition=1 - right)
    assert await shop.receive(partitions=[1 - right]) == []
    assert [each.id for each in await shop.receive(partitions=[right])] == ["a"]
    assert await shop.receive() == []
    assert {each for each, log in shop.disk.logs.items() if log} == {("t", right)}


async def test_what_is_larger_than_the_broker_takes_is_held_by_the_store(shop):
    large = Sent("t", 0, structs.replace(sent("large").event, data=b'"' + b"x" * 5000 + b'"'))
    await shop.store.commit(shop.claim, 1, Writes(sent=[large]))
    shop.number = 1
    (message,) = shop.carried()
    assert (message.value, message.headers[-1]) == (b"", (HELD, b"5002"))
    assert await shop.receive() == [large.event]


async def test_a_broker_that_wants_documents_gets_them_and_what_has_none_in_binary_mode(shop):
    broker = MemoryBroker(shop.topics, bytes_max=1000, structured=True)
    shop.store = BrokeredStore(MemoryStore(shop.disk), broker, shop.clock, CARRIED)
    plain, sealed = sent("plain"), Sent("t", 0, structs.replace(sent("sealed").event, data=b"\xc1\x01sealed"))
    large = Sent("t", 0, structs.replace(sent("large").event, data=b'"' + b"x" * 5000 + b'"'))
    last = sent("last")
    await shop.store.commit(shop.claim, 1, Writes(sent=[plain, sealed, large, last]))
    shop.number = 1
    whole, binary, held, after = shop.carried()
    assert (whole.headers, json.loads(whole.value)["id"]) == (STRUCTURED_HEADERS, "plain")
    assert (binary.value, binary.headers[-1]) == (b"\xc1\x01sealed", (AFTER, b"plain"))
    assert (held.value, held.headers[-2:]) == (b"", ((AFTER, b"sealed"), (HELD, b"5002")))
    assert json.loads(after.value)["penstockafter"] == "large"
    assert await shop.receive() == [each.event for each in (plain, sealed, large, last)]


async def test_a_document_that_overtook_an_earlier_event_waits_for_it(shop):
    a, b = sent("a"), sent("b")
    await MemoryStore(shop.disk).commit(shop.claim, 1, Writes(sent=[a, b]))
    shop.number = 1
    await shop.put(to_structured(b.event, "a"))
    assert await shop.receive() == []
    await shop.put(to_structured(a.event, ""), to_structured(b.event, "a"))
    assert await shop.receive() == [a.event, b.event]


async def test_what_a_dead_worker_did_not_publish_comes_before_anything_of_who_takes_over(shop):
    await MemoryStore(shop.disk).commit(
        shop.claim, 1, Writes(sent=[sent("a"), sent("b")])
    )  # and died before it published
    another = brokered(shop.disk, shop.topics)
    claim = await another.join("another")
    shop.disk.owners[0] = 0
    assert await another.take(claim, [0]) == {0}
    await another.commit(claim, 1, Writes(sent=[sent("c")]))
    assert [each.headers[2][1] for each in shop.carried()] == [b"a", b"b", b"c"]


async def test_what_is_published_for_a_dead_worker_keeps_its_order_where_a_part_of_it_arrives_first(shop):
    line = [sent("a"), sent("b"), sent("c")]
    await MemoryStore(shop.disk).commit(shop.claim, 1, Writes(sent=line))
    shop.number = 1
    await shop.store.take(shop.claim, [0])
    first, *others = shop.topics.messages["t", 0]
    shop.topics.messages["t", 0] = [*others, first]  # what did not arrive was published again
    received = [*await shop.receive(), *await shop.receive()]
    assert received == [each.event for each in line]


async def test_what_does_not_come_back_is_published_once_more(shop):
    await MemoryStore(shop.disk).commit(shop.claim, 1, Writes(sent=[sent("a")]))
    shop.number = 1
    assert await shop.receive() == []
    shop.clock.skew_ms += OVERDUE_MS + 1
    await shop.receive()
    assert [each.id for each in await shop.receive()] == ["a"]


async def test_other_topics_do_not_go_over_the_broker(shop):
    plain = Sent("internal", 0, sent("a").event)
    await shop.store.commit(shop.claim, 1, Writes(sent=[plain]))
    shop.number = 1
    assert not shop.carried("internal")
    assert [each.id for each in await shop.receive()] == ["a"]


async def test_what_overtook_an_earlier_event_of_its_key_waits_for_it(shop):
    a, b, other = sent("a"), sent("b"), sent("other", key="other")
    await MemoryStore(shop.disk).commit(shop.claim, 1, Writes(sent=[a, b, other]))
    shop.number = 1
    late = to_message(b.event)
    late = structs.replace(late, headers=(*late.headers, (AFTER, b"a")))
    beside = to_message(other.event)
    beside = structs.replace(beside, headers=(*beside.headers, (AFTER, b"")))
    await shop.put(late, beside)  # the first one was not published, and then it was
    assert [each.id for each in await shop.receive()] == ["other"]
    assert shop.disk.progress[AGENT, "t", 0].low == 0
    await shop.put(to_message(a.event), late)
    assert await shop.receive() == [a.event, b.event]
    assert await shop.receive() == []
    assert shop.disk.progress[AGENT, "t", 0].low == 4


async def test_many_that_overtook_an_earlier_event_do_not_hide_it(shop):
    line = [sent(f"e{number}") for number in range(9)]
    await MemoryStore(shop.disk).commit(shop.claim, 1, Writes(sent=line))
    shop.number = 1
    messages = [
        structs.replace(message, headers=(*message.headers, (AFTER, before.encode())))
        for message, before in zip(
            (to_message(each.event) for each in line), ("", *(each.event.id for each in line)), strict=False
        )
    ]
    await shop.put(*messages[1:], messages[0])  # the first one's publishing was repeated
    received = []
    for _ in range(9):
        received += await shop.receive(limit=2)
    assert received == [each.event for each in line]


async def test_what_found_no_place_in_a_page_does_not_count_as_shown(shop):
    a, b = sent("a"), sent("b")
    plain = [Sent("internal", 0, sent(each).event) for each in ("one", "two")]
    await shop.store.commit(shop.claim, 1, Writes(sent=plain))
    await MemoryStore(shop.disk).commit(shop.claim, 2, Writes(sent=[a, b]))
    shop.number = 2
    late = to_message(b.event)
    late = structs.replace(late, headers=(*late.headers, (AFTER, b"a")))
    await shop.put(late, to_message(a.event))
    assert [each.id for each in await shop.receive(limit=2)] == ["one", "two"]
    assert [*await shop.receive(), *await shop.receive()] == [a.event, b.event]


async def test_submissions_come_one_after_the_other_also_when_one_is_repeated(shop):
    class Away(MemoryBroker):
        fails = 1

        async def publish(self, messages):
            await super().publish(messages)
            self.fails -= 1
            if self.fails == 0:
                raise Unavailable("the broker", "publish")

    store = BrokeredStore(MemoryStore(shop.disk), Away(shop.topics), shop.clock, CARRIED)
    first, second = [sent("a"), sent("b")], [sent("c")]
    with pytest.raises(Unavailable):
        await store.submit(first)
    await store.submit(second)
    await store.submit(first)  # repeated: not after itself, nor after what was sent later
    told = [(dict(each.headers)["ce_id"], dict(each.headers)[AFTER]) for each in shop.carried()]
    assert told == [(b"a", b""), (b"b", b"a"), (b"c", b"b"), (b"a", b""), (b"b", b"a")]
    assert [each.id for each in await shop.receive()] == ["a", "b", "c"]
