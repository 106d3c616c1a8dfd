"""A producer that ends for good, against a real Kafka: another one goes on, nothing is lost, and it is bounded."""

import asyncio
import secrets

import pytest
from app_over_broker import Ordered, shop
from confluent_kafka import KafkaError
from ending_producers import end_for_good, open_brokers

from penstock.adapters.clock.system import SystemClock
from penstock.adapters.kafka.broker import open_kafka
from penstock.adapters.kafka.sending import ENDS_MAX
from penstock.core.events.messages import Message
from penstock.errors import NotLetIn, Refused, Unavailable
from penstock.layers.publishing_later import published_later
from penstock.testing.broker_contract import fetched

pytestmark = pytest.mark.timeout(120)  # a JVM starts
WITHIN_S = 40


@pytest.fixture
async def broker(kafka):
    async with open_kafka(f"{kafka.address}?prefix=p{secrets.token_hex(6)}-") as found:
        await found.require(["t"], 1)
        yield found


def numbered(*numbers):
    return [("t", 0, Message(b"%d" % number, b"k", (("ce_id", b"%d" % number),))) for number in numbers]


async def test_another_producer_goes_on_where_one_ended_for_good(broker, caplog):
    await broker.publish(numbered(1, 2))
    end_for_good(broker._sending.producer)
    with pytest.raises(Unavailable, match="a test says so"):
        await broker.publish(numbered(3))
    await broker.publish(numbered(3, 4))
    found = [int(each.message.value) for each in await fetched(broker, {("t", 0): 0}, 4)]
    assert found == [1, 2, 3, 4]
    assert "ended our producer for good (OUT_OF_ORDER_SEQUENCE_NUMBER: test_fatal_error: a test says so)" in caplog.text


async def test_what_was_on_its_way_is_published_again_in_its_order(broker):
    async with published_later(broker, SystemClock()) as later, asyncio.timeout(WITHIN_S):
        for number in range(300):
            await later.publish(numbered(number))
            if number in {90, 200}:
                await asyncio.sleep(0.002)  # some of it is with the broker then
                end_for_good(broker._sending.producer)
                await later.published()
        await later.published()
        found, after = list[int](), 0
        while len(set(found)) < 300:
            page = await broker.fetch({("t", 0): after}, limit=1000)
            found += [int(each.message.value) for each in page]
            after = page[-1].position if page else after
            await asyncio.sleep(0.01)
    assert list(dict.fromkeys(found)) == list(range(300))


async def test_many_who_publish_at_once_go_on_with_one_other_producer(broker):
    end_for_good(broker._sending.producer)
    outcomes = await asyncio.gather(*(broker.publish(numbered(each)) for each in range(20)), return_exceptions=True)
    assert {type(each) for each in outcomes} <= {Unavailable, type(None)}
    await asyncio.gather(*(broker.publish(numbered(each)) for each in range(20)))
    assert len(broker._sending._ends_s) == 1


async def test_producers_that_end_one_after_the_other_are_said_with_what_to_do(broker):
    for number in range(ENDS_MAX):
        end_for_good(broker._sending.producer)
        with pytest.raises(Unavailable):
            await broker.publish(numbered(number))
        await broker.publish(numbered(number))
    end_for_good(broker._sending.producer)
    with pytest.raises(Unavailable):
        await broker.publish(numbered(99))
    with pytest.raises(Refused, match=r"ended 6 producers within 60 s.*look into the brokers' logs"):
        await broker.publish(numbered(99))


async def test_a_broker_without_idempotent_producers_is_refused(broker):
    end_for_good(broker._sending.producer, KafkaError._UNSUPPORTED_FEATURE)
    with pytest.raises(Unavailable):
        await broker.publish(numbered(1))
    with pytest.raises(Refused, match="has no idempotent producers"):
        await broker.publish(numbered(1))


async def test_a_right_that_lacks_ends_no_more_producers_than_are_counted(broker):
    for number in range(ENDS_MAX + 2):
        end_for_good(broker._sending.producer, KafkaError.CLUSTER_AUTHORIZATION_FAILED)
        with pytest.raises(NotLetIn, match="our user's rights"):
            await broker.publish(numbered(number))
        await broker.publish(numbered(number))
    assert not broker._sending._ends_s


async def test_an_app_goes_on_when_its_producer_has_ended(kafka, tmp_path, caplog):
    shipped = []
    log = f"{kafka.address}?partitions=2&prefix=p{secrets.token_hex(6)}-"
    running = shop(shipped).running(store=f"sqlite:{tmp_path / 'shop.db'}", log=log)
    async with running as live, asyncio.timeout(WITHIN_S):
        broker = open_brokers()[-1]
        for first in (0, 40, 80):
            await live.engine.send_many([Ordered(customer=f"c{each % 5}", number=first + each) for each in range(40)])
            end_for_good(broker._sending.producer)
            await live.engine.until(lambda: len(shipped), lambda count, all_=first + 40: count >= all_)
    assert len(set(shipped)) == len(shipped) == 120
    for customer in range(5):
        numbers = [number for name, number in shipped if name == f"c{customer}"]
        assert numbers == sorted(numbers)
    assert "OUT_OF_ORDER_SEQUENCE_NUMBER" in caplog.text
