"""Events over Redis Streams: a stream for each partition of a topic, read ahead by one task that waits for what comes.

Streams are read by position, and not by consumer groups: who owns a partition is a lease in the store, which fences commits too.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any, TypeAlias

import msgspec

from penstock.adapters.redis.address import Address, address_of
from penstock.adapters.redis.closing import Goodbyes
from penstock.core.events.broker_address import retained_ms
from penstock.core.events.messages import STRUCTURED_HEADERS, Carried, Lane, Message
from penstock.core.events.read_ahead import ReadAhead
from penstock.core.events.watchers import Watchers
from penstock.core.telemetry.reminders import Reminders
from penstock.errors import Finding, Invalid, Missing

try:
    from redis import asyncio as redis
    from redis.exceptions import NoPermissionError, RedisError, ResponseError

    from penstock.adapters.redis.errors import error_of, refusal
except ImportError as error:
    raise Missing("the package redis", "pip install 'penstock[redis]'") from error

BYTES_MAX = 16 * 1024 * 1024  # Redis takes 512 MB: what is larger than this is no event
BATCH = 512
BEHIND_MAX = 10_000  # messages that are counted
REST_S = 0.002  # what comes meanwhile is read together
_COUNT = "return #redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])"
WAIT_MS = 500  # within which a change of what is read takes effect
ANSWER_S = 5.0
START_S = 8.0
KEEP_MS = 7 * 24 * 3_600_000  # how long messages are kept, as Kafka does by default
TRIM_EVERY = 1000  # messages of a partition
_SEQUENCE_BITS = 20  # of a position; the rest is the time of an id, in milliseconds
DOCUMENT = b"event"  # the one field of a message that is a document
DOCUMENTS_MAX = 256  # that one script adds
Messages: TypeAlias = Sequence[tuple[str, int, Message]]
Command: TypeAlias = tuple[Any, ...]
KeyOf: TypeAlias = Callable[[Lane], str]
Commands: TypeAlias = Callable[[KeyOf, Messages], Iterable[Command]]
_ADD = """for each = 1, #ARGV do redis.call('XADD', KEYS[1], '*', 'event', ARGV[each]) end"""
_READING = "reading"
_log = logging.getLogger(__name__)
_headers = msgspec.msgpack.Decoder(tuple[tuple[str, bytes], ...])


@asynccontextmanager
async def open_redis(url: str) -> AsyncGenerator["RedisBroker"]:
    """Connect to the Redis of an address; `Invalid` for what is none. Whether it answers, `require` tells."""
    address = address_of(url)
    kind: Any = redis.Redis  # parts of it are not typed
    waits = {"socket_connect_timeout": ANSWER_S, "socket_timeout": 2 * ANSWER_S}
    client = kind(**address.connecting, **waits)
    reading = kind(**address.connecting, **waits, protocol=2)
    reading.set_response_callback("XREAD", _as_it_is)
    opened = Goodbyes(client), Goodbyes(reading)
    try:
        async with asyncio.TaskGroup() as group:
            broker = RedisBroker(client, reading, address)
            reader = group.create_task(broker.read())
            try:
                yield broker
            finally:
                broker.stopped = True
                reader.cancel()
    finally:
        for each in opened:
            await each.aclose()


