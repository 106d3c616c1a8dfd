"""What is published later comes in its order, is tried again while the broker is away, and waits within a limit."""

import asyncio

import pytest

from penstock.adapters.memory.broker import MemoryBroker
from penstock.core.events.messages import Message
from penstock.errors import Refused, Unavailable
from penstock.layers.publishing_later import AT_ONCE_MAX, WAITING_MAX, published_later
from penstock.testing.virtual_time import VirtualClock, run_virtually


class Away(MemoryBroker):
    """A broker that answers some calls with an error; of a call that fails, it may have taken a part."""

    def __init__(self, *errors, taken=0):
        super().__init__()
        self.errors, self.taken, self.calls = list(errors), taken, 0

    async def publish(self, messages):
        self.calls += 1
        await asyncio.sleep(0.01)
        if self.errors:
            await super().publish(messages[: self.taken])
            raise self.errors.pop(0)
        await super().publish(messages)


def away(times=1):
    return [Unavailable("the broker", "publish", "it is away")] * times


def message(number):
    return "t", 0, Message(b"%d" % number)


def held(broker):
    return [int(each.value) for each in broker.topics.messages.get(("t", 0), [])]


def later_of(broker):
    return published_later(broker, VirtualClock())


def virtually(test):
    return lambda: run_virtually(test())


@virtually
async def test_messages_come_in_the_order_of_the_calls_and_many_at_once():
    broker = Away()
    async with later_of(broker) as later:
        for number in range(300):
            await later.publish([message(number)])
        assert len(held(broker)) < 300  # nobody waited for the broker
        await later.published()
        assert held(broker) == list(range(300))
    assert broker.calls < 5


@virtually
async def test_what_a_broker_that_was_away_did_not_take_is_published_again_before_what_came_later():
    broker = Away(*away(4), taken=1)
    async with later_of(broker) as later:
        await later.publish([message(1), message(2)])
        await later.publish([message(3)])
        await later.published()
    assert list(dict.fromkeys(held(broker))) == [1, 2, 3]


@virtually
async def test_what_is_on_its_way_is_waited_for_at_the_end():
    broker = Away(*away(2))
    async with later_of(broker) as later:
        await later.publish([message(1)])
    assert held(broker) == [1]


@virtually
async def test_what_waits_is_bounded():
    broker = Away(*away(1000))
    async with later_of(broker) as later:
        await later.publish([message(number) for number in range(WAITING_MAX)])
        with pytest.raises(Unavailable, match="it is away"):
            await later.publish([message(WAITING_MAX)])
        broker.errors.clear()
        await later.publish([message(WAITING_MAX)])
        await later.published()
    assert list(dict.fromkeys(held(broker))) == list(range(WAITING_MAX + 1))
    assert broker.calls > WAITING_MAX // AT_ONCE_MAX


@virtually
async def test_what_can_never_be_published_is_said_at_the_next_call():
    broker = Away(Refused("the topic is gone", "make it again"))
    async with later_of(broker) as later:
        await later.publish([message(1)])
        await later.published()
        with pytest.raises(Refused, match="the topic is gone"):
            await later.publish([message(2)])


@virtually
async def test_an_error_that_nobody_thought_of_is_said_too():
    broker = Away(ValueError("a defect"))
    async with later_of(broker) as later:
        await later.publish([message(1)])
        await later.published()
        with pytest.raises(ValueError, match="a defect"):
            await later.publish([message(2)])
