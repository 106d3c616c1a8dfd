"""Events over NATS JetStream: a stream for each topic, a subject of it for each partition, read ahead by one task a topic.

A position is the number of a message in its stream. Messages are read by position, without acknowledgements: who owns a partition
is a lease in the store, which fences commits too. An id that comes twice within two minutes is dropped by the server.
"""

import asyncio
import base64
import contextlib
import logging
import re
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from penstock.core.events.messages import Carried, Lane, Message, id_of
from penstock.core.events.read_ahead import ReadAhead
from penstock.errors import Finding, Invalid, Missing, PenstockError, Unavailable

try:
    import nats
    from nats.errors import AuthorizationError, Error, NoServersError
    from nats.js import api
    from nats.js.errors import NotFoundError
except ImportError as error:
    raise Missing("the package nats-py", "pip install 'penstock[nats]'") from error

BATCH = 512
WAIT_S = 0.5  # within which a change of what is read takes effect
ANSWER_S = 5.0
PUBLISH_S = 10.0
PENDING_MAX = 2000  # messages on their way to the server
KEEP_S = 7 * 24 * 3600  # how long messages are kept, as Kafka does by default
TWICE_S = 120  # within which the server drops what comes twice
HEADERS_BYTES = 64 * 1024  # of the largest message, for its headers
IDLE_S = 60.0  # after which the server forgets a reader
OPTIONS = ("partitions", "prefix", "replicas")
OURS = "penstock-message"  # a header: key and headers as they are, where NATS cannot carry them
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,200}")
_log = logging.getLogger(__name__)
_packed = msgspec.msgpack.Decoder(tuple[bytes, tuple[tuple[str, bytes], ...]])


@asynccontextmanager
async def open_nats(url: str) -> AsyncGenerator["NatsBroker"]:
    """Connect to the NATS of an address. Raises `Invalid` for what is none, `Unavailable` where nobody answers."""
    servers, options = _address(url)
    complaints: list[Exception] = []

    async def complain(error: Exception) -> None:
        complaints[:] = [error]

    connecting = {"connect_timeout": ANSWER_S, "max_reconnect_attempts": -1, "reconnect_time_wait": 0.2}
    try:
        client: Any = nats  # parts of it are not typed
        async with asyncio.timeout(ANSWER_S):
            connection = await client.connect(servers, allow_reconnect=True, error_cb=complain, **connecting)
    except (Error, OSError, TimeoutError) as error:
        raise _error("connect", complaints[0] if complaints and isinstance(error, NoServersError) else error) from error
    try:
        async with asyncio.TaskGroup() as group:
            broker = NatsBroker(connection, group, options)
            try:
                yield broker
            finally:
                broker.stop()
    except BaseExceptionGroup as several:
        if len(several.exceptions) != 1:
            raise
        raise several.exceptions[0] from None  # what the app raised, as it is: who is fenced joins again by it
    finally:
        with contextlib.suppress(TimeoutError):  # whoever slept for long may be in the middle of connecting again
            async with asyncio.timeout(ANSWER_S):
                await connection.close()


