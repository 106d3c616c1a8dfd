"""Events over NATS JetStream: a stream for each topic, a subject of it for each partition, read ahead by one task a topic.

A position is the number of a message in its stream. Messages are read by position, without acknowledgements: who owns a partition
is a lease in the store, which fences commits too. An id that comes twice within two minutes is dropped by the server.
"""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

from penstock.adapters.nats.connecting import Complaints, address_of, open_connection
from penstock.core.events.broker_address import retained_ms
from penstock.core.events.messages import Carried, Lane, Message
from penstock.core.events.read_ahead import ReadAhead
from penstock.core.events.watchers import Watchers
from penstock.core.telemetry.reminders import Reminders
from penstock.errors import Finding, Invalid, Missing, NotLetIn, PenstockError

try:
    from nats.errors import Error
    from nats.js import api
    from nats.js.errors import NotFoundError
except ImportError as error:
    raise Missing("the package nats-py", "pip install 'penstock[nats]'") from error

from penstock.adapters.nats.forms import block_of
from penstock.adapters.nats.publishing import Publishing
from penstock.adapters.nats.reading import Reading

WAIT_S = 0.5  # within which a change of what is read takes effect
AGAIN_S = 0.05  # after which a reader that is of no use is made anew
PUBLISH_S = 10.0
KEEP_S = 7 * 24 * 3600  # how long messages are kept, as Kafka does by default
TWICE_S = 120  # within which the server drops what comes twice
HEADERS_BYTES = 64 * 1024  # of the largest message, for its headers
IDLE_S = 60.0  # after which the server forgets a reader
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,200}")
_log = logging.getLogger(__name__)


@asynccontextmanager
async def open_nats(url: str) -> AsyncGenerator["NatsBroker"]:
    """Connect to the NATS of an address. Raises `Invalid` for what is none, `Unavailable` where nobody answers."""
    address = address_of(url)
    async with open_connection(address) as (connection, complaints), asyncio.TaskGroup() as group:
        broker = NatsBroker(connection, group, address.options, complaints)
        try:
            yield broker
        finally:
            broker.stop()


class NatsBroker:
    """A `Broker` on JetStream."""

    structured = True  # the library carries headers slowly, and NATS's own binding of CloudEvents knows documents alone

    def __init__(
        self, connection: Any, group: asyncio.TaskGroup, options: Mapping[str, str], complaints: Complaints
    ) -> None:
        self._connection = connection
        self._complaints = complaints
        self._error = complaints.error
        self._reminders = Reminders()
        self._creates = options.get("create") != "no"
        self._keep_s = retained_ms(options, KEEP_S * 1000) / 1000
        self._streams: Any = connection.jetstream()
        self._publishing = Publishing(connection)
        complaints.failed = self._publishing.failed
        self._group = group
        self._prefix = options.get("prefix", "")
        self._replicas = int(options.get("replicas", "1"))
        self._ahead = ReadAhead[Carried]()
        self._epochs: dict[str, int] = {}
        self._wanted: dict[str, asyncio.Event] = {}
        self._readers: list[asyncio.Task[None]] = []
        self._watchers = Watchers()
        self._stopped = False
        self._told = False  # whether the watchers will be called
        self.bytes_max: int = connection.max_payload - HEADERS_BYTES

    async def require(self, topics: Collection[str], partitions: int) -> None:
        findings: list[Finding] = []
        for topic in sorted(topics):
            name = self._stream(topic)
            try:
                known = await self._made(topic, name, partitions)
            except (Error, TimeoutError) as error:
                raise self._refusal(f"make the stream {name}", error) from error
            if known is None:
                hint = f"make the stream {name} with the subjects {name}.0 to {name}.{partitions - 1}"
                findings.append(Finding(topic, "is not there, and is not made (create=no)", hint))
            elif known != partitions:
                hint = f"set log=nats://...?partitions={known}"
                findings.append(Finding(topic, f"has {known} partitions, not {partitions}", hint))
        if findings:
            raise Invalid("the topics", tuple(findings))

    def _refusal(self, operation: str, error: BaseException) -> PenstockError:
        """Return what to raise at the start: an app that is not let in would only wait."""
        meant = self._error(operation, error)
        if isinstance(meant, NotLetIn):
            problem = f"NATS does not do {operation!r}: {meant.reason}"
            return Invalid("the settings", (Finding("log", problem, f"set {meant.setting}"),))
        return meant

    async def publish(self, messages: Sequence[tuple[str, int, Message]]) -> None:
        if not messages:
            return
        outgoing = [
            (self._subject((topic, partition)), message.value, block_of(message, partition))
            for topic, partition, message in messages
        ]
        try:
            async with asyncio.timeout(PUBLISH_S):
                await self._publishing.publish(outgoing)
        except (Error, OSError, TimeoutError) as error:
            raise self._error("publish", error) from error

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
                raise self._error("ask for the ends", error) from error
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
            except NotFoundError as error:
                hint = "run the app once, or mend prefix= in the setting log"
                raise Missing(f"the stream {stream} of NATS", hint) from error
            except (Error, TimeoutError) as error:
                raise self._error("count what waits", error) from error
        return found

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        return self._watchers.watch(wake)

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
            problem: PenstockError | None = None
            try:
                if not await self._read_from(topic, places, self._epochs[topic]):
                    problem = self._complaints.forbidden("read")  # else the reader was lost with its connection
            except (Error, OSError, TimeoutError) as error:
                problem = self._error("read", error)
                await asyncio.sleep(WAIT_S)
            if problem is not None and self._reminders.is_due(topic, monotonic()):
                _log.warning("%s cannot be read: %s", topic, problem)

    async def _read_from(self, topic: str, places: Mapping[Lane, int], epoch: int) -> bool:
        """Read from these places on until others are wanted, or some of it did not come: then return False."""
        stream = self._stream(topic)
        made = await self._streams.add_consumer(stream, self._reader_of(sorted(places), min(places.values())))
        reading = Reading(self._connection, topic, f"{stream}.{made.name}", self._took(topic, epoch))
        async with reading.subscribed():
            while epoch == self._epochs[topic] and not self._stopped:
                if any(self._ahead.is_full(lane) for lane in places):
                    self._wanted[topic].clear()
                    await self._wanted[topic].wait()
                elif await reading.more(WAIT_S):
                    if self._reminders.is_over(topic):
                        _log.warning("%s is read again", topic)
                else:
                    await asyncio.sleep(AGAIN_S)
                    return False
        return True

    def _took(self, topic: str, epoch: int) -> Callable[[Carried], None]:
        """Return what takes the messages that are read from now on."""

        def take(carried: Carried) -> None:
            if epoch == self._epochs[topic] and self._ahead.add(carried) and not self._told:
                self._told = True
                asyncio.get_running_loop().call_soon(self._tell)

        return take

    def _tell(self) -> None:
        self._told = False
        self._watchers.wake()

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

    async def _made(self, topic: str, name: str, partitions: int) -> int | None:
        """Have a stream, and return how many partitions it has; None where it is not there, and others make them."""
        try:
            known = await self._streams.stream_info(name)
        except NotFoundError:
            if not self._creates:
                return None
            wanted = api.StreamConfig(
                name=name,
                subjects=[self._subject((topic, each)) for each in range(partitions)],
                storage=api.StorageType.FILE,
                max_age=self._keep_s,
                duplicate_window=min(TWICE_S, self._keep_s),
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
