"""Events as messages of a broker: CloudEvents 1.0 in binary or structured mode, so that others can read and write them.

Source of the binary form: the CNCF's Kafka protocol binding for CloudEvents 1.0.2, section 3.2: attributes are headers with the
prefix `ce_`, the value is the data, the key is that of the partition. The structured form is that of `documents`: the value is
all of it. Both are read from every broker. What carries none of them is taken as the data of an event.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from penstock.core.events.cloudevents import from_cloudevent
from penstock.core.events.documents import id_in, of_document, to_document
from penstock.core.events.envelope import DEFAULT_TENANT, Envelope
from penstock.core.telemetry.spans import valid_state
from penstock.errors import Finding, Invalid

Lane: TypeAlias = tuple[str, int]  # a topic and one of its partitions
JSON: Final = "application/json"
STRUCTURED: Final = "application/cloudevents+json"
UNREADABLE: Final = "penstock.Unreadable.v1"  # the type of an event that stands for a message that is none
HELD: Final = "penstock-held"  # a header: the value, of so many bytes, is held by the store of the app that sent it
AFTER: Final = "penstock-after"  # a header of what penstock sends: the id of what it sent before in this partition
PROBLEM: Final = "penstock-problem"  # a header that a layer adds to what it could not read: why
HEADERS_MAX = 64
SAID_MAX = 4096  # headers that are kept ready
_JSON: Final = JSON.encode()
STRUCTURED_HEADERS: Final = (("content-type", STRUCTURED.encode()),)  # of a message that is a document and nothing else
_PREFIX: Final = "ce_"
_VERSION: Final = "ce_specversion"
_SUBJECT: Final = "ce_subject"
_BEGINNING: Final = ((_VERSION, b"1.0"), ("content-type", _JSON))
_OWN: Final = {
    "id": "id",
    "source": "source",
    "type": "type",
    "tenant": "tenant",
    "correlationid": "correlation_id",
    "causationid": "causation_id",
    "traceparent": "traceparent",
    "tracestate": "tracestate",
    "replyrun": "reply_run",
    "replystep": "reply_step",
    "about": "subject",
}
_NUMBERS: Final = {"timems": "time_ms", "depth": "depth"}


class Message(Struct, frozen=True):
    """What a broker carries. Headers may come more than once; the last one counts."""

    value: bytes
    key: bytes = b""
    headers: tuple[tuple[str, bytes], ...] = ()


class Carried(Struct, frozen=True):
    """A message where it is in the broker: positions of a partition count from 1, and rise; some may be missing."""

    topic: str
    partition: int
    position: int
    message: Message


class Place(Struct, frozen=True):
    """Where a message was found, and what its topic holds: it names an event that has no name of its own."""

    topic: str
    partition: int
    position: int
    type: str = ""  # of the events of the topic, where it has one only
    now_ms: int = 0


def to_message(event: Envelope) -> Message:
    """Return an event as a message in binary mode: nothing of it is lost (`to_event` returns the same)."""
    headers = [*_BEGINNING, ("ce_id", event.id.encode())]
    for name, value in (("ce_source", event.source), ("ce_type", event.type), ("ce_tenant", event.tenant)):
        if value:
            headers.append(_said(name, value))
    for name, value in (
        ("ce_correlationid", event.correlation_id),
        ("ce_causationid", event.causation_id),
        ("ce_traceparent", event.traceparent),
        ("ce_replyrun", event.reply_run),
        ("ce_replystep", event.reply_step),
        ("ce_about", event.subject),
        ("ce_tracestate", event.tracestate),
    ):
        if value:
            headers.append((name, value.encode()))
    if event.time_ms:
        headers.append(("ce_timems", b"%d" % event.time_ms))
    if event.depth:
        headers.append(("ce_depth", b"%d" % event.depth))
    key = event.key.encode()
    if key:
        headers.append((_SUBJECT, key))
    return Message(event.data, key, tuple(headers))


@lru_cache(maxsize=SAID_MAX)
def _said(name: str, value: str) -> tuple[str, bytes]:
    """Return a header that many messages have: one for all of them, since what is made for each must be collected too."""
    return name, value.encode()


def to_structured(event: Envelope, after: str) -> Message | None:
    """Return an event as a message in structured mode, with the id of what was sent before it; None for one without that form."""
    document = to_document(event, after)
    return None if document is None else Message(document, b"", STRUCTURED_HEADERS)


def to_event(message: Message, place: Place) -> Envelope:
    """Return the event in a message. One that cannot be read becomes an event that says why, and holds all of its bytes."""
    return arrived(message, place)[0]


def arrived(message: Message, place: Place) -> tuple[Envelope, str | None]:  # noqa: PLR0911 - one for each form
    """Return the event in a message, and the id of what penstock sent before it there: None for what others put there."""
    try:
        if message.headers == STRUCTURED_HEADERS and (ours := of_document(message.value)) is not None:
            return ours
        raw = dict(message.headers)
        if PROBLEM in raw:
            return _unreadable(message, place, raw[PROBLEM].decode(errors="replace")), None
        if _VERSION in raw and (event := _of_ours(message, raw)) is not None:
            return event, _after(raw)
        headers = {name.lower(): value.decode() for name, value in message.headers}
        if _VERSION in headers:
            return _of_binary(message, headers), _after(raw)
        if headers.get("content-type", "").partition(";")[0].strip() == STRUCTURED:
            document = msgspec.json.decode(message.value, type=dict[str, object])
            return from_cloudevent(document, now_ms=place.now_ms), _after(raw)
        return _bare(message, headers, place), _after(raw)
    except (Invalid, ValueError) as error:
        return _unreadable(message, place, str(error)), header_of(message, AFTER) if is_divided(message) else None


def id_of(message: Message) -> str:
    """Return the id that a message of ours carries, empty without one."""
    return id_in(message.value) if message.headers == STRUCTURED_HEADERS else header_of(message, "ce_id")


def header_of(message: Message, wanted: str) -> str:
    """Return the first value of a header, empty without one."""
    for name, value in message.headers:
        if name == wanted:
            return value.decode(errors="replace")
    return ""


def is_divided(message: Message) -> bool:
    """Whether the sender of a message put it into the partition of its key, as penstock does."""
    return any(name == AFTER for name, _ in message.headers)


def is_held(message: Message) -> bool:
    """Whether the value of a message is held by the store of the app that sent it."""
    return not message.value and any(name == HELD for name, _ in message.headers)


def problem_of(unreadable: Envelope) -> str:
    """Return why a message could not be read."""
    return msgspec.json.decode(unreadable.data, type=dict[str, Any])["problem"]


def _after(raw: Mapping[str, bytes]) -> str | None:
    value = raw.get(AFTER)
    return None if value is None else value.decode(errors="replace")


def _of_ours(message: Message, raw: Mapping[str, bytes]) -> Envelope | None:
    """Return the event of a message that has its attributes as penstock writes them; None where more must be looked at."""
    name, source, kind = raw.get("ce_id"), raw.get("ce_source"), raw.get("ce_type")
    if not (name and source and kind) or HELD in raw or raw.get("content-type") != _JSON:
        return None
    get = raw.get
    time_ms, depth = get("ce_timems", b"0"), get("ce_depth", b"0")
    if not (time_ms.isdigit() and depth.isdigit()):
        return None
    event_id = name.decode()
    return Envelope(
        event_id,
        source.decode(),
        kind.decode(),
        (get(_SUBJECT) or message.key).decode(),
        int(time_ms),
        message.value,
        get("ce_tenant", b"").decode() or DEFAULT_TENANT,
        get("ce_correlationid", b"").decode() or event_id,
        get("ce_causationid", b"").decode(),
        int(depth),
        (
            get("ce_traceparent") or get("traceparent", b"")
        ).decode(),  # the header of who traces, but knows no CloudEvents
        get("ce_replyrun", b"").decode(),
        get("ce_replystep", b"").decode(),
        get("ce_about", b"").decode(),
        _state((get("ce_tracestate") or get("tracestate", b"")).decode()),
    )


def _of_binary(message: Message, headers: Mapping[str, str]) -> Envelope:
    findings = [
        Finding(_PREFIX + name, "is missing or empty", "CloudEvents requires it")
        for name in ("id", "source", "type")
        if not headers.get(_PREFIX + name)
    ]
    if headers.get("content-type", JSON).partition(";")[0].strip() != JSON:
        findings.append(Finding("content-type", f"is {headers['content-type']!r}", f"only {JSON} is understood"))
    if HELD in headers:
        problem = f"its {headers[HELD]} bytes are held by the app that sent it"
        findings.append(Finding("value", problem, "raise what the broker takes: max.message.bytes, max_payload"))
    numbers = {attribute: _number(headers, name, findings) for name, attribute in _NUMBERS.items()}
    if findings:
        raise Invalid("the message", tuple(findings))
    texts = {attribute: headers.get(_PREFIX + name, "") for name, attribute in _OWN.items()}
    return Envelope(
        id=texts["id"],
        source=texts["source"],
        type=texts["type"],
        key=headers.get(f"{_PREFIX}subject", "") or message.key.decode(),
        time_ms=numbers["time_ms"],
        data=message.value,
        tenant=texts["tenant"] or DEFAULT_TENANT,
        correlation_id=texts["correlation_id"] or texts["id"],
        causation_id=texts["causation_id"],
        depth=numbers["depth"],
        traceparent=texts["traceparent"]
        or headers.get("traceparent", ""),  # the header of who traces, but is no CloudEvent
        reply_run=texts["reply_run"],
        reply_step=texts["reply_step"],
        subject=texts["subject"],
        tracestate=_state(texts["tracestate"] or headers.get("tracestate", "")),
    )


def _bare(message: Message, headers: Mapping[str, str], place: Place) -> Envelope:
    """Return the event of a producer who knows nothing of CloudEvents: its place is its id."""
    kind = headers.get("type") or place.type
    if not kind:
        hint = 'send CloudEvents (binary or structured), or a header "type"'
        raise Invalid("the message", (Finding("headers", "do not say which type the event has", hint),))
    msgspec.json.decode(message.value)
    name = headers.get("id") or f"{place.topic}/{place.partition}/{place.position}"
    tenant = headers.get("tenant") or DEFAULT_TENANT
    return Envelope(
        name,
        f"/{place.topic}",
        kind,
        message.key.decode(),
        place.now_ms,
        message.value,
        tenant,
        name,
        traceparent=headers.get("traceparent", ""),
        tracestate=_state(headers.get("tracestate", "")),
    )


def _state(given: str) -> str:
    return valid_state(given) if given else ""


def _unreadable(message: Message, place: Place, problem: str) -> Envelope:
    name = f"{place.topic}/{place.partition}/{place.position}"
    held = {"problem": problem, "key": message.key, "value": message.value, "headers": message.headers[:HEADERS_MAX]}
    data = msgspec.json.encode(held)
    return Envelope(name, f"/{place.topic}", UNREADABLE, "", place.now_ms, data, correlation_id=name)


def _number(headers: Mapping[str, str], name: str, findings: list[Finding]) -> int:
    text = headers.get(_PREFIX + name, "0")
    try:
        return int(text)
    except ValueError:
        findings.append(Finding(_PREFIX + name, f"is {text!r}", "a whole number"))
        return 0
