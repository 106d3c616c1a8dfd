"""The pipeline by hand on a raw client: consume, produce, then say that it was consumed. At least once, no state, no retries, no dead letters.

python hops_raw.py kafka|kafka-transactions|nats|redis ADDRESS PREFIX

Each hop takes what there is, up to a batch, sends it on, waits for the broker's answer, and acknowledges: the quickest that is safe.
With transactions a batch of Kafka is consumed and produced as one: who reads committed sees it once.
"""

import asyncio
import itertools
import json
import sys
import threading
from urllib.parse import urlsplit

from hops_wires import TOPICS

BATCH = 500
WAIT_S = 0.5
ANSWER_S = 30.0


def next_of(value: bytes) -> tuple[str, bytes]:
    """Do the work of a hop: read an event, and write the next one."""
    event = json.loads(value)
    return event["key"], json.dumps(
        {"key": event["key"], "number": event["number"], "at_ns": event["at_ns"], "text": event["text"]}
    ).encode()


def kafka_hop(hosts: str, prefix: str, source: str, sink: str, *, transactions: bool) -> None:
    from confluent_kafka import Consumer, Producer

    reading = {"group.id": f"{prefix}{source}", "enable.auto.commit": False, "auto.offset.reset": "earliest"}
    committed = {"isolation.level": "read_committed"} if transactions else {}
    where = {"bootstrap.servers": hosts}
    consumer = Consumer(where | reading | committed | {"fetch.queue.backoff.ms": 5})
    own = {"transactional.id": f"{prefix}{source}"} if transactions else {"enable.idempotence": True}
    producer = Producer(where | own | {"acks": "all", "linger.ms": 0.5})
    if transactions:
        producer.init_transactions(ANSWER_S)
    consumer.subscribe([prefix + source])
    while True:
        first = consumer.poll(WAIT_S)  # `consume` waits until the batch is full, or its time is over
        if first is None:
            continue
        messages = [first, *consumer.consume(BATCH - 1, 0)]
        if transactions:
            producer.begin_transaction()
        for each in messages:
            if each.error():
                raise SystemExit(str(each.error()))
            key, value = next_of(each.value())
            producer.produce(prefix + sink, value, key)
        if transactions:
            places = consumer.position(consumer.assignment())
            producer.send_offsets_to_transaction(
                [each for each in places if each.offset >= 0], consumer.consumer_group_metadata()
            )
            producer.commit_transaction(ANSWER_S)
        else:
            producer.flush()
            consumer.commit(asynchronous=False)


async def nats_hop(hosts: str, prefix: str, source: str, sink: str) -> None:
    import nats
    from nats.errors import TimeoutError as NothingCame

    connection = await nats.connect(f"nats://{hosts}")
    streams = connection.jetstream(publish_async_max_pending=2 * BATCH)
    reading = await streams.pull_subscribe(f"{prefix}{source}.*", durable="by-hand", stream=prefix + source)
    while True:
        try:
            messages = await reading.fetch(BATCH, timeout=WAIT_S)
        except NothingCame:
            continue
        sent = []
        for each in messages:
            _, value = next_of(each.data)
            partition = each.subject.rpartition(".")[2]
            sent.append(await streams.publish_async(f"{prefix}{sink}.{partition}", value))
        await asyncio.gather(*sent)
        for each in messages:
            await each.ack()


async def redis_hop(address: str, prefix: str, source: str, sink: str) -> None:
    from redis.asyncio import Redis
    from redis.exceptions import ResponseError

    client = Redis.from_url(address)
    try:
        await client.xgroup_create(prefix + source, "by-hand", "0", mkstream=True)
    except ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise
    wanted = {prefix + source: ">"}
    while True:
        for _, entries in await client.xreadgroup("by-hand", "one", wanted, count=BATCH, block=int(WAIT_S * 1000)):
            pipeline = client.pipeline(transaction=True)  # sent on and acknowledged as one: Redis can
            for _, fields in entries:
                key, value = next_of(fields[b"value"])
                pipeline.xadd(prefix + sink, {"key": key, "value": value})
            pipeline.xack(prefix + source, "by-hand", *(number for number, _ in entries))
            await pipeline.execute()


async def hops(of, where: str, prefix: str) -> None:
    async with asyncio.TaskGroup() as group:
        for source, sink in itertools.pairwise(TOPICS):
            group.create_task(of(where, prefix, source, sink))


def main(broker: str, address: str, prefix: str) -> None:
    hosts = urlsplit(address).netloc
    if broker.startswith("kafka"):
        with_transactions = {"transactions": broker.endswith("transactions")}
        threads = [
            threading.Thread(target=kafka_hop, args=(hosts, prefix, *pair), kwargs=with_transactions)
            for pair in itertools.pairwise(TOPICS)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        return
    import uvloop

    uvloop.run(hops(nats_hop, hosts, prefix) if broker == "nats" else hops(redis_hop, address, prefix))


if __name__ == "__main__":
    main(*sys.argv[1:4])
