"""A broker in bad weather is one still: late and in pieces, it keeps the contract; what it loses, it says."""

import asyncio
from random import Random

import pytest

from penstock.adapters.memory.broker import MemoryBroker, Topics
from penstock.core.events.messages import Message
from penstock.errors import Unavailable
from penstock.testing.broker_contract import BrokerContract, text, values
from penstock.testing.faulty_broker import LATE_S_MAX, BrokerWeather, FaultyBroker
from penstock.testing.virtual_time import run_virtually


class TestFaultyBroker(BrokerContract):
    @pytest.fixture
    def topics(self):
        return Topics()

    @pytest.fixture
    def broker(self, topics):
        return bad(topics)

    @pytest.fixture
    def another(self, topics):
        async def opened():
            return bad(topics)

        return opened

    @pytest.fixture
    def topic(self):
        return "t"


def bad(topics):
    weather = BrokerWeather(Random(3), torn=0.5, delay_s=0.0005)
    return FaultyBroker(MemoryBroker(topics, bytes_max=1000), weather)


@pytest.mark.parametrize("late", [0.0, 1.0])
def test_what_fails_is_said_and_may_have_arrived_in_part_or_arrive_later(late):
    async def story():
        topics, came = Topics(), set()
        for seed in range(40):
            topics.messages.clear()
            broker = FaultyBroker(MemoryBroker(topics), BrokerWeather(Random(seed), loss=1.0, late=late))
            with pytest.raises(Unavailable):
                await broker.publish([("t", 0, text(str(number))) for number in range(4)])
            await asyncio.sleep(LATE_S_MAX + 1)
            came.add(len(topics.messages.get(("t", 0), [])))
        assert came == ({4} if late else {0, 1, 2, 3, 4})

    run_virtually(story())


def test_a_broker_that_drops_what_comes_twice_knows_it_by_its_id():
    async def story():
        weather = BrokerWeather(Random(1), repeats=1.0, seen={})
        broker = FaultyBroker(MemoryBroker(), weather)
        await broker.publish([("t", 0, text("a"))])
        await broker.publish([("t", 0, text("a")), ("t", 0, Message(b"bare"))])
        assert values(await broker.fetch({("t", 0): 0}, limit=9)) == [b"a", b"bare", b"bare"]

    run_virtually(story())


def test_nothing_passes_while_it_is_away():
    async def story():
        weather = BrokerWeather(Random(1))
        broker = FaultyBroker(MemoryBroker(), weather)
        await broker.publish([("t", 0, text("a"))])
        weather.away = True
        with pytest.raises(Unavailable, match="nothing passes"):
            await broker.publish([("t", 0, text("b"))])
        assert await broker.fetch({("t", 0): 0}, limit=9) == []
        weather.away = False
        assert values(await broker.fetch({("t", 0): 0}, limit=9)) == [b"a"]

    run_virtually(story())
