"""The contract of `Broker`, as tests. An adapter inherits them and supplies brokers on one server, and topics of its own.

Each test names the guarantee that it checks. There is no way to switch one off: what an adapter cannot do belongs in
another port.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import anyio
import pytest

from penstock.core.events.envelope import Envelope
from penstock.core.events.messages import Carried, Lane, Message, to_message, to_structured
from penstock.errors import Invalid
from penstock.ports.broker import Broker

Another = Callable[[], Awaitable[Broker]]
WITHIN_S = 20.0
ODD = Message(
    bytes(range(256)), "kéy 🚀\x00".encode(), (("ce_id", "Ω".encode()), ("twice", b"1"), ("twice", b"\xff\x00"))
)


class BrokerContract:
    @pytest.fixture
    def broker(self) -> Broker:
        raise NotImplementedError("supply the broker under test")

    @pytest.fixture
    def another(self) -> Another:
        raise NotImplementedError("supply what opens another connection to the same server")

    @pytest.fixture
    def topic(self) -> str:
        """Return a name that no other test uses on this server."""
        raise NotImplementedError("supply a topic of this test alone")

    async def test_br1_what_was_published_comes_to_everybody(
        self, broker: Broker, another: Another, topic: str
    ) -> None:
        await broker.require([topic], 2)
        await broker.publish([(topic, 0, text("a")), (topic, 1, text("b"))])
        for each in (broker, await another()):
            found = await fetched(each, {(topic, 0): 0, (topic, 1): 0}, 2)
            assert sorted((one.partition, one.message.value) for one in found) == [(0, b"a"), (1, b"b")]
        await broker.publish([(topic, 0, text("c"))])
        assert values(await fetched(broker, {(topic, 0): found_at(found, b"a")}, 1)) == [b"c"]

    async def test_br2_the_messages_of_a_partition_come_in_order(self, broker: Broker, topic: str) -> None:
        await broker.require([topic], 3)
        for number in range(10):
            await broker.publish([(topic, part, text(f"{number}-{each}")) for each in range(5) for part in range(3)])
        for part in range(3):
            found = await fetched(broker, {(topic, part): 0}, 50)
            assert values(found) == [f"{number}-{each}".encode() for number in range(10) for each in range(5)]
            positions = [each.position for each in found]
            assert positions == sorted(set(positions))
            assert positions[0] > 0

    async def test_br2_many_who_publish_lose_nothing(self, broker: Broker, another: Another, topic: str) -> None:
        await broker.require([topic], 1)
        brokers = (broker, await another())

        async def publish(who: int) -> None:
            for number in range(20):
                await brokers[who % 2].publish([(topic, 0, text(f"{who}-{number}"))])

        async with anyio.create_task_group() as group:
            for who in range(4):
                group.start_soon(publish, who)
        found = values(await fetched(broker, {(topic, 0): 0}, 80))
        assert len(set(found)) == 80
        for who in range(4):
            mine = [each for each in found if each.startswith(b"%d-" % who)]
            assert mine == [b"%d-%d" % (who, number) for number in range(20)]

    async def test_br3_the_same_is_fetched_as_often_as_it_is_asked(
        self, broker: Broker, another: Another, topic: str
    ) -> None:
        await broker.require([topic], 1)
        await broker.publish([(topic, 0, text(str(number))) for number in range(100)])
        whole = await fetched(broker, {(topic, 0): 0}, 100)
        for each in (broker, await another()):
            assert await fetched(each, {(topic, 0): 0}, 100) == whole
            for first in (0, 50, 99, 7):
                after = 0 if first == 0 else whole[first - 1].position
                assert await fetched(each, {(topic, 0): after}, 100 - first) == whole[first:]
            assert list(await each.fetch({(topic, 0): whole[-1].position}, limit=1000)) == []

    async def test_br4_a_call_is_bounded(self, broker: Broker, topic: str) -> None:
        await broker.require([topic], 2)
        await broker.publish([(topic, number % 2, text(str(number))) for number in range(100)])
        found = await fetched(broker, {(topic, 0): 0, (topic, 1): 0}, 100, limit=7)
        assert sorted(values(found), key=int) == [b"%d" % number for number in range(100)]

    async def test_br4_topics_and_partitions_do_not_see_each_other(self, broker: Broker, topic: str) -> None:
        await broker.require([topic, f"{topic}-b"], 2)
        await broker.publish([(topic, 0, text("a")), (topic, 1, text("b")), (f"{topic}-b", 0, text("c"))])
        assert values(await fetched(broker, {(topic, 1): 0}, 1)) == [b"b"]
        assert values(await fetched(broker, {(f"{topic}-b", 0): 0, (f"{topic}-b", 1): 0}, 1)) == [b"c"]
        assert list(await broker.fetch({}, limit=10)) == []

    async def test_br5_watchers_are_called(self, broker: Broker, another: Another, topic: str) -> None:
        await broker.require([topic], 1)
        after = {(topic, 0): 0}
        for number, sender in enumerate((broker, await another())):
            await broker.fetch(after, limit=10)
            called = anyio.Event()
            stop = broker.watch(called.set)
            await sender.publish([(topic, 0, text(str(number)))])
            with anyio.fail_after(WITHIN_S):
                await called.wait()
            stop()
            (found,) = await fetched(broker, after, 1)
            after[topic, 0] = found.position

    async def test_br6_each_byte_of_a_message_comes_as_it_was_given(
        self, broker: Broker, another: Another, topic: str
    ) -> None:
        await broker.require([topic], 1)
        bare = Message(b"{}")
        await broker.publish([(topic, 0, ODD), (topic, 0, bare)])
        for each in (broker, await another()):
            assert [one.message for one in await fetched(each, {(topic, 0): 0}, 2)] == [ODD, bare]

    async def test_br2_br6_documents_and_other_messages_come_in_order_as_they_went(
        self, broker: Broker, another: Another, topic: str
    ) -> None:
        await broker.require([topic], 2)
        sent: list[tuple[str, int, Message]] = []
        for number in range(700):
            event = Envelope(f"{topic}-{number}", "/s", "T.v1", f"k{number}", number, b'{"n": %d}' % number)
            message = to_message(event) if number % 97 == 5 else to_structured(event, "")
            assert message is not None
            sent.append((topic, number // 3 % 2, message))
        await broker.publish(sent[:300])
        await broker.publish(sent[300:])
        for each in (broker, await another()):
            found = await fetched(each, {(topic, 0): 0, (topic, 1): 0}, len(sent))
            for part in (0, 1):
                came = [one.message for one in found if one.partition == part]
                assert came == [message for _, partition, message in sent if partition == part]

    async def test_br7_a_message_as_large_as_may_be_is_taken(self, broker: Broker, topic: str) -> None:
        await broker.require([topic], 1)
        large = Message(b"x" * broker.bytes_max, b"key", (("ce_id", b"large"),))
        await broker.publish([(topic, 0, large)])
        assert [each.message for each in await fetched(broker, {(topic, 0): 0}, 1)] == [large]

    async def test_br8_a_topic_that_is_there_is_kept(self, broker: Broker, another: Another, topic: str) -> None:
        await broker.require([topic], 2)
        await broker.publish([(topic, 0, text("a"))])
        other = await another()
        await other.require([topic], 2)
        assert values(await fetched(other, {(topic, 0): 0}, 1)) == [b"a"]

    async def test_br8_another_number_of_partitions_is_said(self, broker: Broker, topic: str) -> None:
        await broker.require([topic], 2)
        with pytest.raises(Invalid, match=f"{topic}: has 2 partitions"):
            await broker.require([topic], 3)

    async def test_the_ends_are_told(self, broker: Broker, topic: str) -> None:
        await broker.require([topic], 2)
        assert dict(await broker.ends([(topic, 0), (topic, 1)])) == {}
        await broker.publish([(topic, 1, text("a")), (topic, 1, text("b"))])
        _, last = await fetched(broker, {(topic, 1): 0}, 2)
        assert dict(await broker.ends([(topic, 0), (topic, 1)])) == {(topic, 1): last.position}


async def fetched(broker: Broker, after: Mapping[Lane, int], count: int, *, limit: int = 1000) -> list[Carried]:
    """Return the next `count` messages, and see that no more come at once."""
    places, found = dict(after), list[Carried]()
    with anyio.fail_after(WITHIN_S):
        while len(found) < count:
            page = await broker.fetch(places, limit=limit)
            assert len(page) <= limit
            found += page
            places |= {(each.topic, each.partition): each.position for each in page}
            if not page:
                await anyio.sleep(0.01)
    assert len(found) == count, values(found)
    return found


def text(value: str) -> Message:
    """Return a message that holds a text."""
    return Message(value.encode(), b"k", (("ce_id", value.encode()),))


def values(found: Sequence[Carried]) -> list[bytes]:
    """Return the values of messages, in order."""
    return [each.message.value for each in found]


def found_at(found: Sequence[Carried], value: bytes) -> int:
    """Return where a value was found."""
    return next(each.position for each in found if each.message.value == value)
