"""Reading partitions of Kafka: one thread that asks the client, and hands over what came in batches.

Partitions are assigned by us, and not by a group: who owns which is a lease in the store, which fences commits too. The group
is there to show how far each partition was received, so that all tools which know lag know ours.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition
from msgspec import Struct

from penstock.adapters.kafka.errors import is_right
from penstock.adapters.kafka.records import message_of
from penstock.core.events.messages import Carried, Lane
from penstock.core.events.read_ahead import ReadAhead
from penstock.core.telemetry.reminders import Reminders

BATCH = 512
POLL_S = 0.05  # within which a change of what is read takes effect
REST_S = 0.002  # what comes meanwhile is handed over together
TELL_S = 1.0  # how often the group is told how far was received
ASK_S = 1.0
_log = logging.getLogger(__name__)


class _Kept(Struct):
    """A record as the client has it: its headers, a dozen, become objects once it is asked for, and are gone soon after."""

    topic: str
    partition: int
    position: int
    record: Any


class Reader:
    """What is read ahead of the partitions that were asked for last. All but `_run` belongs to the event loop."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        topics: Callable[[str], str],
        on_news: Callable[[], None],
        on_lost: Callable[[str], None],
    ) -> None:
        """`on_lost`: called with the name, in the broker, of a topic that our user may not read any more."""
        self._settings = dict(settings) | {"on_commit": self._told}
        self._reminders = Reminders()
        self._topic = topics
        self._on_news = on_news
        self._on_lost = on_lost
        self._ahead = ReadAhead[_Kept]()
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._epoch = 0  # of the last change; what was read under an older one is dropped
        self._wanted: dict[Lane, int] | None = None  # what is to be read from now on
        self._paused: set[Lane] = set()
        self._pausing: set[Lane] | None = None  # what is to be paused from now on
        self._asking: Collection[str] = ()  # topics that are to be asked for once more
        self._done: dict[Lane, int] = {}  # how far was received
        self._names: dict[str, str] = {}
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="penstock-kafka-reader", daemon=True)
        self._thread.start()

    def fetch(self, after: Mapping[Lane, int], *, limit: int) -> list[Carried]:
        """Return what was read of these partitions, and go on reading them."""
        known = self._ahead.places.keys()
        moved = self._ahead.ask(after)
        self._names |= {self._topic(topic): topic for topic, _ in after}
        with self._lock:
            self._done = {lane: position for lane, position in after.items() if position}
            if moved or known != after.keys():
                self._read_anew()
        found = [self._carried(each) for each in self._ahead.take(limit=limit)]
        self._pause()
        return found

    def ask_again(self, topics: Collection[str]) -> None:
        """Ask for topics, by their names in the broker, that were kept from us: the client would do that in some minutes."""
        with self._lock:
            self._asking = topics
            self._read_anew()

    def _read_anew(self) -> None:
        self._epoch += 1
        self._wanted = self._ahead.places
        self._paused, self._pausing = set(), None

    async def stop(self) -> None:
        """Read no more."""
        self._stopped = True
        await asyncio.to_thread(self._thread.join)

    def _pause(self) -> None:
        """Leave what is held enough of, until it was taken."""
        full = {lane for lane in self._ahead.places if self._ahead.is_full(lane)}
        if full != self._paused:
            with self._lock:
                self._paused, self._pausing = full, full

    def _came(self, epoch: int, batch: list[Any]) -> None:
        if epoch == self._epoch and sum(self._ahead.add(self._kept(each)) for each in batch):
            self._pause()
            self._on_news()

    def _run(self) -> None:
        consumer = Consumer(self._settings)
        epoch, assigned, told_s, told = 0, dict[Lane, int](), 0.0, dict[Lane, int]()
        try:
            while not self._stopped:
                with self._lock:
                    wanted, self._wanted = self._wanted, None
                    pausing, self._pausing = self._pausing, None
                    epoch, done = self._epoch, self._done
                    asking, self._asking = self._asking, ()
                for topic in asking:
                    with suppress(KafkaException):
                        consumer.list_topics(topic, timeout=ASK_S)
                if wanted is not None:
                    assigned = wanted
                    consumer.assign(
                        [TopicPartition(self._topic(lane[0]), lane[1], after) for lane, after in wanted.items()]
                    )
                if pausing is not None and assigned:
                    self._pause_in(consumer, assigned, pausing)
                batch = self._polled(consumer)
                if batch:
                    self._loop.call_soon_threadsafe(self._came, epoch, batch)
                    time.sleep(REST_S)
                if done != told and (now_s := time.monotonic()) >= told_s + TELL_S:
                    told_s, told = now_s, done
                    self._tell(consumer, done)
        except RuntimeError:
            if not self._loop.is_closed():
                raise
        finally:
            consumer.close()

    def _pause_in(self, consumer: Any, assigned: Mapping[Lane, int], pausing: set[Lane]) -> None:
        parts = {lane: TopicPartition(self._topic(lane[0]), lane[1]) for lane in assigned}
        if paused := [part for lane, part in parts.items() if lane in pausing]:
            consumer.pause(paused)
        if resumed := [part for lane, part in parts.items() if lane not in pausing]:
            consumer.resume(resumed)

    def _polled(self, consumer: Any) -> list[Any]:
        """Return what came. It is looked at on the event loop: here the interpreter would have to be waited for at each."""
        first = consumer.poll(POLL_S)
        if first is None:
            return []
        return [each for each in (first, *consumer.consume(BATCH, 0)) if each.error() is None or self._is_message(each)]

    def _is_message(self, failed: Any) -> bool:
        """Say what the client says but once, and will not end by itself; it is no message."""
        error, topic = failed.error(), failed.topic()
        if is_right(error) and topic:
            self._loop.call_soon_threadsafe(self._on_lost, topic)
        elif self._reminders.is_due(f"{error.name()} {topic}", time.monotonic()):
            _log.warning("Kafka cannot be read: %s", error.str())
        return False

    def _kept(self, record: Any) -> _Kept:
        return _Kept(self._names[record.topic()], record.partition(), record.offset() + 1, record)

    @staticmethod
    def _carried(kept: _Kept) -> Carried:
        return Carried(kept.topic, kept.partition, kept.position, message_of(kept.record))

    def _tell(self, consumer: Any, done: Mapping[Lane, int]) -> None:
        """Tell the group how far was received; it is for people to see, and nothing depends on it."""
        places = [TopicPartition(self._topic(lane[0]), lane[1], position) for lane, position in done.items()]
        try:
            consumer.commit(offsets=places, asynchronous=True)
        except KafkaException:
            return

    def _told(self, error: Any, _: Any) -> None:
        """Say now and then that the group is told nothing: people would take it for lag."""
        if error is None:
            if self._reminders.is_over("group"):
                _log.warning("Kafka's tools see again how far was received")
        elif self._reminders.is_due("group", time.monotonic()):
            _log.warning("Kafka's tools do not see how far was received: %s. Let our user READ the group", error.str())
