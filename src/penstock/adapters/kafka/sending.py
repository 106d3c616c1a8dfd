"""Messages on their way to Kafka. The client's word on each is taken on the event loop, many at once.

A thread that waits for it would need the interpreter for each message, and waits for that each time while the loop is busy.

An idempotent producer ends for good where it cannot keep its promise any more: a broker has lost what it had acknowledged, say.
Another one goes on then. What was on its way is published again by whoever sent it, and known by its id where it comes twice.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException

from penstock.adapters.kafka.errors import is_right
from penstock.errors import Refused

POLL_S = 0.001  # while messages are under way
POLL_IDLE_S = 0.1  # complaints of the client come then too
ENDS_MAX = 5  # producers that end for good
ENDS_S = 60.0  # within so long; then it is no accident
Outgoing = tuple[str, bytes, bytes | None, int, list[tuple[str, bytes]]]  # topic, value, key, partition, headers
_FATAL = KafkaError._FATAL  # pyright: ignore[reportPrivateUsage] # noqa: SLF001 - librdkafka's own codes begin so
_TOO_OLD = {
    KafkaError.UNSUPPORTED_VERSION,
    KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
    KafkaError._UNSUPPORTED_FEATURE,  # pyright: ignore[reportPrivateUsage] # noqa: SLF001
}
_log = logging.getLogger(__name__)


class Unsent(NamedTuple):
    """Why messages were not delivered: what went wrong first, and with which topic."""

    error: Any
    topic: str


class _Batch:
    """Messages that are waited for together. `ended` is what went wrong first, or None, once all are done with."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._unsent: Unsent | None = None
        self.ended: asyncio.Future[Unsent | None] = asyncio.get_running_loop().create_future()

    def delivered(self, error: Any, message: Any) -> None:
        """Count a message."""
        self._left -= 1
        if error is not None and self._unsent is None:
            self._unsent = Unsent(error, message.topic())
        if not self._left and not self.ended.done():
            self.ended.set_result(self._unsent)

    def refused(self, error: Any, topic: str, count: int) -> None:
        """Count messages that the client did not take."""
        self._left -= count
        self._unsent = self._unsent or Unsent(error, topic)
        if not self._left:
            self.ended.set_result(self._unsent)


class Sending:
    """Sends by one producer after the other."""

    def __init__(self, make: Callable[[], Any]) -> None:
        """`make`: makes a producer."""
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._ends_s: list[float] = []  # when producers have ended for good, lately
        self._renewing = asyncio.Lock()
        self._ended_by: Any = None  # what has ended the producer for good
        self.producer = make()
        self._under_way = 0  # batches
        self._idle = asyncio.Event()
        self._idle.set()
        self._timer = self._loop.call_later(POLL_IDLE_S, self._poll)

    async def send(self, messages: Sequence[Outgoing]) -> Unsent | None:
        """Return None when all are delivered, or what went wrong first once all are done with.

        After what has ended a producer for good, the next call goes on with another one. `Refused`: one after the other ends.
        """
        while self._ended_by is not None:
            await self._begin_anew()
        batch = _Batch(len(messages))
        self._under_way += 1
        self._idle.clear()
        self._poll_within(POLL_S)
        try:
            await self._produce(messages, batch)
            unsent = await batch.ended
            return None if unsent is None else self._explained(unsent)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    def stop(self) -> None:
        """Take no more of the client's words."""
        self._timer.cancel()

    def _explained(self, unsent: Unsent) -> Unsent:
        """Return what has ended the producer for good, if it has, in place of what followed from that."""
        if unsent.error.code() == _FATAL and self._ended_by is None:
            self._take_words()  # it says why
            self._ended_by = self._ended_by or unsent.error
        return unsent if self._ended_by is None else Unsent(self._ended_by, unsent.topic)

    async def _produce(self, messages: Sequence[Outgoing], batch: _Batch) -> None:
        produce, delivered = self.producer.produce, batch.delivered
        for number, (topic, value, key, partition, headers) in enumerate(messages):
            while True:
                try:
                    produce(topic, value, key, partition, on_delivery=delivered, headers=headers)
                except BufferError:
                    await asyncio.sleep(POLL_S)  # what is delivered meanwhile makes room
                except KafkaException as error:
                    batch.refused(error.args[0], topic, len(messages) - number)
                    return
                else:
                    break

    async def _begin_anew(self) -> None:
        """Go on with another producer once all is done with that the last one was given. Raises what another one cannot mend."""
        async with self._renewing:
            why = self._ended_by
            if why is None:
                return  # another call has done it
            if why.code() in _TOO_OLD:
                hint = "brokers of Kafka 0.11 or later have them: update them, or name others in the setting log"
                raise Refused(f"Kafka has no idempotent producers: {why.str()}", hint)
            if not is_right(why):
                self._note_end(why)
            await self._idle.wait()
            held = [self.producer]
            self._ended_by, self.producer = None, self._make()
            await asyncio.to_thread(held.clear)  # its threads are waited for

    def _note_end(self, why: Any) -> None:
        now_s = self._loop.time()
        self._ends_s = [each for each in self._ends_s if now_s - each < ENDS_S]
        if len(self._ends_s) >= ENDS_MAX:
            hint = (
                "look into the brokers' logs: one may have lost what it had acknowledged. "
                "What was not published waits in the store; start again"
            )
            raise Refused(f"Kafka ended {ENDS_MAX + 1} producers within {ENDS_S:g} s: {told(why)}", hint)
        self._ends_s.append(now_s)
        _log.warning("Kafka ended our producer for good (%s): another one goes on", told(why))

    def _take_words(self) -> None:
        try:
            self.producer.poll(0)
        except KafkaException as error:  # what ends the producer for good is raised, and not complained of
            self._ended_by = error.args[0]

    def _poll(self) -> None:
        self._take_words()
        self._timer = self._loop.call_later(POLL_S if self._under_way else POLL_IDLE_S, self._poll)

    def _poll_within(self, delay_s: float) -> None:
        if self._timer.when() > self._loop.time() + delay_s:
            self._timer.cancel()
            self._timer = self._loop.call_later(delay_s, self._poll)


def told(error: Any) -> str:
    """Return an error of the client with its name, which people look for."""
    return f"{error.name()}: {error.str()}"
