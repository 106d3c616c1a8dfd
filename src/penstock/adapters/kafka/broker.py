"""Events over Apache Kafka, by its C client (librdkafka): an idempotent producer, and partitions that are assigned by us."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from penstock.core.events.messages import Carried, Lane, Message
from penstock.core.events.watchers import Watchers
from penstock.errors import Missing

try:
    from confluent_kafka import KafkaException, Producer, TopicPartition, admin
except ImportError as error:
    raise Missing("the package confluent-kafka", "pip install 'penstock[kafka]'") from error

from penstock.adapters.kafka.address import Address, address_of
from penstock.adapters.kafka.errors import Complaints, as_settings, is_right, of_exception
from penstock.adapters.kafka.reader import ASK_S, Reader
from penstock.adapters.kafka.rights import Rights
from penstock.adapters.kafka.sending import Sending
from penstock.adapters.kafka.topics import Topics, ends_of

BYTES_MAX = 900_000  # Kafka's own limit is 1 MiB, with headers, unless a topic says otherwise
DELIVERY_S = 10.0
QUEUE_MAX = 100_000  # messages that wait for their delivery


@asynccontextmanager
async def open_kafka(url: str) -> AsyncGenerator["KafkaBroker"]:
    """Connect to the Kafka of an address; `Invalid` for what is none. Whether it answers, `require` tells."""
    broker = KafkaBroker(address_of(url))
    try:
        yield broker
    finally:
        await broker.close()


class KafkaBroker:
    """A `Broker` on Kafka."""

    bytes_max = BYTES_MAX
    structured = False

    def __init__(self, address: Address) -> None:
        self._address = address
        self._complaints = Complaints()
        common: dict[str, Any] = dict(address.settings) | {
            "error_cb": self._complaints,
            "log.connection.close": False,
            "log_level": 0,
            "reconnect.backoff.max.ms": 1000,  # of librdkafka's own, 10 s, an outage of 2 s becomes one of 12 s
        }
        reading = {
            "group.id": address.group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "coordinator.query.interval.ms": 10_000,  # of librdkafka's own, ten minutes, so long goes a right that came back
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 200,  # for which one who waits at a partition keeps those waiting that come to it
            "fetch.queue.backoff.ms": 10,
            "fetch.error.backoff.ms": 50,  # of librdkafka's own, 500, what was just made is read half a second late
            "queued.max.messages.kbytes": 8192,
        }
        writing = {
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 0.5,
            "delivery.timeout.ms": int(DELIVERY_S * 1000),
            "request.timeout.ms": int(DELIVERY_S * 500),
            "queue.buffering.max.messages": QUEUE_MAX,
            "message.max.bytes": 2 * BYTES_MAX,
        }
        self._watchers = Watchers()
        try:
            self._admin: Any = admin.AdminClient(common)
            self._sending = Sending(lambda: Producer(common | writing))
        except KafkaException as error:
            raise of_exception(self._complaints, "connect", error) from error
        self._topics = Topics(self._admin, address, self._complaints)
        self._rights = Rights(self._topics, self._ask_again)
        self._reader = Reader(common | reading, address.topic, self._watchers.wake, self._rights.lose)

    async def require(self, topics: Collection[str], partitions: int) -> None:
        async with as_settings():
            await self._topics.require(topics, partitions)
        # Of what was just made the clients would learn with their next look at all topics, up to a second later.
        await self._ask_again([self._address.topic(each) for each in topics])

    async def publish(self, messages: Sequence[tuple[str, int, Message]]) -> None:
        if not messages:
            return
        names = {topic: self._address.topic(topic) for topic in {each for each, _, _ in messages}}
        unsent = await self._sending.send(
            [
                (names[topic], message.value, message.key or None, partition, [*message.headers])
                for topic, partition, message in messages
            ]
        )
        if unsent is None:
            self._complaints.heard()
            return
        if is_right(unsent.error):
            self._rights.lose(unsent.topic)
        raise self._complaints.error("publish", unsent.error, unsent.topic)

    async def fetch(self, after: Mapping[Lane, int], *, limit: int) -> Sequence[Carried]:
        return self._reader.fetch(after, limit=limit)

    async def ends(self, lanes: Collection[Lane]) -> Mapping[Lane, int]:
        parts = {
            TopicPartition(self._address.topic(topic), partition): (topic, partition) for topic, partition in lanes
        }
        return await asyncio.to_thread(ends_of, self._admin, self._complaints, parts, time.sleep) if parts else {}

    async def behind(self, after: Mapping[Lane, int]) -> Mapping[Lane, int]:
        """Return how many messages follow these positions."""
        ends = await self.ends(after)
        return {lane: max(0, ends.get(lane, 0) - position) for lane, position in after.items()}

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        return self._watchers.watch(wake)

    async def close(self) -> None:
        """End the reader's thread; whoever published has waited for that."""
        self._rights.stop()
        await self._reader.stop()
        self._sending.stop()

    async def _ask_again(self, topics: Collection[str]) -> None:
        """Learn of topics that were kept from us: the clients would ask for them in some minutes."""
        self._reader.ask_again(topics)
        producer = self._sending.producer
        with suppress(KafkaException):
            for topic in topics:
                await asyncio.to_thread(producer.list_topics, topic, ASK_S)