class RedisBroker:
    """A `Broker` on streams of Redis."""

    bytes_max = BYTES_MAX
    structured = True

    def __init__(self, client: "redis.Redis", reading: "redis.Redis", address: Address) -> None:
        self._client: Any = client
        self._reading: Any = reading
        self._prefix = address.prefix
        self._keep_ms = retained_ms(address.options, KEEP_MS)
        self._creates = address.options.get("create") != "no"
        self._ahead = ReadAhead[Carried]()
        self._epoch = 0
        self._wanted = asyncio.Event()
        self._watchers = Watchers()
        self._published: dict[str, int] = {}
        self._reminders = Reminders()
        self._may_run_scripts = True
        self.stopped = False  # beside the cancellation, which the library can lose

    async def require(self, topics: Collection[str], partitions: int) -> None:
        key = f"{self._prefix}topics"
        try:
            async with asyncio.timeout(START_S):  # the library alone would try for half a minute
                await self._warn_of_loss()
                known = {topic: int(await self._made(key, topic, partitions) or 0) for topic in sorted(topics)}
                await self._try_rights(topics)
        except (RedisError, OSError) as error:
            raise refusal("make topics", error) from error
        findings = [
            Finding(topic, "is not there, and is not made (create=no)", f"HSET {key} {topic} {partitions}")
            for topic, count in known.items()
            if not count
        ]
        findings += [
            Finding(topic, f"has {count} partitions, not {partitions}", f"set log=redis://...?partitions={count}")
            for topic, count in known.items()
            if count and count != partitions
        ]
        if findings:
            raise Invalid("the topics", tuple(findings))

    async def _try_rights(self, topics: Collection[str]) -> None:
        """Try what is done later, and changes nothing: a right that lacks is said now."""
        for topic in sorted(topics)[:1]:
            key = f"{self._key((topic, 0))}:rights"
            await self._client.xadd(key, {"value": b""}, nomkstream=True)
            await self._client.xread({key: "0-0"}, count=1)
            await self._client.xrange(key, count=1)
            await self._client.xrevrange(key, count=1)
            await self._client.xtrim(key, maxlen=1)

    async def publish(self, messages: Sequence[tuple[str, int, Message]]) -> None:
        if not messages:
            return
        try:
            await self._trim(messages)
            if self._may_run_scripts:
                try:
                    await self._added(_many_at_once, messages)
                except NoPermissionError:  # what was added is added again, one by one: its id tells
                    self._may_run_scripts = False
            if not self._may_run_scripts:
                await self._added(_one_by_one, messages)
        except (RedisError, OSError) as error:
            raise error_of("publish", error) from error

    async def _added(self, commands: Commands, messages: Messages) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for command in commands(self._key, messages):
            pipeline.execute_command(*command)
        await pipeline.execute()

    async def _trim(self, messages: Messages) -> None:
        """Let go of old messages now and then."""
        for lane, count in Counter((topic, partition) for topic, partition, _ in messages).items():
            key = self._key(lane)
            before = self._published.get(key, 0)
            self._published[key] = before + count
            if (before + count) // TRIM_EVERY > before // TRIM_EVERY:
                seconds, micros = await self._client.time()
                oldest = f"{seconds * 1000 + micros // 1000 - self._keep_ms}-0"
                await self._client.xtrim(key, minid=oldest, approximate=True)

    async def fetch(self, after: Mapping[Lane, int], *, limit: int) -> Sequence[Carried]:
        known = self._ahead.places.keys()
        if self._ahead.ask(after) or known != after.keys():
            self._epoch += 1
        found = self._ahead.take(limit=limit)
        self._wanted.set()
        return found

    async def ends(self, lanes: Collection[Lane]) -> Mapping[Lane, int]:
        pipeline = self._client.pipeline(transaction=False)
        for lane in lanes:
            pipeline.xrevrange(self._key(lane), count=1)
        try:
            found = await pipeline.execute()
        except (RedisError, OSError) as error:
            raise error_of("ask for the ends", error) from error
        return {lane: _position(each[0][0]) for lane, each in zip(lanes, found, strict=True) if each}

    async def behind(self, after: Mapping[Lane, int]) -> Mapping[Lane, int]:
        """Return how many messages follow these positions, up to `BEHIND_MAX` of each partition."""
        pipeline = self._client.pipeline(transaction=False)
        for lane, position in after.items():
            first = f"({_id_of(position)}" if position else "-"
            pipeline.eval(
                _COUNT, 1, self._key(lane), first, BEHIND_MAX
            )  # counted there: who watches asks again and again
        try:
            found = await pipeline.execute()
        except (RedisError, OSError) as error:
            raise error_of("count what waits", error) from error
        return {lane: int(each) for lane, each in zip(after, found, strict=True)}

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        return self._watchers.watch(wake)

    async def read(self) -> None:
        """Read ahead until the end; what goes wrong meanwhile is tried again."""
        while not self.stopped:
            self._wanted.clear()
            lanes = {lane: place for lane, place in self._ahead.places.items() if not self._ahead.is_full(lane)}
            if not lanes:
                await self._wanted.wait()
                continue
            keys, epoch = {self._key(lane): lane for lane in lanes}, self._epoch
            streams = {key: _id_of(lanes[lane]) for key, lane in keys.items()}
            try:
                found = await self._reading.execute_command(
                    "XREAD", "COUNT", BATCH, "BLOCK", WAIT_MS, "STREAMS", *streams, *streams.values()
                )
            except (RedisError, OSError) as error:
                if self._reminders.is_due(_READING, monotonic()):
                    _log.warning("%s", error_of("read", error))
                await asyncio.sleep(1.0)
                continue
            if self._reminders.is_over(_READING):
                _log.warning("Redis is read again")
            if epoch == self._epoch and self._add(keys, found or ()):
                self._watchers.wake()
                await asyncio.sleep(REST_S)

    def _add(self, keys: Mapping[str, Lane], found: Any) -> int:
        added = 0
        for key, entries in found:
            topic, partition = keys[key.decode()]
            for number, fields in entries:
                added += self._ahead.add(Carried(topic, partition, _position(number), _message(fields)))
        return added

    async def _made(self, key: str, topic: str, partitions: int) -> Any:
        if self._creates:
            await self._client.hsetnx(key, topic, partitions)
        return await self._client.hget(key, topic)

    async def _warn_of_loss(self) -> None:
        """Warn when what is published may be lost with the process of Redis."""
        with suppress(ResponseError):  # where it may not be asked
            found = await self._client.config_get("appendonly", "appendfsync")
            if found.get("appendonly") != "yes":
                _log.warning("Redis keeps its data in memory only: events are lost when it ends. Set appendonly yes")

    def _key(self, lane: Lane) -> str:
        return f"{self._prefix}{{{lane[0]}:{lane[1]}}}"  # in a cluster each partition lies on one node