class NatsBroker:
    """A `Broker` on JetStream."""

    def __init__(self, connection: Any, group: asyncio.TaskGroup, options: Mapping[str, str]) -> None:
        self._connection = connection
        self._streams: Any = connection.jetstream(publish_async_max_pending=PENDING_MAX)
        self._group = group
        self._prefix = options.get("prefix", "")
        self._replicas = int(options.get("replicas", "1"))
        self._ahead = ReadAhead()
        self._epochs: dict[str, int] = {}
        self._wanted: dict[str, asyncio.Event] = {}
        self._readers: list[asyncio.Task[None]] = []
        self._watchers: list[Callable[[], None]] = []
        self._stopped = False
        self.bytes_max: int = connection.max_payload - HEADERS_BYTES

    async def require(self, topics: Collection[str], partitions: int) -> None:
        findings: list[Finding] = []
        for topic in sorted(topics):
            name = self._stream(topic)
            try:
                known = await self._made(topic, name, partitions)
            except (Error, TimeoutError) as error:
                raise _error(f"make the stream {name}", error) from error
            if known != partitions:
                hint = f"set log=nats://...?partitions={known}"
                findings.append(Finding(topic, f"has {known} partitions, not {partitions}", hint))
        if findings:
            raise Invalid("the topics", tuple(findings))

    async def publish(self, messages: Sequence[tuple[str, int, Message]]) -> None:
        if not messages:
            return
        try:
            async with asyncio.timeout(PUBLISH_S):
                acknowledged = [
                    await self._streams.publish_async(
                        self._subject((topic, partition)), message.value, headers=_headers(message, partition)
                    )
                    for topic, partition, message in messages
                ]
                await asyncio.gather(*acknowledged)
        except (Error, OSError, TimeoutError) as error:
            raise _error("publish", error) from error

    async def fetch(self, after: Mapping[Lane, int], *, limit: int) -> Sequence[Carried]:
        known = self._ahead.places.keys()
        moved = self._ahead.ask(after)
        changed = {topic for topic, _ in moved.keys() | (known ^ after.keys())}
        for topic in changed | {topic for topic, _ in after}:
            if topic not in self._wanted:
                self._wanted[topic] = asyncio.Event()
                self._epochs[topic] = 0
                self._readers.append(self._group.create_task(self._read(topic)))
            self._epochs[topic] += topic in changed
            self._wanted[topic].set()
        return self._ahead.take(limit=limit)

    async def ends(self, lanes: Collection[Lane]) -> Mapping[Lane, int]:
        found: dict[Lane, int] = {}
        for lane in lanes:
            try:
                last = await self._streams.get_last_msg(self._stream(lane[0]), self._subject(lane))
            except NotFoundError:
                continue
            except (Error, TimeoutError) as error:
                raise _error("ask for the ends", error) from error
            found[lane] = last.seq
        return found

    async def behind(self, after: Mapping[Lane, int]) -> Mapping[Lane, int]:
        """Return how many messages follow these positions: what a reader that begins there is told that it has before it."""
        found: dict[Lane, int] = {}
        for lane, position in after.items():
            stream = self._stream(lane[0])
            try:
                made = await self._streams.add_consumer(stream, self._reader_of([lane], position))
                found[lane] = made.num_pending
                await self._streams.delete_consumer(stream, made.name)
            except (Error, TimeoutError) as error:
                raise _error("count what waits", error) from error
        return found

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        self._watchers.append(wake)
        return lambda: self._watchers.remove(wake)

    def stop(self) -> None:
        """Read no more. The library can lose a cancellation that comes with a time-out, as after a sleep: hence the mark."""
        self._stopped = True
        for each in self._readers:
            each.cancel()

    async def _read(self, topic: str) -> None:
        """Read a topic ahead until the end; what goes wrong meanwhile is tried again."""
        while not self._stopped:
            self._wanted[topic].clear()
            places = {lane: place for lane, place in self._ahead.places.items() if lane[0] == topic}
            if not places:
                await self._wanted[topic].wait()
                continue
            try:
                await self._read_from(topic, places, self._epochs[topic])
            except (Error, OSError, TimeoutError) as error:
                _log.warning("NATS does not answer: %s", error)
                await asyncio.sleep(WAIT_S)

    async def _read_from(self, topic: str, places: Mapping[Lane, int], epoch: int) -> None:
        """Read from these places on until others are wanted."""
        stream = self._stream(topic)
        made = await self._streams.add_consumer(stream, self._reader_of(sorted(places), min(places.values())))
        reading = await self._streams.pull_subscribe_bind(made.name, stream)
        try:
            while epoch == self._epochs[topic] and not self._stopped:
                if any(self._ahead.is_full(lane) for lane in places):
                    self._wanted[topic].clear()
                    await self._wanted[topic].wait()
                    continue
                with contextlib.suppress(TimeoutError):
                    self._came(topic, epoch, await reading.fetch(BATCH, timeout=WAIT_S))
        finally:
            with contextlib.suppress(Error, TimeoutError):  # the server forgets a reader by itself
                async with asyncio.timeout(WAIT_S):
                    await reading.unsubscribe()

    def _came(self, topic: str, epoch: int, messages: Sequence[Any]) -> None:
        if epoch != self._epochs[topic]:
            return
        added = 0
        for each in messages:
            partition = int(each.subject.rpartition(".")[2])
            carried = Carried(topic, partition, each.metadata.sequence.stream, _message(each.data, each.headers or {}))
            added += self._ahead.add(carried)
        if added:
            for wake in tuple(self._watchers):
                wake()

    def _reader_of(self, lanes: Sequence[Lane], after: int) -> Any:
        return api.ConsumerConfig(
            deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=after + 1,
            ack_policy=api.AckPolicy.NONE,
            filter_subjects=[self._subject(lane) for lane in lanes],
            inactive_threshold=IDLE_S,
            mem_storage=True,
            num_replicas=1,
        )

    async def _made(self, topic: str, name: str, partitions: int) -> int:
        """Have a stream, and return how many partitions it has."""
        try:
            known = await self._streams.stream_info(name)
        except NotFoundError:
            wanted = api.StreamConfig(
                name=name,
                subjects=[self._subject((topic, each)) for each in range(partitions)],
                storage=api.StorageType.FILE,
                max_age=KEEP_S,
                duplicate_window=TWICE_S,
                num_replicas=self._replicas,
                discard=api.DiscardPolicy.OLD,
            )
            known = await self._streams.add_stream(wanted)
        return len(known.config.subjects)

    def _stream(self, topic: str) -> str:
        name = self._prefix + topic
        if not _TOPIC.fullmatch(name):
            hint = "up to 200 letters, digits, '_' and '-': class MyEvent(Event, topic=...)"
            raise Invalid("the topics", (Finding(name, "is no name of a stream of NATS", hint),))
        return name

    def _subject(self, lane: Lane) -> str:
        return f"{self._stream(lane[0])}.{lane[1]}"


