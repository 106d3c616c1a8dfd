"""Static members of a relay's group (`group.instance.id`): one that is started again has its partitions, and the others notice nothing."""

import asyncio
import json
import secrets
import threading
from contextlib import asynccontextmanager

import pytest
from confluent_kafka import Producer, admin

from penstock.adapters.kafka.broker import open_kafka
from penstock.adapters.kafka.relaying import open_relay

pytestmark = pytest.mark.timeout(120)  # a JVM starts
PARTITIONS = 4
WITHIN_S = 40
CLASSIC = "&group.protocol=classic&session.timeout.ms=10000"


class Member:
    """A member of the group in this process: what it took, and its partitions each time they changed."""

    def __init__(self):
        self.taken, self.moves, self._moved = [], [], asyncio.Condition()

    async def handle(self, batch):
        async with self._moved:
            self.taken += [json.loads(each.message.value) for each in batch]
            self._moved.notify_all()
        return []

    async def until_taken(self, numbers):
        async with self._moved, asyncio.timeout(WITHIN_S):
            await self._moved.wait_for(lambda: set(self.taken) == numbers)


@asynccontextmanager
async def member(log, name):
    found, stopped = Member(), threading.Event()
    async with open_relay(f"{log}&group.instance.id={name}", "echo") as relay:
        relay.on_move = found.moves.append
        await relay.require(["asked"], PARTITIONS)
        running = asyncio.get_running_loop().create_task(relay.run(["asked"], found.handle, stopped.is_set))
        try:
            yield found
        finally:
            stopped.set()
            await running


class Group:
    """What the broker says of the group."""

    def __init__(self, kafka, name):
        self._client, self._name = admin.AdminClient({"bootstrap.servers": kafka.hosts}), name

    async def assigned(self):
        """Return the partitions of each member."""
        asked = self._client.describe_consumer_groups([self._name])[self._name]
        told = await asyncio.to_thread(asked.result, 20)
        return {
            each.group_instance_id: {part.partition for part in each.assignment.topic_partitions}
            for each in told.members
        }

    async def divided(self, members):
        """Wait until all partitions are divided among so many members."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                found = await self.assigned()
                parts = [part for each in found.values() for part in each]
                if len(found) == members and all(found.values()) and sorted(parts) == list(range(PARTITIONS)):
                    return found
                await asyncio.sleep(0.1)


@pytest.mark.parametrize("options", ["", CLASSIC])
async def test_a_member_that_is_started_again_causes_no_rebalance(kafka, options):
    prefix = f"p{secrets.token_hex(6)}-"
    log = f"{kafka.address}?partitions={PARTITIONS}&prefix={prefix}&group={prefix}g{options}"
    async with open_kafka(f"{kafka.address}?prefix={prefix}") as broker:
        await broker.require(["asked"], PARTITIONS)
    group, producer = Group(kafka, f"{prefix}g"), Producer({"bootstrap.servers": kafka.hosts})
    async with member(log, "stays") as stays:
        async with member(log, "goes"):
            before = await group.divided(2)
            moves = list(stays.moves)
        for number in range(PARTITIONS):
            producer.produce(f"{prefix}asked", json.dumps(number).encode(), partition=number)
        assert producer.flush(20) == 0
        await stays.until_taken(before["stays"])  # what is for the other one waits for it
        async with member(log, "goes") as again:
            await again.until_taken(before["goes"])
            assert await group.divided(2) == before
        assert stays.moves == moves
        assert set(stays.taken) == before["stays"]
