"""Messages on their way to Kafka. The client's word on each is taken on the event loop, many at once.

A thread that waits for it would need the interpreter for each message, and waits for that each time while the loop is busy.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaException

POLL_S = 0.001  # while messages are under way
POLL_IDLE_S = 0.1  # complaints of the client come then too
Outgoing = tuple[str, bytes, bytes | None, int, list[tuple[str, bytes]]]  # topic, value, key, partition, headers


class _Batch:
    """Messages that are waited for together. `ended` is the first error, or None, once all are done with."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._error: Any = None
        self.ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def delivered(self, error: Any, _: Any) -> None:
        """Count a message."""
        self._left -= 1
        self._error = self._error or error
        if not self._left and not self.ended.done():
            self.ended.set_result(self._error)


class Sending:
    """Sends by one producer."""

    def __init__(self, producer: Any) -> None:
        self._producer = producer
        self._loop = asyncio.get_running_loop()
        self._under_way = 0  # batches
        self._timer = self._loop.call_later(POLL_IDLE_S, self._poll)

    async def send(self, messages: Sequence[Outgoing]) -> Any:
        """Return None when all are delivered, or the first error once all are done with."""
        batch = _Batch(len(messages))
        produce, delivered = self._producer.produce, batch.delivered
        self._under_way += 1
        self._poll_within(POLL_S)
        try:
            for topic, value, key, partition, headers in messages:
                while True:
                    try:
                        produce(topic, value, key, partition, on_delivery=delivered, headers=headers)
                    except BufferError:
                        await asyncio.sleep(POLL_S)  # what is delivered meanwhile makes room
                    else:
                        break
            return await batch.ended
        finally:
            self._under_way -= 1

    def stop(self) -> None:
        """Take no more of the client's words."""
        self._timer.cancel()

    def _poll(self) -> None:
        # What ends the producer for good is raised here, and by whatever is sent from now on, which says it to who sends.
        with suppress(KafkaException):
            self._producer.poll(0)
        self._timer = self._loop.call_later(POLL_S if self._under_way else POLL_IDLE_S, self._poll)

    def _poll_within(self, delay_s: float) -> None:
        if self._timer.when() > self._loop.time() + delay_s:
            self._timer.cancel()
            self._timer = self._loop.call_later(delay_s, self._poll)