def _headers(message: Message, partition: int) -> dict[str, str] | None:
    """Return headers as NATS carries them, one line of text each; where they are more than that, all are packed beside them."""
    headers: dict[str, str] = {}
    plain = True
    for name, value in message.headers:
        text = value.decode("ascii", errors="replace")
        if name in headers or not (
            value.isascii() and text.isprintable() and text == text.strip() and text and name.isascii()
        ):
            plain = False
        else:
            headers[name] = text
    subject = headers.get("ce_subject", "").encode()
    if not plain or message.key != subject:
        headers[OURS] = base64.b64encode(msgspec.msgpack.encode((message.key, message.headers))).decode()
    if event_id := id_of(message):
        twice = base64.urlsafe_b64encode(f"{partition}:{event_id}".encode()).decode()
        headers["Nats-Msg-Id"] = twice
    return headers or None


def _message(value: bytes, headers: Mapping[str, str]) -> Message:
    if OURS in headers:
        with contextlib.suppress(ValueError, msgspec.MsgspecError):
            key, held = _packed.decode(base64.b64decode(headers[OURS], validate=True))
            return Message(value, key, held)
    rest = tuple((name, text.encode()) for name, text in headers.items() if not name.startswith("Nats-"))
    return Message(value, headers.get("ce_subject", "").encode(), rest)


def _address(url: str) -> tuple[list[str], dict[str, str]]:
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    findings = [
        Finding("log", f"has the option {name!r}", f"one of {', '.join(OPTIONS)}")
        for name in options
        if name not in OPTIONS
    ]
    if not re.fullmatch(r"[1-5]", options.get("replicas", "1")):
        findings.append(Finding("log", f"replicas={options['replicas']}", "1 to 5"))
    access, _, hosts = parts.netloc.rpartition("@")
    if not hosts or any(not re.fullmatch(r"[^:,\s]+(:\d{1,5})?", each) for each in hosts.split(",")):
        findings.append(Finding("log", f"{hosts!r} names no server", "write nats://HOST:PORT"))
    if findings:
        raise Invalid("the settings", tuple(findings))
    before = f"{access}@" if access else ""
    return [f"nats://{before}{each}" for each in hosts.split(",")], options


def _error(operation: str, error: BaseException) -> PenstockError:
    if isinstance(error, AuthorizationError) or "authorization" in str(error).lower():
        hint = "write nats://USER:PASSWORD@HOST:PORT, of a user that may use JetStream"
        return Invalid("the settings", (Finding("log", f"NATS refused: {error}", hint),))
    return Unavailable("NATS", operation, str(error) or type(error).__name__)