def _many_at_once(key_of: KeyOf, messages: Messages) -> Iterable[Command]:
    """Return what adds messages: documents of a partition by one script, so that there is one answer to read and not one each."""
    documents: dict[Lane, list[bytes]] = {}

    def together(lane: Lane) -> Iterable[Command]:
        held = documents.pop(lane, ())
        return [("EVAL", _ADD, 1, key_of(lane), *held)] if held else ()

    for topic, partition, message in messages:
        lane = topic, partition
        if _is_document(message):
            held = documents.setdefault(lane, [])
            held.append(message.value)
            if len(held) == DOCUMENTS_MAX:
                yield from together(lane)
        else:
            yield from together(lane)  # what comes before it in its partition
            yield _added(key_of(lane), message)
    for lane in tuple(documents):
        yield from together(lane)


def _one_by_one(key_of: KeyOf, messages: Messages) -> Iterable[Command]:
    return (_added(key_of((topic, partition)), message) for topic, partition, message in messages)


def _added(key: str, message: Message) -> Command:
    if _is_document(message):
        return "XADD", key, "*", DOCUMENT, message.value
    headers = msgspec.msgpack.encode(message.headers)
    return "XADD", key, "*", "value", message.value, "key", message.key, "headers", headers


def _is_document(message: Message) -> bool:
    return message.headers == STRUCTURED_HEADERS and not message.key


def _message(parts: Sequence[bytes]) -> Message:
    """Return what a stream holds: fields of ours, or any others as headers of a message by whoever wrote them."""
    if len(parts) == 2 and parts[0] == DOCUMENT:  # noqa: PLR2004 - a name and what it names
        return Message(parts[1], b"", STRUCTURED_HEADERS)
    fields = dict(zip(parts[::2], parts[1::2], strict=True))
    headers = fields.get(b"headers")
    if headers is not None:
        with suppress(msgspec.MsgspecError):
            return Message(fields.get(b"value", b""), fields.get(b"key", b""), _headers.decode(headers))
    rest = tuple(
        (name.decode(errors="replace"), value) for name, value in fields.items() if name not in {b"value", b"key"}
    )
    return Message(fields.get(b"value", b""), fields.get(b"key", b""), rest)


def _as_it_is(answer: Any, **_: Any) -> Any:
    """Leave an answer as the server gave it: the library's own form of it takes longer than all that is done with it."""
    return answer


def _position(number: bytes) -> int:
    """Return the position of an id of a stream, "TIME-SEQUENCE"."""
    at_ms, _, sequence = number.partition(b"-")
    return (int(at_ms) << _SEQUENCE_BITS) + int(sequence) + 1


def _id_of(position: int) -> str:
    """Return the id of a position; 0 stands before all."""
    if not position:
        return "0-0"
    return f"{(position - 1) >> _SEQUENCE_BITS}-{(position - 1) & ((1 << _SEQUENCE_BITS) - 1)}"
