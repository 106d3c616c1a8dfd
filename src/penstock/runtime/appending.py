"""Giving events their envelope and their place: this engine is the only one that appends to the partitions it owns."""

from collections.abc import Callable, Collection, Iterable, Mapping

from msgspec import Struct

from penstock.core.agents.unit import Sent
from penstock.core.events.envelope import (
    COMPARED,
    UNPLACED,
    Envelope,
    Position,
    Recorded,
    emitted_id,
    event_of,
    may_be_emitted,
)
from penstock.core.events.event import Event
from penstock.core.events.partitions import partition_of
from penstock.core.events.subjects import SUBJECT_BYTES_MAX
from penstock.core.events.tenant import require_tenant
from penstock.core.events.texts import storable
from penstock.core.knowledge.events import KnowledgeEvent
from penstock.core.knowledge.ordering import document_key, ordered
from penstock.errors import LimitReached, Refused
from penstock.runtime.topology import Kind, Topology
from penstock.runtime.tracing import Traces, emitted_by, incoming, incoming_state

DEPTH_MAX = 64
EVENT_BYTES_MAX = 16 * 1024 * 1024
KEY_BYTES_MAX = 1024
ID_BYTES_MAX = 16 * 1024
Appended = Callable[[Recorded], None]


class Outgoing(Struct, frozen=True):
    """An event that may be emitted, written down once: `data` is JSON."""

    topic: str
    type: str
    key: str
    data: bytes
    subject: str | None = None  # None: that of the event that it follows from


