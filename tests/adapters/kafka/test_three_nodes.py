"""Kafka of three nodes keeps the contract of brokers, each message on all and acknowledged by two; and loses none with a node."""

import asyncio
import secrets
from contextlib import AsyncExitStack

import pytest
from kafka_server import kafka_cluster
from own_process import NoServerError, require
from real_brokers import RealBrokerContract

from penstock.adapters.kafka.broker import open_kafka
from penstock.core.events.messages import Message, id_of
from penstock.errors import Unavailable

pytestmark = pytest.mark.timeout(180)  # three JVMs start
WITHIN_S = 60
BATCHES, BATCH = 40, 25


@pytest.fixture(scope="module")
def cluster():
    try:
        with kafka_cluster() as found:
            yield found
    except NoServerError as error:
        require("kafka", error)


@pytest.fixture
async def opened(cluster):
    async with AsyncExitStack() as stack:

        async def another():
            return await stack.enter_async_context(open_kafka(cluster[0]))

        yield another


class TestKafkaOfThreeNodes(RealBrokerContract):
    pass


async def test_no_message_is_lost_or_overtaken_when_a_node_is_killed(cluster, opened):
    _, nodes = cluster
    broker, topic = await opened(), f"t-{secrets.token_hex(6)}"
    await broker.require([topic], 3)
    described = (await broker._topics._all())[topic].partitions.values()
    assert {len(each.isrs) for each in described} == {3}
    found, again = [[], [], []], 0
    async with asyncio.timeout(WITHIN_S):
        for number in range(BATCHES):
            if number == BATCHES // 3:
                nodes[0].kill()
            batch = [
                (topic, part, Message(b"{}", b"", (("ce_id", b"%d" % (number * BATCH + each)),)))
                for each in range(BATCH)
                for part in range(3)
            ]
            while True:
                try:
                    await broker.publish(batch)
                    break
                except Unavailable:
                    again += 1
        while any(len({name for _, name in each}) < BATCHES * BATCH for each in found):
            places = {(topic, part): each[-1][0] if each else 0 for part, each in enumerate(found)}
            page = await broker.fetch(places, limit=1000)
            for each in page:
                found[each.partition].append((each.position, id_of(each.message)))
            await asyncio.sleep(0.01 if page else 0.1)
    await asyncio.to_thread(nodes[0].start)
    for each in found:
        ids = list(dict.fromkeys(int(name) for _, name in each))
        assert ids == list(range(BATCHES * BATCH))
        assert again or len(each) == len(ids)  # what is not published again is there once
