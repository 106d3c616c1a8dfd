"""A store before which there is a broker, both in memory, and who owns its partitions."""

from penstock.adapters.memory.broker import MemoryBroker, Topics
from penstock.adapters.memory.store import Disk, MemoryStore
from penstock.core.agents.unit import Writes
from penstock.core.events.envelope import Position, Recorded
from penstock.layers.brokered_store import BrokeredStore
from penstock.testing.virtual_time import VirtualClock

CARRIED = {"t": "", "typed": "Order.v1"}


def brokered(disk, topics, *, clock=None, bytes_max=1000):
    broker = MemoryBroker(topics, bytes_max=bytes_max, structured=getattr(topics, "structured", False))
    return BrokeredStore(MemoryStore(disk), broker, clock or VirtualClock(), CARRIED)


class Shop:
    """A store with two partitions, and its broker."""

    def __init__(self):
        self.disk, self.topics, self.clock = Disk(), Topics(), VirtualClock()
        self.store = brokered(self.disk, self.topics, clock=self.clock)
        self.number = 0

    async def begin(self, partitions=2):
        plain = MemoryStore(self.disk)
        await plain.divide(await plain.claim("divider"), partitions)
        self.claim = await self.store.join("worker")
        await self.store.take(self.claim, range(partitions))
        return self

    async def put(self, *messages, topic="t", partition=0):
        await MemoryBroker(self.topics).publish([(topic, partition, each) for each in messages])

    async def receive(self, store=None, partitions=(0, 1), limit=100):
        """Do what the owner of partitions does, and return what got its place."""
        store = store or self.store
        placed, numbers = [], []
        ends = dict(await store.ends())
        for each in await store.submitted(partitions, limit=limit):
            numbers.append(each.number)
            if not each.known:
                lane = each.sent.topic, each.sent.partition
                ends[lane] = ends.get(lane, 0) + 1
                placed.append(Recorded(Position(*lane, ends[lane]), each.sent.event))
        self.number += 1
        await store.commit(self.claim, self.number, Writes(events=placed, received=numbers))
        return [each.event for each in placed]

    def carried(self, topic="t"):
        return [each for lane, held in self.topics.messages.items() for each in held if lane[0] == topic]