class Appender:
    """The ends of the log, and what becomes of an event that is put there.

    An event of a partition that another worker owns gets no place here: the committer sends it there.
    """

    def __init__(self, app: str, topology: Topology, partitions: int = 1) -> None:
        self._app = app
        self._topology = topology
        self._ends: dict[tuple[str, int], int] = {}
        self.partitions = partitions
        self.owned: frozenset[int] = frozenset()
        self.direct: frozenset[int] = frozenset()  # those of them for which nothing waits that was sent before
        self.shared = False  # whether other workers own partitions
        self.names_subjects = False  # whether the store can keep what is about somebody, so that it can be forgotten
        self.event_bytes_max = EVENT_BYTES_MAX
        self.traces: Traces | None = None
        self.carried: Collection[str] = ()  # topics of a broker, which says what comes after what

    def own(self, partitions: Iterable[int], ends: Mapping[tuple[str, int], int]) -> None:
        """Give out the places of these partitions from now on; `ends` are where they end.

        Until what waits for a partition has its place (`open`), whatever is put there waits behind it.
        """
        new = (
            frozenset(partitions) - self.owned
        )  # of the others, places were given out that the store does not show yet
        self.owned |= new
        self._ends |= {(topic, each): end for (topic, each), end in ends.items() if each in new}

    def open(self, partition: int) -> None:
        """What comes to this partition need not wait behind others."""
        self.direct |= {partition}

    def disown(self, partition: int) -> None:
        """Give out places of this partition no longer."""
        self.owned -= {partition}
        self.direct -= {partition}
        self._ends = {which: end for which, end in self._ends.items() if which[1] != partition}

    def end(self, topic: str, partition: int) -> int:
        """Return the last offset that was given out."""
        return self._ends.get((topic, partition), 0)

    def partition_of(self, envelope: Envelope) -> int:
        """Return the partition of an event. Without a key it is a lane of its own, and lies anywhere."""
        return partition_of(envelope.tenant, envelope.key or envelope.id, self.partitions)

    def posted(
        self, event: Event, *, id: str, tenant: str, key: str | None, now_ms: int, cause: Envelope | None = None
    ) -> Recorded:
        """Return an event from outside that goes through the inbox, where its id is compared with those of all workers."""
        topic, envelope = self.waiting(event, id=id, tenant=tenant, key=key, now_ms=now_ms, cause=cause)
        return Recorded(Position(topic, self.partition_of(envelope), COMPARED), envelope)

    def received(self, sent: Sent) -> Recorded:
        """Return an event that was sent to a partition of ours, with its place."""
        return self._in(sent.partition, sent.topic, sent.event)

    def put(self, unplaced: Recorded) -> Recorded:
        """Return an event that was to be sent to a partition of ours, with its place."""
        return self._in(unplaced.position.partition, unplaced.position.topic, unplaced.event)

    def submitted(
        self, event: Event, *, id: str, tenant: str, key: str | None, now_ms: int, cause: Envelope | None = None
    ) -> Recorded:
        """Return an event from outside with its place."""
        return self._placed(*self.waiting(event, id=id, tenant=tenant, key=key, now_ms=now_ms, cause=cause))

    def waiting(
        self, event: Event, *, id: str, tenant: str, key: str | None, now_ms: int, cause: Envelope | None = None
    ) -> tuple[str, Envelope]:
        """Return the topic and the envelope of an event from outside that has no place yet.

        `cause`: the event that it follows from, so that its hops are counted; `LimitReached` when they are too many.
        """
        kind = self._topology.kind(type(event))
        subject = None
        if self.names_subjects:
            event, subject = self._about(event, cause)
        data = _bounded(event, self.event_bytes_max)
        key = storable("the key", self._key(kind, event, key), KEY_BYTES_MAX)
        require_tenant(tenant)
        source, subject = f"/{self._app}", subject or ""
        if cause is None:
            trace = incoming.get() if self.traces is None else self.traces.sent(kind.topic, event.type_, id)
            start = (id, "", 0, trace, "", "", subject, incoming_state.get() if trace else "")
            return kind.topic, Envelope(id, source, event.type_, key, now_ms, data, tenant, *start)
        require_hops_left(cause)
        origin, hops, trace = cause.correlation_id or cause.id, cause.depth + 1, cause.traceparent
        if not id.startswith(f"{origin}."):  # what followed from an event is found by ids that begin with its own
            origin = id
        following = (origin, cause.id, hops, trace, "", "", subject, cause.tracestate)
        return kind.topic, Envelope(id, source, event.type_, key, now_ms, data, tenant, *following)

    def emitted(
        self, event: Event, key: str | None, *, run: str, cause: Envelope, number: int, now_ms: int
    ) -> Recorded:
        """Return the `number`-th event that a run emits, with its place."""
        return self.placed(self._outgoing(event, key, cause), run=run, cause=cause, number=number, now_ms=now_ms)

    def placed(self, event: Outgoing, *, run: str, cause: Envelope, number: int, now_ms: int) -> Recorded:
        """Return what `check` let pass as the `number`-th event that a run emits, with its place."""
        return self._placed(event.topic, self._envelope(event, run=run, cause=cause, number=number, now_ms=now_ms))

    def unplaced(
        self, event: Event, key: str | None, *, run: str, cause: Envelope, number: int, now_ms: int
    ) -> tuple[str, Envelope]:
        """Return the topic and the envelope of an event that a run emits later."""
        outgoing = self._outgoing(event, key, cause)
        return outgoing.topic, self._envelope(outgoing, run=run, cause=cause, number=number, now_ms=now_ms)

    def fired(self, topic: str, envelope: Envelope) -> Recorded:
        """Return an event whose time has come, with its place.

        The id of one from outside is compared with those of all workers first: it goes through the inbox.
        """
        if self.partitions > 1:
            envelope = ordered(envelope)  # it may have been written before there were several
        if self.shared and not may_be_emitted(envelope.id):
            return Recorded(Position(topic, self.partition_of(envelope), COMPARED), envelope)
        return self._placed(topic, envelope)

    def called(
        self, event: Outgoing, *, run: str, cause: Envelope, number: int, now_ms: int, reply_step: str
    ) -> Recorded:
        """Return what `check` let pass as an event whose handling the run waits for, with its place."""
        envelope = self._envelope(event, run=run, cause=cause, number=number, now_ms=now_ms, reply_step=reply_step)
        return self._placed(event.topic, envelope)

    def told(self, event: Event, partition: int, *, run: str, cause: Envelope, number: int, now_ms: int) -> Recorded:
        """Return an event for the owner of a partition, whatever its key, with its place."""
        outgoing = self._outgoing(event, None, cause)
        envelope = self._envelope(outgoing, run=run, cause=cause, number=number, now_ms=now_ms)
        if partition not in self.direct:
            return Recorded(Position(outgoing.topic, partition, UNPLACED), envelope)
        return self._in(partition, outgoing.topic, envelope)

    def _envelope(
        self, event: Outgoing, *, run: str, cause: Envelope, number: int, now_ms: int, reply_step: str = ""
    ) -> Envelope:
        correlation = cause.correlation_id or cause.id
        return Envelope(
            emitted_id(run, correlation, number),
            f"/{self._app}/{event_of(run)[1]}",
            event.type,
            event.key,
            now_ms,
            event.data,
            cause.tenant,
            correlation,
            cause.id,
            cause.depth + 1,
            emitted_by(cause),
            run if reply_step else "",
            reply_step,
            cause.subject if event.subject is None else event.subject,
            cause.tracestate,
        )

    def check(self, event: Event, key: str | None, cause: Envelope) -> Outgoing:
        """Refuse what must not be emitted, before anything of the handling is written."""
        require_hops_left(cause)
        return self._outgoing(event, key, cause)

    def _outgoing(self, event: Event, key: str | None, cause: Envelope) -> Outgoing:
        kind = self._topology.kind(type(event))
        subject = None
        if self.names_subjects:
            event, subject = self._about(event, cause)
        key = storable("the key", self._key(kind, event, key), KEY_BYTES_MAX)
        return Outgoing(kind.topic, event.type_, key, _bounded(event, self.event_bytes_max), subject)

    def _about(self, event: Event, cause: Envelope | None) -> tuple[Event, str | None]:
        """Return an event as it is to be written, and whom it is about, where it says so itself or must carry it."""
        subject = event.about_()
        if subject is not None:
            return event, storable("the subject", subject, SUBJECT_BYTES_MAX)
        if cause is None or not cause.subject:
            return event, None
        return event.inheriting_(cause.subject), cause.subject

    def _key(self, kind: Kind, event: Event, key: str | None) -> str:
        """Return the key that an event is ordered by: in several partitions, events of knowledge are by their documents."""
        if self.partitions > 1 and isinstance(event, KnowledgeEvent):
            return document_key(event)
        return kind.key_of(event) if key is None else key

    def _placed(self, topic: str, envelope: Envelope) -> Recorded:
        partition = 0 if self.partitions == 1 else self.partition_of(envelope)
        if partition not in self.direct or topic in self.carried:
            return Recorded(Position(topic, partition, UNPLACED), envelope)
        return self._in(partition, topic, envelope)

    def _in(self, partition: int, topic: str, envelope: Envelope) -> Recorded:
        which = (topic, partition)
        offset = self._ends[which] = self._ends.get(which, 0) + 1
        return Recorded(Position(topic, partition, offset), envelope)


def require_hops_left(cause: Envelope) -> None:
    """Refuse what would follow from an event after too many hops: it is nearly always a loop (C9)."""
    if cause.depth >= DEPTH_MAX:
        raise LimitReached("the number of hops since the first event", cause.depth + 1, DEPTH_MAX)


def check_id(event_id: str) -> None:
    """Refuse an id from outside that cannot be stored, or that says nothing."""
    if not storable("the id", event_id, ID_BYTES_MAX):
        raise Refused("the id is empty", "give a text, or none at all")


def _bounded(event: Event, bytes_max: int) -> bytes:
    try:
        data = event.encoded()
    except (ValueError, RecursionError) as error:  # pydantic's serialisation error is a ValueError
        raise Refused(f"the data of {event.type_} cannot be written as JSON ({error})", "mend the event") from error
    if len(data) > bytes_max:
        raise LimitReached(f"the data of {event.type_}, in bytes,", len(data), bytes_max)
    return data
