"""The pipeline on FastStream: three subscribers in a row, at least once: what was sent on is acknowledged by the broker first.

run.py kafka|nats|redis ADDRESS PREFIX one|batches

"one": a message at a time, as its guide shows it; over NATS those of one fetch side by side. "batches": a handler takes a list, and sends
it on together: FastStream's quickest way over Kafka and Redis.
"""

import itertools
import logging
import sys
from urllib.parse import urlsplit

import uvloop
from faststream import AckPolicy, FastStream
from pydantic import BaseModel

TOPICS = ("entered", "checked", "priced", "left")
BATCH = 500
WAIT_S = 0.5


class Passed(BaseModel):
    key: str
    number: int
    at_ns: int
    text: str


def next_of(event: Passed) -> Passed:
    return Passed(key=event.key, number=event.number, at_ns=event.at_ns, text=event.text)


def over_kafka(hosts: str, prefix: str, way: str):
    from faststream.confluent import KafkaBroker, KafkaPublishMessage, KafkaResponse

    broker = KafkaBroker(hosts, logger=None)

    def add(source: str, sink: str) -> None:
        options = {"group_id": f"{prefix}{source}", "auto_offset_reset": "earliest", "polling_interval": 0.01}
        if way == "batches":

            @broker.subscriber(
                prefix + source, batch=True, max_records=BATCH, ack_policy=AckPolicy.NACK_ON_ERROR, **options
            )
            async def batch(events: list[Passed]) -> None:
                sent = [KafkaPublishMessage(next_of(each), key=each.key.encode()) for each in events]
                await broker.publish_batch(*sent, topic=prefix + sink)

        else:

            @broker.publisher(prefix + sink)
            @broker.subscriber(prefix + source, ack_policy=AckPolicy.NACK_ON_ERROR, **options)
            async def one(event: Passed) -> KafkaResponse:
                return KafkaResponse(next_of(event), key=event.key.encode())

    for source, sink in itertools.pairwise(TOPICS):
        add(source, sink)
    return broker


def over_nats(hosts: str, prefix: str, _way: str):
    from faststream import Context
    from faststream.nats import JStream, NatsBroker, PullSub

    broker = NatsBroker(f"nats://{hosts}", logger=None)

    def add(source: str, sink: str) -> None:
        @broker.subscriber(
            f"{prefix}{source}.*",
            stream=JStream(prefix + source, declare=False),
            durable="faststream",
            pull_sub=PullSub(batch_size=BATCH, timeout=WAIT_S),
            ack_policy=AckPolicy.NACK_ON_ERROR,
        )
        async def one(event: Passed, subject: str = Context("message.raw_message.subject")) -> None:
            partition = subject.rpartition(".")[2]
            await broker.publish(next_of(event), f"{prefix}{sink}.{partition}", stream=prefix + sink)

    for source, sink in itertools.pairwise(TOPICS):
        add(source, sink)
    return broker


def over_redis(address: str, prefix: str, way: str):
    from faststream.redis import Pipeline, RedisBroker, StreamSub

    broker = RedisBroker(address, logger=None)

    def add(source: str, sink: str) -> None:
        options = {"group": "faststream", "consumer": "one", "max_records": BATCH, "last_id": "0"}
        if way == "batches":

            @broker.subscriber(
                stream=StreamSub(prefix + source, batch=True, **options), ack_policy=AckPolicy.NACK_ON_ERROR
            )
            async def batch(events: list[Passed], pipe: Pipeline) -> None:
                for each in events:
                    await broker.publish(next_of(each), stream=prefix + sink, pipeline=pipe)
                await pipe.execute()

        else:

            @broker.publisher(stream=prefix + sink)
            @broker.subscriber(stream=StreamSub(prefix + source, **options), ack_policy=AckPolicy.NACK_ON_ERROR)
            async def one(event: Passed) -> Passed:
                return next_of(event)

    for source, sink in itertools.pairwise(TOPICS):
        add(source, sink)
    return broker


async def main(name: str, address: str, prefix: str, way: str) -> None:
    logging.disable(logging.WARNING)
    where = urlsplit(address).netloc if name != "redis" else address
    broker = {"kafka": over_kafka, "nats": over_nats, "redis": over_redis}[name](where, prefix, way)
    await FastStream(broker, logger=None).run()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:5]))
