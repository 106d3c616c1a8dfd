"""The load's end of a broker: what goes into the first topic of a pipeline, and what comes out of the last, by the raw clients.

The same few lines serve every side. What came is in `arrived`, with the time of its arrival: over NATS as it is published, over Kafka
and Redis as it can be read.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import msgspec

PARTITIONS = 8
TOPICS = ("entered", "checked", "priced", "left")
FIRST, LAST = TOPICS[0], TOPICS[-1]
ANSWER_S = 20.0
READ_MAX = 4096
WAIT_S = 0.05


class Record(NamedTuple):
    """One event for the first topic. `headers`: those of CloudEvents, for who reads them."""

    partition: int
    key: str
    value: bytes
    headers: tuple[tuple[str, str], ...] = ()


class Wire(Protocol):
    """One connection of the load to a broker."""

    arrived: deque[tuple[int, list[bytes]]]

    async def make(self) -> None:
        """Make the topics."""
        ...

    async def send(self, records: Sequence[Record]) -> None:
        """Send to the first topic, without waiting for the broker's answer."""
        ...


@asynccontextmanager
async def wire(address: str, prefix: str, form: str) -> AsyncIterator[Wire]:
    """Connect to the broker of an address. `form`: how a Redis holds a message: "penstock", "plain" or "faststream"."""
    where = urlsplit(address)
    if where.scheme == "kafka":
        kafka = KafkaWire(where.netloc, prefix)
        try:
            yield kafka
        finally:
            await asyncio.to_thread(kafka.close)
    elif where.scheme == "nats":
        nats = NatsWire(prefix)
        await nats.open(where.netloc)
        try:
            yield nats
        finally:
            await nats.close()
    else:
        redis = RedisWire(address, prefix, form)
        try:
            yield redis
        finally:
            await redis.close()


class KafkaWire:
    def __init__(self, hosts: str, prefix: str) -> None:
        from confluent_kafka import Consumer, Producer
        from confluent_kafka.admin import AdminClient

        where = {"bootstrap.servers": hosts, "log_level": 0}
        self.arrived: deque[tuple[int, list[bytes]]] = deque()
        self._prefix = prefix
        self._admin = AdminClient(where)
        self._producer = Producer(where | {"linger.ms": 1, "acks": "all", "queue.buffering.max.messages": 1_000_000})
        reading = {"group.id": f"{prefix}load", "enable.auto.commit": False, "auto.offset.reset": "earliest"}
        self._consumer = Consumer(where | reading | {"fetch.queue.backoff.ms": 5})
        self._stopped = False
        self._reader = threading.Thread(target=self._read, daemon=True)

    async def make(self) -> None:
        await asyncio.to_thread(self._make)
        self._reader.start()

    async def send(self, records: Sequence[Record]) -> None:
        topic = self._prefix + FIRST
        for each in records:
            self._producer.produce(topic, each.value, each.key, each.partition, headers=list(each.headers))
        self._producer.poll(0)

    def close(self) -> None:
        self._stopped = True
        if self._reader.is_alive():
            self._reader.join()
        self._consumer.close()
        self._producer.flush(1)

    def _make(self) -> None:
        from confluent_kafka import TopicPartition
        from confluent_kafka.admin import NewTopic

        made = self._admin.create_topics([NewTopic(self._prefix + each, PARTITIONS, 1) for each in TOPICS])
        for each in made.values():
            each.result(ANSWER_S)
        self._consumer.assign([TopicPartition(self._prefix + LAST, each, 0) for each in range(PARTITIONS)])

    def _read(self) -> None:
        while not self._stopped:
            found = [each.value() for each in self._consumer.consume(READ_MAX, WAIT_S / 10) if not each.error()]
            if found:
                self.arrived.append((time.time_ns(), found))


class NatsWire:
    def __init__(self, prefix: str) -> None:
        self.arrived: deque[tuple[int, list[bytes]]] = deque()
        self._prefix = prefix
        self._connection: Any = None

    async def open(self, hosts: str) -> None:
        import nats

        self._connection = await nats.connect(f"nats://{hosts}")

    async def make(self) -> None:
        from nats.js.api import StorageType, StreamConfig

        streams = self._connection.jetstream()
        for topic in TOPICS:
            name = self._prefix + topic
            subjects = [f"{name}.{each}" for each in range(PARTITIONS)]
            await streams.add_stream(StreamConfig(name=name, subjects=subjects, storage=StorageType.FILE))
        await self._connection.subscribe(f"{self._prefix}{LAST}.*", cb=self._came)
        await self._connection.flush()

    async def send(self, records: Sequence[Record]) -> None:
        name = self._prefix + FIRST
        for each in records:
            await self._connection.publish(
                f"{name}.{each.partition}", each.value, headers=dict(each.headers) if each.headers else None
            )

    async def close(self) -> None:
        await self._connection.close()

    async def _came(self, message: Any) -> None:
        self.arrived.append((time.time_ns(), [message.data]))


class RedisWire:
    def __init__(self, address: str, prefix: str, form: str) -> None:
        from redis.asyncio import Redis

        self.arrived: deque[tuple[int, list[bytes]]] = deque()
        self._form = form
        self._prefix = prefix
        self._client: Any = Redis.from_url(address)
        self._reading: Any = Redis.from_url(address)
        self._task: asyncio.Task[None] | None = None
        self._stopped = False

    async def make(self) -> None:
        self._task = asyncio.create_task(self._read())

    async def send(self, records: Sequence[Record]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for each in records:
            pipeline.xadd(self._key(FIRST, each.partition), self._fields(each))
        await pipeline.execute()

    async def close(self) -> None:
        self._stopped = True
        if self._task is not None:
            await self._task
        await self._client.aclose()
        await self._reading.aclose()

    def _key(self, topic: str, partition: int) -> str:
        # In one partition for those who know none: FastStream reads one stream with one reader.
        return f"{self._prefix}{{{topic}:{partition}}}" if self._form == "penstock" else self._prefix + topic

    def _fields(self, record: Record) -> dict[str, bytes | str]:
        if self._form == "faststream":
            return {"__data__": record.value}
        if self._form == "plain":
            return {"key": record.key, "value": record.value}
        headers = tuple((name, value.encode()) for name, value in record.headers)
        return {"key": record.key, "value": record.value, "headers": msgspec.msgpack.encode(headers)}

    async def _read(self) -> None:
        after: dict[str | bytes, str | bytes] = {self._key(LAST, each): "0" for each in range(PARTITIONS)}
        while not self._stopped:
            for name, entries in await self._reading.xread(after, count=READ_MAX, block=int(WAIT_S * 1000)):
                self.arrived.append((time.time_ns(), [b" ".join(fields.values()) for _, fields in entries]))
                after[name.decode()] = entries[-1][0]
