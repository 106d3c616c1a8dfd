"""Topics of a Kafka as those see them who publish to a job of Flink, and who read committed what it emits."""

import time
from collections.abc import Sequence

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from penstock.core.events.envelope import Envelope
from penstock.core.events.messages import Message, to_message


class Topics:
    """Topics of a Kafka."""

    def __init__(self, hosts: str) -> None:
        self._hosts = hosts

    def publish(self, topic: str, events: Sequence[Envelope]) -> None:
        producer = Producer({"bootstrap.servers": self._hosts, "enable.idempotence": True, "linger.ms": 5})
        for event in events:
            message = to_message(event)
            headers = list(message.headers)
            producer.produce(topic, message.value, message.key, headers=headers)  # type: ignore[arg-type]
            producer.poll(0)
        assert producer.flush(30) == 0

    def committed(self, topic: str, count: int, within_s: float) -> list[Message]:
        """Return what those see who read committed: `count` messages, or what there was in time."""
        settings = {
            "bootstrap.servers": self._hosts,
            "group.id": f"test-{time.monotonic_ns()}",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
        consumer, found = Consumer(settings), list[Message]()
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, each, 0) for each in partitions])  # no group is waited for
        until_s = time.monotonic() + within_s
        while len(found) < count and time.monotonic() < until_s:
            for each in consumer.consume(2000, 0.5):
                assert each.error() is None
                found.append(Message(each.value(), each.key() or b"", tuple(each.headers() or ())))
        consumer.close()
        return found

    def delete(self, *topics: str) -> None:
        admin = AdminClient({"bootstrap.servers": self._hosts})
        for each in admin.delete_topics(list(topics)).values():
            each.result()
