"""A layer: a broker that carries the data of events as Avro in Confluent's wire form, so that others read and write them so.

- What is published is written under the schema of its type, which was registered at the start; what CloudEvents says of it stays
  in the headers (binary mode). What is fetched is read under the schema that its id names, as our type has it, and becomes JSON.
- An id is asked for once. What is in no frame passes as it is: not everybody need be converted on one day.
- What cannot be read keeps its bytes, and says why: it becomes a dead letter. What the schema cannot say (a number beyond 64
  bits) is held by the store of the app, as what is too large is.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec
from msgspec import Struct

from penstock.core.events.messages import HELD, JSON, PROBLEM, Carried, Lane, Message, header_of
from penstock.core.schemas.avro import parse_avro
from penstock.core.schemas.avro_reading import obstacles
from penstock.core.schemas.values import avro_value
from penstock.core.schemas.wire import MAGIC, decode_json, encode_avro, unframed
from penstock.errors import Finding, Invalid, Missing, NotLetIn
from penstock.ports.broker import Broker
from penstock.ports.schema_registry import SchemaRegistry

AVRO = "application/avro"
CONTENT = "content-type"
READ_MAX = 16_384  # messages that are remembered as they were read: the same are fetched until they are received
SCHEMAS_MAX = 4096
NAMES = "NAME_MISMATCH"
_FRAME = bytes([MAGIC])
_log = logging.getLogger(__name__)


class Written(Struct, frozen=True):
    """How the events of a type are written: under which schema, and under which subject others find it."""

    type: str
    name: str  # of the record
    topic: str
    subject: str
    schema: str


class AvroBroker:
    """A `Broker` before another one. `written`: one for each type that the app knows."""

    structured = False

    def __init__(self, inner: Broker, registry: SchemaRegistry, written: Sequence[Written]) -> None:
        self._inner = inner
        self._registry = registry
        self._written = {each.type: each for each in written}
        self._ids: dict[str, int] = {}
        self._schemas: dict[int, tuple[str, str]] = {}
        self._readers: dict[tuple[int, str], str | None] = {}
        self._read: dict[tuple[str, int, int], Message] = {}
        self._warned: set[str] = set()
        self.bytes_max = inner.bytes_max

    async def require(self, topics: Collection[str], partitions: int) -> None:
        """Have the topics, and the schemas of what they carry; `Invalid` with all that do not fit what was registered before."""
        await self._inner.require(topics, partitions)
        findings: list[Finding] = []
        for each in self._written.values():
            if each.topic in topics:
                try:
                    self._ids[each.type] = await self._registry.registered(each.subject, each.schema)
                except Invalid as error:
                    findings += error.findings
                except NotLetIn as error:  # an app that starts would only wait
                    problem = f"{error.backend} does not let us in: {error.reason}"
                    raise Invalid("the settings", (Finding("log", problem, f"set {error.setting}"),)) from error
        if findings:
            raise Invalid("the schemas of the app's events", tuple(findings))

    async def publish(self, messages: Sequence[tuple[str, int, Message]]) -> None:
        await self._inner.publish([(topic, part, self._as_avro(message)) for topic, part, message in messages])

    async def fetch(self, after: Mapping[Lane, int], *, limit: int) -> Sequence[Carried]:
        found = await self._inner.fetch(after, limit=limit)
        return [await self._as_json(each) if each.message.value[:1] == _FRAME else each for each in found]

    async def ends(self, lanes: Collection[Lane]) -> Mapping[Lane, int]:
        return await self._inner.ends(lanes)

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        return self._inner.watch(wake)

    def _as_avro(self, message: Message) -> Message:
        written = self._written.get(header_of(message, "ce_type"))
        if written is None or not message.value:
            return message
        headers = tuple((name, AVRO.encode() if name == CONTENT else value) for name, value in message.headers)
        try:
            value = encode_avro(self._ids[written.type], written.schema, msgspec.json.decode(message.value))
        except (Invalid, msgspec.MsgspecError) as error:
            return self._held(message, written.type, str(error))
        if len(value) > self.bytes_max:
            return self._held(message, written.type, f"it has {len(value):,} bytes in Avro")
        return Message(value, message.key, headers)

    def _held(self, message: Message, type_: str, why: str) -> Message:
        if type_ not in self._warned:
            self._warned.add(type_)
            _log.warning("an event of %s is not for others, since Avro cannot carry it: %s", type_, why)
        return Message(b"", message.key, (*message.headers, (HELD, b"%d" % len(message.value))))

    async def _as_json(self, carried: Carried) -> Carried:
        place = carried.topic, carried.partition, carried.position
        message = self._read.get(place)
        if message is None:
            message = self._read[place] = await self._converted(carried)
            if len(self._read) > READ_MAX:
                del self._read[next(iter(self._read))]
        return Carried(*place, message)

    async def _converted(self, carried: Carried) -> Message:
        message = carried.message
        try:
            id_, body = unframed(message.value)
            kind, schema = await self._schema(id_)
            type_ = header_of(message, "ce_type") or header_of(message, "type") or self._type_of(carried.topic, schema)
            if kind == "JSON":
                value = msgspec.json.encode(decode_json(message.value))
            elif kind == "AVRO":
                value = msgspec.json.encode(avro_value(body, schema, self._reader(id_, type_, schema)))
            else:
                return _unread(message, f"its schema {id_} is of the kind {kind}: AVRO and JSON are understood")
        except (Invalid, Missing, msgspec.MsgspecError, TypeError, ValueError) as error:
            return _unread(message, str(error))
        headers = [(name, other) for name, other in message.headers if name.lower() != CONTENT]
        if type_ and not header_of(message, "ce_type") and not header_of(message, "type"):
            headers.append(("type", type_.encode()))
        return Message(value, message.key, ((CONTENT, JSON.encode()), *headers))

    async def _schema(self, id_: int) -> tuple[str, str]:
        found = self._schemas.get(id_)
        if found is None:
            found = self._schemas[id_] = await self._registry.schema(id_)
            if len(self._schemas) > SCHEMAS_MAX:
                del self._schemas[next(iter(self._schemas))]
        return found

    def _reader(self, id_: int, type_: str, schema: str) -> str | None:
        """Return the schema that a value is to be read as: ours, if its type is ours and written otherwise.

        `Invalid` with all that is in the way of that. A record of another name is read as it is: its fields may fit all the same.
        """
        key = id_, type_
        if key not in self._readers:
            written = self._written.get(type_)
            reader = None if written is None or self._ids.get(type_) == id_ else written.schema
            if reader is not None:
                found = obstacles(parse_avro(reader), parse_avro(schema))
                if any(each.kind == NAMES for each in found):
                    reader = None
                elif found:
                    findings = tuple(Finding(each.location, f"{each.kind} ({each.message})") for each in found)
                    raise Invalid(f"values under the schema {id_} as {type_}", findings)
            self._readers[key] = reader
        return self._readers[key]

    def _type_of(self, topic: str, schema: str) -> str:
        """Return which of our types a record is that does not say it: that of its topic, or of its name."""
        here = [each for each in self._written.values() if each.topic == topic]
        if len(here) == 1:
            return here[0].type
        name = getattr(parse_avro(schema), "name", "")
        return next((each.type for each in here if each.name == name), "")


def _unread(message: Message, why: str) -> Message:
    return Message(message.value, message.key, (*message.headers, (PROBLEM, why.encode())))
