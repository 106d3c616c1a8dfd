"""From topics to topics of a Kafka in transactions: a batch counts, and what it led to is seen, or neither.

Here a group owns the partitions (KIP-848, unless `group.protocol=classic` is set), since there is no store that could. The epoch
of a member is its fence, which the transaction is committed under. `group.instance.id` makes a member static: it may be away for
as long as its session lasts without that its partitions move.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition, admin

from penstock.adapters.kafka.address import GROUP, Address, address_of
from penstock.adapters.kafka.errors import Complaints, as_settings, is_right, of_exception
from penstock.adapters.kafka.records import message_of
from penstock.adapters.kafka.topics import Topics
from penstock.core.events.messages import Carried, Message
from penstock.core.telemetry.reminders import Reminders
from penstock.errors import Fenced, PenstockError, Refused

BATCH = 512
POLL_S = 0.2
ANSWER_S = 15.0
TRANSACTION_MS = 10_000  # of one that was left open: readers of what is committed wait for so long behind it
SILENT_MS = 900_000  # for which a batch may be handled until others get its partitions
ATTEMPTS_MAX = 8
REST_S = 1.0  # where a right was taken from us
_FENCED = {
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError._FENCED,  # pyright: ignore[reportPrivateUsage] # noqa: SLF001 - librdkafka's own codes begin so
    KafkaError.FENCED_INSTANCE_ID,
}
_log = logging.getLogger(__name__)
Handle = Callable[[Sequence[Carried]], Awaitable[Sequence[tuple[str, int, Message]]]]


@asynccontextmanager
async def open_relay(url: str, app: str) -> AsyncGenerator["KafkaRelay"]:
    """Connect to the Kafka of an address, as a member of its group (by default the app's own)."""
    address = address_of(url)
    group = f"{GROUP}-{app}" if address.group == GROUP else address.group
    relay = KafkaRelay(address, group)
    try:
        yield relay
    finally:
        await asyncio.to_thread(relay.close)


class KafkaRelay:
    """One member of a group. All but `run` and `require` is called by one thread at a time."""

    def __init__(self, address: Address, group: str) -> None:
        self._address = address
        self._group = group
        self._complaints = Complaints()
        self._reminders = Reminders()
        settings: dict[str, Any] = dict(address.settings)
        common = {name: value for name, value in settings.items() if not name.startswith("group.")}
        common |= {"error_cb": self._complaints, "log_level": 0, "reconnect.backoff.max.ms": 1000}
        member = settings.get("group.instance.id") or uuid.uuid4().hex  # noqa: TID251 - of a process, not of an event
        reading: dict[str, Any] = {
            "group.id": group,
            "group.protocol": "consumer",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "max.poll.interval.ms": SILENT_MS,
        } | {name: value for name, value in settings.items() if name.startswith("group.")}
        if reading["group.protocol"] == "classic":
            reading.setdefault("partition.assignment.strategy", "cooperative-sticky")
        writing = {"transactional.id": f"{group}-{member}", "transaction.timeout.ms": TRANSACTION_MS, "linger.ms": 5}
        try:
            self._admin: Any = admin.AdminClient(common)
            self._consumer: Any = Consumer(common | reading)
            self._producer: Any = Producer(common | writing)
        except KafkaException as error:
            raise of_exception(self._complaints, "connect", error) from error
        self._names: dict[str, str] = {}
        self.on_move: Callable[[frozenset[tuple[str, int]]], None] = _told  # with our partitions, each time they change
        self._ours: frozenset[tuple[str, int]] = frozenset()

    async def require(self, topics: Sequence[str], partitions: int) -> None:
        """Have the topics, and be the only one who writes under this name from now on."""
        async with as_settings():
            await Topics(self._admin, self._address, self._complaints).require(topics, partitions)
            await asyncio.to_thread(self._tried, "begin", lambda: self._producer.init_transactions(ANSWER_S))

    async def run(self, takes: Sequence[str], handle: Handle, is_stopped: Callable[[], bool]) -> int:
        """Take batches from topics and commit what comes of each, until it is stopped; return how many messages were taken.

        Raises `Fenced` when another process goes on under our name.
        """
        self._names = {self._address.topic(each): each for each in takes}
        moved = {"on_assign": self._given, "on_revoke": self._taken, "on_lost": self._taken}
        self._consumer.subscribe(list(self._names), **moved)
        count = 0
        while not is_stopped():
            batch = await asyncio.to_thread(self._batch)
            if not batch:
                continue
            out = await handle([self._carried(each) for each in batch])
            if await asyncio.to_thread(self._committed, batch, out):
                count += len(batch)
        return count

    def close(self) -> None:
        """Leave the group; a static member does not: its partitions wait for it."""
        self._consumer.close()
        self._producer.flush(POLL_S)

    def _given(self, _: Any, parts: Sequence[Any]) -> None:
        self._ours |= {(each.topic, each.partition) for each in parts}
        self.on_move(self._ours)

    def _taken(self, _: Any, parts: Sequence[Any]) -> None:
        self._ours -= {(each.topic, each.partition) for each in parts}
        self.on_move(self._ours)

    def _batch(self) -> list[Any]:
        first = self._consumer.poll(POLL_S)
        if first is None:
            return []
        found = [first, *self._consumer.consume(BATCH - 1, 0)]
        for each in found:
            if each.error() is None:
                continue
            error = self._complaints.error("read", each.error(), each.topic() or "")
            if self._complaints.is_sure:
                raise error
            self._remind(error)
        return [each for each in found if each.error() is None]

    def _remind(self, error: PenstockError) -> None:
        """Say now and then what lasts, as a right that was taken from us: it is tried again and again."""
        if self._reminders.is_due(str(error), time.monotonic()):
            _log.warning("%s", error)

    def _carried(self, record: Any) -> Carried:
        return Carried(self._names[record.topic()], record.partition(), record.offset() + 1, message_of(record))

    def _committed(self, batch: Sequence[Any], out: Sequence[tuple[str, int, Message]]) -> bool:
        """Commit what goes out with how far was read, in one transaction; False where it was taken back."""
        ends: dict[tuple[str, int], int] = {}
        for each in batch:
            ends[each.topic(), each.partition()] = each.offset() + 1
        places = [TopicPartition(topic, partition, offset) for (topic, partition), offset in ends.items()]
        try:
            self._producer.begin_transaction()
            for topic, partition, message in out:
                self._produce(self._address.topic(topic), partition, message)
            group = self._consumer.consumer_group_metadata()
            self._tried("commit", lambda: self._producer.send_offsets_to_transaction(places, group, ANSWER_S))
            self._tried("commit", lambda: self._producer.commit_transaction(ANSWER_S))
        except KafkaException as error:
            self._take_back(error)
            return False
        self._complaints.heard()
        return True

    def _produce(self, topic: str, partition: int, message: Message) -> None:
        headers = list(message.headers)
        while True:
            try:
                self._producer.produce(topic, message.value, message.key or None, partition, headers=headers)
            except BufferError:
                self._producer.poll(POLL_S)
            else:
                return

    def _tried(self, operation: str, call: Callable[[], None]) -> None:
        """Call what may be repeated, as long as the client says so; raise the rest as it is, or as ours where it never began."""
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                return call()
            except KafkaException as error:
                if error.args[0].retriable() and attempt < ATTEMPTS_MAX and not self._complaints.is_sure:
                    continue
                if operation == "begin":
                    raise of_exception(self._complaints, "begin transactions", error) from error
                raise
        return None

    def _take_back(self, error: KafkaException) -> None:
        """Undo a transaction, and read again what it was for."""
        told = error.args[0]
        if told.fatal() or not (told.txn_requires_abort() or is_right(told)):
            raise self._ended(error) from error
        if is_right(told):
            self._remind(self._complaints.error("commit", told))
            time.sleep(REST_S)  # until it is given back, the same comes again
        try:
            self._tried("abort", lambda: self._producer.abort_transaction(ANSWER_S))
        except KafkaException as again:
            raise self._ended(again) from again
        # What was given away meanwhile is read by its next owner.
        for each in self._consumer.committed(self._consumer.assignment(), ANSWER_S):
            try:
                self._consumer.seek(TopicPartition(each.topic, each.partition, max(each.offset, 0)))
            except KafkaException:
                continue

    def _ended(self, error: KafkaException) -> PenstockError:
        told = error.args[0]
        if told.code() in _FENCED:
            return Fenced(self._group, 0)
        if told.fatal() and not is_right(told):
            hint = "start again: nothing of the batch counts, and it is taken anew. See the brokers' logs if it lasts"
            return Refused(f"Kafka ended our producer for good ({told.name()}: {told.str()})", hint)
        return of_exception(self._complaints, "commit", error)


def _told(parts: Collection[tuple[str, int]]) -> None:
    _log.info("the group has given us %d partitions: %s", len(parts), sorted(parts))
