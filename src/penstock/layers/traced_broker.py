"""A layer: a broker whose calls are spans, in the trace of the messages that they carry.

A call carries messages of many traces: it lies in theirs if they have one only, else in a trace of its own, and is linked to all.
What brings nothing is no span: a broker is asked for ever.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from penstock.core.events.messages import Carried, Lane, Message, header_of
from penstock.core.telemetry.spans import LINKS_MAX, Kind, SpanAsked, Value
from penstock.ports.broker import Broker
from penstock.ports.tracer import Span, Tracer


class _Document(Struct):
    """An event in structured mode, as far as it says where it lies."""

    traceparent: str = ""


_document: Final = msgspec.json.Decoder(_Document).decode


class TracedBroker:
    """A `Broker` around one. `system`: what it is called in traces."""

    def __init__(self, broker: Broker, tracer: Tracer, system: str) -> None:
        self._broker = broker
        self._tracer = tracer
        self._system = system
        self.bytes_max = broker.bytes_max
        self.structured = broker.structured

    async def require(self, topics: Collection[str], partitions: int) -> None:
        await self._broker.require(topics, partitions)

    async def publish(self, messages: Sequence[tuple[str, int, Message]]) -> None:
        if not messages:
            await self._broker.publish(messages)
            return
        topics = {topic for topic, _, _ in messages}
        span, error = self._begun("publish", "producer", topics, [each for _, _, each in messages]), ""
        try:
            await self._broker.publish(messages)
        except BaseException as raised:
            error = type(raised).__name__
            raise
        finally:
            span.end(error)

    async def fetch(self, after: Mapping[Lane, int], *, limit: int) -> Sequence[Carried]:
        found = await self._broker.fetch(after, limit=limit)
        if found:
            self._begun("receive", "client", {each.topic for each in found}, [each.message for each in found]).end()
        return found

    async def ends(self, lanes: Collection[Lane]) -> Mapping[Lane, int]:
        return await self._broker.ends(lanes)

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        return self._broker.watch(wake)

    def _begun(self, operation: str, kind: Kind, topics: set[str], messages: Sequence[Message]) -> Span:
        parents = tuple(dict.fromkeys(_traceparents(messages)))
        is_one = len({each[:35] for each in parents}) == 1  # version and trace
        type_ = "send" if operation == "publish" else operation
        attributes: dict[str, Value] = {
            "messaging.system": self._system,
            "messaging.operation.name": operation,
            "messaging.operation.type": type_,
            "messaging.batch.message_count": len(messages),
        }
        name = operation
        if len(topics) == 1:
            (topic,) = topics
            attributes["messaging.destination.name"] = topic
            name = f"{operation} {topic}"
        return self._tracer.begin(
            SpanAsked(
                name,
                kind,
                parents[0] if is_one else "",
                links=parents[:LINKS_MAX],
                attributes=attributes,
            )
        )


def _traceparents(messages: Sequence[Message]) -> Iterable[str]:
    for message in messages:
        found = header_of(message, "ce_traceparent") or header_of(message, "traceparent") or _in_document(message)
        if found:
            yield found


def _in_document(message: Message) -> str:
    """Return what a message says whose event is one document; others have nothing there."""
    if not message.value.startswith(b"{"):
        return ""
    try:
        return _document(message.value).traceparent
    except msgspec.MsgspecError:
        return ""
