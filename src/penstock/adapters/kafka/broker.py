"""Events over Apache Kafka, by its C client (librdkafka): an idempotent producer, and partitions that are assigned by us."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from penstock.core.events.messages import Carried, Lane, Message
from penstock.errors import Finding, Invalid, Missing, Unavailable

try:
    from confluent_kafka import KafkaException, Producer, TopicPartition, admin
except ImportError as error:
    raise Missing("the package confluent-kafka", "pip install 'penstock[kafka]'") from error

from penstock.adapters.kafka.address import Address, address_of
from penstock.adapters.kafka.errors import Complaints, of_exception
from penstock.adapters.kafka.reader import Reader
from penstock.adapters.kafka.sending import Sending

BYTES_MAX = 900_000  # Kafka's own limit is 1 MiB, with headers, unless a topic says otherwise
ANSWER_S = 8.0  # within which a server that is there answers
DELIVERY_S = 10.0
ATTEMPTS_MAX = 60  # at a partition that has no leader yet: it was made just now, or a server is away
PAUSE_S = 0.3
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
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 500,
            "fetch.queue.backoff.ms": 10,
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
        self._watchers: list[Callable[[], None]] = []
        try:
            self._admin: Any = admin.AdminClient(common)
            self._producer = Producer(common | writing)
        except KafkaException as error:
            raise of_exception(self._complaints, "connect", error) from error
        self._reader = Reader(common | reading, address.topic, self._news)
        self._sending = Sending(self._producer)

    async def require(self, topics: Collection[str], partitions: int) -> None:
        names = {self._address.topic(each): each for each in topics}
        there = await self._partitions()
        findings = [
            Finding(
                names[name],
                f"has {there[name]} partitions, not {partitions}",
                f"set log=kafka://...?partitions={there[name]}",
            )
            for name in sorted(names)
            if there.get(name, partitions) != partitions
        ]
        if findings:
            raise Invalid("the topics", tuple(findings))
        missing = [each for each in sorted(names) if each not in there]
        if missing:
            await asyncio.to_thread(self._create, missing, partitions)
        await self._led(names)

    async def _led(self, names: Collection[str]) -> None:
        """Wait until each partition has a leader: one that was made just now has none for a moment."""
        for _ in range(ATTEMPTS_MAX):
            topics = (await self._topics()).values()
            leaders = {topic.topic: [part.leader >= 0 for part in topic.partitions.values()] for topic in topics}
            if all(leaders.get(each) and all(leaders[each]) for each in names):
                return
            await asyncio.sleep(PAUSE_S)
        raise Unavailable("Kafka", "lead partitions", "some have no leader: see the state of its brokers")

    async def publish(self, messages: Sequence[tuple[str, int, Message]]) -> None:
        if not messages:
            return
        names = {topic: self._address.topic(topic) for topic in {each for each, _, _ in messages}}
        error = await self._sending.send(
            [
                (names[topic], message.value, message.key or None, partition, [*message.headers])
                for topic, partition, message in messages
            ]
        )
        if error is not None:
            raise self._complaints.error("publish", error)
        self._complaints.last = None

    async def fetch(self, after: Mapping[Lane, int], *, limit: int) -> Sequence[Carried]:
        return self._reader.fetch(after, limit=limit)

    async def ends(self, lanes: Collection[Lane]) -> Mapping[Lane, int]:
        parts = {
            TopicPartition(self._address.topic(topic), partition): (topic, partition) for topic, partition in lanes
        }
        return await asyncio.to_thread(self._ends, parts) if parts else {}

    async def behind(self, after: Mapping[Lane, int]) -> Mapping[Lane, int]:
        """Return how many messages follow these positions."""
        ends = await self.ends(after)
        return {lane: max(0, ends.get(lane, 0) - position) for lane, position in after.items()}

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        self._watchers.append(wake)
        return lambda: self._watchers.remove(wake)

    async def close(self) -> None:
        """End the reader's thread; whoever published has waited for that."""
        await self._reader.stop()
        self._sending.stop()

    def _news(self) -> None:
        for wake in tuple(self._watchers):
            wake()

    async def _partitions(self) -> dict[str, int]:
        return {name: len(topic.partitions) for name, topic in (await self._topics()).items()}

    async def _topics(self) -> dict[str, Any]:
        try:
            found = await asyncio.to_thread(self._admin.list_topics, timeout=ANSWER_S)
        except KafkaException as error:
            raise of_exception(self._complaints, "list topics", error) from error
        return {name: topic for name, topic in found.topics.items() if topic.error is None}

    def _create(self, names: Sequence[str], partitions: int) -> None:
        topics: Any = admin  # parts of it are not typed
        wanted = [topics.NewTopic(each, partitions, self._address.replication) for each in names]
        for made in self._admin.create_topics(wanted, operation_timeout=ANSWER_S, request_timeout=ANSWER_S).values():
            try:
                made.result(2 * ANSWER_S)
            except KafkaException as error:
                if error.args[0].name() != "TOPIC_ALREADY_EXISTS":  # another worker made it
                    raise of_exception(self._complaints, "make topics", error) from error

    def _ends(self, parts: Mapping[Any, Lane]) -> dict[Lane, int]:
        topics: Any = admin
        left, found = dict(parts), dict[Lane, int]()
        for attempt in range(1, ATTEMPTS_MAX + 1):
            wanted = {part: topics.OffsetSpec.latest() for part in left}
            for part, asked in self._admin.list_offsets(wanted, request_timeout=ANSWER_S).items():
                try:
                    found[left[part]] = asked.result(2 * ANSWER_S).offset
                except KafkaException as error:
                    meant = of_exception(self._complaints, "ask for the ends", error)
                    if attempt == ATTEMPTS_MAX or not isinstance(meant, Unavailable):
                        raise meant from error
            left = {part: lane for part, lane in left.items() if lane not in found}
            if not left:
                break
            time.sleep(PAUSE_S)
        return {lane: offset for lane, offset in found.items() if offset}
